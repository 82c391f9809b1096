//! Disks that are in the computer and cannot be seen or used, and what helps: controllers and drives tell.

mod controllers;
mod drives;

use std::path::Path;

use cairn_root::Root;

use super::{Device, Kind};
use crate::hardware::{Kernel, NamedFirmware};

const MOST: u64 = 64 << 10;

/// The modules that a device could be driven by, by what it calls itself, with the firmware that each names.
type DriversOf<'k> = dyn FnMut(&str) -> Vec<(String, NamedFirmware)> + 'k;

/// Where nothing else says why there is none.
const NO_DISK: &str = "no disk is seen, and no controller says why: see whether the firmware's setup lists it; there, look for \
     \"SATA\", \"NVMe\", \"VMD\" and \"RAID\", and switch on what is off; or the controller is one for which this kernel has no driver";

/// What is odd about the storage controllers and the drives of the computer that `root` shows: a sentence each, with what to do.
pub fn hidden(root: &Path, devices: &[Device]) -> Vec<String> {
    let Ok(root) = Root::open(root) else { return Vec::new() };
    // Only a controller without a driver asks for the kernel's modules.
    let mut kernel = None;
    all(&root, devices, &mut |alias| drivers(kernel.get_or_insert_with(|| Kernel::read(&root)), &root, alias))
}

/// The same, where the kernel has been read; its modules and firmware are `system`'s.
pub(crate) fn hidden_at(root: &Root, devices: &[Device], kernel: &mut Kernel, system: &Root) -> Vec<String> {
    all(root, devices, &mut |alias| drivers(kernel, system, alias))
}

fn all(root: &Root, devices: &[Device], drivers: &mut DriversOf<'_>) -> Vec<String> {
    let mut all = controllers::odd(root, drivers);
    all.extend(drives::odd(root, devices));
    if all.is_empty() && !devices.iter().any(|device| device.kind == Kind::Disk) {
        all.push(NO_DISK.into());
    }
    all
}

fn drivers(kernel: &mut Kernel, system: &Root, alias: &str) -> Vec<(String, NamedFirmware)> {
    let modules = kernel.for_device(alias).into_iter();
    modules.map(|module| (module.clone(), kernel.firmware_of(system, &module))).collect()
}

/// What a file of sysfs says, without the blanks around it.
fn text(root: &Root, path: impl AsRef<Path>) -> Option<String> {
    let bytes = root.read(path, MOST).ok()??;
    let text = String::from_utf8_lossy(&bytes).trim().to_string();
    (!text.is_empty()).then_some(text)
}

/// The names in a folder, sorted.
fn names(root: &Root, folder: impl AsRef<Path>) -> Vec<String> {
    let names = root.names(folder).ok().flatten().unwrap_or_default();
    names.into_iter().filter_map(|name| name.into_string().ok()).collect()
}
