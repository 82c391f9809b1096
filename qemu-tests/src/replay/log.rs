//! The log of a disk's writes: the format of Linux's dm-log-writes, as that and QEMU's `blklogwrites` write it.
//!
//! A superblock in the first sector, then entries: one sector of header, and the data unless the entry is a discard.
//! QEMU logs a request when it has been done, so the order is that of completion. Linux keeps what is done until it is flushed:
//! then it comes into the log in that order, with the flush behind it. What was not done when the flush began comes later.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Bytes in a sector: the unit of everything here.
pub const SECTOR: usize = 512;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;
/// A file system's own structures: nothing that a disk would know.
const METADATA: u64 = 16;

/// What was recorded, in order.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// The requests.
    pub entries: Vec<Entry>,
    /// The data of all of them, one after the other.
    pub data: Vec<u8>,
    /// The first entry of the whole log that writes outside of the range that was read.
    pub outside: Option<u64>,
}

/// One request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Which entry of the whole log it is.
    pub number: u64,
    /// Where it begins on the disk, in sectors.
    pub sector: u64,
    /// How many sectors it writes or discards.
    pub sectors: u64,
    /// What went before is on the disk for good before this one begins.
    pub flush: bool,
    /// This one is on the disk for good when it is done.
    pub fua: bool,
    /// The sectors' contents are given up.
    pub discard: bool,
    /// Not a request but a name for the place in the log.
    pub mark: Option<String>,
    /// Where its data begins in [`Log::data`]; nothing when it has none that is of interest.
    pub data: Option<usize>,
}

