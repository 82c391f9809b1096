//! Tests of growing a table, with the `gpt` crate as the independent reader.

use std::collections::BTreeMap;
use std::io::Cursor;

use super::*;

const MIB: u64 = 1 << 20;

/// A disk of `size` bytes: an ESP as partition 1, a marked root as partition 3 (2 is unused), and boot code.
fn disk(size: u64) -> Vec<u8> {
    let mut bytes = vec![0_u8; size as usize];
    let mbr = gpt::mbr::ProtectiveMBR::with_lb_size(u32::try_from(size / 512 - 1).unwrap());
    mbr.overwrite_lba0(&mut Cursor::new(&mut bytes)).unwrap();
    bytes[..4].copy_from_slice(b"BOOT");
    // The crate would give the root number 2, so the second entry is moved by hand.
    let config = gpt::GptConfig::new().writable(true);
    let mut table = config.create_from_device(Cursor::new(&mut bytes), None).unwrap();
    table.add_partition("esp", 2 * MIB, gpt::partition_types::EFI, 0, Some(2048)).unwrap();
    let kind = gpt::partition_types::LINUX_ROOT_X64;
    table.add_partition("root", size - 4 * MIB, kind, GROW_FILE_SYSTEM, Some(2048)).unwrap();
    table.write().unwrap();
    let last = size / 512 - 1;
    for (header, entries) in [(512, 1024), (last as usize * 512, (last as usize - 32) * 512)] {
        let entry: Vec<u8> = bytes[entries + 128..entries + 256].to_vec();
        bytes[entries + 128..entries + 256].fill(0);
        bytes[entries + 256..entries + 384].copy_from_slice(&entry);
        let sum = crc32(&bytes[entries..entries + 128 * 128]);
        bytes[header + 88..header + 92].copy_from_slice(&sum.to_le_bytes());
        bytes[header + 16..header + 20].fill(0);
        let sum = crc32(&bytes[header..header + 92]);
        bytes[header + 16..header + 20].copy_from_slice(&sum.to_le_bytes());
    }
    bytes
}

fn plan_with(bytes: &[u8], forced: Option<u32>) -> Option<(u32, Option<Edit>)> {
    let read = |buffer: &mut [u8], at: u64| {
        buffer.copy_from_slice(&bytes[at as usize..at as usize + buffer.len()]);
        Ok(())
    };
    plan(&read, bytes.len() as u64, 512, forced).unwrap()
}

fn plan_for(bytes: &[u8]) -> Option<(u32, Option<Edit>)> {
    plan_with(bytes, None)
}

fn apply(bytes: &mut [u8], writes: &[(u64, Vec<u8>)]) {
    for (at, new) in writes {
        bytes[*at as usize..*at as usize + new.len()].copy_from_slice(new);
    }
}

fn partitions(bytes: &[u8]) -> BTreeMap<u32, (u64, u64)> {
    let table = gpt::GptConfig::new().open_from_device(Cursor::new(bytes.to_vec())).unwrap();
    let used = table.partitions().iter().filter(|(_, p)| p.is_used());
    used.map(|(n, p)| (*n, (p.first_lba, p.last_lba))).collect()
}

#[test]
fn a_disk_that_has_not_grown_is_left_alone() {
    assert!(matches!(plan_for(&disk(16 * MIB)), Some((3, None))));
    let mut little = disk(16 * MIB);
    little.resize(20 * MIB as usize, 0);
    assert!(matches!(plan_for(&little), Some((3, None))), "too little to be worth a check of the file system");
    assert!(plan_for(&vec![0; MIB as usize]).is_none());
}

#[test]
fn a_disk_that_has_grown_gets_both_copies_and_the_last_partition_the_room() {
    let mut bytes = disk(16 * MIB);
    bytes.resize(64 * MIB as usize, 0);
    let (number, edit) = plan_for(&bytes).unwrap();
    let edit = edit.unwrap();
    assert_eq!(number, 3);
    edit.writes.iter().for_each(|group| apply(&mut bytes, group));
    let after = partitions(&bytes);
    assert_eq!(after.keys().copied().collect::<Vec<_>>(), [1, 3], "numbers stay");
    assert_eq!(after[&3].1, 63 * MIB / 512 - 1);
    assert_eq!(edit.length, after[&3].1 - after[&3].0 + 1);
    assert_eq!(&bytes[..4], b"BOOT");
    let strict = gpt::GptConfig::new().only_valid_headers(true).open_from_device(Cursor::new(bytes.clone()));
    assert!(strict.is_ok());
    assert!(matches!(plan_for(&bytes), Some((3, None))), "the second time there is nothing to do");
}

