//! Trees that are not easily removed. The only test here: it takes rights and open files away from its whole process.

use std::fs::Permissions;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;

use cairn_root::Root;
use nix::fcntl::{OFlag, openat};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{Uid, geteuid, seteuid};

#[test]
fn a_tree_goes_however_deep_and_closed_it_is() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    if geteuid().is_root() {
        // Root may read everything anyway.
        seteuid(Uid::from_raw(1000)).unwrap();
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 150, most).unwrap();
    let own = Root::open(dir.path()).unwrap().own_or_new("own").unwrap();
    own.make_folder("deep", 0o755).unwrap();
    let open = |at: BorrowedFd<'_>, name: &str, flags| openat(at, name, flags, Mode::S_IRWXU).unwrap();
    let mut at = open(own.as_fd(), "deep", OFlag::O_DIRECTORY);
    // Deeper than a path may be long.
    for depth in 0..1000 {
        for more in ["a", "z"] {
            open(at.as_fd(), more, OFlag::O_CREAT);
        }
        // Some have more than one folder.
        if depth % 100 == 0 {
            mkdirat(&at, "other", Mode::S_IRWXU).unwrap();
        }
        mkdirat(&at, "inner", Mode::S_IRWXU).unwrap();
        at = open(at.as_fd(), "inner", OFlag::O_DIRECTORY);
    }
    drop(at);
    for mode in [0o000, 0o300, 0o100, 0o500] {
        let name = format!("{mode:o}");
        own.make_folder(&name, 0o755).unwrap();
        own.make_folder(format!("{name}/inner"), 0o755).unwrap();
        own.create_new(format!("{name}/inner/file"), 0o000).unwrap();
        for closed in [format!("{name}/inner"), name] {
            std::fs::set_permissions(own.path().join(closed), Permissions::from_mode(mode)).unwrap();
        }
    }
    for name in own.names("").unwrap().unwrap() {
        own.remove_tree(&name).unwrap();
    }
    assert!(own.names("").unwrap().unwrap().is_empty());
}
