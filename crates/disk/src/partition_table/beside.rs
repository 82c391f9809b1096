//! A GPT that others use too (UEFI specification, section 5.3), changed entry by entry: what nobody asked to be changed stays to the
//! byte, under its number, with its attributes.
//!
//! The crate `gpt` is not used for it: it writes all entries anew, one behind the other, so that partitions get other numbers, and
//! leaves the copy of a disk that has grown where it was.

use cairn_layout::SectorSize;
use cairn_layout::onto::{Onto, Origin};
use crc::{CRC_32_ISO_HDLC, Crc};
use uuid::Uuid;

use super::gpt::SIGNATURE;
use crate::source::Source;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
/// As many as the largest tool makes; others would only be read to be thrown away.
const MOST_ENTRIES: usize = 4096;
/// As long as every tool makes an entry.
const ENTRY_SIZE: usize = 128;
/// Where in an MBR its four entries are, and its signature.
const MBR_ENTRIES: usize = 446;
const MBR_SIGNATURE: usize = 510;
/// The type of the one entry that protects a GPT from those who know none.
const PROTECTIVE: u8 = 0xEE;
/// The most characters (UTF-16) in a name.
const LONGEST_NAME: usize = 36;

/// Which copies of the table were whole when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// Both, and the second one is at the disk's end.
    Both,
    /// Both, and the disk has grown since.
    Grown,
    /// Only the first.
    First,
    /// Only the second.
    Last,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    sector: u64,
    /// The disk's last sector.
    last: u64,
    mbr: Vec<u8>,
    header: Vec<u8>,
    entries: Vec<u8>,
    copies: Copies,
    /// The last sector that partitions may have, and where the second copy has its entries.
    last_usable: u64,
    last_entries: u64,
}

/// A partition, in logical sectors of its disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its type.
    pub kind: Uuid,
    /// Its own identifier.
    pub id: Uuid,
    /// Its first sector.
    pub first: u64,
    /// Its last sector.
    pub last: u64,
    /// Its attributes.
    pub attributes: u64,
    /// Its name.
    pub name: String,
}

/// Why a table was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BesideError {
    /// It lies where no partition may.
    #[error(
        "a partition from sector {first} to {last} is not between the first ({usable}) and the last sector for partitions ({end})"
    )]
    Outside {
        /// Its first sector.
        first: u64,
        /// Its last.
        last: u64,
        /// The first that there is.
        usable: u64,
        /// The last.
        end: u64,
    },
    /// It lies upon another one.
    #[error("a partition from sector {first} to {last} overlaps with partition {other}")]
    Overlap {
        /// Its first sector.
        first: u64,
        /// Its last.
        last: u64,
        /// The number of the other.
        other: u32,
    },
    /// Every number is taken.
    #[error("all {0} numbers of the partition table are taken")]
    Full(usize),
    /// There is none.
    #[error("there is no partition {0}")]
    Gone(u32),
    /// It would get another number than was planned.
    #[error("a new partition would get the number {number}, and {planned} was planned: the table has changed")]
    Number {
        /// The number.
        number: u32,
        /// What was planned.
        planned: u32,
    },
    /// Its name cannot be in the table.
    #[error("the name `{0}` is longer than {LONGEST_NAME} characters (UTF-16)")]
    Name(String),
}

