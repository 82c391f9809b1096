//! What is mounted below a machine's root, and whether it is the machine's own.
//!
//! Who works on a disk from a rescue system mounts that system's own `/dev`, `/proc`, `/run` below it, perhaps a folder of its
//! disk too. To the kernel these lie inside of the root, and a link on the disk leads there as to anything else: out into the
//! host. So whatever is found on another mount than the root's counts as the machine's only if it is on a disk that the host
//! does not use itself.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::mountinfo::Mount;

/// File systems that are on disks and have, as those in memory do, a device number that is no disk's.
const ON_DISKS: [&str; 3] = ["btrfs", "bcachefs", "zfs"];

/// Which mount an open folder or file is on. The thread's own view counts, which may not be the process's.
pub(crate) fn mount_id(fd: impl AsFd) -> io::Result<u64> {
    let info = std::fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", fd.as_fd().as_raw_fd()));
    let info = info.map_err(without_proc)?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or_else(|| io::Error::other("the kernel does not say which mount it is on"))
}

/// That nothing has a name in `/proc`, of what is held open, says that it is not mounted: no file is missing.
pub(crate) fn without_proc(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => io::Error::other("/proc is not mounted here: mount it first"),
        _ => error,
    }
}

/// Refuses what is on another mount than the root, and not on a disk of the machine's.
pub(crate) fn ours(root: BorrowedFd<'_>, top: &Path, found: BorrowedFd<'_>) -> io::Result<()> {
    let (root, found) = (mount_id(root)?, mount_id(found)?);
    if root == found {
        return Ok(());
    }
    let all = Mount::all().map_err(without_proc)?;
    let is_disk = |source: &Path| std::fs::metadata(source).is_ok_and(|meta| meta.file_type().is_block_device());
    match stranger(&all, root, top, found, is_disk) {
        None => Ok(()),
        Some(what) => Err(io::Error::new(
            ErrorKind::InvalidInput,
            format!("it leads to another file system that is mounted below the machine's root: {what}"),
        )),
    }
}

/// Says what the mount with this number is, if it is not the machine's own.
fn stranger(all: &[Mount], root: u64, top: &Path, found: u64, is_disk: impl Fn(&Path) -> bool) -> Option<String> {
    let by_id = |id: u64| all.iter().find(|mount| mount.id == id);
    let Some(mount) = by_id(found) else { return Some("one that cannot be seen from here".to_string()) };
    let shown = mount.point.display();
    // A part of the machine's own folder at another place of it, or at the same one: its store may be bound over itself.
    let inner = by_id(root).filter(|root| root.device == mount.device).and_then(|root| inner(root, top));
    if inner.is_some_and(|inner| mount.root.starts_with(inner)) {
        return None;
    }
    let numbered = !mount.device.starts_with("0:");
    if !numbered && !(ON_DISKS.contains(&&*mount.kind) && (mount.kind == "zfs" || is_disk(&mount.source))) {
        return Some(format!("at {shown} is a {} that is on no disk", mount.kind));
    }
    let outside = all.iter().find(|other| other.device == mount.device && !other.point.starts_with(top))?;
    Some(format!("what is at {shown} is mounted at {} as well, so it is this system's own", outside.point.display()))
}

