//! The medium as a file on another file system: how sticks with several systems boot.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::devices::{self, Device};
use super::find::{Found, judge};
use crate::root::Root;

/// Where the file system is mounted that has the file.
const HOST: &str = "/run/cairn/medium/host";
/// The kinds of file systems, each with the options by which no journal is played back: that would write to it.
const KINDS: [(&str, &str); 7] = [
    ("vfat", ""),
    ("exfat", ""),
    ("ext4", "noload"),
    ("ntfs3", ""),
    ("btrfs", "rescue=nologreplay"),
    ("xfs", "norecovery"),
    ("iso9660", ""),
];
/// A device on which it is not is looked at again after so long: a disc may be another one by then.
const AGAIN: Duration = Duration::from_secs(5);

/// What has been looked at for the file.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    /// When each device was looked at last, and how long it was then.
    looked_at: BTreeMap<String, (Instant, u64)>,
}

impl Files {
    /// For a file of this path.
    pub fn new(path: &str) -> Files {
        Files { path: path.into(), looked_at: BTreeMap::new() }
    }

    /// Looks for it on each of the devices; where it is, the file system stays mounted.
    pub fn look(&mut self, there: &[Device], root_hash: &str) -> Option<Found> {
        for device in there.iter().filter(|device| !device.divided) {
            let fresh = |(when, sectors): &(Instant, u64)| when.elapsed() < AGAIN && *sectors == device.sectors;
            if self.looked_at.get(&device.name).is_some_and(fresh) {
                continue;
            }
            let found = KINDS.iter().find_map(|kind| on(&device.node(), *kind, &self.path, root_hash));
            if found.is_some() {
                return found;
            }
            self.looked_at.insert(device.name.clone(), (Instant::now(), device.sectors));
        }
        None
    }
}

/// The medium in a file, if the device has a file system of this kind with it.
fn on(node: &Path, (kind, options): (&str, &str), path: &Path, root_hash: &str) -> Option<Found> {
    fs::create_dir_all(HOST).ok()?;
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some(node), HOST, Some(kind), flags, Some(options)).ok()?;
    let found = open(path, root_hash);
    if found.is_none() {
        let _ = umount2(HOST, MntFlags::empty());
    }
    found
}

/// Links in the file system lead to nothing outside of it.
fn open(path: &Path, root_hash: &str) -> Option<Found> {
    let file = Root::open(Path::new(HOST)).and_then(|root| root.file(path)).ok()?;
    let place = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    Some(Found { place, tag: judge(devices::tag_in(file), root_hash).ok()? })
}