impl Beside {
    /// Reads the table of a disk with such sectors; `None` if there is none that is whole.
    ///
    /// # Errors
    /// Why one that is there cannot be changed: partitions that overlap or lie outside, a disk that has become smaller.
    pub fn read(disk: &dyn Source, sector: SectorSize) -> Result<Option<Beside>, String> {
        let sector = sector.bytes();
        let Some(last) = (disk.len() / sector).checked_sub(1).filter(|last| *last > 2) else { return Ok(None) };
        let mut mbr = vec![0; usize::try_from(sector).map_err(|e| e.to_string())?];
        disk.read_at(0, &mut mbr).map_err(|e| format!("reading its first sector: {e}"))?;
        let first = copy(disk, 1, sector);
        // Where the first one says that the other is, or at the end.
        let told = first.as_ref().map(|(header, _)| u64_at(header, 32));
        let at_end = copy(disk, last, sector);
        let other = at_end.clone().or_else(|| copy(disk, told?, sector));
        let copies = match (&first, &at_end, &other) {
            (Some(_), Some(_), _) => Copies::Both,
            (Some(_), None, _) if told.is_some_and(|told| told < last) => Copies::Grown,
            (Some(_), None, Some(_)) => Copies::Grown,
            (Some(_), None, None) => Copies::First,
            (None, Some(_), _) => Copies::Last,
            (None, None, _) => return Ok(None),
        };
        if told.is_some_and(|told| told > last) {
            return Err("it was made for a larger disk than this one".into());
        }
        // Where the second copy's entries are is its own affair, and what partitions may have is the table's.
        let own_place = at_end.as_ref().map(|(header, _)| u64_at(header, 72));
        let Some((header, entries)) = first.or(at_end) else { return Ok(None) };
        let sectors = (entries.len() as u64).div_ceil(sector);
        let usual_place = last.checked_sub(sectors).ok_or("the disk has no room for it")?;
        let last_entries = own_place.unwrap_or(usual_place);
        let last_usable = if copies == Copies::Grown { usual_place - 1 } else { u64_at(&header, 48) };
        if last_usable >= last_entries || last_entries + sectors > last {
            return Err("its second copy lies among the partitions".into());
        }
        let table = Beside { sector, last, mbr, header, entries, copies, last_usable, last_entries };
        table.check()?;
        Ok(Some(table))
    }

