//! An MBR on a disk that has grown: what to write so that its last partition reaches to the new end. Only reads.
//!
//! An MBR has no room for a mark on the partition that grows: only the one that the kernel's command line asks for does
//! (`cairn.grow`: the root). The whole table is in the disk's first sector, so one write changes it or does not.

use super::table::{ALIGNMENT, Edit, WORTH_GROWING, u32_at};

/// The numbers of sectors have 32 bits.
const REACH: u64 = 1 << 32;
/// Where the four entries begin.
const ENTRIES: usize = 446;
/// Types of partitions that hold others: growing one is more than changing its entry.
const EXTENDED: [u8; 3] = [0x05, 0x0F, 0x85];
/// The one partition of an MBR that only protects a GPT.
const PROTECTIVE: u8 = 0xEE;

/// What to write so that partition `number` reaches to the end of a disk of `size` bytes; `None` if there is nothing to
/// gain, or this is not an MBR with such a partition as its last.
pub fn grown(first_sector: &[u8], number: u32, size: u64, sector: u64) -> Option<Edit> {
    if first_sector[510..512] != [0x55, 0xAA] {
        return None;
    }
    let at = |number: u32| ENTRIES + 16 * (number as usize - 1);
    let used: Vec<Entry> =
        (1..=4).map(|n| Entry::read(&first_sector[at(n)..at(n) + 16])).filter(Entry::is_used).collect();
    if !(1..=4).contains(&number) || used.iter().any(|entry| entry.kind == PROTECTIVE) {
        return None;
    }
    let at = at(number);
    let entry = Entry::read(&first_sector[at..at + 16]);
    let last = used.iter().all(|other| other.first <= entry.first);
    if !entry.is_used() || EXTENDED.contains(&entry.kind) || !last {
        return None;
    }
    let align = (ALIGNMENT / sector).max(1);
    let end = (size / sector).min(REACH) / align * align;
    let (old, new) = (entry.length, end.checked_sub(entry.first)?);
    if new.saturating_sub(old).saturating_mul(sector) < WORTH_GROWING {
        return None;
    }
    let mut bytes = first_sector.to_vec();
    bytes[at + 5..at + 8].copy_from_slice(&chs(end - 1));
    bytes[at + 12..at + 16].copy_from_slice(&u32::try_from(new).ok()?.to_le_bytes());
    Some(Edit { writes: [vec![(0, bytes)], Vec::new()], first: entry.first, length: new })
}

struct Entry {
    kind: u8,
    first: u64,
    length: u64,
}

impl Entry {
    fn read(bytes: &[u8]) -> Entry {
        Entry { kind: bytes[4], first: u32_at(bytes, 8).into(), length: u32_at(bytes, 12).into() }
    }

    fn is_used(&self) -> bool {
        self.kind != 0 && self.length != 0
    }
}

/// A sector in cylinders, heads and sectors, as all tools count them; what is beyond them is their end.
fn chs(lba: u64) -> [u8; 3] {
    let cylinder = lba / (255 * 63);
    if cylinder > 1023 {
        return [0xFE, 0xFF, 0xFF];
    }
    let (head, sector) = (lba / 63 % 255, lba % 63 + 1);
    [head as u8, sector as u8 | (cylinder >> 2) as u8 & 0xC0, cylinder as u8]
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};

    use super::*;

    const MIB: u64 = 1 << 20;

    fn entry(kind: u8, first: u32, sectors: u32, boot: u8) -> MBRPartitionEntry {
        let chs = CHS::empty();
        MBRPartitionEntry { boot, first_chs: chs, sys: kind, last_chs: chs, starting_lba: first, sectors }
    }

    /// FAT at 1 MiB, and a root of 12 MiB behind it.
    fn header() -> MBRHeader {
        let mut header = MBRHeader::new([1, 2, 3, 4]);
        header.bootstrap_code = [7; 440];
        header[1] = entry(0x0C, 2048, 4096, BOOT_ACTIVE);
        header[2] = entry(0x83, 6144, 24576, BOOT_INACTIVE);
        header
    }

    fn sector(header: &MBRHeader) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        header.write_into(&mut Cursor::new(&mut bytes)).unwrap();
        bytes
    }

    #[test]
    fn the_last_partition_gets_the_room_in_one_write_and_all_else_stays() {
        let old = sector(&header());
        let edit = grown(&old, 2, 64 * MIB + 5 * 512, 512).unwrap();
        assert_eq!((edit.first, edit.length), (6144, 64 * 2048 - 6144));
        let [first, second] = edit.writes;
        assert!(second.is_empty());
        let [(0, bytes)] = first.as_slice() else { panic!("{first:?}") };
        let new = MBRHeader::read_from(&mut Cursor::new(bytes)).unwrap();
        let mut wanted = header();
        wanted[2].sectors = 64 * 2048 - 6144;
        wanted[2].last_chs = CHS::new(8, 40, 32);
        assert_eq!(new, wanted);
        assert!(grown(bytes, 2, 64 * MIB + 5 * 512, 512).is_none(), "the second time there is nothing to do");
    }

    #[test]
    fn it_grows_as_far_as_32_bits_reach() {
        let old = sector(&header());
        for tib in [2, 5] {
            let edit = grown(&old, 2, tib << 40, 512).unwrap();
            assert_eq!(edit.first + edit.length, 1 << 32);
            assert_eq!(edit.writes[0][0].1[ENTRIES + 21..ENTRIES + 24], [0xFE, 0xFF, 0xFF]);
        }
    }

    #[test]
    fn what_cannot_grow_is_left_alone() {
        let old = sector(&header());
        let big = 64 * MIB;
        assert!(grown(&old, 2, 15 * MIB, 512).is_none(), "the disk has its old size");
        assert!(grown(&old, 2, 20 * MIB, 512).is_none(), "too little to be worth a check of the file system");
        assert!(grown(&old, 2, 2 * MIB, 512).is_none(), "the disk has become smaller");
        assert!(grown(&old, 1, big, 512).is_none(), "not the last");
        assert!(grown(&old, 3, big, 512).is_none(), "not there");
        assert!(grown(&old, 5, big, 512).is_none(), "a logical one");
        assert!(grown(&[0; 512], 1, big, 512).is_none());
        for kind in [0x05, 0x0F, 0xEE] {
            let mut other = header();
            other[2].sys = kind;
            assert!(grown(&sector(&other), 2, big, 512).is_none(), "{kind:x}");
        }
    }
}
