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
            if offset + 8 > target.len() || target.read_at(offset, &mut begin).is_err() || &begin != gpt::SIGNATURE {
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

    #[test]
    fn cylinders_heads_and_sectors_end_where_they_must() {
        assert_eq!(chs(0), CHS::new(0, 0, 1));
        assert_eq!(chs(2048), CHS::new(0, 32, 33));
        assert_eq!(chs(1023 * 255 * 63 + 62), CHS::new(1023, 0, 63));
        assert_eq!(chs(1024 * 255 * 63), CHS::new(1023, 254, 63));
        assert_eq!(chs(u64::MAX), CHS::new(1023, 254, 63));
    }
}
