//! Room and data of a file on their way to the disk before its name tells of them.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::libc;

/// Takes room for so many bytes; the file stays as long as it is. A file system that cannot do that takes it later.
pub fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let bytes = i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput)?;
    // No room is taken for nothing, and the call would be an error.
    if bytes == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, bytes) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        other => Ok(other?),
    }
}

/// Writes a file's data, and waits for it; neither its length nor its first cluster is written, and nothing is flushed.
/// Every other call that writes the data writes these too.
pub fn write_data(file: &File) -> io::Result<()> {
    let how = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: the descriptor is open for as long as the borrowed file, and no memory is passed.
    #[expect(unsafe_code, reason = "neither std nor nix has sync_file_range")]
    let result = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, how) };
    match Errno::result(result) {
        // The file system is none that keeps files on a disk, so the order of its writes is no matter.
        Err(Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ESPIPE) => file.sync_all(),
        other => Ok(other.map(drop)?),
    }
}
