//! MBR: four partitions in the disk's first sector, behind the code that a BIOS starts.

use std::io::Cursor;

use cairn_layout::{DiskPlan, PartUuid, PlannedPartition, SectorSize};
use cairn_machine::model::{PartitionKind, TableKind};
use mbrman::{BOOT_ACTIVE, BOOT_INACTIVE, CHS, MBRHeader, MBRPartitionEntry};

use super::{DiskId, FoundPartition, PartitionType, Table, boot_code, gpt};
use crate::error::DiskError;
use crate::source::Source;
use crate::target::Target;

const SECTOR: usize = 512;

pub(super) fn write(plan: &DiskPlan, target: &dyn Target) -> Result<(), DiskError> {
    let wrong = |source| DiskError::Mbr { source };
    let mut header = MBRHeader::new(plan.signature().to_le_bytes());
    header.bootstrap_code = boot_code(target)?;
    let active = active(plan).map(|partition| partition.number);
    for partition in &plan.partitions {
        let slot = usize::try_from(partition.number).ok().and_then(|number| header.get_mut(number));
        let (Some(slot), Some(entry)) = (slot, entry(partition, active == Some(partition.number))) else {
            return Err(wrong(mbrman::Error::NoSpaceLeft));
        };
        *slot = entry;
    }
    // The crate writes field by field, and a sector is to be written at once.
    let mut sector = [0; SECTOR];
    header.write_into(&mut Cursor::new(sector.as_mut_slice())).map_err(wrong)?;
    wipe_gpt(target)?;
    target.write_at(0, &sector).map_err(|error| DiskError::write(target.name(), 0, error))
}

/// The partition that is marked active: a BIOS need not know more than that there is one, and some refuse to boot a disk
/// without.
fn active(plan: &DiskPlan) -> Option<&PlannedPartition> {
    plan.find(PartitionKind::Xbootldr).or_else(|| plan.find(PartitionKind::Esp)).or_else(|| plan.partitions.first())
}

/// A partition's entry; `None` beyond what 32 bits can count.
fn entry(partition: &PlannedPartition, active: bool) -> Option<MBRPartitionEntry> {
    let starting_lba = u32::try_from(partition.first_lba.0).ok()?;
    let sectors = u32::try_from(partition.sectors.0).ok()?;
    let last = partition.first_lba.0 + partition.sectors.0.saturating_sub(1);
    u32::try_from(last).ok()?;
    Some(MBRPartitionEntry {
        boot: if active { BOOT_ACTIVE } else { BOOT_INACTIVE },
        first_chs: chs(partition.first_lba.0),
        sys: partition.mbr_type(),
        last_chs: chs(last),
        starting_lba,
        sectors,
    })
}

/// A sector in cylinders, heads and sectors, with the geometry that all tools assume; what is beyond them is their end.
fn chs(lba: u64) -> CHS {
    const HEADS: u64 = 255;
    const SECTORS: u64 = 63;
    let number = |n: u64| u8::try_from(n).unwrap_or(u8::MAX);
    match u16::try_from(lba / (HEADS * SECTORS)) {
        Ok(cylinder @ ..=1023) => CHS::new(cylinder, number(lba / SECTORS % HEADS), number(lba % SECTORS + 1)),
        _ => CHS::new(1023, 254, 63),
    }
}

/// Takes away what an older GPT has left: every program would believe it rather than the MBR. GRUB's core image may
/// be there already instead, and stays.
fn wipe_gpt(target: &dyn Target) -> Result<(), DiskError> {
    for sector in [512, 4096] {
        let last = (target.len() / sector).saturating_sub(1) * sector;
        for offset in [sector, last] {
            let mut begin = [0; 8];
            // Nothing can be read beyond the end of a small disk.
            if target.read_at(offset, &mut begin).is_err() || &begin != gpt::SIGNATURE {
                continue;
            }
            target.write_at(offset, &[0; 8]).map_err(|error| DiskError::write(target.name(), offset, error))?;
        }
    }
    Ok(())
}

