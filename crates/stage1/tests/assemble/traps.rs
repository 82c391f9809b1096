//! Everything that the helper touches below the root, replaced by each kind of thing in turn.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// Without these there is no system: the helper may give up, with a word.
pub const VITAL: [&str; 15] = [
    "nix",
    "nix/store",
    "nix/store/s-system",
    "nix/store/s-system/base",
    "nix/store/s-system/etc",
    "nix/store/s-system/init",
    "nix/store/s-system/modes",
    "nix/store/a-base",
    "nix/store/a-base/usr",
    "nix/store/a-base/usr/lib",
    "nix/store/a-base/usr/lib/systemd/systemd",
    "nix/store/e-etc",
    "nix/store/e-etc/fstab",
    "usr",
    "etc",
];

/// Whatever becomes of these, the machine comes up.
pub const SOFT: [&str; 57] = [
    "var",
    "var/lib",
    "var/lib/cairn",
    "var/lib/cairn/etc",
    "var/lib/cairn/etc/upper",
    "var/lib/cairn/etc/work",
    "var/lib/cairn/etc/upper/passwd",
    "var/lib/cairn/etc/upper/group",
    "var/lib/cairn/etc/upper/shadow",
    "var/lib/cairn/etc/upper/gshadow",
    "var/lib/cairn/etc/upper/machine-id",
    "var/lib/cairn/etc/upper/cairn",
    "var/lib/cairn/etc/upper/cairn/machine.yaml",
    "var/lib/cairn/etc/upper/.cairn-new",
    "var/lib/cairn/accounts",
    "var/lib/cairn/given",
    "var/lib/cairn/given.filling",
    "var/lib/cairn/filling",
    "var/lib/cairn/.cairn-new",
    "var/lib/cairn/passwords",
    "var/lib/cairn/passwords/ann",
    "var/lib/dpkg",
    "var/lib/systemd",
    "var/lib/systemd/catalog",
    "var/lib/db",
    "var/log",
    "var/log/journal",
    "var/cache",
    "var/cache/man",
    "var/cache/man/index",
    "var/www",
    "var/www/html/index.html",
    "var/usrlocal",
    "var/usrlocal/share",
    "home",
    "root",
    "srv",
    "opt",
    "mnt",
    "media",
    "boot",
    "tmp",
    "bin",
    "lib64",
    "run",
    "nix/var",
    "nix/var/nix/profiles",
    "nix/var/nix/profiles/system-1-link",
    "nix/store/a-base/var",
    "nix/store/a-base/var/lib/db",
    "nix/store/a-base/var/cache/man/index",
    "nix/store/a-base/usr/local",
    "nix/store/a-base/usr/bin/sudo",
    "nix/store/e-etc/passwd",
    "nix/store/e-etc/shadow",
    "nix/store/e-etc/cairn/machine.yaml",
    "nix/store/e-etc/cairn",
];

type Make = fn(&Path);

/// The kinds of things, and how each is made.
pub const KINDS: [(&str, Make); 13] = [
    ("a link to a folder outside", |path| symlink("/victim", path).unwrap()),
    ("a link to an empty folder outside", |path| symlink("/victim/folder", path).unwrap()),
    ("a link to a file outside", |path| symlink("/victim/file", path).unwrap()),
    ("a relative link out", |path| symlink("../../../../../../../../victim", path).unwrap()),
    ("a link to a folder inside", |path| symlink("/srv/moved", path).unwrap()),
    ("a dangling link", |path| symlink("/victim/new", path).unwrap()),
    ("a loop", |path| symlink(path.file_name().unwrap(), path).unwrap()),
    ("a FIFO", |path| mknod(path, SFlag::S_IFIFO, Mode::S_IRWXU, 0).unwrap()),
    ("an endless device", |path| mknod(path, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5)).unwrap()),
    ("a socket", |path| {
        // A socket's name is short.
        let here = path.with_file_name("s");
        drop(UnixListener::bind(&here).unwrap());
        fs::rename(here, path).unwrap();
    }),
    ("a folder", |path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("own"), "own").unwrap();
    }),
    ("a file", |path| fs::write(path, "own\0\u{1b}[31m\n:::\n").unwrap()),
    ("an endless file", |path| fs::File::create(path).unwrap().set_len(1 << 42).unwrap()),
];

/// Puts the thing where something else was. Gives what tells it apart from anything else.
pub fn spring(path: &Path, make: Make) -> (u32, u64) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => fs::create_dir_all(path.parent().unwrap()).unwrap(),
    }
    make(path);
    identity(path)
}

pub fn identity(path: &Path) -> (u32, u64) {
    fs::symlink_metadata(path).map_or((0, 0), |meta| (meta.mode(), meta.ino()))
}