impl Log {
    /// Reads a log and keeps the data of what lies in this range of sectors; of the rest it keeps the flushes alone.
    pub fn read(path: &Path, range: Range<u64>) -> Result<Log> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let length = file.metadata()?.len();
        Log::parse(BufReader::with_capacity(1 << 20, file), length, range)
            .with_context(|| format!("reading the log {}", path.display()))
    }

    /// The same for any source of this length.
    pub fn parse(mut from: impl Read + Seek, length: u64, range: Range<u64>) -> Result<Log> {
        let mut header = [0; 32];
        from.read_exact(&mut header).context("no superblock")?;
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap_or_default());
        ensure!(number(0) == MAGIC, "this is no log of writes");
        ensure!(number(8) == 1, "version {} of the format is not known", number(8));
        let size = u64::from(u32::from_le_bytes(header[24..28].try_into()?));
        ensure!(size == SECTOR as u64, "the log has sectors of {size} bytes, not of {SECTOR}");
        let count = number(16);
        let mut log = Log::default();
        let mut at = size;
        for n in 0..count {
            at = log.entry(&mut from, n, at, length, &range).with_context(|| format!("entry {n} of {count}"))?;
        }
        Ok(log)
    }

    fn entry(
        &mut self,
        from: &mut (impl Read + Seek),
        n: u64,
        at: u64,
        length: u64,
        range: &Range<u64>,
    ) -> Result<u64> {
        let size = SECTOR as u64;
        ensure!(at + size <= length, "the log ends before it");
        from.seek(SeekFrom::Start(at))?;
        let mut header = [0; SECTOR];
        from.read_exact(&mut header)?;
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap_or_default());
        let (sector, sectors, flags, text) = (number(0), number(8), number(16), number(24));
        if flags & !(FLUSH | FUA | DISCARD | MARK | METADATA) != 0 {
            bail!("unknown flags {flags:#x}");
        }
        let mut entry = Entry {
            number: n,
            sector,
            sectors,
            flush: flags & FLUSH != 0,
            fua: flags & FUA != 0,
            discard: flags & DISCARD != 0,
            ..Entry::default()
        };
        if flags & MARK != 0 {
            let text = header[32..].get(..text as usize).context("a mark that is longer than its sector")?;
            entry.mark = Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_string());
            self.entries.push(entry);
            return Ok(at + size);
        }
        let last = sector.checked_add(sectors).context("sectors that no disk has")?;
        let bytes = if entry.discard { 0 } else { sectors.saturating_mul(size) };
        let end = at.saturating_add(size).saturating_add(bytes);
        ensure!(end <= length, "the log ends inside of it");
        let inside = sector < range.end && range.start < last;
        if inside && bytes > 0 {
            let start = self.data.len();
            self.data.resize(start + bytes as usize, 0);
            from.read_exact(&mut self.data[start..])?;
            entry.data = Some(start);
        }
        if !inside && sectors > 0 {
            self.outside.get_or_insert(n);
        }
        if inside || entry.flush {
            self.entries.push(entry);
        }
        Ok(end)
    }

    /// The marks, each with how many entries of the whole log there are up to it.
    pub fn marks(&self) -> impl Iterator<Item = (&str, u64)> {
        self.entries.iter().filter_map(|entry| Some((entry.mark.as_deref()?, entry.number + 1)))
    }

    /// Writes to this sector are marks: the guest writes a name there, past everything else.
    pub fn marks_at(&mut self, sector: u64) {
        for entry in self.entries.iter_mut().filter(|e| e.sector == sector && e.sectors > 0) {
            let Some(data) = entry.data.take() else { continue };
            let name = self.data[data..data + SECTOR].split(|byte| *byte == 0).next().unwrap_or_default();
            entry.mark = Some(String::from_utf8_lossy(name).into_owned());
            (entry.sector, entry.sectors) = (0, 0);
        }
    }

    /// Adds a write, as tests do.
    pub fn write(&mut self, sector: u64, data: &[u8]) {
        let start = self.data.len();
        self.data.extend_from_slice(data);
        let sectors = (data.len() / SECTOR) as u64;
        self.entries.push(Entry { sector, sectors, data: Some(start), ..Entry::default() });
    }

    /// Adds a flush.
    pub fn flush(&mut self) {
        self.entries.push(Entry { flush: true, ..Entry::default() });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Cursor;

    /// The bytes of a log with these entries: sector, flags, data (or, for a discard, as many sectors as bytes).
    pub(crate) fn bytes(entries: &[(u64, u64, &[u8])]) -> Vec<u8> {
        let mut log = Vec::new();
        for number in [MAGIC, 1, entries.len() as u64, SECTOR as u64] {
            log.extend(number.to_le_bytes());
        }
        log.resize(SECTOR, 0);
        for (sector, flags, data) in entries {
            let start = log.len();
            let mark = flags & MARK != 0;
            let sectors = if flags & DISCARD != 0 { data.len() } else { data.len() / SECTOR };
            let text = if mark { data.len() } else { 0 };
            for number in [*sector, if mark { 0 } else { sectors as u64 }, *flags, text as u64] {
                log.extend(number.to_le_bytes());
            }
            if mark {
                log.extend(*data);
            }
            log.resize(start + SECTOR, 0);
            if flags & (DISCARD | MARK) == 0 {
                log.extend(*data);
            }
        }
        log
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        let (a, b) = ([1; SECTOR], [2; 2 * SECTOR]);
        let made =
            bytes(&[(7, METADATA, &a), (0, FLUSH, &[]), (20, FUA, &b), (3, DISCARD, &[0; 5]), (0, MARK, b"here")]);
        let log = Log::parse(Cursor::new(&made), made.len() as u64, 0..100).unwrap();
        assert_eq!(log.entries.len(), 5);
        assert_eq!((log.entries[0].sector, log.entries[0].sectors, log.entries[0].data), (7, 1, Some(0)));
        assert!(log.entries[1].flush && log.entries[1].data.is_none());
        assert!(log.entries[2].fua && log.entries[2].sectors == 2);
        assert!(log.entries[3].discard && log.entries[3].sectors == 5 && log.entries[3].data.is_none());
        assert_eq!(log.marks().collect::<Vec<_>>(), [("here", 5)]);
        assert_eq!(log.data, [&a[..], &b].concat());
    }

    #[test]
    fn what_lies_elsewhere_on_the_disk_is_left_out_and_its_flushes_are_not() {
        let made = bytes(&[(7, 0, &[1; SECTOR]), (0, FLUSH, &[]), (50, 0, &[2; SECTOR])]);
        let log = Log::parse(Cursor::new(&made), made.len() as u64, 40..60).unwrap();
        assert_eq!(log.entries.iter().map(|e| (e.sector, e.flush)).collect::<Vec<_>>(), [(0, true), (50, false)]);
        assert_eq!(log.data, [2; SECTOR]);
    }

    #[test]
    fn what_is_no_log_or_half_a_log_is_refused() {
        let made = bytes(&[(7, 0, &[1; SECTOR])]);
        let read = |bytes: &[u8]| Log::parse(Cursor::new(bytes), bytes.len() as u64, 0..9).unwrap_err();
        assert!(format!("{:#}", read(&[0; SECTOR])).contains("no log"));
        assert!(format!("{:#}", read(&made[..3 * SECTOR - 1])).contains("ends inside of it"));
        assert!(format!("{:#}", read(&made[..SECTOR])).contains("entry 0 of 1"));
        let strange = |at: usize, bytes: &[u8]| {
            let mut strange = made.clone();
            strange[SECTOR + at..][..bytes.len()].copy_from_slice(bytes);
            format!("{:#}", read(&strange))
        };
        assert!(strange(16, &[0x40]).contains("unknown flags"));
        // Numbers that add up to more than there are.
        assert!(strange(0, &[0xff; 16]).contains("no disk"));
        assert!(strange(8, &(1u64 << 60).to_le_bytes()).contains("ends inside of it"));
        assert!(strange(16, &[[8, 0, 0, 0, 0, 0, 0, 0], [0xff; 8]].concat()).contains("longer than its sector"));
    }
}
