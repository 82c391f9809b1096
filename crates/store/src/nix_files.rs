//! The files of a database on a disk that may be anybody's: what they are, before SQLite is shown any of them.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use cairn_root::{Folder, Kind, Root};
use nix::fcntl::{Flock, FlockArg};

use crate::StoreError;
use crate::database::{DATABASE, SCHEMA};
use crate::lock::wait_for;
use crate::missing::if_there;

/// The database and what SQLite makes beside it, in the order in which a copy must be made.
const FILES: [&str; 3] = ["db.sqlite-journal", "db.sqlite-wal", DATABASE];

/// What it shares with other processes; not worth a copy.
const SHARED: &str = "db.sqlite-shm";

/// How often the files are copied anew when somebody writes to them meanwhile.
const COPIES: usize = 5;

/// The largest machines have a fifth of this.
const LARGEST: u64 = 2 << 30;

/// The same for a disk that may be anybody's: a copy of it may have to lie in memory.
const LARGEST_OF_OTHERS: u64 = 256 << 20;

/// A part of a copy: of a hole in a file nothing is written.
const STEP: usize = 64 << 10;

/// How much the database of a machine may have.
pub(crate) fn largest(disk: &Root) -> u64 {
    if disk.is_host() { LARGEST } else { LARGEST_OF_OTHERS }
}

/// What stands at the end of a journal that names another one, as a change of several databases at once does. SQLite opens what
/// is named, whichever file or pipe that is, reads on where that leads it, and may remove it in the end.
const NAMES_ANOTHER: [u8; 8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];

/// All files of the database are files, if they are there; none does more than a database's. Gives its size, with what is
/// beside it.
pub(crate) fn check(dir: &Folder, most: u64) -> Result<u64, StoreError> {
    let mut size: u64 = 0;
    for name in FILES.into_iter().chain([SHARED]) {
        let strange = |what: &str| strange(dir, format!("its file {name} {what}"));
        let Some(meta) = dir.metadata(name).map_err(StoreError::io("reading", dir.shown(name)))? else { continue };
        match Kind::of(&meta) {
            Kind::File => {}
            Kind::Folder => return Err(strange("is a folder")),
            Kind::Link => return Err(strange("is a link")),
            Kind::Other => return Err(strange("is a pipe or a device")),
        }
        size = size.saturating_add(meta.len());
        if size > most {
            return Err(strange("is larger than on the largest machine"));
        }
        if name == FILES[0] && names_another(dir).map_err(StoreError::io("reading", dir.shown(name)))? {
            return Err(strange("names another database's journal, which Nix's never does"));
        }
    }
    Ok(size)
}

pub(crate) fn strange(dir: &Folder, what: String) -> StoreError {
    StoreError::NixStrange { path: dir.shown(DATABASE), what }
}

fn names_another(dir: &Folder) -> io::Result<bool> {
    let mut end = [0; NAMES_ANOTHER.len()];
    let mut file = dir.open_file(FILES[0])?;
    if file.metadata()?.len() < end.len() as u64 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-(end.len() as i64)))?;
    file.read_exact(&mut end)?;
    Ok(end == NAMES_ANOTHER)
}

/// A missing file is fine: Nix writes it again as well.
pub(crate) fn check_schema(dir: &Folder) -> Result<(), StoreError> {
    let path = dir.shown("schema");
    let bytes = dir.read("schema", 64).map_err(StoreError::io("reading", &path))?;
    let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_string());
    match text {
        Some(text) if text != SCHEMA => {
            Err(StoreError::NixSchema { path, found: text.escape_debug().take(20).collect() })
        }
        _ => Ok(()),
    }
}

/// Every Nix that has the store open holds this lock shared; one that wants to change the schema takes it alone.
pub(crate) fn big_lock(dir: &Folder) -> Result<Option<Flock<File>>, StoreError> {
    let path = dir.shown("big-lock");
    let file = if_there(dir.open_file("big-lock")).map_err(StoreError::io("opening", &path))?;
    file.map(|file| wait_for(file, FlockArg::LockShared, &path)).transpose()
}

