//! Leaves the initrd for the new root (kernel, `filesystems/ramfs-rootfs-initramfs.rst`; as util-linux's switch_root).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::unistd::{chdir, chroot};

use super::{apis, exec};
use crate::error::{Context, Error};

/// RAMFS_MAGIC of linux/magic.h.
const RAMFS: FsType = FsType(0x8584_58f6);

/// Moves what is mounted along, frees the initrd's memory, and becomes the system's init. What it gives back is why not.
pub fn to(root: &str, init: &str) -> Error {
    match leave(root) {
        Ok(()) => exec(init),
        Err(error) => error,
    }
}

fn leave(root: &str) -> Result<(), Error> {
    const NONE: Option<&str> = None;
    for place in apis::places() {
        let to = format!("{root}{place}");
        mount(Some(place), to.as_str(), NONE, MsFlags::MS_MOVE, NONE).with_context(|| format!("moving {place}"))?;
    }
    chdir(root).with_context(|| format!("entering {root}"))?;
    empty(Path::new("/"));
    mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE).context("moving the new root")?;
    chroot(".").context("entering the new root")?;
    chdir("/").context("entering the new root")
}

/// Frees what an initrd in memory takes; nothing that is mounted in it is touched.
fn empty(initrd: &Path) {
    let in_memory = statfs(initrd).is_ok_and(|it| [RAMFS, TMPFS_MAGIC].contains(&it.filesystem_type()));
    if let (true, Ok(top)) = (in_memory, initrd.symlink_metadata()) {
        remove_below(initrd, top.dev());
    }
}

/// Removes what is in a folder and on this device. What cannot be removed only takes memory.
fn remove_below(folder: &Path, device: u64) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(meta) = path.symlink_metadata() else { continue };
        if meta.dev() != device {
            continue;
        }
        if meta.is_dir() {
            remove_below(&path, device);
            let _ = fs::remove_dir(&path);
        } else {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    #[test]
    fn what_is_mounted_in_the_initrd_keeps_what_is_on_it() {
        if !nix::unistd::geteuid().is_root() {
            cairn_testkit::skip("needs root");
            return;
        }
        const NONE: Option<&str> = None;
        let dir = std::env::temp_dir().join(format!("cairn-stage1-switch-{}", std::process::id()));
        let (initrd, disk, outside) = (dir.join("initrd"), dir.join("initrd/mnt/disk"), dir.join("outside"));
        fs::create_dir_all(&initrd).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("file"), "outside").unwrap();
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
        mount(Some("tmpfs"), &initrd, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
        fs::create_dir_all(&disk).unwrap();
        mount(Some("tmpfs"), &disk, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
        fs::write(disk.join("file"), "mounted").unwrap();
        fs::create_dir_all(initrd.join("usr/bin")).unwrap();
        fs::write(initrd.join("usr/bin/sh"), "").unwrap();
        std::os::unix::fs::symlink(&outside, initrd.join("link")).unwrap();
        empty(&initrd);
        let left: Vec<_> = fs::read_dir(&initrd).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["mnt"]);
        assert_eq!(fs::read_to_string(disk.join("file")).unwrap(), "mounted");
        // One that is not in memory is left alone.
        empty(&outside);
        let kept = fs::read_to_string(outside.join("file"));
        nix::mount::umount2(&initrd, nix::mount::MntFlags::MNT_DETACH).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        assert!(kept.is_ok() || statfs(&std::env::temp_dir()).unwrap().filesystem_type() == TMPFS_MAGIC, "{kept:?}");
    }
}
