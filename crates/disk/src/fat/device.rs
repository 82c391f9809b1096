//! The device that `fatfs` writes through: a region of the target that is zero at first.
//!
//! `fatfs` writes its tables four bytes at a time and formats by writing zeros. Small writes therefore collect in pages in
//! memory, zeros are not written where there are zeros already, and data that follows data is written in large pieces.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use crate::target::Target;

const PAGE: u64 = 4096;
/// Writes from this size on are data; `fatfs` writes its own structures in smaller pieces.
const DATA: usize = 1024;
const PIECE: usize = 1 << 20;

pub(super) struct Device<'a> {
    target: &'a dyn Target,
    start: u64,
    len: u64,
    at: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE as usize]>>,
    piece: Vec<u8>,
    piece_at: u64,
    /// The first error of a write, which `fatfs` passes on in words of its own, or only logs.
    failed: Option<(u64, io::Error)>,
}

impl<'a> Device<'a> {
    /// A region of the target that nobody has written to.
    pub(super) fn new(target: &'a dyn Target, start: u64, len: u64) -> io::Result<Device<'a>> {
        target.zeros(start, len)?;
        Ok(Device::existing(target, start, len))
    }

    /// A region with a volume in it.
    pub(super) fn existing(target: &'a dyn Target, start: u64, len: u64) -> Device<'a> {
        Device { target, start, len, at: 0, pages: BTreeMap::new(), piece: Vec::new(), piece_at: 0, failed: None }
    }

    pub(super) fn take_failure(&mut self) -> Option<(u64, io::Error)> {
        self.failed.take()
    }

    /// Writes everything that was collected.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write_piece()?;
        for (page, bytes) in std::mem::take(&mut self.pages) {
            if bytes.iter().any(|b| *b != 0) || !self.is_zero(page)? {
                let len = usize::try_from(PAGE.min(self.len - page)).unwrap_or_default();
                self.write_through(page, &bytes[..len])?;
            }
        }
        Ok(())
    }

    /// Bytes at a place, for those who look after `fatfs`.
    pub(super) fn get<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.seek(SeekFrom::Start(at))?;
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Replaces bytes at a place.
    pub(super) fn put(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.seek(SeekFrom::Start(at))?;
        self.write_all(bytes)
    }

    fn write_through(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let at = self.start + at;
        self.target.write_at(at, bytes).map_err(|error| {
            let kind = error.kind();
            self.failed.get_or_insert((at, error));
            kind.into()
        })
    }

    fn write_piece(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.piece);
        self.write_through(self.piece_at, &piece)?;
        // A page that was read before has the data too.
        let end = self.piece_at + piece.len() as u64;
        for (page, bytes) in self.pages.range_mut(self.piece_at / PAGE * PAGE..end) {
            let (from, to) = (self.piece_at.max(*page), end.min(page + PAGE));
            let source = &piece[index(from - self.piece_at)..index(to - self.piece_at)];
            bytes[index(from - page)..index(to - page)].copy_from_slice(source);
        }
        self.piece = piece;
        self.piece.clear();
        Ok(())
    }

    /// The page with a place in it.
    fn page(&mut self, at: u64) -> io::Result<&mut [u8; PAGE as usize]> {
        let page = at / PAGE * PAGE;
        let piece_end = self.piece_at + self.piece.len() as u64;
        if self.piece_at < page + PAGE && page < piece_end {
            self.write_piece()?;
        }
        if !self.pages.contains_key(&page) {
            let mut bytes = Box::new([0; PAGE as usize]);
            let len = index(PAGE.min(self.len.saturating_sub(page)));
            self.target.read_at(self.start + page, &mut bytes[..len])?;
            self.pages.insert(page, bytes);
        }
        self.pages.get_mut(&page).map(Box::as_mut).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Read for Device<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let count = index(self.len.saturating_sub(at).min(PAGE - at % PAGE)).min(buffer.len());
        if count == 0 {
            return Ok(0);
        }
        let from = index(at % PAGE);
        buffer[..count].copy_from_slice(&self.page(at)?[from..from + count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Device<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let at = self.at;
        let left = self.len.saturating_sub(at);
        if left == 0 {
            return Ok(0);
        }
        if bytes.len() >= DATA {
            let count = bytes.len().min(index(left));
            if self.piece_at + self.piece.len() as u64 != at || self.piece.len() + count > PIECE {
                self.write_piece()?;
                self.piece_at = at;
            }
            self.piece.extend_from_slice(&bytes[..count]);
            self.at += count as u64;
            return Ok(count);
        }
        let count = index(left.min(PAGE - at % PAGE)).min(bytes.len());
        let from = index(at % PAGE);
        let page = at / PAGE * PAGE;
        let piece_end = self.piece_at + self.piece.len() as u64;
        let touched = self.pages.contains_key(&page) || (self.piece_at < page + PAGE && page < piece_end);
        // Zeros onto what was never written: it is zero. Reading the page would cost as much as formatting does.
        if touched || bytes[..count].iter().any(|b| *b != 0) || !self.is_zero(page)? {
            self.page(at)?[from..from + count].copy_from_slice(&bytes[..count]);
        }
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        // `fatfs` flushes after every file; nothing is lost that the caller would keep.
        Ok(())
    }
}

impl Device<'_> {
    fn is_zero(&mut self, page: u64) -> io::Result<bool> {
        let mut bytes = [0; PAGE as usize];
        let len = index(PAGE.min(self.len.saturating_sub(page)));
        self.target.read_at(self.start + page, &mut bytes[..len])?;
        Ok(bytes.iter().all(|b| *b == 0))
    }
}

impl Seek for Device<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Lengths inside a page or a piece.
fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
