//! Storage controllers that show no disk.

use std::path::{Path, PathBuf};

use cairn_root::Root;

use super::{DriversOf, names, text};

const DEVICES: &str = "sys/bus/pci/devices";

/// PCI's base class of mass storage, and of it RAID controllers.
const STORAGE: u32 = 0x01;
const RAID: u32 = 0x0104;
const INTEL: u32 = 0x8086;
/// Intel's Volume Management Device (`drivers/pci/controller/vmd.c`): NVMe disks hang on it instead of on PCI itself.
const VMD: [u32; 10] = [0x201d, 0x28c0, 0x467f, 0x4c3d, 0xa77f, 0x7d0b, 0xad0b, 0x9a0b, 0xb60b, 0xb06f];
/// How many files of firmware are named.
const NAMED: usize = 3;

/// What is odd about them.
pub fn odd(root: &Root, drivers: &mut DriversOf<'_>) -> Vec<String> {
    names(root, DEVICES).iter().filter_map(|name| controller(root, name, drivers)).collect()
}

fn controller(root: &Root, address: &str, drivers: &mut DriversOf<'_>) -> Option<String> {
    let device = Path::new(DEVICES).join(address);
    let number = |name: &str| {
        let text = text(root, device.join(name))?;
        text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
    };
    let (class, vendor, model) = (number("class")?, number("vendor")?, number("device")?);
    if let Some(count @ 1..) = number("remapped_nvme") {
        let disks = if count == 1 { "one NVMe disk is".into() } else { format!("{count} NVMe disks are") };
        return Some(format!(
            "{disks} hidden behind the SATA controller at {address} (Intel RST): in the firmware's setup, look for \"SATA mode\", \
             \"Intel RST\" or \"RAID\" and choose AHCI. A Windows on that disk does not start any more after that, unless it was made \
             ready for it"
        ));
    }
    let driver = root.link(device.join("driver")).ok().flatten();
    if vendor == INTEL && VMD.contains(&model) {
        return driver.is_none().then(|| {
            format!(
                "NVMe disks may be hidden behind Intel VMD at {address}, for which this system has no driver (vmd): load it, or in the \
                 firmware's setup look for \"VMD\" or \"Volume Management Device\" and switch it off. A Windows on such a disk does not \
                 start any more after that, unless it was made ready for it"
            )
        });
    }
    if class >> 16 != STORAGE {
        return None;
    }
    if driver.is_none() {
        let could = text(root, device.join("modalias")).map(|alias| drivers(&alias)).unwrap_or_default();
        let why = undriven(&could);
        return Some(format!(
            "the storage controller at {address} ({vendor:04x}:{model:04x}) has no driver: disks on it cannot be seen. {why}"
        ));
    }
    let empty = class >> 8 == RAID && !has_disks(root, &device, 0);
    empty.then(|| {
        format!(
            "the RAID controller at {address} ({vendor:04x}:{model:04x}) shows no disk: make a volume in its own setup, or let it pass its \
             disks on (\"HBA\", \"IT\" or \"JBOD\" mode)"
        )
    })
}

/// Why a controller has no driver, by the modules that there are for it.
fn undriven(could: &[(String, crate::hardware::NamedFirmware)]) -> String {
    let Some((module, firmware)) = could.first() else {
        return "Its driver, or firmware that the driver asks for (`dmesg` says so), is not in this system".into();
    };
    let mut missing: Vec<&str> = could.iter().flat_map(|(_, firmware)| &firmware.missing).map(String::as_str).collect();
    if missing.is_empty() || !firmware.found.is_empty() {
        return format!("Its driver is {module}, which does not run: load it (`modprobe {module}`), and see `dmesg`");
    }
    let more = missing.len().saturating_sub(NAMED);
    missing.truncate(NAMED);
    let files = missing.join(", ");
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "Its driver {module} asks for firmware that is not in this system ({files}{more}): install the package that has it, of Debian's \
         component non-free-firmware, and load the driver again"
    )
}

/// Whether there is a block device below a controller.
fn has_disks(root: &Root, folder: &Path, depth: usize) -> bool {
    // host0/target0:0:0/0:0:0:0/block/sda, with a port or an expander on the way; nvme/nvme0/nvme0n1.
    const DEEPEST: usize = 10;
    let Some(real) = root.inside(folder).ok().flatten() else { return false };
    let names = real.names("").ok().flatten().unwrap_or_default();
    let mut below: Vec<PathBuf> = Vec::new();
    for name in names {
        let Ok(Some(meta)) = real.link_metadata(&name) else { continue };
        if meta.is_dir() {
            if name == "block"
                || real.metadata(Path::new(&name).join("queue/logical_block_size")).ok().flatten().is_some()
            {
                return true;
            }
            below.push(folder.join(name));
        }
    }
    depth < DEEPEST && below.iter().any(|one| has_disks(root, one, depth + 1))
}
