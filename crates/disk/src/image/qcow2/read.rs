//! Reading qcow2: plain images without backing file, compression and encryption.
//!
//! An image may be anybody's. Its tables are read by the page as they are needed, never because their lengths say so, and
//! each read is put on the image's account: tables can lead anywhere, also to each other, and only that costs.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Budget, Source};

use super::Qcow2Error;

/// The bits of an entry that are an offset.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COMPRESSED: u64 = 1 << 62;
const READS_AS_ZEROS: u64 = 1;

/// A qcow2 image, read as the disk that it holds.
#[derive(Debug)]
pub struct Qcow2Source {
    file: File,
    len: u64,
    cluster_bits: u32,
    /// Where the table of the first level is, and how many entries it has.
    l1: (u64, u64),
    /// The pages of tables that were used last, of either level.
    pages: [Mutex<Page>; 2],
    budget: Arc<Budget>,
}

/// A piece of a table, with its place in the file.
#[derive(Debug, Default)]
struct Page {
    at: u64,
    bytes: Vec<u8>,
}

/// The length of a page; entries of tables never cross from one to the next.
const PAGE: u64 = 4096;

impl Qcow2Source {
    /// Opens an image.
    ///
    /// # Errors
    /// [`Qcow2Error::Read`], [`Qcow2Error::Damaged`], and [`Qcow2Error::Unsupported`] for what only QEMU reads.
    pub fn open(path: &Path) -> Result<Qcow2Source, Qcow2Error> {
        let file = File::open(path).map_err(|source| Qcow2Error::Read { path: path.to_path_buf(), source })?;
        Qcow2Source::of_file(file, path, Budget::shared())
    }

    /// The same of a file that is open, on somebody's account; messages call it by its path.
    ///
    /// # Errors
    /// See [`Qcow2Source::open`].
    pub fn of_file(file: File, path: &Path, budget: Arc<Budget>) -> Result<Qcow2Source, Qcow2Error> {
        let read = |source| Qcow2Error::Read { path: path.to_path_buf(), source };
        let damaged = |why: &str| Qcow2Error::Damaged { path: path.to_path_buf(), why: why.to_string() };
        let unsupported = |why: &str| Qcow2Error::Unsupported { path: path.to_path_buf(), why: why.to_string() };
        // Of a block device the metadata do not tell it.
        let file_len = (&file).seek(SeekFrom::End(0)).map_err(read)?;
        let mut header = [0; 104];
        file.read_exact_at(&mut header[..72], 0).map_err(|_| damaged("it ends in its header"))?;
        let n32 = |at: usize| u32::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let n64 = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        if !header.starts_with(b"QFI\xfb") {
            return Err(damaged("it has no header"));
        }
        let (version, cluster_bits, len) = (n32(4), n32(20), n64(24));
        match version {
            2 => {}
            3 => file.read_exact_at(&mut header[72..], 72).map_err(|_| damaged("it ends in its header"))?,
            _ => return Err(unsupported(&format!("of version {version}"))),
        }
        let n64 = |at: usize| u64::from_be_bytes(std::array::from_fn(|i| header[at + i]));
        let incompatible = if version == 3 { n64(72) } else { 0 };
        if n64(8) != 0 {
            return Err(unsupported("with a backing file"));
        }
        if u32::from_be_bytes(std::array::from_fn(|i| header[32 + i])) != 0 {
            return Err(unsupported("that is encrypted"));
        }
        if incompatible & 2 != 0 {
            return Err(damaged("it says so itself; see `qemu-img check`"));
        }
        // Bit 0, "dirty", is about reference counts only, which reading does not need.
        if incompatible & !3 != 0 {
            return Err(unsupported(&format!("with features ({incompatible:#x}) that only QEMU reads")));
        }
        if !(9..=21).contains(&cluster_bits) {
            return Err(damaged("its clusters have an impossible size"));
        }
        let entries = u32::from_be_bytes(std::array::from_fn(|i| header[36 + i]));
        let per_l2 = 1_u64 << (cluster_bits - 3);
        // QEMU's own bound for the table of the first level.
        if entries > 4 << 20 || u64::from(entries).saturating_mul(per_l2) < len.div_ceil(1 << cluster_bits) {
            return Err(damaged("its table does not go with its size"));
        }
        let (l1_at, entries) = (n64(40), u64::from(entries));
        let end = l1_at.checked_add(entries * 8);
        if l1_at % 512 != 0 || end.is_none_or(|end| end > file_len) {
            return Err(damaged("it ends in its table"));
        }
        Ok(Qcow2Source { file, len, cluster_bits, l1: (l1_at, entries), pages: Default::default(), budget })
    }

    /// Where a cluster of the disk is in the file; `None` for one that is not there and reads as zeros.
    fn place(&self, cluster: u64) -> io::Result<Option<u64>> {
        let per_l2 = 1_u64 << (self.cluster_bits - 3);
        let (at, entries) = self.l1;
        let index = cluster / per_l2;
        let l1 = if index < entries { self.entry(&self.pages[0], at + index * 8)? } else { 0 };
        if l1 & OFFSET == 0 {
            return Ok(None);
        }
        let entry = self.entry(&self.pages[1], (l1 & OFFSET) + cluster % per_l2 * 8)?;
        if entry & COMPRESSED != 0 {
            return Err(io::Error::other("it is compressed; `qemu-img convert` makes a plain image of it"));
        }
        Ok((entry & OFFSET != 0 && entry & READS_AS_ZEROS == 0).then_some(entry & OFFSET))
    }

    /// An entry of a table. Tables begin at multiples of 512 bytes, so that none lies across two pages.
    fn entry(&self, page: &Mutex<Page>, at: u64) -> io::Result<u64> {
        let mut page = page.lock().unwrap_or_else(PoisonError::into_inner);
        let from = at / PAGE * PAGE;
        if page.at != from || page.bytes.is_empty() {
            self.budget.read(PAGE)?;
            let mut bytes = vec![0; index(PAGE)];
            // The last page of a file need not be whole.
            let mut have = 0;
            while have < bytes.len() {
                match self.file.read_at(&mut bytes[have..], from + have as u64)? {
                    0 => break,
                    count => have += count,
                }
            }
            bytes.truncate(have);
            *page = Page { at: from, bytes };
        }
        let entry = page.bytes.get(index(at - from)..).and_then(|rest| rest.first_chunk::<8>());
        entry.map(|bytes| u64::from_be_bytes(*bytes)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Source for Qcow2Source {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.budget.read(buffer.len() as u64)?;
        let cluster = 1_u64 << self.cluster_bits;
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let count = index(cluster - at % cluster).min(buffer.len() - done);
            let piece = &mut buffer[done..done + count];
            match self.place(at / cluster)? {
                Some(place) => {
                    self.budget.read(0)?;
                    self.file.read_exact_at(piece, place + at % cluster)?;
                }
                None => piece.fill(0),
            }
            done += count;
        }
        Ok(())
    }

    fn budget(&self) -> Option<Arc<Budget>> {
        Some(Arc::clone(&self.budget))
    }
}

/// Lengths inside a cluster or a page, both bounded when the image was opened.
fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
