//! The kernel's own file systems, mounted as systemd would: it leaves those alone that are there.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::mount::{MsFlags, mount as mount2};

use crate::error::{Context, Error};

/// Where, of which kind, with which flags and options (systemd, `src/shared/mount-setup.c`).
const ALL: [(&str, &str, MsFlags, &str); 4] = [
    ("/proc", "proc", MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC), ""),
    ("/sys", "sysfs", MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC), ""),
    ("/dev", "devtmpfs", MsFlags::MS_NOSUID.union(MsFlags::MS_STRICTATIME), "mode=0755,size=4m,nr_inodes=1m"),
    (
        "/run",
        "tmpfs",
        MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_STRICTATIME),
        "mode=0755,size=20%,nr_inodes=800k",
    ),
];

/// Where they are, in the order in which they move to the new root.
pub fn places() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|one| one.0)
}

/// Mounts those that are not mounted yet.
pub fn mount() -> Result<(), Error> {
    let device = |path: &str| fs::metadata(path).map(|meta| meta.dev()).with_context(|| format!("looking at {path}"));
    let root = device("/")?;
    for (at, kind, flags, options) in ALL {
        if device(at)? == root {
            mount2(Some(kind), at, Some(kind), flags, Some(options)).with_context(|| format!("mounting {at}"))?;
        }
    }
    Ok(())
}
