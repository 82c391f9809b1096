//! The plan as a value: everything that is decided about a disk before anything on it is touched.

use cairn_machine::model::{PartitionKind, TableKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{self, PartUuid};
use crate::kinds;
use crate::units::{Lba, SectorSize, Sectors};
use crate::volume::{FsPlan, Volume};

/// A whole disk. Displayed, it draws itself as a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskPlan {
    /// The kind of partition table.
    #[serde(default)]
    pub table: TableKind,
    /// The disk's GUID: a GPT's own; an MBR's signature follows from it ([`DiskPlan::signature`]).
    pub disk_guid: Uuid,
    /// The size of a sector.
    pub sector_size: SectorSize,
    /// The size of the disk.
    pub sectors: Sectors,
    /// The partitions in their order on the disk; none overlaps another.
    pub partitions: Vec<PlannedPartition>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPartition {
    /// Its number in the partition table, from 1 on.
    pub number: u32,
    /// What it is for.
    pub kind: PartitionKind,
    /// Its type (Discoverable Partitions Specification).
    pub type_guid: Uuid,
    /// Its own GUID, in a GPT. What names it in either kind of table is [`DiskPlan::part_uuid`].
    pub guid: Uuid,
    /// Its name in the partition table, in a GPT.
    pub label: String,
    /// Where it begins.
    pub first_lba: Lba,
    /// How long it is.
    pub sectors: Sectors,
    /// What is in it.
    pub volume: Option<Volume>,
    /// Where it is mounted.
    pub mount_point: Option<String>,
    /// Whether it grows to the end of the disk when the machine boots.
    pub grow: bool,
}

impl DiskPlan {
    /// The size of the disk in bytes.
    pub fn bytes(&self) -> u64 {
        self.sectors.bytes(self.sector_size)
    }

    /// Where a partition begins, in bytes.
    pub fn offset_of(&self, partition: &PlannedPartition) -> u64 {
        partition.first_lba.offset(self.sector_size)
    }

    /// How large a partition is, in bytes.
    pub fn bytes_of(&self, partition: &PlannedPartition) -> u64 {
        partition.sectors.bytes(self.sector_size)
    }

    /// The signature of a disk with an MBR: four bytes at 0x1b8.
    pub fn signature(&self) -> u32 {
        ids::signature(self.disk_guid)
    }

    /// What a partition is found by in the table, as `PARTUUID=` names it.
    pub fn part_uuid(&self, partition: &PlannedPartition) -> PartUuid {
        PartUuid::new(self.table, self.disk_guid, partition.guid, partition.number)
    }

    /// Where GRUB's core image goes for a BIOS to start it: offset and length in bytes. The BIOS boot partition of a
    /// GPT; what lies between an MBR and the first partition. `None` where BIOS cannot start anything.
    pub fn core_image_area(&self) -> Option<(u64, u64)> {
        match self.table {
            TableKind::Gpt => self.find(PartitionKind::BiosBoot).map(|p| (self.offset_of(p), self.bytes_of(p))),
            TableKind::Mbr => {
                let first = self.partitions.iter().map(|p| self.offset_of(p)).min()?;
                let begin = self.sector_size.bytes();
                Some((begin, first.saturating_sub(begin)))
            }
        }
    }

    /// The first partition of a kind.
    pub fn find(&self, kind: PartitionKind) -> Option<&PlannedPartition> {
        self.partitions.iter().find(|p| p.kind == kind)
    }
}

impl PlannedPartition {
    /// The file system in it, whatever that is in.
    pub fn fs(&self) -> Option<&FsPlan> {
        self.volume.as_ref().map(Volume::fs)
    }

    /// Its type in an MBR.
    pub fn mbr_type(&self) -> u8 {
        kinds::mbr_type(self.kind, self.fs().map(|fs| fs.format))
    }
}