/// What a folder on a mount is called in its file system.
fn inner(mount: &Mount, path: &Path) -> Option<PathBuf> {
    Some(mount.root.join(path.strip_prefix(&mount.point).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::Root;

    const HOST: &str = "\
1 0 254:0 / / rw - ext4 /dev/vda rw
2 1 0:21 / /proc rw - proc proc rw
3 1 254:16 / /mnt/the\\040disk rw shared:1 - ext4 /dev/vdb1 rw
4 3 254:17 / /mnt/the\\040disk/var rw master:1 - ext4 /dev/vdb2 rw
5 3 0:21 / /mnt/the\\040disk/proc rw - proc proc rw
6 3 0:40 /cairn /mnt/the\\040disk/run rw - tmpfs none rw
7 3 254:0 /srv /mnt/the\\040disk/srv rw - ext4 /dev/vda rw
8 3 0:41 /@home /mnt/the\\040disk/home rw - btrfs /dev/vdb3 rw
9 3 0:42 / /mnt/the\\040disk/over rw - overlay /dev/vdb3 rw
10 3 254:16 /store /mnt/the\\040disk/nix/store ro - ext4 /dev/vdb1 rw
11 1 254:16 / /media/again rw - ext4 /dev/vdb1 rw
12 1 254:0 /srv/machine /srv/machine rw - ext4 /dev/vda rw
13 12 254:0 /etc /srv/machine/host-etc rw - ext4 /dev/vda rw
14 12 254:0 /srv/machine/nix/store /srv/machine/nix/store ro - ext4 /dev/vda rw
15 1 254:0 /srv/else/nix/store /srv/else/nix/store ro - ext4 /dev/vda rw
";

    #[test]
    fn what_is_on_a_disk_that_the_host_does_not_use_is_the_machine_s() {
        let all: Vec<Mount> = HOST.lines().map(|line| Mount::parse(line.as_bytes()).unwrap()).collect();
        let of = |root: u64, top: &str, found: u64| {
            stranger(&all, root, Path::new(top), found, |path| path.starts_with("/dev"))
        };
        let disk = |found| of(3, "/mnt/the disk", found);
        for own in [4, 8, 10] {
            assert_eq!(disk(own), None, "{own}");
        }
        assert_eq!(disk(5).unwrap(), "at /mnt/the disk/proc is a proc that is on no disk");
        assert_eq!(disk(6).unwrap(), "at /mnt/the disk/run is a tmpfs that is on no disk");
        assert_eq!(disk(9).unwrap(), "at /mnt/the disk/over is a overlay that is on no disk");
        assert!(disk(7).unwrap().contains("mounted at / as well"));
        assert!(disk(99).unwrap().contains("cannot be seen"));
        // A folder of the host's disk is no machine's disk, and what is in it is the machine's.
        assert_eq!(of(12, "/srv/machine", 14), None);
        assert_eq!(of(1, "/srv/else", 15), None);
        assert!(of(1, "/srv/else", 14).unwrap().contains("mounted at / as well"));
        assert!(of(12, "/srv/machine", 13).unwrap().contains("mounted at / as well"));
    }

    /// A machine on a disk of its own, with two file systems of the host's mounted below it, in a view of this thread alone.
    /// Nothing where nobody may mount.
    fn rescue() -> Option<(tempfile::TempDir, Root)> {
        if !nix::unistd::geteuid().is_root() || unshare(CloneFlags::CLONE_NEWNS).is_err() {
            cairn_testkit::skip("mounting takes root");
            return None;
        }
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for folder in ["mnt", "host-run"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            mount(Some("none"), &dir.path().join(folder), Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
        }
        let mnt = dir.path().join("mnt");
        for folder in ["run", "proc", "folder", "nix/store", "var"] {
            std::fs::create_dir_all(mnt.join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("host-run/key"), "secret").unwrap();
        std::fs::create_dir(dir.path().join("host-run/cairn")).unwrap();
        let bind = |from: &Path, to: &str| mount(Some(from), &mnt.join(to), none, MsFlags::MS_BIND, none).unwrap();
        bind(&dir.path().join("host-run"), "run");
        bind(&dir.path().join("host-run"), "nix/store");
        bind(Path::new("/proc"), "proc");
        // The machine's own, at another place.
        std::fs::create_dir(mnt.join("mine")).unwrap();
        std::fs::write(mnt.join("mine/file"), "mine").unwrap();
        bind(&mnt.join("mine"), "folder");
        symlink("/run", mnt.join("var/lib")).unwrap();
        symlink("/run/key", mnt.join("key")).unwrap();
        symlink("/proc/1/environ", mnt.join("environ")).unwrap();
        symlink("/run/../folder", mnt.join("there-and-back")).unwrap();
        let root = Root::open(&mnt).unwrap();
        Some((dir, root))
    }

    #[test]
    fn a_link_into_what_the_host_has_mounted_below_the_root_leads_nowhere() {
        let Some((dir, root)) = rescue() else { return };
        let refused = |error: io::Error, what: &str| {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{what}: {error}");
            assert!(error.to_string().contains("mounted below the machine's root"), "{what}: {error}");
        };
        refused(root.own("/var/lib/cairn").unwrap_err(), "own");
        refused(root.own_or_new("/var/lib/cairn").unwrap_err(), "own_or_new");
        refused(root.own_or_new("/var/lib/new/cairn").unwrap_err(), "own_or_new");
        // What is mounted over the folder itself.
        refused(root.own("/nix/store").unwrap_err(), "own");
        refused(root.own_or_new("/nix/store").unwrap_err(), "own_or_new");
        refused(root.folder("/var/lib").unwrap_err(), "folder");
        refused(root.inside("/var/lib").unwrap_err(), "inside");
        refused(root.names("/var/lib").unwrap_err(), "names");
        for file in ["key", "environ", "var/lib/key", "proc/1/environ"] {
            refused(root.read(file, 100_000).unwrap_err(), file);
            refused(root.metadata(file).unwrap_err(), file);
        }
        let kept: Vec<_> = std::fs::read_dir(dir.path().join("host-run")).unwrap().collect();
        assert_eq!(kept.len(), 2, "nothing was made on the host");
        assert_eq!(root.read("folder/file", 10).unwrap().unwrap(), b"mine");
        assert_eq!(root.read("there-and-back/file", 10).unwrap().unwrap(), b"mine");
        assert!(root.own("/folder").is_ok());
        // Who looks himself at what is mounted is let through.
        assert_eq!(root.with_mounts().names("/var/lib").unwrap().unwrap(), ["cairn", "key"]);
        assert_eq!(root.inside("mine").unwrap().unwrap().read("file", 10).unwrap().unwrap(), b"mine");
    }

    #[test]
    fn a_root_is_the_folder_that_its_path_names() {
        let Some((dir, _root)) = rescue() else { return };
        let under = dir.path().join("under");
        std::fs::create_dir(&under).unwrap();
        std::env::set_current_dir(&under).unwrap();
        assert!(!Root::open(Path::new(".")).unwrap().is_host());
        mount(Some("none"), &under, Some("tmpfs"), MsFlags::empty(), Some("size=1m")).unwrap();
        let error = Root::open(Path::new(".")).unwrap_err();
        assert!(error.to_string().contains("is not the folder that"), "{error}");
        assert!(Root::open(Path::new("/")).unwrap().is_host());
        // A container's root is called / too.
        let (held, hold) = std::sync::mpsc::channel::<()>();
        let (say, said) = std::sync::mpsc::channel();
        let top = dir.path().join("mnt");
        let other = std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            nix::unistd::pivot_root(&top, &top.join("var")).unwrap();
            say.send(nix::unistd::gettid()).unwrap();
            let _ = hold.recv();
        });
        let task = said.recv().unwrap();
        let error = Root::open(Path::new(&format!("/proc/{task}/root"))).unwrap_err();
        assert!(error.to_string().contains("is not the folder that"), "{error}");
        drop(held);
        other.join().unwrap();
    }

    #[test]
    fn without_proc_nothing_looks_missing() {
        let Some((dir, _root)) = rescue() else { return };
        let mnt = dir.path().join("mnt");
        std::fs::write(mnt.join("record"), "there").unwrap();
        let root = Root::open(&mnt).unwrap();
        nix::mount::umount2("/proc", nix::mount::MntFlags::MNT_DETACH).unwrap();
        for error in [
            root.read("record", 10).map(drop).unwrap_err(),
            root.own("/mine").map(drop).unwrap_err(),
            root.folder("/mine").map(drop).unwrap_err(),
            Root::open(&mnt).map(drop).unwrap_err(),
        ] {
            assert_eq!(error.to_string(), "/proc is not mounted here: mount it first");
            assert_ne!(error.kind(), ErrorKind::NotFound);
        }
    }
}
