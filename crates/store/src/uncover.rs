//! The read-only bind mount of a running machine's store on itself, taken away for a thread that writes to the store.

use std::path::Path;

use cairn_root::Mount;
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use crate::StoreError;

/// Takes away what is mounted on `dir`, in a namespace of our own, if it is nothing but `dir` itself.
pub(crate) fn uncover(dir: &Path) -> Result<(), StoreError> {
    let mut alone = false;
    while let Some((covers, below)) = mounts_at(dir)? {
        if !shows(&covers, &below, dir) {
            return Err(StoreError::SeparateStore { store: dir.to_path_buf() });
        }
        if !alone {
            unshare(CloneFlags::CLONE_NEWNS).map_err(no_namespace(dir))?;
            // Not private: a boot partition that is mounted on demand must still appear here.
            mount(None::<&str>, "/", None::<&str>, MsFlags::MS_SLAVE | MsFlags::MS_REC, None::<&str>)
                .map_err(no_namespace(dir))?;
            alone = true;
        }
        umount2(dir, MntFlags::MNT_DETACH).map_err(StoreError::errno("detaching the read-only mount on", dir))?;
    }
    Ok(())
}

fn no_namespace(dir: &Path) -> impl FnOnce(Errno) -> StoreError {
    StoreError::errno("making a mount namespace (which root needs CAP_SYS_ADMIN for), to write to", dir)
}

/// Whether a mount on `dir` shows what is under it anyway, in `below`.
fn shows(this: &Mount, below: &Mount, dir: &Path) -> bool {
    // How far the folder is below the one mount point, and how far below what is mounted there.
    let (asked, shown) = (dir.strip_prefix(&below.point), this.root.strip_prefix(&below.root));
    this.device == below.device && asked.is_ok_and(|asked| shown.is_ok_and(|shown| asked == shown))
}

/// What is mounted on `dir` for this thread, on top, and the mount that it is mounted on.
fn mounts_at(dir: &Path) -> Result<Option<(Mount, Mount)>, StoreError> {
    Ok(top_of(&Mount::all().map_err(StoreError::io("reading", Mount::file()))?, dir))
}

fn top_of(all: &[Mount], dir: &Path) -> Option<(Mount, Mount)> {
    let top = all.iter().rev().find(|m| m.point == dir)?;
    let below = all.iter().find(|m| m.id == top.parent)?;
    Some((top.clone(), below.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_several_mounts_is_on_top_of_the_one_that_it_names() {
        let text = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n30 22 254:2 / /nix rw - ext4 /dev/vda2 rw\n\
                    40 30 254:2 /store /nix/store ro - ext4 /dev/vda2 rw\n41 40 254:2 /store /nix/store rw - ext4 /dev/vda2 rw\n";
        let all: Vec<Mount> = text.lines().map(|line| Mount::parse(line.as_bytes()).unwrap()).collect();
        let found = |dir: &str| top_of(&all, Path::new(dir)).map(|(top, below)| (top.id, below.id));
        assert_eq!([found("/nix/store"), found("/nix"), found("/var")], [Some((41, 40)), Some((30, 22)), None]);
        assert_eq!(found("/"), None, "it is on nothing that can be seen");
    }

    #[test]
    fn a_bind_of_the_store_on_itself_is_told_from_a_file_system_of_its_own() {
        let line = |text: &str| Mount::parse(text.as_bytes()).unwrap();
        let disk = line("22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw");
        let bind = line("40 22 254:1 /nix/store /nix/store ro,relatime - ext4 /dev/vda1 rw");
        let own = line("40 22 254:2 / /nix/store rw,relatime - ext4 /dev/vda2 rw");
        let other = line("40 22 254:1 /other /nix/store rw,relatime - ext4 /dev/vda1 rw");
        let dir = Path::new("/nix/store");
        assert!(shows(&bind, &disk, dir));
        assert!(!shows(&own, &disk, dir) && !shows(&other, &disk, dir));
        // A subvolume, and a disk that is mounted elsewhere.
        let disk = line(r"22 1 0:30 /@root /mnt/my\040disk rw - btrfs /dev/vda1 rw");
        let bind = line(r"40 22 0:30 /@root/nix/store /mnt/my\040disk/nix/store ro - btrfs /dev/vda1 rw");
        assert!(shows(&bind, &disk, Path::new("/mnt/my disk/nix/store")));
    }
}
