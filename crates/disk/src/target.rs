//! What can be written to: an image file, memory, and, in tests, something that breaks on purpose.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::source::Source;

/// Bytes of a fixed length that can be written at any place, by several threads at once.
pub trait Target: Source {
    /// What messages call it: a path.
    fn name(&self) -> &str;

    /// Writes all bytes at `offset`.
    ///
    /// # Errors
    /// The system's. What was written of the bytes is then unknown.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Sees to it that `len` bytes from `offset` on, which nobody has written yet, read as zeros. On a new file that is
    /// nothing to do.
    ///
    /// # Errors
    /// The system's.
    fn zeros(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Waits until everything is on the medium.
    ///
    /// # Errors
    /// The system's.
    fn sync(&self) -> io::Result<()>;

    /// The file behind it, into which the kernel may copy data by itself: a new one, whose unwritten parts are zeros.
    fn file(&self) -> Option<&File> {
        None
    }
}

/// An image file. It is sparse: what is not written takes no room.
#[derive(Debug)]
pub struct FileTarget {
    file: File,
    name: String,
    len: u64,
}

impl FileTarget {
    /// Empties the file, which must be open for writing and reading, and makes it `len` zeros long.
    ///
    /// # Errors
    /// The system's.
    pub fn new(file: File, name: impl Into<String>, len: u64) -> io::Result<FileTarget> {
        // Not without need: when a file was cut to nothing, ext4 writes all of it out at its close (auto_da_alloc), which
        // doubled the time of an image.
        if !is_hole(&file)? {
            file.set_len(0)?;
        }
        file.set_len(len)?;
        Ok(FileTarget { file, name: name.into(), len })
    }

    /// The file.
    pub fn into_file(self) -> File {
        self.file
    }
}

impl Source for FileTarget {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

impl Target for FileTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        within(self.len, offset, bytes.len() as u64)?;
        self.file.write_all_at(bytes, offset)
    }

    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        // The file was emptied first: what was not written is a hole.
        within(self.len, offset, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn file(&self) -> Option<&File> {
        Some(&self.file)
    }
}

/// A disk in memory, for tests and small things.
#[derive(Debug)]
pub struct MemoryTarget {
    bytes: Mutex<Vec<u8>>,
}

impl MemoryTarget {
    /// `len` bytes that are zero; or, with another `fill`, a disk on which somebody has left something.
    pub fn new(len: usize, fill: u8) -> MemoryTarget {
        MemoryTarget { bytes: Mutex::new(vec![fill; len]) }
    }

    /// What it holds.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for MemoryTarget {
    fn len(&self) -> u64 {
        self.bytes().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes();
        let range = range(bytes.len(), offset, buffer.len())?;
        buffer.copy_from_slice(&bytes[range]);
        Ok(())
    }
}

impl Target for MemoryTarget {
    fn name(&self) -> &str {
        "memory"
    }

    fn write_at(&self, offset: u64, new: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes();
        let range = range(bytes.len(), offset, new.len())?;
        bytes[range].copy_from_slice(new);
        Ok(())
    }

    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let mut bytes = self.bytes();
        let range = range(bytes.len(), offset, len)?;
        bytes[range].fill(0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// How a [`FaultTarget`] breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// After this many bytes the disk is full. What still fits of the last write is written, as the kernel does it.
    FullAfter(u64),
    /// After this many bytes every write fails with an I/O error.
    BrokenAfter(u64),
}

/// A target that breaks after a given number of bytes, for tests: whatever is not written by then never is.
#[derive(Debug)]
pub struct FaultTarget<T> {
    inner: T,
    fault: Fault,
    written: Mutex<u64>,
}

impl<T: Target> FaultTarget<T> {
    /// Lets `inner` break.
    pub fn new(inner: T, fault: Fault) -> FaultTarget<T> {
        FaultTarget { inner, fault, written: Mutex::new(0) }
    }

    /// What is behind it.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: Target> Source for FaultTarget<T> {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.inner.read_at(offset, buffer)
    }
}

impl<T: Target> Target for FaultTarget<T> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let (limit, error) = match self.fault {
            Fault::FullAfter(limit) => (limit, io::ErrorKind::StorageFull.into()),
            Fault::BrokenAfter(limit) => (limit, io::Error::other("the disk broke")),
        };
        let left = usize::try_from(limit.saturating_sub(*written)).unwrap_or(usize::MAX);
        let count = left.min(bytes.len());
        self.inner.write_at(offset, &bytes[..count])?;
        *written += count as u64;
        if count < bytes.len() { Err(error) } else { Ok(()) }
    }

    fn zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        self.inner.zeros(offset, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

/// Whether a file holds nothing but, perhaps, one great hole.
fn is_hole(file: &File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    // A file system that knows no holes says that there is data.
    Ok(lseek(file, 0, Whence::SeekData) == Err(Errno::ENXIO))
}

/// A write past the end would make a file longer: that is a fault of ours, and must not go unseen.
fn within(len: u64, offset: u64, count: u64) -> io::Result<()> {
    match offset.checked_add(count) {
        Some(end) if end <= len => Ok(()),
        _ => Err(io::Error::other(format!("{count} bytes at {offset} are beyond the end ({len})"))),
    }
}

fn range(len: usize, offset: u64, count: usize) -> io::Result<std::ops::Range<usize>> {
    within(len as u64, offset, count as u64)?;
    let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
    Ok(start..start + count)
}
