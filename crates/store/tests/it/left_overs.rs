//! What killed processes have left. The only test here: it takes open files away from its whole process.

use std::fs;

use cairn_store::Store;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

#[test]
fn more_left_overs_than_open_files_are_removed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path()).unwrap());
    let tmp = dir.path().join("nix/var/cairn/tmp");
    for n in 0..200 {
        fs::create_dir_all(tmp.join(format!("1-{n}/tree"))).unwrap();
        fs::write(tmp.join(format!("1-{n}/owner")), "").unwrap();
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 100, most).unwrap();
    Store::open(dir.path()).unwrap();
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);
}
