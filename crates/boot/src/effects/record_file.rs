//! The machine's record on its root file system: there whole, as it was or as it is to be.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::record::{RECORD_FILE, Record, RecordError};

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

/// Reads the record of the machine below `root`; nothing when it has none.
///
/// # Errors
/// See [`RecordFileError`].
pub fn read_record(root: &Path) -> Result<Option<Record>, RecordFileError> {
    let path = root.join(RECORD_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(Record::parse(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(RecordError::Damaged("it is not UTF-8".into()).into())
        }
        Err(source) => Err(RecordFileError::Io { doing: "reading", path, source }),
    }
}

/// Writes the record; when it returns, it is on the disk.
///
/// # Errors
/// See [`RecordFileError`]; the old record stands then.
pub fn write_record(root: &Path, record: &Record) -> Result<(), RecordFileError> {
    let path = root.join(RECORD_FILE);
    let io = |source| RecordFileError::Io { doing: "writing", path: path.clone(), source };
    let folder = path.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(io)?;
    let new = path.with_extension("json.new");
    let write = || -> io::Result<()> {
        let mut file = File::create(&new)?;
        file.write_all(record.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(io)
}
