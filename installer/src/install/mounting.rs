//! A partition, mounted for a moment where nobody else sees it.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use cairn_process::Refusal;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};

use crate::disks::{Device, Use};

/// A file system, and how it is mounted.
#[derive(Debug, Clone, Copy)]
pub struct How {
    /// As the kernel calls it.
    pub kind: &'static str,
    /// Its options.
    pub options: &'static str,
    /// Whether it is only read.
    pub reads: bool,
}

/// Does something with a partition that is mounted. However this program ends, nothing stays mounted.
///
/// # Errors
/// A refusal where it is in use or cannot be mounted here; what `act` says.
pub fn with_mounted<T: Send>(
    device: &Device,
    how: How,
    act: impl FnOnce(&Path) -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let node = PathBuf::from(format!("/dev/{}", device.name));
    let shown = node.display();
    let mounted = device.uses.iter().find_map(|one| if let Use::Mounted(at) = one { Some(at.display()) } else { None });
    if let Some(at) = mounted {
        return Err(Refusal(format!("{} is mounted at {at}: `umount {shown}`, then try again", device.name)).into());
    }
    let place = tempfile::tempdir().context("making a folder to mount it at")?;
    let place = place.path();
    let with = || -> anyhow::Result<T> {
        unshare(CloneFlags::CLONE_NEWNS).context("making a view of the files of one's own")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("making mounts one's own")?;
        let reads = if how.reads { MsFlags::MS_RDONLY } else { MsFlags::empty() };
        let flags = reads | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some(&node), place, Some(how.kind), flags, Some(how.options)).map_err(|error| {
            Refusal(match error {
                Errno::ENODEV => format!(
                    "this system's kernel has no driver for {}, as which {shown} would have to be mounted",
                    how.kind
                ),
                Errno::EBUSY => format!("{shown} is in use: unmount it, then try again"),
                other => format!("{shown} cannot be mounted: {other}; `fsck -n {shown}` may say why"),
            })
        })?;
        let done = act(place);
        // With the view it would go too, but nobody knows when.
        umount(place).with_context(|| format!("unmounting {shown}")).and(done)
    };
    thread::scope(|scope| scope.spawn(with).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
