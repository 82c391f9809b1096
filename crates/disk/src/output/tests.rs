//! A file is whole under its name or not there, whatever the file system can do.

use super::*;
use std::io::Write;

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn nothing_is_there_before_the_commit_and_the_whole_file_after() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.raw");
    let new = NewFile::create(&target).unwrap();
    new.file().write_all(b"whole").unwrap();
    assert!(!target.exists());
    new.commit().unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"whole");
    assert_eq!(names(folder.path()), ["a.raw"]);
}

#[test]
fn an_abandoned_file_leaves_the_old_one_alone() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.raw");
    std::fs::write(&target, "old").unwrap();
    let new = NewFile::create(&target).unwrap();
    new.file().write_all(b"half").unwrap();
    drop(new);
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["a.raw"]);
}

#[test]
fn a_folder_or_a_device_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let error = NewFile::create(folder.path()).unwrap_err();
    assert!(error.to_string().contains("is a folder, and no file to be replaced"), "{error}");
    let error = NewFile::create(Path::new("/dev/null")).unwrap_err();
    assert!(error.to_string().contains("is a device"), "{error}");
    let error = NewFile::create(Path::new("/dev/cairn-test")).unwrap_err();
    assert!(error.to_string().contains("is a place of the kernel's"), "{error}");
}

#[test]
fn a_file_that_was_placed_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.raw");
    let new = |text: &str| {
        let new = NewFile::create(&target).unwrap();
        new.file().write_all(text.as_bytes()).unwrap();
        new
    };
    let placed = new("first").place().unwrap();
    assert_eq!((placed.replaced(), std::fs::read(&target).unwrap().as_slice()), (None, &b"first"[..]));
    drop(placed);
    assert_eq!(names(folder.path()), Vec::<String>::new());

    std::fs::write(&target, "old").unwrap();
    let placed = new("second").place().unwrap();
    assert_eq!(std::fs::read(placed.replaced().unwrap()).unwrap(), b"old");
    assert_eq!(std::fs::read(&target).unwrap(), b"second");
    drop(placed);
    assert_eq!(std::fs::read(&target).unwrap(), b"old");
    new("third").place().unwrap().keep().unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"third");
    assert_eq!(names(folder.path()), ["a.raw"]);
}

#[test]
fn a_new_name_is_not_taken_from_what_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.yaml");
    let new = NewFile::create(&target).unwrap();
    std::fs::write(&target, "mine").unwrap();
    let error = new.commit_new().unwrap_err();
    assert!(matches!(error, OutputError::Appeared { .. }), "{error}");
    assert_eq!(std::fs::read(&target).unwrap(), b"mine");
    assert_eq!(names(folder.path()), ["a.yaml"]);
}

/// Of NFS, 9p or exFAT.
const NO_UNNAMED: Abilities = Abilities { unnamed: false, ..ALL };

#[test]
fn two_files_of_one_name_are_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("a.qcow2");
    let (raw, new) =
        (NewFile::create_where(&target, NO_UNNAMED).unwrap(), NewFile::create_where(&target, NO_UNNAMED).unwrap());
    let content: Vec<u8> = (0..3 << 20).map(|i: u32| (i >> 12) as u8).collect();
    raw.file().write_all(&content).unwrap();
    crate::image::qcow2::convert((raw.file(), &target), (new.file(), &target), &cairn_process::Quiet).unwrap();
    let mut kept = Vec::new();
    std::io::Read::read_to_end(&mut File::open(raw.hidden.as_ref().unwrap()).unwrap(), &mut kept).unwrap();
    assert!(kept == content, "the one has been written over by the other");
    drop(raw);
    new.commit().unwrap();
    assert_eq!(std::fs::read(&target).unwrap()[..4], *b"QFI\xfb");
    assert_eq!(names(folder.path()), ["a.qcow2"]);
}

/// Of file systems that know as good as nothing, such as exFAT.
const NOTHING: Abilities = Abilities { unnamed: false, exchange: false, links: false };

#[test]
fn what_is_taken_back_leaves_one_of_the_two_files_whatever_the_file_system_can_do() {
    for can in [ALL, NO_UNNAMED, Abilities { links: true, ..NOTHING }, NOTHING] {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.raw");
        let new = |text: &str| {
            let new = NewFile::create_where(&target, can).unwrap();
            new.file().write_all(text.as_bytes()).unwrap();
            new
        };
        let read = || std::fs::read_to_string(&target).unwrap();
        // Where nothing was, nothing is left.
        for place in [NewFile::place, NewFile::place_new] {
            let placed = place(new("first")).unwrap();
            assert_eq!((placed.replaced(), read().as_str()), (None, "first"), "{can:?}");
            drop(placed);
            assert_eq!(names(folder.path()), Vec::<String>::new(), "{can:?}");
        }
        std::fs::write(&target, "old").unwrap();
        let refused = new("second").place_new().unwrap_err();
        assert!(matches!(refused, OutputError::Appeared { .. }), "{can:?}: {refused}");
        assert_eq!((names(folder.path()), read()), (vec!["a.raw".to_owned()], "old".to_owned()), "{can:?}");
        drop(new("third").place().unwrap());
        let left = if can.exchange || can.links { "old" } else { "third" };
        assert_eq!((names(folder.path()), read().as_str()), (vec!["a.raw".to_owned()], left), "{can:?}");
        new("fourth").place().unwrap().keep().unwrap();
        assert_eq!((names(folder.path()), read().as_str()), (vec!["a.raw".to_owned()], "fourth"), "{can:?}");
    }
}
