//! A plan and its contents, written to a target: the one path for images and, behind the same trait, for disks.

use std::collections::BTreeMap;

use cairn_layout::{DiskPlan, FsPlan, PlannedPartition};
use cairn_machine::model::FileSystem;
use cairn_process::Report;
use uuid::Uuid;

use crate::error::DiskError;
use crate::ext4::{Ext4Options, Ext4Plan, Ext4Size};
use crate::fat::{self, FatContents, FatOptions};
use crate::target::Target;
use crate::tree::Tree;
use crate::{partition_table, swap};

/// What goes into the partitions, by mount point. A partition that is not named gets an empty file system.
#[derive(Clone, Default)]
pub struct Contents<'a> {
    /// What goes onto FAT partitions.
    pub files: BTreeMap<String, &'a dyn FatContents>,
    /// Trees for ext4 partitions.
    pub trees: BTreeMap<String, &'a Tree>,
}

impl std::fmt::Debug for Contents<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").field("files", &self.files.keys()).field("trees", &self.trees.keys()).finish()
    }
}

/// Writes a whole disk. The partition table comes last: a disk that was not finished does not look as if it were.
///
/// `epoch` is the time of everything that has none of its own. `threads` copy the files.
///
/// # Errors
/// See [`DiskError`]. The target then holds something unfinished.
pub fn apply(
    plan: &DiskPlan,
    contents: &Contents<'_>,
    epoch: i64,
    target: &dyn Target,
    threads: usize,
    report: &dyn Report,
) -> Result<(), DiskError> {
    if target.len() < plan.bytes() {
        return Err(DiskError::TooSmall { what: "the target", size: target.len(), needed: plan.bytes() });
    }
    for partition in &plan.partitions {
        if let Some(fs) = &partition.fs {
            let at = partition.mount_point.as_deref().unwrap_or_default();
            file_system(plan, partition, fs, (contents, at), epoch, (target, threads, report))?;
        }
    }
    partition_table::write(plan, target)
}

fn file_system(
    plan: &DiskPlan,
    partition: &PlannedPartition,
    fs: &FsPlan,
    (contents, at): (&Contents<'_>, &str),
    epoch: i64,
    (target, threads, report): (&dyn Target, usize, &dyn Report),
) -> Result<(), DiskError> {
    let (offset, bytes) = (plan.offset_of(partition), plan.bytes_of(partition));
    let phase = format!("writing {}", partition.label);
    match fs.format {
        FileSystem::Vfat => {
            report.phase(&phase, None);
            let options = FatOptions {
                volume_id: fs.uuid.volume_id().unwrap_or_default(),
                label: fs.label.clone(),
                epoch,
                sector_size: plan.sector_size,
            };
            let nothing: [fat::FatFile; 0] = [];
            let files = contents.files.get(at).copied().unwrap_or(&nothing);
            fat::fill(target, offset, bytes, files, &options)
        }
        FileSystem::Ext4 => {
            let empty = Tree::new();
            let tree = contents.trees.get(at).copied().unwrap_or(&empty);
            let options = Ext4Options { uuid: uuid(fs), label: fs.label.clone(), epoch, size: Ext4Size::Fixed(bytes) };
            let ext4 = Ext4Plan::new(tree, &options)?;
            report.phase(&phase, Some(ext4.data_bytes()));
            ext4.write(target, offset, threads, report)
        }
        FileSystem::Swap => {
            report.phase(&phase, None);
            swap::write(target, offset, bytes, uuid(fs), &fs.label)
        }
    }
}

fn uuid(fs: &FsPlan) -> Uuid {
    // The planner gives every file system but FAT a UUID.
    fs.uuid.uuid().unwrap_or_default()
}
