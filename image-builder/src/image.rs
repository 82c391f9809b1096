//! The contents of a new disk as a file.

use std::path::Path;

use cairn_disk::output::{NewFile, OutputError};
use cairn_disk::{DiskError, FileTarget};
use cairn_make::NewDisk;
use cairn_process::Report;

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A file system or the partition table.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file that the image is written to.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// Writes a raw image to a file that has no name yet.
///
/// # Errors
/// A file of the store that has changed meanwhile, or what the system says; nothing is left behind then.
pub fn write_raw(
    disk: &NewDisk,
    new: &NewFile,
    path: &Path,
    threads: usize,
    report: &dyn Report,
) -> Result<(), ImageError> {
    let io = |doing| move |source| OutputError::Io { doing, path: path.into(), source };
    new.file().set_len(disk.plan.bytes()).map_err(io("making room for"))?;
    let file = new.file().try_clone().map_err(io("opening"))?;
    let target = FileTarget::new(file, path.display().to_string(), disk.plan.bytes()).map_err(io("opening"))?;
    Ok(disk.write(&target, threads, report)?)
}
