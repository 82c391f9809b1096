//! A GUID partition table on a disk that has grown (UEFI specification, section 5.3): which partition grows, and what
//! must be written in which order. Only reads.
//!
//! The `gpt` crate is not used to write: it renumbers partitions when a number is unused, and writes the two copies
//! of the table mixed up, so that a power cut could destroy both.

use std::io;

use super::mbr;
use crate::error::{Context, Error};

/// Bit 59 of a partition's attributes: grow the file system (Discoverable Partitions Specification).
const GROW_FILE_SYSTEM: u64 = 1 << 59;
const SIGNATURE: &[u8; 8] = b"EFI PART";
/// A partition that grows ends on a multiple of this.
pub(super) const ALIGNMENT: u64 = 1 << 20;
/// Less room than this is left alone: a plan may leave a little at the end of a disk.
pub(super) const WORTH_GROWING: u64 = 8 << 20;
/// No table is larger than this: 4096 entries.
const LARGEST: usize = 4096 * 128;

/// What is to be written, and what the kernel must then be told. Sectors are the disk's logical ones.
#[derive(Debug, PartialEq, Eq)]
pub struct Edit {
    /// Offset in bytes, and bytes. Each group must be on the disk before the next is begun.
    ///
    /// First the copy at the disk's new end, then the one at its beginning. Until the first is whole, the old table
    /// counts; after that the table at the end counts whenever the one at the beginning is torn.
    pub writes: [Vec<(u64, Vec<u8>)>; 2],
    /// The partition's first sector.
    pub first: u64,
    /// Its new length in sectors.
    pub length: u64,
}

/// Fills a buffer with what the disk has at an offset.
pub type Read<'a> = &'a dyn Fn(&mut [u8], u64) -> io::Result<()>;

/// A table that was read and whose checksums hold.
#[derive(Debug, Clone)]
struct Table {
    header: Vec<u8>,
    entries: Vec<u8>,
}

/// Finds the partition that grows on a disk of `size` bytes: `forced` if given, else the one that is marked. Gives its
/// number, and what to write if the disk has room for it to grow.
///
/// # Errors
/// When the disk cannot be read.
pub fn plan(disk: Read<'_>, size: u64, sector: u64, forced: Option<u32>) -> Result<Option<(u32, Option<Edit>)>, Error> {
    // A disk without room for a table has none.
    let Some(last) = (size / sector).checked_sub(1).filter(|last| *last > 1) else { return Ok(None) };
    let primary = read(disk, 1, sector)?;
    let torn = primary.is_none();
    // After a power cut in the middle of writing the first copy, the one at the end is whole.
    let table = primary.map_or_else(|| read(disk, last, sector), |t| Ok(Some(t)))?;
    let mbr = read_sector(disk, 0, sector)?;
    let Some(table) = table else { return Ok(forced.map(|number| (number, mbr::grown(&mbr, number, size, sector)))) };
    let Some(number) = forced.or_else(|| table.marked()) else { return Ok(None) };
    Ok(Some((number, table.grown(number, last, sector, torn, &mbr))))
}

fn read(disk: Read<'_>, at: u64, sector: u64) -> Result<Option<Table>, Error> {
    let header = read_sector(disk, at, sector)?;
    let length = u32_at(&header, 12) as usize;
    if &header[..8] != SIGNATURE || !(92..=header.len()).contains(&length) || u64_at(&header, 24) != at {
        return Ok(None);
    }
    let mut unsigned = header[..length].to_vec();
    unsigned[16..20].fill(0);
    let (count, size) = (u32_at(&header, 80) as usize, u32_at(&header, 84) as usize);
    let total = count.saturating_mul(size);
    if crc32(&unsigned) != u32_at(&header, 16) || size < 128 || total > LARGEST {
        return Ok(None);
    }
    let mut entries = vec![0; total];
    let at = u64_at(&header, 72).saturating_mul(sector);
    if disk(&mut entries, at).is_err() || crc32(&entries) != u32_at(&header, 88) {
        return Ok(None);
    }
    Ok(Some(Table { header, entries }))
}

