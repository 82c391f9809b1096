//! Reading a file whose name a person gave: it is what it should be, and not longer than anybody makes such a file.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use crate::resolve::reopen;

/// Opens a regular file of the host for reading. Links are followed: the path is the user's own.
///
/// # Errors
/// The operating system's; [`ErrorKind::InvalidInput`] when it is a folder, a pipe, a socket or a device.
pub fn open_plain(path: &Path) -> io::Result<File> {
    reopen(openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?, OFlag::O_RDONLY)
}

/// Reads a regular file of the host, at most `most` bytes.
///
/// # Errors
/// As [`open_plain`]; [`ErrorKind::FileTooLarge`] when it is longer.
pub fn read_plain(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_all(open_plain(path)?, most)
}

/// What is in a file, if that is not more than `most` bytes.
pub(crate) fn read_all(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Files in /proc have no length, so the limit is on what comes.
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let what = format!("it has more than {most} bytes, which nobody makes such a file");
        return Err(io::Error::new(ErrorKind::FileTooLarge, what));
    }
    Ok(bytes)
}
