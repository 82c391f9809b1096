//! A boot partition as the transaction needs it: read, and written in a few ways whose effect on FAT is known.

use std::fmt::Debug;
use std::io::{self, Read};

use crate::present::Space;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file of this many bytes.
    File(u64),
    /// A directory.
    Directory,
}

/// A partition that can be read. Paths are relative to its root.
pub trait ReadVolume: Debug {
    /// What is in a directory, sorted by name (`""` is the root); nothing when there is no such directory.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, directory: &str) -> io::Result<Vec<(String, Kind)>>;

    /// Opens a file.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] when it is not there.
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>>;

    /// Its cluster size and free room.
    ///
    /// # Errors
    /// The system's.
    fn space(&self) -> io::Result<Space>;
}

/// A partition that can be written.
pub trait Volume: ReadVolume {
    /// Writes a new file of `len` bytes, its directories too. When it returns, name and contents are on the disk; at every
    /// moment before, there is nothing under the name, or an empty file, or all of it.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::AlreadyExists`] when something has the name.
    fn create(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()>;

    /// Gives a name that is in use other contents. When it returns, they are on the disk; at every moment before, the old
    /// ones are there or the new ones, whole.
    ///
    /// # Errors
    /// The system's.
    fn replace(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()>;

    /// Overwrites the beginning of a file with at most one sector, in one write; then it is on the disk.
    ///
    /// # Errors
    /// The system's.
    fn overwrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Removes a file. When it returns, it is gone from the disk; at every moment before, it is there whole or not at all.
    ///
    /// # Errors
    /// The system's.
    fn remove(&mut self, path: &str) -> io::Result<()>;

    /// Waits until everything before is on the disk.
    ///
    /// # Errors
    /// The system's.
    fn barrier(&mut self) -> io::Result<()>;

    /// Opens a file so that what is read comes from the disk and not from memory, where that can be had.
    ///
    /// # Errors
    /// The system's.
    fn open_on_disk(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        self.open(path)
    }
}
