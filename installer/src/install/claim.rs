//! A disk for us alone: probed, locked, and held against the plan. From then on all is written through the one descriptor that was
//! compared.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use cairn_disk::{BlockTarget, Source};
use cairn_process::Refusal;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::geteuid;
use serde::{Deserialize, Serialize};

use super::identity::DiskIdentity;
use super::wipe::END;
use super::{ioctl, receipt};
use crate::disks::Device;

/// How long a lock of somebody else's is waited for, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(50);

/// What of a disk's bytes is remembered from the plan to its carrying out: hashes of its first and of its last MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    first: String,
    last: String,
}

impl Fingerprint {
    /// That of a disk.
    ///
    /// # Errors
    /// The system's.
    pub fn of(disk: &dyn Source) -> io::Result<Fingerprint> {
        let len = END.min(disk.len());
        let hash = |at: u64| {
            let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            disk.read_at(at, &mut bytes)?;
            Ok::<String, io::Error>(receipt::hash(&bytes))
        };
        Ok(Fingerprint { first: hash(0)?, last: hash(disk.len() - len)? })
    }
}

/// A disk that is locked. The lock goes with it.
pub struct Claimed {
    /// The disk, to be read and written.
    pub target: BlockTarget,
    /// Where it is today.
    pub node: PathBuf,
    _lock: Flock<File>,
}

impl fmt::Debug for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claimed").field("node", &self.node).finish_non_exhaustive()
    }
}

/// The node of a device.
pub fn node_of(device: &Device) -> PathBuf {
    PathBuf::from(format!("/dev/{}", device.name))
}

/// Opens a disk to look at it.
///
/// # Errors
/// The system's, as a refusal where only root may.
pub fn open_to_look(device: &Device) -> anyhow::Result<cairn_disk::FileSource> {
    let node = node_of(device);
    let file = match File::open(&node) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && !geteuid().is_root() => {
            return Err(Refusal(format!("{} may only be read by root: try again with sudo", node.display())).into());
        }
        other => other.with_context(|| format!("opening {}", node.display()))?,
    };
    cairn_disk::FileSource::new(file).with_context(|| format!("measuring {}", node.display()))
}

/// Claims a disk. `parts` are the devices whose contents go; nobody else may have one of them open for himself.
///
/// # Errors
/// A refusal that says who is in the way, or what is no longer as it was.
pub fn claim(
    disk: &Device,
    parts: &[&Device],
    identity: &DiskIdentity,
    fingerprint: &Fingerprint,
) -> anyhow::Result<Claimed> {
    for part in parts {
        free(part)?;
    }
    let node = node_of(disk);
    let open = || OpenOptions::new().read(true).write(true).open(&node);
    let file = open().with_context(|| format!("opening {} for writing", node.display()))?;
    let clone = file.try_clone().context("opening the disk twice")?;
    let lock = lock(clone, &node)?;
    let target = BlockTarget::new(file, node.display().to_string()).context("measuring the disk")?;
    let changed = |what: &str| {
        Refusal(format!("{} is no longer as it was when the plan was made: {what}. Plan again", node.display()))
    };
    if number(&target)? != disk.number {
        return Err(changed("another disk has its name").into());
    }
    if target.len() != identity.bytes {
        return Err(changed("its size is another one").into());
    }
    // A file in a disk's place has none.
    if ioctl::sector_size(target.file()).is_ok_and(|size| size != identity.sector_size) {
        return Err(changed("its sectors are of another size").into());
    }
    if Fingerprint::of(&target).with_context(|| format!("reading {}", node.display()))? != *fingerprint {
        return Err(changed("its first or its last MiB has other contents").into());
    }
    Ok(Claimed { target, node, _lock: lock })
}

/// Locks a disk (systemd.io/BLOCK_DEVICE_LOCKING): as long as it is held, udev leaves the disk alone. udev itself holds a lock while it
/// looks at a disk, so one that is taken may be free in a moment.
fn lock(mut disk: File, node: &Path) -> anyhow::Result<Flock<File>> {
    let end = Instant::now() + PATIENCE;
    loop {
        match Flock::lock(disk, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((back, Errno::EWOULDBLOCK)) if Instant::now() < end => {
                disk = back;
                std::thread::sleep(AGAIN);
            }
            Err((_, Errno::EWOULDBLOCK)) => {
                let why = "another installation, or one that partitions it";
                return Err(Refusal(format!("another program has locked {}: {why}", node.display())).into());
            }
            Err((_, error)) => return Err(error).with_context(|| format!("locking {}", node.display())),
        }
    }
}

/// That nobody uses a device: the kernel lets one at a time have it for himself, and whoever mounts it, swaps to it or builds upon it has.
fn free(device: &Device) -> anyhow::Result<()> {
    let node = node_of(device);
    let flags = OFlag::O_EXCL | OFlag::O_CLOEXEC;
    // For reading only: whoever closes a disk that was open for writing makes udev look at it.
    match OpenOptions::new().read(true).custom_flags(flags.bits()).open(&node) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => {
            let holders = if device.held_by.is_empty() {
                "something that is not to be seen here (`lsof`, `dmsetup ls` and `cat /proc/mdstat` may say more)"
                    .into()
            } else {
                device.held_by.join(", ")
            };
            Err(Refusal(format!("{} is in use by {holders}: nothing was written", node.display())).into())
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied && !geteuid().is_root() => {
            Err(Refusal(format!("{} may only be written by root: try again with sudo", node.display())).into())
        }
        Err(error) => Err(error).with_context(|| format!("opening {} for writing", node.display())),
    }
}

/// `MAJOR:MINOR`, as sysfs has it.
fn number(target: &BlockTarget) -> anyhow::Result<String> {
    let device = target.file().metadata().context("asking what the disk is")?.rdev();
    Ok(format!("{}:{}", nix::sys::stat::major(device), nix::sys::stat::minor(device)))
}
