//! An EFI system partition that was there before the machine, and that other systems start from too. What has a name of its own
//! for each system goes there as on any; of the two names that all systems share, the program that firmware finds by itself and
//! systemd-boot's settings, only what nobody else has is taken.

use crate::generation::hex;
use crate::installation::Installation;
use crate::loader::{LoaderProgram, REMOVABLE_FIRST, REMOVABLE_KEYS, REMOVABLE_SECOND};
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

/// What belongs to the program that the firmware finds by itself, and is one system's with it.
pub(crate) const FALLBACK: [&str; 4] = [REMOVABLE, REMOVABLE_SECOND, REMOVABLE_KEYS, REMOVABLE_FIRST];

/// Whether what the firmware finds by itself is another system's. A shim says nothing of whose it is: every system of a distribution
/// has the same one. What it starts does.
pub fn has_other_fallback(present: &Present, installation: Installation, program: &LoaderProgram) -> bool {
    let Some(ours) = program.content() else { return false };
    // What a power cut has left empty is nobody's.
    let there = |path| at(present, path).filter(|found| found.len > 0);
    let is_one_of = |found: &FoundFile, paths: &[String], more: Option<[u8; 32]>| {
        let known = paths.iter().filter_map(|path| at(present, path)?.sha256);
        found.sha256.is_some_and(|hash| known.chain(more).any(|other| other == hash))
    };
    let loaders = [installation.grub_program(), installation.systemd_boot_program()];
    let second = program.second();
    let is_ours = |found| is_one_of(found, &loaders, second.as_ref().map(Content::sha256));
    let others_second = || there(REMOVABLE_SECOND).is_some_and(|found| !is_ours(found));
    let shims_only = || there(REMOVABLE_FIRST).is_some();
    let Some(first) = there(REMOVABLE) else { return second.is_some() && (others_second() || shims_only()) };
    let behind = || others_second() || shims_only() || there(REMOVABLE_SECOND).is_none();
    if is_one_of(first, &[installation.shim_program()], second.is_some().then(|| ours.sha256())) {
        return behind();
    }
    let direct = is_one_of(first, &loaders, second.is_none().then(|| ours.sha256()));
    !direct || second.is_some() && (others_second() || shims_only())
}

/// The set for a partition that others use too: their programs stay, and ours has a folder of its own.
pub(crate) fn beside_others(
    set: BootSet,
    present: &Present,
    installation: Installation,
    program: &LoaderProgram,
) -> BootSet {
    let others = has_other_fallback(present, installation, program);
    let keeps = |file: &BootFile| !others || file.place != Place::Esp || !FALLBACK.contains(&&*file.path);
    let mut files: Vec<BootFile> = set.files.into_iter().filter(keeps).collect();
    for file in files.iter_mut().filter(|file| file.place == Place::Esp && file.path == OWN) {
        file.path = installation.systemd_boot_program();
    }
    BootSet::new(files)
}

/// Whether another system has taken the place of a file that was ours, with this hash in hex, where the firmware finds it.
pub(crate) fn is_taken(present: &Present, path: &str, hash: &str) -> bool {
    let is = |found: &FoundFile| found.len == 0 || found.sha256.is_none_or(|found| hex(&found) == hash);
    FALLBACK.contains(&path) && at(present, path).is_some_and(|found| !is(found))
}
