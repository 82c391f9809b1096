//! GPT: the partition table, its copy at the end of the disk, and the protective MBR.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use cairn_layout::{DiskPlan, PartUuid, SectorSize};
use cairn_machine::model::TableKind;
use gpt::disk::LogicalBlockSize;
use gpt::partition::Partition;
use gpt::{GptConfig, mbr::ProtectiveMBR, partition_types};

use super::{DiskId, FoundPartition, PartitionType, Table, boot_code};
use crate::error::DiskError;
use crate::source::{Region, Source};
use crate::target::Target;

/// What a table and its copy begin with.
pub(super) const SIGNATURE: &[u8; 8] = b"EFI PART";

pub(super) fn write(plan: &DiskPlan, target: &dyn Target) -> Result<(), DiskError> {
    let wrong = |source| DiskError::PartitionTable { source };
    let mut device = Device { target, at: 0, failed: None };
    // The MBR counts in 32 bits; a larger disk says "all ones".
    let covered = u32::try_from(plan.sectors.0.saturating_sub(1)).unwrap_or(u32::MAX);
    let mut mbr = ProtectiveMBR::with_lb_size(covered);
    mbr.set_bootcode(boot_code(target)?);
    let written = mbr
        .overwrite_lba0(&mut device)
        .map_err(|error| wrong(gpt::GptError::Io(io::Error::other(error))))
        .and_then(|_| {
            let config = GptConfig::new().writable(true).logical_block_size(block_size(plan.sector_size));
            let mut table = config.create_from_device(&mut device, Some(plan.disk_guid)).map_err(wrong)?;
            // The crate's own ways to add a partition draw a random GUID.
            table.update_partitions(partitions(plan)).map_err(wrong)?;
            table.write_inplace().map_err(wrong)
        });
    match device.failed {
        Some((offset, error)) => Err(DiskError::write(target.name(), offset, error)),
        None => written,
    }
}

fn partitions(plan: &DiskPlan) -> BTreeMap<u32, Partition> {
    let entry = |p: &cairn_layout::PlannedPartition| Partition {
        part_type_guid: partition_types::Type { guid: p.type_guid, os: partition_types::OperatingSystem::None },
        part_guid: p.guid,
        first_lba: p.first_lba.0,
        last_lba: p.first_lba.0 + p.sectors.0 - 1,
        flags: super::attributes(p),
        name: p.label.clone(),
    };
    plan.partitions.iter().map(|p| (p.number, entry(p))).collect()
}

fn block_size(sector: SectorSize) -> LogicalBlockSize {
    match sector {
        SectorSize::B512 => LogicalBlockSize::Lb512,
        SectorSize::B4096 => LogicalBlockSize::Lb4096,
    }
}

/// A target with a position, as the crate wants it. It keeps the first error of a write, which the crate would put
/// into words of its own.
#[derive(Debug)]
struct Device<'a> {
    target: &'a dyn Target,
    at: u64,
    failed: Option<(u64, io::Error)>,
}

