//! Identifiers: all of them follow from the seed, so the same machine made twice is the same machine.

use std::borrow::Cow;
use std::fmt;

use cairn_machine::model::{Disk, Partition, PartitionKind, TableKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::PlanError;
use crate::format_rules::{FormatRules, IdKind};
use crate::volume::{FsPlan, FsUuid, Volume};

/// The seed of one disk of a machine: two disks of a machine must not share their GUIDs.
pub fn disk_seed(machine_seed: Uuid, disk_name: &str) -> Uuid {
    derive(machine_seed, &format!("disk/{disk_name}"))
}

/// What a partition is found by in its table, as `PARTUUID=` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartUuid {
    /// Its GUID, in a GPT.
    Guid(Uuid),
    /// The disk's signature and the partition's number, in an MBR.
    Mbr {
        /// The disk's signature.
        signature: u32,
        /// The partition's number, from 1 on.
        number: u32,
    },
}

impl PartUuid {
    /// A partition's name in a table of a kind, on a disk with this GUID.
    pub(crate) fn new(table: TableKind, disk_guid: Uuid, guid: Uuid, number: u32) -> PartUuid {
        match table {
            TableKind::Gpt => PartUuid::Guid(guid),
            TableKind::Mbr => PartUuid::Mbr { signature: signature(disk_guid), number },
        }
    }
}

impl fmt::Display for PartUuid {
    /// As the kernel, blkid and `/dev/disk/by-partuuid` have it: `1a2b3c4d-02` for an MBR.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartUuid::Guid(guid) => guid.fmt(f),
            PartUuid::Mbr { signature, number } => write!(f, "{signature:08x}-{number:02x}"),
        }
    }
}

/// The GUID of a disk, from the disk's seed.
pub(crate) fn disk_guid(seed: Uuid) -> Uuid {
    derive(seed, "partition-table")
}

/// The signature that a disk with an MBR has in place of a GUID. 0 means "none" to Windows and to the kernel.
pub(crate) fn signature(disk_guid: Uuid) -> u32 {
    volume_id(disk_guid).max(1)
}

/// What identifies one partition. Known before any size is: a kernel command line names the root by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionIds {
    /// What the partition is for.
    pub kind: PartitionKind,
    /// Its GUID. A GPT has it; in an MBR there is no room for it.
    pub guid: Uuid,
    /// What it is found by in its table, of whatever kind that is: `PARTUUID=` with this behind it.
    pub part_uuid: PartUuid,
    /// Its name in the partition table.
    pub label: String,
    /// What is in it, with identifiers and labels.
    pub volume: Option<Volume>,
    /// Where it is mounted.
    pub mount_point: Option<String>,
    /// Whether it was there before the machine, which uses it as it is.
    pub was_there: bool,
}

impl PartitionIds {
    /// The file system in it, whatever that is in.
    pub fn fs(&self) -> Option<&FsPlan> {
        self.volume.as_ref().map(Volume::fs)
    }
}

/// The identifiers of a disk's partitions, in their order, without their sizes. `seed` is the disk's ([`disk_seed`]).
///
/// # Errors
/// When the disk has both or none of `layout` and `partitions`, or a label is too long.
pub fn identifiers(disk: &Disk, seed: Uuid) -> Result<Vec<PartitionIds>, PlanError> {
    let partitions = partitions(disk)?;
    let mut ids = Vec::with_capacity(partitions.len());
    for (index, partition) in partitions.iter().enumerate() {
        let ordinal = partitions[..index].iter().filter(|p| p.kind == partition.kind).count();
        ids.push(of(disk, partition, index, ordinal, seed)?);
    }
    Ok(ids)
}

fn of(disk: &Disk, partition: &Partition, index: usize, ordinal: usize, seed: Uuid) -> Result<PartitionIds, PlanError> {
    let kind = partition.kind.name();
    // Counted among its own kind: a swap partition put in front does not rename the root.
    let name = format!("partition/{kind}/{ordinal}");
    let default = if disk.is_mirror(index) { "esp-mirror" } else { kind };
    let label = partition.label.clone().unwrap_or_else(|| default.to_string());
    let units = label.encode_utf16().count();
    if units > 36 {
        let pointer = format!("/partitions/{index}/label");
        return Err(PlanError::LabelTooLong { what: kind.to_string(), pointer, units });
    }
    let volume = partition.file_system().map(|format| {
        let uuid = derive(seed, &format!("{name}/file-system"));
        let rules = FormatRules::of(format);
        Volume::FileSystem(match rules.id {
            IdKind::VolumeId => {
                FsPlan { format, uuid: FsUuid::VolumeId(volume_id(uuid)), label: fat_label(&label, kind) }
            }
            IdKind::Uuid => {
                let label = if label.len() <= rules.longest_label { label.clone() } else { kind.to_string() };
                FsPlan { format, uuid: FsUuid::Uuid(uuid), label }
            }
        })
    });
    let guid = partition.id.unwrap_or_else(|| derive(seed, &name));
    let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
    Ok(PartitionIds {
        kind: partition.kind,
        guid,
        part_uuid: PartUuid::new(disk.table(), disk_guid(seed), guid, number),
        label,
        volume,
        mount_point: disk.mount_point(index),
        was_there: partition.id.is_some(),
    })
}

/// The partitions of a disk; a named layout is a list of partitions with a name.
pub(crate) fn partitions(disk: &Disk) -> Result<Cow<'_, [Partition]>, PlanError> {
    match (disk.layout, disk.partitions.is_empty()) {
        (Some(_), false) => Err(PlanError::LayoutAndPartitions),
        (None, true) => Err(PlanError::Empty),
        _ => Ok(disk.all_partitions()),
    }
}

pub(crate) fn derive(seed: Uuid, name: &str) -> Uuid {
    Uuid::new_v5(&seed, name.as_bytes())
}

fn volume_id(uuid: Uuid) -> u32 {
    let [a, b, c, d, ..] = *uuid.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// FAT takes 11 characters of a small set, in capitals.
fn fat_label(label: &str, fallback: &str) -> String {
    let fits =
        !label.is_empty() && label.len() <= 11 && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if fits { label } else { fallback }.to_ascii_uppercase()
}
