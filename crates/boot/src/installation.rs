//! Which installation files belong to, and the names that they have on a boot partition.

use uuid::Uuid;

use crate::generation::{Artifact, hex};
use crate::image::Signed;

/// The ending of the name under which a file is written that is to replace another. No loader looks at such a name.
pub(crate) const UNFINISHED: &str = ".new";

/// Which installation the files belong to. Everything of ours on a shared boot partition carries this mark, so that
/// two installations live side by side and only our own files are ever touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation(Uuid);

impl Installation {
    /// The installation that this seed makes.
    pub fn of_seed(seed: Uuid) -> Installation {
        Installation(Uuid::new_v5(&seed, b"installation"))
    }

    /// Eight hex digits, for names of files. (systemd-boot matches entry names in lower case only.)
    pub fn mark(&self) -> String {
        hex(&self.0.as_bytes()[..4])
    }

    /// The folder of this installation's kernels and initrds: nothing else on the partition is below it.
    pub fn folder(&self) -> String {
        format!("cairn/{}", self.mark())
    }

    /// The folder of this installation's GRUB.
    pub fn grub_folder(&self) -> String {
        format!("{}/grub", self.folder())
    }

    /// The folder of this installation's own copy of a boot loader's program for UEFI.
    pub fn efi_folder(&self) -> String {
        format!("EFI/cairn-{}", self.mark())
    }

    /// The path of this installation's GRUB for UEFI.
    pub fn grub_program(&self) -> String {
        format!("{}/grubx64.efi", self.efi_folder())
    }

    /// The path of this installation's shim; what it starts is beside it, under GRUB's name whatever it is.
    pub fn shim_program(&self) -> String {
        format!("{}/shimx64.efi", self.efi_folder())
    }

    /// The path of the program with which that shim asks for keys.
    pub(crate) fn keys_program(&self) -> String {
        format!("{}/mmx64.efi", self.efi_folder())
    }

    /// The path of this installation's systemd-boot on an EFI system partition that others use too.
    pub fn systemd_boot_program(&self) -> String {
        format!("{}/systemd-bootx64.efi", self.efi_folder())
    }

    /// The name of a kernel: its contents decide it, so generations share it and it is never overwritten.
    pub(crate) fn kernel(&self, kernel: &Artifact) -> String {
        format!("{}/{}-linux", self.folder(), kernel.short_hash())
    }

    /// The name of an initrd.
    pub(crate) fn initrd(&self, initrd: &Artifact) -> String {
        format!("{}/{}-initrd", self.folder(), initrd.short_hash())
    }

    /// The name of a device tree.
    pub(crate) fn device_tree(&self, tree: &Artifact) -> String {
        format!("{}/{}-devicetree.dtb", self.folder(), tree.short_hash())
    }

    /// The name of a generation's image, which its contents decide, signature and all.
    pub(crate) fn image(&self, image: &Signed) -> String {
        format!("{}/{}-image.efi", self.folder(), hex(&image.sha256[..16]))
    }

    /// Where the loader's program stays that was replaced last.
    pub fn previous_program(&self) -> String {
        format!("{}/previous.efi", self.efi_folder())
    }

    /// The name of the memory test's program.
    pub(crate) fn memtest(&self, program: &Artifact, ending: &str) -> String {
        format!("{}/{}-memtest.{ending}", self.folder(), program.short_hash())
    }

    /// Whether a path is in the part of the partition that is this installation's alone.
    pub fn owns(&self, path: &str) -> bool {
        let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        let entry = path
            .strip_prefix("loader/entries/")
            .is_some_and(|name| name.starts_with(&format!("cairn-{}-", self.mark())) && !name.contains('/'));
        below(&self.folder()) || below(&self.efi_folder()) || entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_carries_the_mark_is_owned() {
        let ours = Installation::of_seed(Uuid::from_bytes([9; 16]));
        let other = Installation::of_seed(Uuid::from_bytes([8; 16]));
        let mark = ours.mark();
        for path in [
            format!("cairn/{mark}/x-linux"),
            format!("cairn/{mark}/grub/grub.cfg"),
            format!("EFI/cairn-{mark}/grubx64.efi"),
            format!("loader/entries/cairn-{mark}-1-abc.conf"),
        ] {
            assert!(ours.owns(&path) && !other.owns(&path), "{path}");
        }
        for path in ["cairn", "EFI/BOOT/BOOTX64.EFI", "loader/loader.conf", "loader/entries/debian.conf"] {
            assert!(!ours.owns(path), "{path}");
        }
        assert!(!ours.owns(&format!("cairn/{mark}")));
        assert!(!ours.owns(&format!("cairn/{mark}x/a")));
    }
}