impl Read for Device<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.target.len().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = buffer.len().min(left);
        self.target.read_at(self.at, &mut buffer[..count])?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Write for Device<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.target.write_at(self.at, bytes) {
            let kind = error.kind();
            self.failed.get_or_insert((self.at, error));
            return Err(kind.into());
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Device<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.target.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Reads a table, or its copy if the table is damaged. `None` if there is neither.
///
/// # Errors
/// Why a table that is there cannot be read.
pub(super) fn read(source: &dyn Source) -> Result<Option<Table>, String> {
    let mut problem = None;
    for sector_size in [SectorSize::B512, SectorSize::B4096] {
        match plausible(source, sector_size) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(why) => {
                problem = Some(why);
                continue;
            }
        }
        let device = Region::new(source, 0, source.len()).cursor();
        let disk = GptConfig::new()
            .logical_block_size(block_size(sector_size))
            .open_from_device(device)
            .map_err(|error| error.to_string())?;
        let mut partitions = Vec::new();
        for (&number, p) in disk.partitions() {
            let sectors = p.last_lba.checked_sub(p.first_lba).and_then(|n| n.checked_add(1));
            let offset = p.first_lba.checked_mul(sector_size.bytes());
            let bytes = sectors.and_then(|n| n.checked_mul(sector_size.bytes()));
            let (Some(offset), Some(bytes)) = (offset, bytes) else {
                return Err(format!("partition {number} ends before it begins"));
            };
            partitions.push(FoundPartition {
                number,
                kind: PartitionType::Gpt(p.part_type_guid.guid),
                id: PartUuid::Guid(p.part_guid),
                label: p.name.clone(),
                attributes: p.flags,
                offset,
                bytes,
            });
        }
        let damaged = disk.primary_header().is_err() || disk.backup_header().is_err();
        let id = DiskId::Guid(*disk.guid());
        return Ok(Some(Table { kind: TableKind::Gpt, id, sector_size, damaged, partitions }));
    }
    problem.map_or(Ok(None), Err)
}

/// Whether there is a table or its copy; an error when it has a shape on which the crate would panic or read without
/// end.
fn plausible(source: &dyn Source, sector_size: SectorSize) -> Result<bool, String> {
    let sector = sector_size.bytes();
    let mut found = false;
    for offset in [sector, source.len().saturating_sub(sector) / sector * sector] {
        let mut header = [0; 92];
        if source.read_at(offset, &mut header).is_err() || !header.starts_with(SIGNATURE) {
            continue;
        }
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (entries, entry_size) = (number(80), number(84));
        if entry_size != 128 || entries > 4096 {
            return Err(format!("it has {entries} entries of {entry_size} bytes, which no tool makes"));
        }
        found = true;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::MemoryTarget;

    #[test]
    fn a_device_has_a_position() {
        let target = MemoryTarget::new(1000, 0);
        let mut device = Device { target: &target, at: 0, failed: None };
        assert_eq!(device.seek(SeekFrom::End(-10)).unwrap(), 990);
        device.write_all(b"ab").unwrap();
        device.write_all(b"cd").unwrap();
        assert_eq!(device.seek(SeekFrom::Current(-3)).unwrap(), 991);
        let mut found = [0; 4];
        assert_eq!((device.read(&mut found[..1]).unwrap(), device.read(&mut found[1..]).unwrap()), (1, 3));
        assert_eq!((&found, device.at), (b"bcd\0", 995));
        assert_eq!((device.read(&mut [0; 9]).unwrap(), device.read(&mut [0; 9]).unwrap()), (5, 0));
        assert!(device.seek(SeekFrom::Current(-1001)).is_err());
        device.flush().unwrap();
        // The first failure stays.
        assert!(device.write(&[1]).is_err());
        device.seek(SeekFrom::Start(2000)).unwrap();
        assert!(device.write(&[1]).is_err());
        assert_eq!(device.failed.unwrap().0, 1000);
    }

    #[test]
    fn a_header_is_looked_at_before_it_is_believed() {
        let of = |entries: u32, size: u32| {
            let target = MemoryTarget::new(1 << 20, 0);
            let mut header = [0; 92];
            header[..8].copy_from_slice(SIGNATURE);
            header[80..84].copy_from_slice(&entries.to_le_bytes());
            header[84..88].copy_from_slice(&size.to_le_bytes());
            target.write_at(512, &header).unwrap();
            plausible(&target, SectorSize::B512)
        };
        assert_eq!((of(128, 128), of(4096, 128)), (Ok(true), Ok(true)));
        let refused = |entries: u32, size: u32| {
            let why = format!("it has {entries} entries of {size} bytes, which no tool makes");
            assert_eq!(of(entries, size), Err(why));
        };
        refused(4097, 128);
        refused(128, 256);
        refused(0x0102_0304, 0x0506_0708);
        assert_eq!(plausible(&MemoryTarget::new(1 << 20, 0), SectorSize::B512), Ok(false));
    }
}
