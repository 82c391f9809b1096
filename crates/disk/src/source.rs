//! What can be read from: image files of any format, and regions of them.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::budget::Budget;

/// Bytes that can be read at any place.
#[expect(clippy::len_without_is_empty, reason = "an empty disk is nothing that anybody asks about")]
pub trait Source: Debug + Send + Sync {
    /// The length in bytes.
    fn len(&self) -> u64;

    /// Fills the buffer from `offset` on.
    ///
    /// # Errors
    /// The system's, and `UnexpectedEof` beyond the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The account on which everybody who reads from it draws; `None` for what is nobody's image.
    fn budget(&self) -> Option<Arc<Budget>> {
        None
    }
}

impl<S: Source + ?Sized> Source for &S {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read_at(offset, buffer)
    }

    fn budget(&self) -> Option<Arc<Budget>> {
        (**self).budget()
    }
}

/// A source each read of which is put on an account.
#[derive(Debug)]
pub struct Metered<S> {
    source: S,
    budget: Arc<Budget>,
}

impl<S: Source> Metered<S> {
    /// Counts the reads of this source.
    pub fn new(source: S, budget: Arc<Budget>) -> Metered<S> {
        Metered { source, budget }
    }
}

impl<S: Source> Source for Metered<S> {
    fn len(&self) -> u64 {
        self.source.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.budget.read(buffer.len() as u64)?;
        self.source.read_at(offset, buffer)
    }

    fn budget(&self) -> Option<Arc<Budget>> {
        Some(Arc::clone(&self.budget))
    }
}

/// A raw image file or a block device.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    len: u64,
}

impl FileSource {
    /// A file that was opened for reading.
    ///
    /// # Errors
    /// When its length cannot be told.
    pub fn new(mut file: File) -> io::Result<FileSource> {
        // A block device has its length here, and zero in its metadata.
        let len = file.seek(SeekFrom::End(0))?;
        Ok(FileSource { file, len })
    }
}

impl Source for FileSource {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// A part of a source: one partition. Offsets in it begin at zero, and nothing outside of it can be read.
#[derive(Debug, Clone, Copy)]
pub struct Region<'a> {
    source: &'a dyn Source,
    start: u64,
    len: u64,
}

impl<'a> Region<'a> {
    /// `len` bytes from `start` on, or as many of them as there are.
    pub fn new(source: &'a dyn Source, start: u64, len: u64) -> Region<'a> {
        let start = start.min(source.len());
        Region { source, start, len: len.min(source.len() - start) }
    }

    /// A reader with a position.
    pub fn cursor(self) -> Cursor<'a> {
        let budget = self.budget().unwrap_or_default();
        Cursor { region: self, at: 0, buffer: Vec::new(), buffered_at: 0, budget }
    }
}

impl Source for Region<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.source.read_at(self.start + offset, buffer)
    }

    fn budget(&self) -> Option<Arc<Budget>> {
        self.source.budget()
    }
}

/// A region with a position, for readers that want one. Writing fails: they ask for it in their types only.
#[derive(Debug)]
pub struct Cursor<'a> {
    region: Region<'a>,
    at: u64,
    // FAT is read four bytes at a time.
    buffer: Vec<u8>,
    buffered_at: u64,
    // A damaged directory can lead back into itself, and its reader goes round for ever; this ends it.
    budget: Arc<Budget>,
}

impl Cursor<'_> {
    /// The account on which it draws.
    pub(crate) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        const BLOCK: u64 = 4096;
        self.budget.step()?;
        let left = self.region.len.saturating_sub(self.at);
        let buffered = self.at.checked_sub(self.buffered_at).filter(|into| *into < self.buffer.len() as u64);
        let into = match buffered {
            Some(into) => into,
            None if left == 0 => return Ok(0),
            None => {
                self.buffered_at = self.at / BLOCK * BLOCK;
                let len = BLOCK.min(self.region.len - self.buffered_at);
                self.buffer.resize(usize::try_from(len).unwrap_or_default(), 0);
                if let Err(error) = self.region.read_at(self.buffered_at, &mut self.buffer) {
                    self.buffer.clear();
                    return Err(error);
                }
                self.at - self.buffered_at
            }
        };
        let have = &self.buffer[usize::try_from(into).unwrap_or_default()..];
        let count = have.len().min(buffer.len());
        buffer[..count].copy_from_slice(&have[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Cursor<'_> {
    fn write(&mut self, _buffer: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.region.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