    /// A table without partitions, for a disk that has none. `usable` are the first and the last sector that partitions may have.
    ///
    /// # Errors
    /// Where the disk has no room for such a table.
    pub fn empty(bytes: u64, sector: SectorSize, id: Uuid, usable: (u64, u64), entries: u32) -> Result<Beside, String> {
        let sector = sector.bytes();
        let small = "the disk has no room for such a table";
        let last = (bytes / sector).checked_sub(1).ok_or(small)?;
        let size = entries as usize * ENTRY_SIZE;
        let sectors = (size as u64).div_ceil(sector);
        let last_entries = last.checked_sub(sectors).ok_or(small)?;
        if usable.0 < 2 + sectors || usable.1 >= last_entries || !(1..=MOST_ENTRIES).contains(&(entries as usize)) {
            return Err(small.into());
        }
        let length = usize::try_from(sector).map_err(|e| e.to_string())?;
        let mut header = vec![0; length];
        header[..8].copy_from_slice(SIGNATURE);
        // Version 1.0, and the header's own length.
        header[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        for (at, value) in [(24, 1), (32, last), (40, usable.0), (48, usable.1), (72, 2)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].copy_from_slice(&id.to_bytes_le());
        header[80..84].copy_from_slice(&entries.to_le_bytes());
        header[84..88].copy_from_slice(&(ENTRY_SIZE as u32).to_le_bytes());
        let (mbr, entries) = (vec![0; length], vec![0; size]);
        Ok(Beside { sector, last, mbr, header, entries, copies: Copies::Both, last_usable: usable.1, last_entries })
    }

    /// Adds a partition under this number, which must be free.
    ///
    /// # Errors
    /// See [`BesideError`].
    pub fn put(&mut self, number: u32, entry: &Entry) -> Result<(), BesideError> {
        self.has_room(entry)?;
        let name = name_of(entry)?;
        let size = self.entry_size();
        let count = self.entries.len() / size;
        let index = (number as usize).checked_sub(1).filter(|index| *index < count).ok_or(BesideError::Full(count))?;
        let place = &mut self.entries[index * size..(index + 1) * size];
        if is_used(place) {
            return Err(BesideError::Number { number: number + 1, planned: number });
        }
        fill(place, entry, &name);
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let mut all: Vec<(u32, Entry)> = self.partitions().collect();
        all.sort_by_key(|(_, one)| one.first);
        for (number, one) in &all {
            if one.first > one.last {
                return Err(format!("partition {number} ends before it begins"));
            }
            if one.last > self.last_usable() {
                return Err(format!("partition {number} ends at sector {}, beyond the end of the disk", one.last));
            }
            if one.first < self.first_usable() {
                return Err(format!("partition {number} begins at sector {}, in the partition table", one.first));
            }
        }
        match all.windows(2).find(|pair| pair[0].1.last >= pair[1].1.first) {
            Some(pair) => Err(format!("partitions {} and {} overlap", pair[0].0, pair[1].0)),
            None => Ok(()),
        }
    }

    /// Which copies were whole.
    pub fn copies(&self) -> Copies {
        self.copies
    }

    /// How many partitions it has room for.
    pub fn entries(&self) -> u32 {
        u32_at(&self.header, 80)
    }

    /// What identifies the disk.
    pub fn id(&self) -> Uuid {
        guid(&self.header[56..72])
    }

    /// The partitions by number, as the table has them.
    pub fn partitions(&self) -> impl Iterator<Item = (u32, Entry)> + '_ {
        (1..).zip(self.entries.chunks_exact(self.entry_size())).filter(|(_, e)| is_used(e)).map(|(number, e)| {
            let name: Vec<u16> = e[56..128].chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]])).collect();
            let name = name.split(|c| *c == 0).next().unwrap_or_default();
            let entry = Entry {
                kind: guid(&e[..16]),
                id: guid(&e[16..32]),
                first: u64_at(e, 32),
                last: u64_at(e, 40),
                attributes: u64_at(e, 48),
                name: String::from_utf16_lossy(name),
            };
            (number, entry)
        })
    }

    /// The bytes of an entry as they are in the table.
    pub fn bytes_of(&self, number: u32) -> Option<&[u8]> {
        let entry = self.entries.chunks_exact(self.entry_size()).nth(usize::try_from(number.checked_sub(1)?).ok()?)?;
        is_used(entry).then_some(entry)
    }

    /// The stretches that belong to no partition: first and last sector of each.
    pub fn free(&self) -> Vec<(u64, u64)> {
        let mut taken: Vec<(u64, u64)> = self.partitions().map(|(_, one)| (one.first, one.last)).collect();
        taken.sort_unstable();
        let mut free = Vec::new();
        let mut next = self.first_usable();
        for (first, last) in taken {
            if first > next {
                free.push((next, first - 1));
            }
            next = next.max(last + 1);
        }
        if next <= self.last_usable() {
            free.push((next, self.last_usable()));
        }
        free
    }

    /// Adds a partition under the lowest number that is free, which it gives.
    ///
    /// # Errors
    /// See [`BesideError`].
    pub fn add(&mut self, entry: &Entry) -> Result<u32, BesideError> {
        self.has_room(entry)?;
        let name = name_of(entry)?;
        let size = self.entry_size();
        let count = self.entries.len() / size;
        let number = (1..).zip(self.entries.chunks_exact_mut(size)).find(|(_, entry)| !is_used(entry));
        let Some((number, place)) = number else { return Err(BesideError::Full(count)) };
        fill(place, entry, &name);
        Ok(number)
    }

    /// That a partition would lie where nothing is.
    fn has_room(&self, entry: &Entry) -> Result<(), BesideError> {
        let (first, last) = (entry.first, entry.last);
        let (usable, end) = (self.first_usable(), self.last_usable());
        if first > last || first < usable || last > end {
            return Err(BesideError::Outside { first, last, usable, end });
        }
        match self.partitions().find(|(_, one)| one.first <= last && first <= one.last) {
            Some((other, _)) => Err(BesideError::Overlap { first, last, other }),
            None => Ok(()),
        }
    }

    /// Gives a partition another type, identifier, name and attributes; it stays where it is.
    ///
    /// # Errors
    /// See [`BesideError`].
    pub fn rename(&mut self, number: u32, entry: &Entry) -> Result<(), BesideError> {
        let there = self.partitions().find(|(n, _)| *n == number).map(|(_, one)| one);
        let there = there.ok_or(BesideError::Gone(number))?;
        let name = name_of(entry)?;
        let size = self.entry_size();
        let at = (number as usize - 1) * size;
        let place = Entry { first: there.first, last: there.last, ..entry.clone() };
        fill(&mut self.entries[at..at + size], &place, &name);
        Ok(())
    }

    /// Makes the table what a plan for this disk says.
    ///
    /// # Errors
    /// See [`BesideError`]; [`BesideError::Number`] when the table is not the one that was planned with.
    pub fn follow(&mut self, onto: &Onto) -> Result<(), BesideError> {
        onto.removed.iter().try_for_each(|number| self.remove(*number))?;
        for (planned, origin) in onto.plan.partitions.iter().zip(&onto.origins) {
            let entry = Entry {
                kind: planned.type_guid,
                id: planned.guid,
                first: planned.first_lba.0,
                last: planned.first_lba.0 + planned.sectors.0 - 1,
                attributes: super::attributes(planned),
                name: planned.label.clone(),
            };
            match origin {
                Origin::Keeps(number) => drop(self.bytes_of(*number).ok_or(BesideError::Gone(*number))?),
                Origin::Replaces(number) => self.rename(*number, &entry)?,
                Origin::New => {
                    let number = self.add(&entry)?;
                    if number != planned.number {
                        return Err(BesideError::Number { number, planned: planned.number });
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes a partition out of the table.
    ///
    /// # Errors
    /// When there is none of this number.
    pub fn remove(&mut self, number: u32) -> Result<(), BesideError> {
        self.bytes_of(number).ok_or(BesideError::Gone(number))?;
        let size = self.entry_size();
        let at = (number as usize - 1) * size;
        self.entries[at..at + size].fill(0);
        Ok(())
    }

    /// What is to be written: offsets in bytes, and bytes. Each group must be on the disk before the next is begun: while one copy
    /// is torn the other is whole.
    pub fn writes(&self) -> [Vec<(u64, Vec<u8>)>; 2] {
        let own = u64_at(&self.header, 24);
        let first_entries = if own == 1 { u64_at(&self.header, 72) } else { 2 };
        let at = |sector: u64| sector * self.sector;
        let last = vec![
            (at(self.last_entries), self.entries.clone()),
            (at(self.last), self.signed(self.last, 1, self.last_entries)),
        ];
        let mut first =
            vec![(at(1), self.signed(1, self.last, first_entries)), (at(first_entries), self.entries.clone())];
        if let Some(mbr) = self.protected() {
            first.insert(0, (0, mbr));
        }
        // The copy that counts now is written last.
        if self.copies == Copies::Last { [first, last] } else { [last, first] }
    }

    fn signed(&self, own: u64, other: u64, entries: u64) -> Vec<u8> {
        let mut header = self.header.clone();
        for (at, value) in [(24, own), (32, other), (48, self.last_usable()), (72, entries)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[88..92].copy_from_slice(&CRC.checksum(&self.entries).to_le_bytes());
        header[16..20].fill(0);
        let sum = CRC.checksum(&header[..u32_at(&self.header, 12) as usize]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    }

    /// The first sector, where it has to change: one that protects nothing gets an entry over the whole disk, and a size that is too
    /// small is mended. One with partitions of its own (a hybrid) is its owner's.
    fn protected(&self) -> Option<Vec<u8>> {
        let mut mbr = self.mbr.clone();
        let size = u32::try_from(self.last).unwrap_or(u32::MAX).to_le_bytes();
        let kinds = [0, 1, 2, 3].map(|n| mbr[MBR_ENTRIES + 16 * n + 4]);
        let whole = mbr[MBR_SIGNATURE..MBR_SIGNATURE + 2] == [0x55, 0xAA];
        match kinds {
            _ if !whole => {
                mbr[MBR_ENTRIES..MBR_SIGNATURE].fill(0);
                mbr[MBR_ENTRIES..MBR_ENTRIES + 12]
                    .copy_from_slice(&[0, 0, 2, 0, PROTECTIVE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0]);
                mbr[MBR_SIGNATURE..MBR_SIGNATURE + 2].copy_from_slice(&[0x55, 0xAA]);
            }
            [PROTECTIVE, 0, 0, 0] => {}
            [0, 0, 0, 0] => mbr[MBR_ENTRIES..MBR_ENTRIES + 12]
                .copy_from_slice(&[0, 0, 2, 0, PROTECTIVE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0]),
            _ => return None,
        }
        mbr[MBR_ENTRIES + 12..MBR_ENTRIES + 16].copy_from_slice(&size);
        (mbr != self.mbr).then_some(mbr)
    }

    fn entry_size(&self) -> usize {
        u32_at(&self.header, 84) as usize
    }

    /// The first sector that partitions may have. It stays where it is: what lies before it may be a boot loader's.
    pub fn first_usable(&self) -> u64 {
        u64_at(&self.header, 40)
    }

    /// The last sector that partitions may have: of a disk that has grown, of its size of today.
    pub fn last_usable(&self) -> u64 {
        self.last_usable
    }
}

/// A copy of the table whose checksums hold: the sector of its header, and its entries.
fn copy(disk: &dyn Source, at: u64, sector: u64) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut header = vec![0; usize::try_from(sector).ok()?];
    disk.read_at(at.checked_mul(sector)?, &mut header).ok()?;
    let length = u32_at(&header, 12) as usize;
    if &header[..8] != SIGNATURE || !(92..=header.len()).contains(&length) || u64_at(&header, 24) != at {
        return None;
    }
    let mut unsigned = header[..length].to_vec();
    unsigned[16..20].fill(0);
    let (count, size) = (u32_at(&header, 80) as usize, u32_at(&header, 84) as usize);
    if CRC.checksum(&unsigned) != u32_at(&header, 16) || !size.is_power_of_two() || !(128..=4096).contains(&size) {
        return None;
    }
    let total = count.checked_mul(size).filter(|_| (1..=MOST_ENTRIES).contains(&count))?;
    let mut entries = vec![0; total];
    disk.read_at(u64_at(&header, 72).checked_mul(sector)?, &mut entries).ok()?;
    (CRC.checksum(&entries) == u32_at(&header, 88)).then_some((header, entries))
}

/// A name as the table has it.
fn name_of(entry: &Entry) -> Result<Vec<u16>, BesideError> {
    let name: Vec<u16> = entry.name.encode_utf16().collect();
    if name.len() > LONGEST_NAME { Err(BesideError::Name(entry.name.clone())) } else { Ok(name) }
}

pub(crate) fn fill(place: &mut [u8], entry: &Entry, name: &[u16]) {
    place.fill(0);
    place[..16].copy_from_slice(&entry.kind.to_bytes_le());
    place[16..32].copy_from_slice(&entry.id.to_bytes_le());
    for (at, value) in [(32, entry.first), (40, entry.last), (48, entry.attributes)] {
        place[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    for (unit, place) in name.iter().zip(place[56..128].chunks_exact_mut(2)) {
        place.copy_from_slice(&unit.to_le_bytes());
    }
}

fn is_used(entry: &[u8]) -> bool {
    entry[..16].iter().any(|byte| *byte != 0)
}

fn guid(bytes: &[u8]) -> Uuid {
    Uuid::from_bytes_le(std::array::from_fn(|at| bytes[at]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}
