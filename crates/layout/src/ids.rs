//! Identifiers: all of them follow from the seed, so the same machine made twice is the same machine.

use cairn_machine::model::{Disk, FileSystem, NamedLayout, Partition, PartitionKind};
use uuid::Uuid;

use crate::error::PlanError;
use crate::kinds;
use crate::plan::{FsPlan, FsUuid};

/// The seed of one disk of a machine: two disks of a machine must not share their GUIDs.
pub fn disk_seed(machine_seed: Uuid, disk_name: &str) -> Uuid {
    derive(machine_seed, &format!("disk/{disk_name}"))
}

/// What identifies one partition. Known before any size is: a kernel command line names the root by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionIds {
    /// What the partition is for.
    pub kind: PartitionKind,
    /// Its GUID in the partition table.
    pub guid: Uuid,
    /// Its name in the partition table.
    pub label: String,
    /// The file system, with its identifier and label.
    pub fs: Option<FsPlan>,
    /// Where it is mounted.
    pub mount_point: Option<String>,
}

/// The identifiers of a disk's partitions, in their order, without their sizes. `seed` is the disk's ([`disk_seed`]).
///
/// # Errors
/// When the disk has both or none of `layout` and `partitions`, or a label is too long.
pub fn identifiers(disk: &Disk, seed: Uuid) -> Result<Vec<PartitionIds>, PlanError> {
    let partitions = partitions(disk)?;
    let with_xbootldr = partitions.iter().any(|p| p.kind == PartitionKind::Xbootldr);
    let mut ids = Vec::with_capacity(partitions.len());
    for (index, partition) in partitions.iter().enumerate() {
        let ordinal = partitions[..index].iter().filter(|p| p.kind == partition.kind).count();
        ids.push(of(partition, index, ordinal, with_xbootldr, seed)?);
    }
    Ok(ids)
}

fn of(
    partition: &Partition,
    index: usize,
    ordinal: usize,
    with_xbootldr: bool,
    seed: Uuid,
) -> Result<PartitionIds, PlanError> {
    let kind = partition.kind.name();
    // Counted among its own kind: a swap partition put in front does not rename the root.
    let name = format!("partition/{kind}/{ordinal}");
    let label = partition.label.clone().unwrap_or_else(|| kind.to_string());
    let units = label.encode_utf16().count();
    if units > 36 {
        let pointer = format!("/partitions/{index}/label");
        return Err(PlanError::LabelTooLong { what: kind.to_string(), pointer, units });
    }
    let fs = partition.format.or(kinds::default_format(partition.kind)).map(|format| {
        let uuid = derive(seed, &format!("{name}/file-system"));
        match format {
            FileSystem::Vfat => {
                FsPlan { format, uuid: FsUuid::VolumeId(volume_id(uuid)), label: fat_label(&label, kind) }
            }
            FileSystem::Ext4 | FileSystem::Swap => {
                // 16 bytes is all that the superblock has room for.
                let label = if label.len() <= 16 { label.clone() } else { kind.to_string() };
                FsPlan { format, uuid: FsUuid::Uuid(uuid), label }
            }
        }
    });
    Ok(PartitionIds {
        kind: partition.kind,
        guid: derive(seed, &name),
        label,
        fs,
        mount_point: kinds::mount_point(partition, with_xbootldr),
    })
}

/// A named layout is a list of partitions with a name.
pub(crate) fn partitions(disk: &Disk) -> Result<Vec<Partition>, PlanError> {
    let partition = |kind| Partition {
        kind,
        label: None,
        size: None,
        size_min: None,
        size_max: None,
        weight: None,
        format: None,
        mount_point: None,
        grow: None,
    };
    match (disk.layout, disk.partitions.is_empty()) {
        (Some(_), false) => Err(PlanError::LayoutAndPartitions),
        (None, true) => Err(PlanError::Empty),
        (None, false) => Ok(disk.partitions.clone()),
        (Some(NamedLayout::Uefi), true) => Ok(vec![partition(PartitionKind::Esp), partition(PartitionKind::Root)]),
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
