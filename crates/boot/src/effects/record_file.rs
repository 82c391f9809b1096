//! The machine's record on its root file system: there whole, as it was or as it is to be.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use cairn_root::Root;

use crate::record::{RECORD_FILE, Record, RecordError};

/// Longer records are nobody's.
const MOST: u64 = 1 << 20;

/// Why the record could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFileError {
    /// What is in it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The file system.
    #[error("{doing} {}", path.display())]
    Io {
        /// "reading" or "writing".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the record of a machine; nothing when it has none.
///
/// # Errors
/// See [`RecordFileError`]. What stands in the record's place and is none (a pipe, a folder, something endless) is a damaged
/// record: the machine can be told anew what it should remember.
pub fn read_record(root: &Root) -> Result<Option<Record>, RecordFileError> {
    match root.read_text(RECORD_FILE, MOST) {
        Ok(Some(text)) => Ok(Some(Record::parse(&text)?)),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            Err(RecordError::Damaged("it is not UTF-8".into()).into())
        }
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::FileTooLarge) => {
            Err(RecordError::Damaged(error.to_string()).into())
        }
        Err(source) => Err(RecordFileError::Io { doing: "reading", path: root.shown(RECORD_FILE), source }),
    }
}

/// Writes the record; when it returns, it is on the disk.
///
/// # Errors
/// See [`RecordFileError`]; the old record stands then.
pub fn write_record(root: &Root, record: &Record) -> Result<(), RecordFileError> {
    let (folder, name) = RECORD_FILE.rsplit_once('/').unwrap_or(("", RECORD_FILE));
    let written = root.own_or_new(folder).and_then(|own| own.write_durably(name, record.to_text().as_bytes(), 0o644));
    written.map_err(|source| RecordFileError::Io { doing: "writing", path: root.shown(RECORD_FILE), source })
}
