//! An EFI system partition that was there before the machine, and that other systems start from too. What has a name of its own
//! for each system goes there as on any; of the two names that all systems share, the program that firmware finds by itself and
//! systemd-boot's settings, only what nobody else has is taken.

use crate::installation::Installation;
use crate::present::{FoundFile, Present};
use crate::set::{BootFile, BootSet, Content, Place};
use crate::systemd_boot::{LOADER_CONF, OWN, REMOVABLE};

/// Systems that put a loader of their own into a folder of `EFI`: the folder, and what they are called. Windows and macOS are found
/// by systemd-boot and by GRUB's menu themselves.
const SYSTEMS: [(&str, &str); 14] = [
    ("almalinux", "AlmaLinux"),
    ("centos", "CentOS"),
    ("debian", "Debian"),
    ("endeavouros", "EndeavourOS"),
    ("fedora", "Fedora"),
    ("gentoo", "Gentoo"),
    ("kali", "Kali"),
    ("manjaro", "Manjaro"),
    ("nixos-boot", "NixOS"),
    ("opensuse", "openSUSE"),
    ("redhat", "Red Hat Enterprise Linux"),
    ("rocky", "Rocky Linux"),
    ("sles", "SUSE Linux Enterprise"),
    ("ubuntu", "Ubuntu"),
];
/// What of it is started, the better one first.
const PROGRAMS: [&str; 2] = ["shimx64.efi", "grubx64.efi"];

/// Another system that starts from this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherSystem {
    /// Its folder, in small letters.
    pub folder: &'static str,
    /// What it is called.
    pub title: &'static str,
    program: &'static str,
}

impl OtherSystem {
    /// The path of what starts it.
    pub fn program(&self) -> String {
        format!("EFI/{}/{}", self.folder, self.program)
    }
}

/// All that could be there.
fn known() -> impl Iterator<Item = OtherSystem> {
    let of = |(folder, title)| PROGRAMS.map(|program| OtherSystem { folder, title, program });
    SYSTEMS.into_iter().flat_map(of)
}

/// The paths that a survey must look at for [`others`].
pub(crate) fn paths() -> impl Iterator<Item = String> {
    known().map(|one| one.program())
}

/// The other systems that start from the EFI system partition.
pub fn others(present: &Present) -> Vec<OtherSystem> {
    let mut found: Vec<OtherSystem> = known().filter(|one| at(present, &one.program()).is_some()).collect();
    found.dedup_by_key(|one| one.folder);
    found
}

/// A file of the EFI system partition, in whatever letters its name is.
fn at<'p>(present: &'p Present, path: &str) -> Option<&'p FoundFile> {
    let is = |(place, other): &(Place, String)| *place == Place::Esp && other.eq_ignore_ascii_case(path);
    present.files.iter().find(|(key, _)| is(key)).map(|(_, found)| found)
}

/// Whether anything of this installation is there.
fn begun(present: &Present, installation: Installation) -> bool {
    present.files.keys().any(|(_, path)| installation.owns(path))
}

/// Whether systemd-boot's settings are another system's: it would start what these say.
pub fn has_other_settings(present: &Present, installation: Installation) -> bool {
    at(present, LOADER_CONF).is_some() && !begun(present, installation)
}

/// Whether what the firmware finds by itself is another system's.
pub fn has_other_fallback(present: &Present, installation: Installation, ours: &Content) -> bool {
    let Some(there) = at(present, REMOVABLE) else { return false };
    let is = |other: [u8; 32]| there.sha256 == Some(other);
    let before = [installation.grub_program(), installation.systemd_boot_program()];
    let before = before.iter().filter_map(|path| at(present, path)?.sha256).any(is);
    !before && !is(ours.sha256())
}

/// The set for a partition that others use too: their programs stay, and ours has a folder of its own.
pub(crate) fn beside_others(set: BootSet, present: &Present, installation: Installation) -> BootSet {
    let keeps = |file: &BootFile| {
        file.path != REMOVABLE || file.place != Place::Esp || !has_other_fallback(present, installation, &file.content)
    };
    let mut files: Vec<BootFile> = set.files.into_iter().filter(keeps).collect();
    for file in files.iter_mut().filter(|file| file.place == Place::Esp && file.path == OWN) {
        file.path = installation.systemd_boot_program();
    }
    BootSet::new(files)
}
