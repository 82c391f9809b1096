//! A plan and its contents, written to a target: the one path for images and, behind the same trait, for disks.

use std::collections::BTreeMap;

use cairn_layout::{DiskPlan, Volume};
use cairn_process::Report;

use crate::error::DiskError;
use crate::fat::FatContents;
use crate::format::Destination;
use crate::partition_table;
use crate::target::Target;
use crate::tree::Tree;

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
        // From the outside in; a file system is the innermost.
        match &partition.volume {
            Some(Volume::FileSystem(fs)) => {
                let at = partition.mount_point.as_deref().unwrap_or_default();
                let place = Destination {
                    target,
                    offset: plan.offset_of(partition),
                    bytes: plan.bytes_of(partition),
                    sector_size: plan.sector_size,
                    epoch,
                    threads,
                    phase: &format!("writing {}", partition.label),
                };
                crate::format::format(fs.format, contents, at).write(&place, fs, report)?;
            }
            None => {}
        }
    }
    partition_table::write(plan, target)
}