/// Power may fail after any sector, and inside a group in any order that the disk likes: here, in the order given and
/// in the reverse. The kernel reads the first copy, else (with `gpt` on its command line) the one at the end.
#[test]
fn a_power_cut_at_any_sector_leaves_a_whole_table_and_the_next_boot_finishes() {
    // Small ones: they are copied for every cut.
    let mut old = disk(6 * MIB);
    old.resize(16 * MIB as usize, 0);
    let edit = plan_for(&old).unwrap().1.unwrap();
    for reverse in [false, true] {
        let mut now = old.clone();
        let mut cuts = 0;
        for group in &edit.writes {
            let mut sectors: Vec<(u64, Vec<u8>)> = Vec::new();
            for (at, bytes) in group {
                sectors.extend((0..).zip(bytes.chunks(512)).map(|(i, c)| (at + i * 512, c.to_vec())));
            }
            if reverse {
                sectors.reverse();
            }
            for sector in sectors {
                apply(&mut now, &[sector]);
                cuts += 1;
                let (number, rest) = plan_for(&now).expect("a whole table");
                assert_eq!(number, 3);
                let mut end = now.clone();
                rest.iter().flat_map(|e| &e.writes).for_each(|group| apply(&mut end, group));
                assert_eq!(partitions(&end)[&3].1, 15 * MIB / 512 - 1);
                assert!(plan_for(&end).unwrap().1.is_none());
            }
        }
        assert!(cuts > 60);
    }
}

#[test]
fn a_partition_that_is_not_the_last_does_not_grow() {
    let mut bytes = disk(16 * MIB);
    bytes.resize(64 * MIB as usize, 0);
    assert!(matches!(plan_with(&bytes, Some(1)), Some((1, None))));
}

#[test]
fn without_a_gpt_only_the_partition_that_is_asked_for_grows() {
    let mut bytes = vec![0; 64 * MIB as usize];
    bytes[446 + 4] = 0x83;
    bytes[446 + 8..446 + 16].copy_from_slice(&[0, 8, 0, 0, 0, 64, 0, 0]);
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    assert!(plan_for(&bytes).is_none());
    let (number, edit) = plan_with(&bytes, Some(1)).unwrap();
    assert_eq!((number, edit.unwrap().length), (1, 63 * 2048));
}

#[test]
fn the_checksum_is_the_usual_one() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}

#[test]
fn a_table_of_any_contents_is_read_and_nothing_is_written_outside_of_the_disk() {
    let good = disk(64 * MIB);
    let mut grown = good.clone();
    grown.resize(96 * MIB as usize, 0);
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let odd = [0, 1, 2, 34, 127, 128, 0xff, 0xffff, u64::from(u32::MAX), 1 << 32, u64::MAX - 1, u64::MAX];
    let mut planned = 0;
    for _ in 0..400 {
        let mut bytes: Vec<u8> = grown[..34 * 512].to_vec();
        for _ in 0..=next() % 3 {
            let value = if next() % 2 == 0 { odd[next() as usize % odd.len()] } else { next() };
            let width = [1, 2, 4, 8][next() as usize % 4];
            // The first sector, the header, and the first entries.
            let at = (next() % (1024 + 4 * 128 - 8)) as usize;
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        // Whoever makes such a table makes its checksums too.
        let (count, size) = (u32_at(&bytes, 512 + 80) as usize, u32_at(&bytes, 512 + 84) as usize);
        if let Some(entries) = bytes.get(1024..1024_usize.saturating_add(count.saturating_mul(size))) {
            let sum = crc32(entries);
            bytes[600..604].copy_from_slice(&sum.to_le_bytes());
        }
        bytes[528..532].fill(0);
        let length = u32_at(&bytes, 524).clamp(92, 512) as usize;
        let sum = crc32(&bytes[512..512 + length]);
        bytes[528..532].copy_from_slice(&sum.to_le_bytes());
        let read = |buffer: &mut [u8], at: u64| {
            let all = usize::try_from(at).ok().and_then(|at| grown.get(at..at.checked_add(buffer.len())?));
            buffer.copy_from_slice(all.ok_or(io::ErrorKind::UnexpectedEof)?);
            let mine = usize::try_from(at).ok().and_then(|at| bytes.get(at..at.checked_add(buffer.len())?));
            if let Some(mine) = mine {
                buffer.copy_from_slice(mine);
            }
            Ok(())
        };
        for forced in [None, Some(3), Some(4000)] {
            let size = [grown.len() as u64, grown.len() as u64, 0, 512, 1024][next() as usize % 5];
            let Ok(Some((_, Some(edit)))) = plan(&read, size, 512, forced) else { continue };
            planned += 1;
            assert!(edit.length > 0 && (edit.first + edit.length) * 512 <= size, "{edit:?}");
            for (at, new) in edit.writes.iter().flatten() {
                assert!(at.checked_add(new.len() as u64).is_some_and(|end| end <= size), "{at} in {size}");
            }
        }
    }
    assert!(planned > 20, "{planned}");
}
