//! Finds disks without udev: the modules that the devices ask for are loaded, until the file system that is looked for is there.
//!
//! What is found gets the link that udev would make, which is how the rest of the helper names it; in the running system udev
//! takes it over.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc::O_NONBLOCK;

use super::drivers::Drivers;
use crate::error::{Context, Error};
use crate::grow::ext4;

/// After so long without what is looked for, systemd may wait on: it waits for minutes.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);
/// File systems that will be mounted. To ask for them along with the first devices spares the kernel to ask one by one.
const FILE_SYSTEMS: [&str; 2] = ["ext4", "overlay"];
/// Block devices without a file system of this machine: to open some of them takes seconds (udev's
/// `60-persistent-storage.rules` leaves out the like).
const OTHER_DEVICES: [&str; 8] = ["fd", "sr", "ram", "zram", "mtd", "nbd", "gnbd", "btibm"];
/// udev's links.
const LINKS: &str = "/dev/disk/by-uuid";

/// The devices that have been met so far.
#[derive(Debug, Default)]
pub struct Devices {
    drivers: Drivers,
}

impl Devices {
    /// The device of the file system that has this UUID.
    ///
    /// # Errors
    /// When it does not come, or two have it.
    pub fn file_system(&mut self, uuid: &str) -> Result<PathBuf, Error> {
        self.wait(&format!("file system with the UUID {uuid}"), &|found| pick(found, uuid))
    }

    /// Waits for a node or link.
    ///
    /// # Errors
    /// When it does not come.
    pub fn node(&mut self, node: &Path) -> Result<(), Error> {
        self.wait(&node.display().to_string(), &|_| Ok(node.exists().then_some(())))
    }

    fn wait<T>(&mut self, what: &str, look: &Look<'_, T>) -> Result<T, Error> {
        let begun = Instant::now();
        loop {
            let new = self.drivers.load(&FILE_SYSTEMS)?;
            if let Some(found) = look(&file_systems()?)? {
                return Ok(found);
            }
            if !new {
                if begun.elapsed() > PATIENCE {
                    return Err(Error::new(format!("there is no {what} yet")));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Finds what is looked for among the file systems that there are, if it is there by now.
type Look<'a, T> = dyn Fn(&[FileSystem]) -> Result<Option<T>, Error> + 'a;

/// One that was met.
#[derive(Debug)]
struct FileSystem {
    node: PathBuf,
    uuid: String,
}

/// The one that has this UUID.
fn pick(found: &[FileSystem], uuid: &str) -> Result<Option<PathBuf>, Error> {
    let mut with_it = found.iter().filter(|one| one.uuid == uuid).map(|one| &one.node);
    match (with_it.next(), with_it.next()) {
        (Some(one), Some(other)) => {
            Err(Error::new(format!("{} and {} both have the UUID {uuid}", one.display(), other.display())))
        }
        (one, _) => Ok(one.cloned()),
    }
}

/// The file systems that there are, each with its UUID and a link.
fn file_systems() -> Result<Vec<FileSystem>, Error> {
    let folder = Path::new("/sys/class/block");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let letters = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if OTHER_DEVICES.contains(&letters) || has_partitions(&entry.path(), &name) {
            continue;
        }
        let node = Path::new("/dev").join(&name);
        if let Some(uuid) = uuid(&node) {
            link(&node, &uuid)?;
            found.push(FileSystem { node, uuid });
        }
    }
    Ok(found)
}

/// Whether a disk has a table instead of a file system.
pub fn has_partitions(device: &Path, name: &str) -> bool {
    let below = fs::read_dir(device).into_iter().flatten().flatten();
    below.filter(|e| e.file_name().to_string_lossy().starts_with(name)).any(|e| e.path().join("partition").exists())
}

/// A disk that cannot be read may be none: a reader of cards without one.
fn uuid(node: &Path) -> Option<String> {
    let mut block = [0; ext4::SUPERBLOCK_LENGTH];
    let device: File = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(node).ok()?;
    device.read_exact_at(&mut block, ext4::SUPERBLOCK_OFFSET).ok()?;
    ext4::uuid(&block)
}

fn link(node: &Path, uuid: &str) -> Result<(), Error> {
    let link = Path::new(LINKS).join(uuid);
    fs::create_dir_all(LINKS).with_context(|| format!("making {LINKS}"))?;
    match symlink(node, &link) {
        Err(e) if e.kind() != ErrorKind::AlreadyExists => Err(e).with_context(|| format!("making {}", link.display())),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_disks_that_are_copies_of_each_other_none_is_picked() {
        let one = |node: &str, uuid: &str| FileSystem { node: node.into(), uuid: uuid.into() };
        let mut found = vec![one("/dev/vda1", "a"), one("/dev/vda2", "b")];
        assert_eq!(pick(&found, "c").unwrap(), None);
        assert_eq!(pick(&found, "b").unwrap(), Some("/dev/vda2".into()));
        found.push(one("/dev/vdb2", "b"));
        let error = pick(&found, "b").unwrap_err().to_string();
        assert_eq!(error, "/dev/vda2 and /dev/vdb2 both have the UUID b");
    }

    #[test]
    fn a_disk_with_a_table_is_told_from_one_without() {
        let dir = std::env::temp_dir().join(format!("cairn-stage1-devices-{}", std::process::id()));
        for folder in ["vda/queue", "vda/vda2", "vdb/queue", "nvme0n1/nvme0n1p1"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        for file in ["vda/vda2/partition", "nvme0n1/nvme0n1p1/partition"] {
            fs::write(dir.join(file), "1\n").unwrap();
        }
        let has = ["vda", "vdb", "nvme0n1"].map(|name| has_partitions(&dir.join(name), name));
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(has, [true, false, true]);
    }
}