/// Reads a table. `None` if there is none: also where the first sector is only signed like one, as that of a file
/// system is.
pub(super) fn read(source: &dyn Source) -> Option<Table> {
    let mut sector = [0; SECTOR];
    source.read_at(0, &mut sector).ok()?;
    let header = MBRHeader::read_from(&mut Cursor::new(sector.as_slice())).ok()?;
    let signature = u32::from_le_bytes(header.disk_signature);
    let mut partitions = Vec::new();
    for (number, entry) in (1..).zip(header.iter().map(|(_, entry)| entry)) {
        if entry.sys == 0 || entry.sectors == 0 || entry.starting_lba == 0 {
            continue;
        }
        // It protects a GPT, which is damaged then.
        if entry.sys == 0xEE {
            return None;
        }
        partitions.push(FoundPartition {
            number,
            kind: PartitionType::Mbr(entry.sys),
            id: PartUuid::Mbr { signature, number },
            label: String::new(),
            attributes: 0,
            offset: u64::from(entry.starting_lba) * SECTOR as u64,
            bytes: u64::from(entry.sectors) * SECTOR as u64,
        });
    }
    (!partitions.is_empty()).then_some(Table {
        kind: TableKind::Mbr,
        id: DiskId::Signature(signature),
        sector_size: SectorSize::B512,
        damaged: false,
        partitions,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::MemoryTarget;

    #[test]
    fn cylinders_heads_and_sectors_end_where_they_must() {
        assert_eq!(chs(0), CHS::new(0, 0, 1));
        assert_eq!(chs(2048), CHS::new(0, 32, 33));
        assert_eq!(chs(1023 * 255 * 63 + 62), CHS::new(1023, 0, 63));
        assert_eq!(chs(1024 * 255 * 63), CHS::new(1023, 254, 63));
        assert_eq!(chs(u64::MAX), CHS::new(1023, 254, 63));
    }

    /// A disk with these entries: type, first sector, sectors.
    fn disk(entries: &[(u8, u32, u32)]) -> MemoryTarget {
        let target = MemoryTarget::new(8192, 0);
        for (n, (kind, first, sectors)) in (0..).zip(entries) {
            target.write_at(446 + n * 16 + 4, &[*kind]).unwrap();
            target.write_at(446 + n * 16 + 8, &[first.to_le_bytes(), sectors.to_le_bytes()].concat()).unwrap();
        }
        target.write_at(510, &[0x55, 0xaa]).unwrap();
        target
    }

    #[test]
    fn what_is_empty_is_no_partition_and_keeps_its_number() {
        let table = read(&disk(&[(0, 1, 1), (0x83, 1, 0), (0x83, 0, 1), (0x0c, 3, 5)])).unwrap();
        let found: Vec<_> = table.partitions.iter().map(|p| (p.number, p.kind, p.offset, p.bytes)).collect();
        assert_eq!(found, [(4, PartitionType::Mbr(0x0c), 1536, 2560)]);
        assert_eq!(read(&disk(&[(0, 1, 1), (0x83, 1, 0), (0x83, 0, 1)])), None);
        assert_eq!(read(&disk(&[(0x83, 1, 1), (0xee, 1, 1)])), None, "it protects a GPT");
        assert_eq!(read(&MemoryTarget::new(8192, 0)), None);
    }

    #[test]
    fn the_partition_that_a_bios_looks_for_is_active() {
        use PartitionKind::{Esp, Root, Swap, Xbootldr};
        for (kinds, which) in
            [(&[Root, Xbootldr, Esp][..], 1), (&[Xbootldr, Root], 0), (&[Root, Swap, Esp], 2), (&[Swap, Root], 0)]
        {
            let mut plan = plan(kinds);
            plan.sectors = cairn_layout::Sectors(64);
            for (n, partition) in (0..).zip(&mut plan.partitions) {
                partition.first_lba = cairn_layout::Lba(2048 + n * 70_000);
                partition.sectors = cairn_layout::Sectors(70_000);
            }
            let target = MemoryTarget::new(32_768, 0);
            write(&plan, &target).unwrap();
            let bytes = target.into_bytes();
            let active: Vec<u8> = (0..4).map(|n| bytes[446 + n * 16]).collect();
            let wanted: Vec<u8> = (0..4).map(|n| if n == which { 0x80 } else { 0 }).collect();
            assert_eq!(active, wanted, "{kinds:?}");
            // Sector 2048 is cylinder 0, head 32, sector 33, and 72047 is cylinder 4, head 123, sector 39.
            assert_eq!((&bytes[447..450], &bytes[451..454]), (&[32, 33, 0][..], &[123, 39, 4][..]));
        }
    }

    fn plan(kinds: &[PartitionKind]) -> DiskPlan {
        use cairn_machine::model::{Disk, Partition};
        use cairn_machine::size::Size;
        let sized = |kind: &PartitionKind| Partition { size: Some(Size::from_mib(300)), ..Partition::of_kind(*kind) };
        let mut disk = Disk::of_partitions(kinds.iter().map(sized).collect());
        disk.table = Some(TableKind::Mbr);
        cairn_layout::plan(&disk, uuid::Uuid::from_u128(7), &cairn_layout::Needs::default(), None).unwrap()
    }

    #[test]
    fn what_32_bits_cannot_count_is_no_entry() {
        use cairn_layout::{Lba, Sectors};
        let of = |first, sectors| {
            let mut plan = plan(&[PartitionKind::Root]);
            (plan.partitions[0].first_lba, plan.partitions[0].sectors) = (Lba(first), Sectors(sectors));
            let target = MemoryTarget::new(512, 0);
            write(&plan, &target).map(|()| target.into_bytes()[454..462].to_vec())
        };
        let last = u64::from(u32::MAX);
        assert_eq!(of(last, 1).unwrap(), [255, 255, 255, 255, 1, 0, 0, 0]);
        assert_eq!(of(1, last).unwrap(), [1, 0, 0, 0, 255, 255, 255, 255]);
        for (first, sectors) in [(last, 2), (last + 1, 1), (1, last + 1), (2, last)] {
            assert!(matches!(of(first, sectors), Err(DiskError::Mbr { .. })), "{first} {sectors}");
        }
        let mut plan = plan(&[PartitionKind::Root]);
        plan.partitions[0].number = 5;
        assert!(matches!(write(&plan, &MemoryTarget::new(512, 0)), Err(DiskError::Mbr { .. })));
    }

    #[test]
    fn all_that_a_gpt_leaves_is_wiped_and_nothing_else() {
        // As long as makes the last sector of 512 bytes another than that of 4096.
        let len = 5 * 4096 + 512;
        for at in [512, 4096, 4 * 4096, 5 * 4096] {
            let target = MemoryTarget::new(len, 0x77);
            target.write_at(at, gpt::SIGNATURE).unwrap();
            wipe_gpt(&target).unwrap();
            let bytes = target.into_bytes();
            let at = usize::try_from(at).unwrap();
            assert!(bytes[at..at + 8].iter().all(|b| *b == 0), "{at}");
            assert!(bytes[..at].iter().chain(&bytes[at + 8..]).all(|b| *b == 0x77), "{at}");
        }
        // Disks that are shorter than what is looked for.
        for len in [0, 511, 512, 519, 520, 4100] {
            let target = MemoryTarget::new(len, 0x77);
            if len >= 520 {
                target.write_at(512, gpt::SIGNATURE).unwrap();
            }
            wipe_gpt(&target).unwrap();
            let zeros = target.into_bytes().iter().filter(|b| **b == 0).count();
            assert_eq!(zeros, if len >= 520 { 8 } else { 0 }, "{len}");
        }
    }
}
