//! A boot partition that is mounted, here any directory: what stands there afterwards, on whatever file system that is. What
//! its sequences of system calls come to on vfat when the power goes is recorded and replayed in `qemu-tests`.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::Path;

use cairn_boot::effects::Mounted;
use cairn_boot::{Kind, ReadVolume, Volume};
use cairn_root::Root;

/// Contents that end in an error.
struct Broken(usize);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.min(buffer.len());
        self.0 -= count;
        if count == 0 { Err(io::Error::from_raw_os_error(5)) } else { Ok(count) }
    }
}

fn put(volume: &mut Mounted, path: &str, bytes: &[u8]) -> io::Result<()> {
    volume.create(path, &mut &*bytes, bytes.len() as u64)
}

fn replace(volume: &mut Mounted, path: &str, bytes: &[u8]) -> io::Result<()> {
    volume.replace(path, &mut &*bytes, bytes.len() as u64)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_come_change_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Mounted::open(folder.path()).unwrap();
    let big = vec![7; 3_000_000];
    put(&mut volume, "a/b/c", &big).unwrap();
    put(&mut volume, "a/b/empty", &[]).unwrap();
    assert_eq!(fs::read(folder.path().join("a/b/c")).unwrap(), big);
    assert_eq!(put(&mut volume, "a/b/c", b"x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    replace(&mut volume, "a/b/c", b"a sector, more or less").unwrap();
    volume.overwrite("a/b/c", b"A").unwrap();
    let mut back = Vec::new();
    volume.open_on_disk("a/b/c").unwrap().read_to_end(&mut back).unwrap();
    assert_eq!(back, b"A sector, more or less");
    volume.barrier().unwrap();
    volume.remove("a/b/c").unwrap();
    assert_eq!(names(&folder.path().join("a/b")), ["empty"]);
}

#[test]
fn nothing_is_left_of_a_file_that_could_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Mounted::open(folder.path()).unwrap();
    volume.create("new", &mut Broken(5000), 9000).unwrap_err();
    put(&mut volume, "old", b"old").unwrap();
    volume.replace("old", &mut Broken(5000), 9000).unwrap_err();
    assert_eq!(names(folder.path()), ["old"]);
    assert_eq!(fs::read(folder.path().join("old")).unwrap(), b"old");
}

#[test]
fn what_a_power_cut_left_beside_a_file_goes_when_it_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Mounted::open(folder.path()).unwrap();
    for name in ["x.efi", "x.efi.new", "x.efi-1.new", "x.efi-other.new"] {
        put(&mut volume, name, name.as_bytes()).unwrap();
    }
    replace(&mut volume, "x.efi", b"new").unwrap();
    assert_eq!(names(folder.path()), ["x.efi", "x.efi-other.new"]);
    assert_eq!(fs::read(folder.path().join("x.efi")).unwrap(), b"new");
}

#[test]
fn nothing_leads_out_of_the_partition_and_what_stands_in_the_way_is_told() {
    let (folder, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(victim.path().join("file"), "as it was").unwrap();
    fs::create_dir(folder.path().join("EFI")).unwrap();
    symlink(victim.path(), folder.path().join("EFI/away")).unwrap();
    symlink("..", folder.path().join("EFI/up")).unwrap();
    for name in ["x.efi", "x.efi.new"] {
        symlink(victim.path().join("file"), folder.path().join(name)).unwrap();
    }
    symlink(victim.path().join("new"), folder.path().join("dangling")).unwrap();
    nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut volume = Mounted::open(folder.path()).unwrap();
    for path in ["EFI/away/file", "EFI/up/EFI/new", "../x", "/../x"] {
        assert!(put(&mut volume, path, b"x").is_err(), "{path}");
        assert!(replace(&mut volume, path, b"x").is_err(), "{path}");
        assert!(volume.remove(path).is_err(), "{path}");
        assert!(volume.open(path).is_err(), "{path}");
    }
    assert_eq!(volume.list("EFI/away").unwrap_err().kind(), io::ErrorKind::NotADirectory);
    for path in ["x.efi", "dangling", "pipe"] {
        assert!(volume.overwrite(path, b"x").is_err(), "{path}");
        assert_eq!(volume.open(path).err().unwrap().kind(), io::ErrorKind::InvalidInput, "{path}");
        assert_eq!(put(&mut volume, path, b"x").unwrap_err().kind(), io::ErrorKind::AlreadyExists, "{path}");
    }
    // Whose names are these? The partition's own: they go, and not what they name.
    replace(&mut volume, "x.efi", b"new").unwrap();
    volume.remove("dangling").unwrap();
    volume.remove("pipe").unwrap();
    assert_eq!(names(folder.path()), ["EFI", "x.efi"]);
    assert_eq!(fs::read(folder.path().join("x.efi")).unwrap(), b"new");
    assert_eq!(names(victim.path()), ["file"]);
    assert_eq!(fs::read(victim.path().join("file")).unwrap(), b"as it was");
}

#[test]
fn what_is_in_the_way_is_said_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Mounted::open(folder.path()).unwrap();
    put(&mut volume, "file", b"x").unwrap();
    assert_eq!(put(&mut volume, "file/a/b", b"x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    // A folder has the name that the new file would have until it is whole.
    fs::create_dir(folder.path().join("file.new")).unwrap();
    assert_eq!(replace(&mut volume, "file", b"y").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"x");
}

#[test]
fn an_interruption_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Mounted::open(folder.path()).unwrap();
    volume.create("file", &mut crate::common::Halting::of(b"all of it"), 9).unwrap();
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"all of it");
}

#[test]
fn the_partition_of_a_machine_is_at_no_link() {
    let (folder, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let machine = Root::open(folder.path()).unwrap();
    assert_eq!(Mounted::at(&machine, "/boot").unwrap_err().kind(), io::ErrorKind::NotFound);
    symlink(victim.path(), folder.path().join("boot")).unwrap();
    assert_eq!(Mounted::at(&machine, "/boot").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    fs::create_dir(folder.path().join("efi")).unwrap();
    assert_eq!(Mounted::at(&machine, "/efi").unwrap().root(), machine.path().join("efi"));
}

#[test]
fn what_is_there_is_listed_and_the_room_is_the_file_system_s() {
    let folder = tempfile::tempdir().unwrap();
    let mut volume = Mounted::open(folder.path()).unwrap();
    put(&mut volume, "b/file", b"three").unwrap();
    put(&mut volume, "c", b"").unwrap();
    put(&mut volume, "a", b"1").unwrap();
    let listed = volume.list("").unwrap();
    let expected = [("a", Kind::File(1)), ("b", Kind::Directory), ("c", Kind::File(0))];
    assert_eq!(listed, expected.map(|(name, kind)| (name.to_string(), kind)));
    assert_eq!(volume.list("b").unwrap(), [("file".to_string(), Kind::File(5))]);
    assert_eq!(volume.list("nowhere").unwrap(), []);
    assert!(!volume.is_read_only().unwrap());
    // Others write on this file system too: what it says before and after has to be the same.
    loop {
        let room = || nix::sys::statvfs::statvfs(folder.path()).unwrap();
        let (before, space, after) = (room(), volume.space().unwrap(), room());
        if before.blocks_free() == after.blocks_free() {
            let expected = (before.fragment_size(), before.blocks_free() * before.fragment_size());
            assert_eq!((space.cluster, space.free), expected);
            break;
        }
    }
}
