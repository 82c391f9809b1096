//! A store that somebody else wrote from our records, as an image has it, and the first look at it.

use std::fs::{self, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::{add_leaf, settle, store};
use cairn_store::{PathInfo, RECORD_DIRS, Store, read_record, recorded_path};
use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

/// Copies the leaf and its records to where another store is to be.
fn bring(store: &Store, info: &PathInfo, to: &Path) -> Store {
    for dir in RECORD_DIRS {
        fs::create_dir_all(to.join(dir)).unwrap();
    }
    for file in store.records(std::slice::from_ref(info)).unwrap() {
        fs::write(to.join(file.path), file.bytes).unwrap();
    }
    fs::create_dir_all(to.join("nix/store")).unwrap();
    let copy = cairn_process::Tool::new("cp", "coreutils", "copy a tree");
    copy.arg("-a").arg(store.real_path(&info.path)).arg(to.join("nix/store")).run().unwrap();
    Store::open(to).unwrap()
}

fn change(store: &Store, info: &PathInfo, path: &str, text: &str) {
    let file = store.real_path(&info.path).join(path);
    let mode = fs::metadata(&file).unwrap().permissions();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, mode).unwrap();
    let one = UNIX_EPOCH + Duration::from_secs(1);
    fs::File::open(file).unwrap().set_times(FileTimes::new().set_modified(one)).unwrap();
}

#[test]
fn the_first_look_finds_what_has_another_size_or_name_and_later_ones_find_everything() {
    let (store, dir) = store();
    let info = add_leaf(&store);
    let complaint = |store: &Store| store.check_quick(&info.path).unwrap_err().to_string();

    let shorter = bring(&store, &info, &dir.path().join("shorter"));
    change(&shorter, &info, "share/hello", "hi\n");
    assert!(complaint(&shorter).contains("share/hello differs"));

    let more = bring(&store, &info, &dir.path().join("more"));
    let folder = more.real_path(&info.path).join("share");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("stranger"), "").unwrap();
    assert!(complaint(&more).contains("share/stranger does not belong there"));

    // The number of its names tells, and nothing else of the folder.
    let hidden = bring(&store, &info, &dir.path().join("hidden"));
    let folder = hidden.real_path(&info.path).join("share");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("stranger"), "").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    let one = UNIX_EPOCH + Duration::from_secs(1);
    fs::File::open(folder).unwrap().set_times(FileTimes::new().set_modified(one)).unwrap();
    assert!(complaint(&hidden).contains("share/stranger does not belong there"));

    // The size is right, and the time tells.
    let touched = bring(&store, &info, &dir.path().join("touched"));
    change(&touched, &info, "share/hello", "hallo\n");
    let file = touched.real_path(&info.path).join("share/hello");
    fs::File::open(file).unwrap().set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
    assert!(complaint(&touched).contains("share/hello differs"));

    let good = bring(&store, &info, &dir.path().join("good"));
    good.check_quick(&info.path).unwrap();
    change(&good, &info, "share/hello", "hallo\n");
    assert!(complaint(&good).contains("share/hello differs"));

    // What a first look cannot see, reading everything does.
    let flipped = bring(&store, &info, &dir.path().join("flipped"));
    change(&flipped, &info, "share/hello", "hallo\n");
    flipped.check_quick(&info.path).unwrap();
    flipped.check_contents(&info.path).unwrap_err();
}

#[test]
fn what_looks_as_it_should_is_not_read_and_what_does_not_is() {
    let (store, dir) = store();
    let info = add_leaf(&store);
    let listing = store.listing(&info.path).unwrap();
    // The entries that are read, after something was done to the tree.
    let read = |name: &str, change: &dyn Fn(&Path)| -> Result<Vec<String>, cairn_store::StoreError> {
        let there = bring(&store, &info, &dir.path().join(name));
        change(&there.real_path(&info.path));
        settle(dir.path());
        there.check_quick(&info.path)?;
        let file = dir.path().join(name).join("nix/var/cairn/fingerprint").join(info.path.base_name());
        let text = fs::read_to_string(file).unwrap();
        let stamps: Vec<&str> = text.lines().skip(1).collect();
        assert!(stamps.iter().all(|stamp| stamp.ends_with(" 0") || stamp.ends_with(" 2")), "{text}");
        assert_eq!(stamps.len(), listing.entries().len());
        let read = listing.iter().zip(stamps).filter(|(_, stamp)| stamp.ends_with(" 0"));
        Ok(read.map(|(entry, _)| entry.path.clone()).collect())
    };
    let mode = |path: &'static str, mode| {
        move |top: &Path| fs::set_permissions(top.join(path), fs::Permissions::from_mode(mode)).unwrap()
    };
    assert_eq!(read("good", &|_| {}).unwrap(), [""; 0]);
    assert_eq!(read("folder", &mode("share", 0o755)).unwrap(), ["share"]);
    assert_eq!(read("file", &mode("share/hello", 0o644)).unwrap(), ["share/hello"]);
    let time = |top: &Path| fs::File::open(top.join("bin")).unwrap().set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(read("time", &time).unwrap(), ["bin"]);
    let relink = |top: &Path| {
        fs::set_permissions(top.join("bin"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(top.join("bin/link")).unwrap();
        std::os::unix::fs::symlink("../share/hallo", top.join("bin/link")).unwrap();
        let (keep, one) = (TimeSpec::UTIME_OMIT, TimeSpec::new(1, 0));
        utimensat(AT_FDCWD, &top.join("bin/link"), &keep, &one, UtimensatFlags::NoFollowSymlink).unwrap();
    };
    let error = read("link", &relink).unwrap_err().to_string();
    assert!(error.contains("bin/link differs"), "{error}");
}

#[test]
fn a_look_that_finds_other_times_reads_the_files() {
    let (store, dir) = store();
    let info = add_leaf(&store);
    let there = bring(&store, &info, &dir.path().join("there"));
    let file = there.real_path(&info.path).join("share/hello");
    fs::File::open(&file).unwrap().set_times(FileTimes::new().set_modified(UNIX_EPOCH)).unwrap();
    there.check_quick(&info.path).unwrap();
    there.check_quick(&info.path).unwrap();
}

#[test]
fn records_are_read_without_the_store() {
    let (store, _dir) = store();
    let info = add_leaf(&store);
    let files = store.records(std::slice::from_ref(&info)).unwrap();
    let [_, json, listing] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(recorded_path(json.path.rsplit('/').next().unwrap()), Some(info.path.clone()));
    assert_eq!(recorded_path("lock"), None);
    let (read, list) = read_record(&json.bytes, &listing.bytes).unwrap();
    assert_eq!((read, &list), (info.clone(), &*store.listing(&info.path).unwrap()));
    assert_eq!(read_record(&json.bytes, b"cairn-listing 1\nd \n"), None);
    assert_eq!(read_record(b"{}", &listing.bytes), None);
}
