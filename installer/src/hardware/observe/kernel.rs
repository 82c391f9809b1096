//! The kernel whose modules are there: which it has, and which firmware they name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cairn_root::Root;
use cairn_system::initrd::{Modules, Texts, read_module};

use super::sysfs::text;
use super::{Driver, Node, PciDevice};

/// Debian's largest index has under two.
const MOST_INDEX: u64 = 64 << 20;
/// Drivers of disks have a tenth of that; those of graphics cards, which are larger, are not asked for here.
const MOST_MODULE: u64 = 4 << 20;
/// Where systems have a kernel's modules: Debian and others, and NixOS.
const FOLDERS: [&str; 3] = ["lib/modules", "usr/lib/modules", "run/booted-system/kernel-modules/lib/modules"];
/// Where the kernel looks for firmware; NixOS tells it another place.
const FIRMWARE: [&str; 4] = ["lib/firmware/updates", "lib/firmware", "usr/lib/firmware", "run/current-system/firmware"];

/// A kernel.
#[derive(Debug, Default)]
pub struct Kernel {
    /// Its release, `6.12.9-amd64`.
    pub release: Option<String>,
    modules: Option<Modules>,
    folder: Option<String>,
    firmware: BTreeMap<String, NamedFirmware>,
}

/// The firmware that a module names; it need not want all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct NamedFirmware {
    /// What is there.
    pub found: BTreeSet<String>,
    /// What is not.
    pub missing: BTreeSet<String>,
}

impl Kernel {
    /// The kernel of the system that `root` has: the running one, or, where that one's modules are not there, the only one whose
    /// modules are: a mounted system's, or what boots next after an update.
    pub fn read(root: &Root) -> Kernel {
        let running = text(root, "proc/sys/kernel/osrelease").filter(|name| !name.contains('/') && name != "..");
        let folder_of = |name: &str| {
            let has_index = |folder: &String| root.metadata(format!("{folder}/modules.dep")).ok().flatten().is_some();
            FOLDERS.iter().map(|folder| format!("{folder}/{name}")).find(has_index)
        };
        let candidates: Vec<String> = running.into_iter().chain(only(root)).collect();
        let with_modules = candidates.iter().find_map(|name| Some((name.clone(), folder_of(name)?)));
        let (release, folder) = match with_modules {
            Some((release, folder)) => (Some(release), Some(folder)),
            None => (candidates.into_iter().next(), None),
        };
        let modules = folder.as_ref().map(|folder| Modules::parse(&texts(root, folder)));
        Kernel { release, modules, folder, firmware: BTreeMap::new() }
    }

    /// Whether its modules are there to be asked.
    pub fn is_known(&self) -> bool {
        self.modules.is_some()
    }

    /// Whether it has a module of this name, as a file or built in; nothing, if its modules are not there.
    pub fn has(&self, module: &str) -> Option<bool> {
        self.modules.as_ref().map(|modules| modules.has(module))
    }

    /// Whether a module is built in, where that is known.
    pub fn has_built_in(&self, module: &str) -> bool {
        self.modules.as_ref().is_some_and(|modules| modules.has(module) && modules.file(module).is_none())
    }

    /// The modules for what a device calls itself.
    pub fn for_device(&self, alias: &str) -> BTreeSet<String> {
        let found = self.modules.as_ref().map(|modules| modules.find(alias)).unwrap_or_default();
        found.into_iter().map(str::to_string).collect()
    }

    /// What modules need besides themselves: hard and soft dependencies, as far as they are modules of this kernel.
    pub fn needs<'m>(&self, modules: impl IntoIterator<Item = &'m str>) -> BTreeSet<String> {
        let Some(known) = &self.modules else { return BTreeSet::new() };
        let asked: Vec<&str> = modules.into_iter().collect();
        let files = known.closure(asked.iter().copied()).files;
        let name = |file: &String| {
            let file = file.rsplit('/').next().unwrap_or(file);
            file.split('.').next().unwrap_or(file).replace('-', "_")
        };
        files.iter().map(name).filter(|name| !asked.contains(&name.as_str())).collect()
    }

    /// The firmware that modules name, by module, as far as it was looked for.
    pub fn firmware(&self) -> &BTreeMap<String, NamedFirmware> {
        &self.firmware
    }

    /// Looks for the firmware that the drivers of disks, keyboards and their controllers name.
    pub(super) fn read_firmware(&mut self, root: &Root, pci: &[PciDevice], nodes: [&[Node]; 2]) {
        let controllers = pci.iter().filter(|device| device.class >> 16 == 0x01 || device.class >> 8 == 0x0c03);
        let bound = nodes.into_iter().flatten().flat_map(|node| &node.drivers);
        let bound = bound.chain(controllers.filter_map(|device| device.driver.as_ref()));
        let names: BTreeSet<&str> = bound
            .filter_map(|driver| if let Driver::Module(name) = driver { Some(name.as_str()) } else { None })
            .collect();
        for name in names {
            self.firmware_of(root, name);
        }
    }

    /// Looks for the firmware that a module names.
    pub(crate) fn firmware_of(&mut self, root: &Root, module: &str) -> NamedFirmware {
        if let Some(known) = self.firmware.get(module) {
            return known.clone();
        }
        let named = self.named(root, module).unwrap_or_default();
        let there = |name: &String| self.has_firmware(root, name);
        // A pattern stands for what there may be.
        let (found, missing): (BTreeSet<_>, BTreeSet<_>) =
            named.into_iter().filter(|name| !name.contains(['*', '?', '['])).partition(there);
        let firmware = NamedFirmware { found, missing };
        if firmware != NamedFirmware::default() {
            self.firmware.insert(module.to_string(), firmware.clone());
        }
        firmware
    }

    fn named(&self, root: &Root, module: &str) -> Option<Vec<String>> {
        let modules = self.modules.as_ref()?;
        let Some(file) = modules.file(module) else { return Some(modules.firmware_of_built_in(module).to_vec()) };
        let bytes = root.read(Path::new(self.folder.as_ref()?).join(file), MOST_MODULE).ok()??;
        read_module(&bytes).map(|(_, named)| named)
    }

    fn has_firmware(&self, root: &Root, name: &str) -> bool {
        let release = self.release.as_deref().unwrap_or_default();
        let endings = ["", ".xz", ".zst"];
        let there = |path: String| root.metadata(path).ok().flatten().is_some();
        FIRMWARE.iter().any(|folder| {
            endings
                .iter()
                .any(|end| there(format!("{folder}/{name}{end}")) || there(format!("{folder}/{release}/{name}{end}")))
        })
    }
}

/// The one kernel that a system has.
fn only(root: &Root) -> Option<String> {
    let names = FOLDERS.iter().find_map(|folder| root.names(folder).ok().flatten())?;
    let [one] = &names[..] else { return None };
    one.to_str().map(str::to_string)
}

fn texts(root: &Root, folder: &str) -> Texts {
    // What cannot be read is as if it were not there: then less is known of this kernel.
    let read = |name: &str| {
        let bytes = root.read(format!("{folder}/{name}"), MOST_INDEX).ok().flatten().unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    };
    Texts {
        dep: read("modules.dep"),
        alias: read("modules.alias"),
        softdep: read("modules.softdep"),
        weakdep: read("modules.weakdep"),
        builtin: read("modules.builtin"),
        builtin_modinfo: read("modules.builtin.modinfo"),
        ..Texts::default()
    }
}