fn read_sector(disk: Read<'_>, at: u64, sector: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; sector as usize];
    disk(&mut bytes, at.saturating_mul(sector)).context("reading the partition table")?;
    Ok(bytes)
}

impl Table {
    fn entry_size(&self) -> usize {
        u32_at(&self.header, 84) as usize
    }

    /// Number, first sector, last sector, attributes of every partition.
    fn partitions(&self) -> impl Iterator<Item = (u32, u64, u64, u64)> {
        (1..).zip(self.entries.chunks_exact(self.entry_size())).filter_map(|(number, e)| {
            let used = e[..16].iter().any(|b| *b != 0);
            used.then(|| (number, u64_at(e, 32), u64_at(e, 40), u64_at(e, 48)))
        })
    }

    fn marked(&self) -> Option<u32> {
        self.partitions().filter(|p| p.3 & GROW_FILE_SYSTEM != 0).max_by_key(|p| p.1).map(|p| p.0)
    }

    /// What to write so that `number` reaches to the end of a disk whose last sector is `last`; `None` if there is
    /// nothing to gain, and the first copy is whole.
    fn grown(&self, number: u32, last: u64, sector: u64, torn: bool, mbr: &[u8]) -> Option<Edit> {
        let (_, first, old_end, _) = self.partitions().find(|p| p.0 == number)?;
        if first > old_end || self.partitions().any(|p| p.1 > old_end) {
            return None;
        }
        let table_sectors = (self.entries.len() as u64).div_ceil(sector);
        let last_usable = last.checked_sub(table_sectors + 1)?;
        let align = (ALIGNMENT / sector).max(1);
        let end = ((last_usable + 1) / align * align).checked_sub(1)?.max(old_end);
        // A disk that was made smaller is not for this helper.
        if end > last_usable || (end - old_end) * sector < WORTH_GROWING && !torn {
            return None;
        }
        let mut entries = self.entries.clone();
        let at = (number - 1) as usize * self.entry_size();
        entries[at + 40..at + 48].copy_from_slice(&end.to_le_bytes());

        let header = |own: u64, other: u64, entries_at: u64| {
            let mut header = self.header.clone();
            let length = u32_at(&header, 12) as usize;
            for (at, value) in [(24, own), (32, other), (48, last_usable), (72, entries_at)] {
                header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
            header[16..20].fill(0);
            let sum = crc32(&header[..length]);
            header[16..20].copy_from_slice(&sum.to_le_bytes());
            header
        };
        let first_entries = if u64_at(&self.header, 24) == 1 { u64_at(&self.header, 72) } else { 2 };
        let backup = [((last_usable + 1) * sector, entries.clone()), (last * sector, header(last, 1, last_usable + 1))];
        let mut primary = vec![(sector, header(1, last, first_entries)), (first_entries * sector, entries.clone())];
        if let Some(mbr) = protective(mbr, last) {
            primary.insert(0, (0, mbr));
        }
        Some(Edit { writes: [backup.into(), primary], first, length: end - first + 1 })
    }
}

/// The protective MBR with its one partition over the whole disk; `None` if it is as it should be, or is another MBR.
fn protective(mbr: &[u8], last: u64) -> Option<Vec<u8>> {
    let (kind, length) = (mbr[446 + 4], 446 + 12..446 + 16);
    let size = u32::try_from(last).unwrap_or(u32::MAX).to_le_bytes();
    (kind == 0xEE && mbr[length.clone()] != size).then(|| {
        let mut new = mbr.to_vec();
        new[length].copy_from_slice(&size);
        new
    })
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([0, 1, 2, 3].map(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|i| bytes[at + i]))
}

/// CRC-32 as the UEFI specification and Ethernet have it (polynomial 0x04C11DB7, reflected).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
