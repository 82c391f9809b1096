//! Partition tables: GPT with its copy and protective MBR, and MBR. Whatever is written, the code for a BIOS in the
//! disk's first 440 bytes stays.

pub mod beside;
mod gpt;
mod mbr;

use std::fmt;

use cairn_layout::{DiskPlan, PartUuid, PlannedPartition, SectorSize};
use cairn_machine::model::TableKind;
use uuid::Uuid;

use crate::error::DiskError;
use crate::source::Source;
use crate::target::Target;

/// The attribute that marks a partition whose file system grows with the disk (Discoverable Partitions Specification).
pub const GROW_FILE_SYSTEM: u64 = 1 << 59;

/// How many bytes at the beginning of a disk are code, in front of an MBR's signature and entries.
pub const BOOT_CODE: usize = 440;

/// Writes the partition table of a plan: an MBR, or a GPT with its copy and the protective MBR.
///
/// The first [`BOOT_CODE`] bytes of the disk, and what lies between an MBR and the first partition, stay as they are.
///
/// # Errors
/// [`DiskError::Full`] and [`DiskError::Write`]; [`DiskError::PartitionTable`] and [`DiskError::Mbr`] for a plan that no
/// table can hold.
pub fn write(plan: &DiskPlan, target: &dyn Target) -> Result<(), DiskError> {
    match plan.table {
        TableKind::Gpt => gpt::write(plan, target),
        TableKind::Mbr => mbr::write(plan, target),
    }
}

/// The attributes that a planned partition has in a GPT.
fn attributes(planned: &PlannedPartition) -> u64 {
    if planned.grow { GROW_FILE_SYSTEM } else { 0 }
}

/// The code for a BIOS that is on a disk.
fn boot_code(target: &dyn Target) -> Result<[u8; BOOT_CODE], DiskError> {
    let mut code = [0; BOOT_CODE];
    let failed = |source| DiskError::Read { path: target.name().into(), source };
    target.read_at(0, &mut code).map_err(failed)?;
    Ok(code)
}

/// A partition table that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Of which kind it is.
    pub kind: TableKind,
    /// What identifies the disk.
    pub id: DiskId,
    /// The size of a sector. An MBR does not tell; 512 bytes are assumed.
    pub sector_size: SectorSize,
    /// Whether only one of the table and its copy is whole.
    pub damaged: bool,
    /// The partitions by number.
    pub partitions: Vec<FoundPartition>,
}

impl Table {
    /// The place for GRUB's core image, as `(offset, length)` in bytes: the BIOS boot partition, or what lies between an MBR
    /// and the first partition. `None` where there is none.
    pub fn core_image_area(&self) -> Option<(u64, u64)> {
        match self.kind {
            TableKind::Gpt => {
                let bios_boot = self.partitions.iter().find(|p| p.kind.name() == Some("bios-boot"));
                bios_boot.map(|p| (p.offset, p.bytes))
            }
            TableKind::Mbr => {
                let first = self.partitions.iter().map(|p| p.offset).min()?;
                let begin = self.sector_size.bytes();
                Some((begin, first.checked_sub(begin)?))
            }
        }
    }
}

/// A partition that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPartition {
    /// Its number.
    pub number: u32,
    /// Its type.
    pub kind: PartitionType,
    /// What it is found by, as `PARTUUID=` names it.
    pub id: PartUuid,
    /// Its name; an MBR has none.
    pub label: String,
    /// Its attributes, such as [`GROW_FILE_SYSTEM`]; an MBR has none.
    pub attributes: u64,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
}

/// What identifies a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskId {
    /// A GPT's GUID.
    Guid(Uuid),
    /// An MBR's signature.
    Signature(u32),
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskId::Guid(guid) => guid.fmt(f),
            DiskId::Signature(signature) => write!(f, "{signature:08x}"),
        }
    }
}

/// The type of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionType {
    /// In a GPT.
    Gpt(Uuid),
    /// In an MBR.
    Mbr(u8),
}

impl PartitionType {
    /// The type's name, where it has one.
    pub fn name(self) -> Option<&'static str> {
        match self {
            PartitionType::Gpt(guid) => cairn_layout::type_name(guid),
            PartitionType::Mbr(byte) => cairn_layout::mbr_type_name(byte),
        }
    }
}

impl fmt::Display for PartitionType {
    /// The GUID, or the number in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionType::Gpt(guid) => guid.fmt(f),
            PartitionType::Mbr(byte) => write!(f, "{byte:02x}"),
        }
    }
}

/// Reads the partition table of a disk: a GPT, also by its copy at the end if the table itself is damaged, or an MBR.
/// Of an MBR only the four primary partitions are read.
///
/// # Errors
/// [`DiskError::BadPartitionTable`] when there is none, or none that is whole.
pub fn read(source: &dyn Source) -> Result<Table, DiskError> {
    let bad = |why: String| DiskError::BadPartitionTable { why };
    match gpt::read(source) {
        Ok(Some(table)) => Ok(table),
        Ok(None) => mbr::read(source).ok_or_else(|| bad("there is neither a GPT nor an MBR".to_string())),
        Err(why) => Err(bad(why)),
    }
}