/// A copy of the database with its journals, of one moment.
pub(crate) fn copy_quietly(dir: &Folder, most: u64) -> Result<tempfile::TempDir, StoreError> {
    let state = || FILES.map(|name| dir.metadata(name).ok().flatten().as_ref().map(stamp));
    let file = dir.shown(DATABASE);
    for _ in 0..COPIES {
        let before = state();
        check(dir, most)?;
        let copy = tempfile::tempdir().map_err(StoreError::io("copying", &file))?;
        for name in FILES {
            let copied = if_there(copy_file(dir, name, &copy.path().join(name), most));
            copied.map_err(StoreError::io("copying", dir.shown(name)))?;
        }
        if state() == before {
            return Ok(copy);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err(StoreError::NixDatabaseBusy { path: file })
}

fn copy_file(dir: &Folder, name: &str, to: &Path, most: u64) -> io::Result<()> {
    let mut from = dir.open_file(name)?.take(most);
    let to = File::create_new(to)?;
    let mut length = 0;
    let mut part = Vec::with_capacity(STEP);
    loop {
        part.clear();
        let count = from.by_ref().take(STEP as u64).read_to_end(&mut part)? as u64;
        if count == 0 {
            return to.set_len(length);
        }
        if part.iter().any(|byte| *byte != 0) {
            to.write_all_at(&part, length)?;
        }
        length += count;
    }
}

fn stamp(meta: &Metadata) -> (u64, u64, i64, i64) {
    (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_bytes_and_takes_no_room_for_holes() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Root::open(dir.path()).unwrap();
        assert_eq!((largest(&disk), largest(&Root::open(Path::new("/")).unwrap())), (LARGEST_OF_OTHERS, LARGEST));
        let from = File::create(dir.path().join(DATABASE)).unwrap();
        let end = LARGEST_OF_OTHERS - 4;
        for (at, bytes) in [(0, b"head"), (100_000, b"body"), (end, b"tail")] {
            from.write_all_at(bytes, at).unwrap();
        }
        let copy = copy_quietly(&disk.top(), largest(&disk)).unwrap();
        let copy = File::open(copy.path().join(DATABASE)).unwrap();
        let meta = copy.metadata().unwrap();
        assert_eq!(meta.len(), LARGEST_OF_OTHERS);
        assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
        for (at, bytes) in [(0, b"head"), (100_000, b"body"), (end, b"tail"), (200_000, &[0; 4])] {
            let mut found = [1; 4];
            copy.read_exact_at(&mut found, at).unwrap();
            assert_eq!(&found, bytes);
        }
        from.set_len(LARGEST_OF_OTHERS + 1).unwrap();
        let error = copy_quietly(&disk.top(), largest(&disk)).unwrap_err();
        assert!(error.to_string().contains("larger than on the largest machine"), "{error}");
    }

    #[test]
    fn a_journal_is_one_of_this_database_alone() {
        let dir = tempfile::tempdir().unwrap();
        let top = Root::open(dir.path()).unwrap().top();
        let magic = NAMES_ANOTHER.as_slice();
        let long = [&[0; 504], magic].concat();
        for (journal, names) in [
            (&[][..], false),
            (&magic[1..], false),
            (magic, true),
            (&long[..], true),
            (&long[..511], false),
            (&[0; 512][..], false),
        ] {
            std::fs::write(dir.path().join(FILES[0]), journal).unwrap();
            std::fs::write(dir.path().join(DATABASE), "12").unwrap();
            match check(&top, 1000) {
                Ok(size) => assert!(!names && size == journal.len() as u64 + 2, "{journal:?}"),
                Err(error) => assert!(names && error.to_string().contains("names another"), "{journal:?}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_as_large_as_it_may_be_is_copied_and_no_more() {
        let dir = tempfile::tempdir().unwrap();
        let top = Root::open(dir.path()).unwrap().top();
        let text = ["x".repeat(STEP), "\0".repeat(STEP), "y".repeat(5)].concat();
        std::fs::write(dir.path().join(DATABASE), &text).unwrap();
        std::fs::write(dir.path().join(FILES[1]), "log").unwrap();
        let size = text.len() as u64 + 3;
        let copy = copy_quietly(&top, size).unwrap();
        assert_eq!(std::fs::read_to_string(copy.path().join(DATABASE)).unwrap(), text);
        assert_eq!(std::fs::read_to_string(copy.path().join(FILES[1])).unwrap(), "log");
        assert!(!copy.path().join(FILES[0]).exists());
        let error = copy_quietly(&top, size - 1).unwrap_err().to_string();
        assert!(error.contains("larger than on the largest machine"), "{error}");
    }

    #[test]
    fn a_file_that_was_written_to_or_replaced_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str, text: &str, at| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.write_all_at(text.as_bytes(), 0).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_millis(at)).unwrap();
            stamp(&file.metadata().unwrap())
        };
        let first = made("a", "x", 1000);
        assert_eq!(made("a", "x", 1000), first);
        for other in [made("b", "x", 1000), made("a", "xy", 1000), made("a", "x", 2000), made("a", "x", 1001)] {
            assert_ne!(other, first);
        }
    }

    #[test]
    fn nobody_changes_the_schema_while_it_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let top = Root::open(dir.path()).unwrap().top();
        assert!(big_lock(&top).unwrap().is_none());
        let file = File::create(dir.path().join("big-lock")).unwrap();
        let held = big_lock(&top).unwrap();
        let alone = || Flock::lock(file.try_clone().unwrap(), FlockArg::LockExclusiveNonblock);
        assert!(held.is_some() && alone().is_err());
        drop(held);
        alone().unwrap();
    }
}
