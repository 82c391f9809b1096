//! Which kernel modules an initrd holds: those asked for and all that they depend on. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// What a generic initrd holds: whatever may stand between a common machine and its root file system. Names that a
/// kernel does not have are passed over.
///
/// Buses and controllers first, then disks, then what USB disks and keyboards need, then file systems.
pub const GENERIC: [&str; 42] = [
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_scsi",
    "nvme",
    "vmd",
    "ahci",
    "ata_piix",
    "ata_generic",
    "pata_acpi",
    "sata_nv",
    "sata_sil",
    "sata_sil24",
    "sata_via",
    "sd_mod",
    "sr_mod",
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    "megaraid_sas",
    "mpt3sas",
    "mptspi",
    "mptsas",
    "vmw_pvscsi",
    "hv_storvsc",
    "hv_vmbus",
    "xen_blkfront",
    "xhci_pci",
    "ehci_pci",
    "ohci_pci",
    "uhci_hcd",
    "usb_storage",
    "uas",
    "usbhid",
    "hid_generic",
    "atkbd",
    "i8042",
    "vfat",
    "nls_cp437",
    "nls_iso8859_1",
    "nls_ascii",
    "efivarfs",
];

/// Hardware watchdogs, and the buses behind which some of them sit. They are in every initrd of a machine that wants one
/// to watch: what is not covered from the start is what most needs it.
pub const WATCHDOGS: [&str; 7] = ["i6300esb", "iTCO_wdt", "lpc_ich", "i2c_i801", "wdat_wdt", "sp5100_tco", "hpwdt"];

/// What every initrd holds, whatever the hardware: the root is an ext4 under overlays, and systemd asks for autofs.
pub const ALWAYS: [&str; 3] = ["ext4", "overlay", "autofs4"];

/// The modules of a kernel, from its `modules.dep`, `modules.softdep` and `modules.builtin`.
#[derive(Debug, Default)]
pub struct Modules {
    /// Path (relative to the kernel's folder) by name.
    paths: BTreeMap<String, String>,
    /// Names of what a module needs, wants before itself or after itself.
    needs: BTreeMap<String, BTreeSet<String>>,
    builtin: BTreeSet<String>,
}

/// A module's name as the kernel has it: of its file, dashes as underscores.
pub fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

impl Modules {
    /// From the three files' texts.
    pub fn parse(dep: &str, softdep: &str, builtin: &str) -> Modules {
        let mut modules =
            Modules { builtin: builtin.lines().map(|l| name_of(l.trim())).collect(), ..Modules::default() };
        for line in dep.lines() {
            let Some((path, needs)) = line.split_once(':') else { continue };
            modules.paths.insert(name_of(path), path.to_string());
            modules.needs.entry(name_of(path)).or_default().extend(needs.split_ascii_whitespace().map(name_of));
        }
        for line in softdep.lines() {
            // softdep NAME pre: A B post: C
            let mut words = line.split_ascii_whitespace();
            if let (Some("softdep"), Some(name)) = (words.next(), words.next()) {
                let names = words.filter(|w| !w.ends_with(':')).map(name_of);
                modules.needs.entry(name_of(name)).or_default().extend(names);
            }
        }
        modules
    }

    /// True if the kernel has this module, as a file or built in.
    pub fn has(&self, name: &str) -> bool {
        let name = name_of(name);
        self.paths.contains_key(&name) || self.builtin.contains(&name)
    }

    /// Every name, for "did you mean".
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().chain(&self.builtin).map(String::as_str)
    }

    /// The files of the given modules and of all that they need, sorted. Names that the kernel does not have are
    /// passed over.
    pub fn closure<'a>(&self, wanted: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
        let mut waiting: Vec<String> = wanted.into_iter().map(name_of).collect();
        let mut seen = BTreeSet::new();
        let mut files = BTreeSet::new();
        while let Some(name) = waiting.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            files.extend(self.paths.get(&name).cloned());
            waiting.extend(self.needs.get(&name).into_iter().flatten().cloned());
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Modules {
        Modules::parse(
            "kernel/a/virtio-blk.ko.xz: kernel/b/virtio.ko.xz\nkernel/b/virtio.ko.xz:\nkernel/c/crc.ko:\n",
            "# comment\nsoftdep virtio_blk pre: crc post: gone\n",
            "kernel/fs/ext4/ext4.ko\n",
        )
    }

    #[test]
    fn a_module_brings_what_it_needs_hard_and_soft() {
        let files = modules().closure(["virtio-blk", "ext4", "nothing"]);
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        assert_eq!(files, ["kernel/a/virtio-blk.ko.xz", "kernel/b/virtio.ko.xz", "kernel/c/crc.ko"]);
    }

    #[test]
    fn built_in_counts_as_there() {
        assert!(modules().has("ext4") && modules().has("virtio-blk") && modules().has("virtio_blk"));
        assert!(!modules().has("nothing"));
    }
}
