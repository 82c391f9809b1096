//! What the machine remembers of its boots, read wherever the machine is.

use std::io::ErrorKind;

use cairn_boot::{RECORD_FILE, Record, RecordError};

use crate::view::{Files, Kind, ViewError};

/// Longer records are nobody's.
const MOST: u64 = 1 << 20;

/// Reads the record; nothing when there is none. What stands in its place and is none (a pipe, a folder, something endless) is a
/// damaged record: the machine can be told anew what it should remember.
///
/// # Errors
/// What reading meets.
pub fn read(files: &dyn Files) -> Result<Result<Option<Record>, RecordError>, ViewError> {
    let path = format!("/{RECORD_FILE}");
    let damaged = |why: &str| Ok(Err(RecordError::Damaged(why.into())));
    match files.kind(&path)? {
        None => return Ok(Ok(None)),
        Some(Kind::File) => {}
        Some(Kind::Folder | Kind::Other) => return damaged("it is no file"),
    }
    match files.read(&path, MOST) {
        Ok(None) => Ok(Ok(None)),
        Ok(Some(bytes)) => match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Record::parse(text).map(Some)),
            Err(_) => damaged("it is not UTF-8"),
        },
        Err(ViewError::TooLarge { bytes, .. }) => damaged(&format!("it has {bytes} bytes")),
        Err(ViewError::Io { source, .. }) if source.kind() == ErrorKind::InvalidInput => damaged(&source.to_string()),
        Err(other) => Err(other),
    }
}
