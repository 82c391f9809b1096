//! What stands in the place of the machine's record: all of it is told apart.

use std::fs;
use std::os::unix::fs::symlink;

use cairn_boot::effects::{RecordFileError, read_record, write_record};
use cairn_boot::{RECORD_FILE, Record, RecordError};
use cairn_root::Root;

#[test]
fn what_is_no_record_is_damaged_and_what_is_none_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    assert!(read_record(&root).unwrap().is_none());
    write_record(&root, &Record::first(3)).unwrap();
    assert_eq!(read_record(&root).unwrap(), Some(Record::first(3)));

    let file = folder.path().join(RECORD_FILE);
    let mut words = Vec::new();
    let mut look = |what: &str| match read_record(&root) {
        Err(RecordFileError::Record(RecordError::Damaged(why))) => words.push(format!("{what}: {why}")),
        other => panic!("{what}: {other:?}"),
    };
    fs::write(&file, b"{\"version\": 1, \"name\": \"\xff\"}").unwrap();
    look("bytes");
    fs::File::create(&file).unwrap().set_len((1 << 20) + 1).unwrap();
    look("long");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    look("folder");
    fs::remove_dir(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
    look("pipe");
    assert!(words[0].ends_with("it is not UTF-8"), "{words:?}");
    assert!(words[1..].iter().all(|word| !word.ends_with("it is not UTF-8")), "{words:?}");

    // A link that leads nowhere is no record either way.
    fs::remove_file(&file).unwrap();
    symlink(file.file_name().unwrap(), &file).unwrap();
    assert!(read_record(&root).unwrap().is_none());
}

/// Somebody who may not read the record has no damaged one.
#[test]
fn a_record_that_cannot_be_read_is_not_taken_for_a_damaged_one() {
    use std::os::unix::fs::PermissionsExt;
    if !nix::unistd::geteuid().is_root() {
        cairn_testkit::skip("only root can become somebody else");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    write_record(&root, &Record::first(3)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(folder.path().join(RECORD_FILE), fs::Permissions::from_mode(0o600)).unwrap();
    // This thread's eyes only.
    let eyes = |id: u32| {
        nix::unistd::setfsuid(id.into());
    };
    eyes(65_534);
    let read = read_record(&root);
    eyes(0);
    match read {
        Err(RecordFileError::Io { doing: "reading", source, .. }) => {
            assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied);
        }
        other => panic!("{other:?}"),
    }
}
