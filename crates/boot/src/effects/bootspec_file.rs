//! The bootspec of a system on a machine that may be anybody's.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use cairn_root::Root;

use crate::bootspec::{self, BootspecError, Bootspecs};

/// Why a system's bootspec could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BootspecFileError {
    /// What is in it.
    #[error(transparent)]
    Bootspec(#[from] BootspecError),
    /// The file system.
    #[error("reading {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the bootspec of the system at this path of the machine.
///
/// # Errors
/// When it is missing or is none.
pub fn read_bootspecs(machine: &Root, toplevel: &str) -> Result<Bootspecs, BootspecFileError> {
    let path = format!("{toplevel}/{}", bootspec::FILE);
    let bytes = machine.read(&path, bootspec::MOST).and_then(|bytes| bytes.ok_or_else(|| ErrorKind::NotFound.into()));
    let path = machine.shown(path);
    let bytes = bytes.map_err(|source| BootspecFileError::Io { path: path.clone(), source })?;
    Ok(bootspec::parse(&bytes, &path)?)
}
