//! A plan and its contents, written to a target: the one path for images and, behind the same trait, for disks.

use std::collections::BTreeMap;

use cairn_layout::{DiskPlan, FsPlan, PlannedPartition, Volume};
use cairn_process::{Quiet, Report};

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
/// See [`file_systems`].
pub fn apply(
    plan: &DiskPlan,
    contents: &Contents<'_>,
    epoch: i64,
    target: &dyn Target,
    threads: usize,
    report: &dyn Report,
) -> Result<(), DiskError> {
    file_systems(plan, contents, epoch, Fill::Partition, target, threads, report)?;
    partition_table::write(plan, target)
}

/// How large the file systems are that could be smaller than their partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// As large as their partitions.
    Partition,
    /// As large as their contents need, and somewhat larger: on a real disk, where each byte of an inode table has to be written, they
    /// grow when they are on it.
    Contents,
}

/// Writes the file systems of a plan's partitions, and nothing else.
///
/// While trees are planned and copied, a thread of its own writes the other file systems, unless there is to be one thread only: the
/// bytes are the same.
///
/// # Errors
/// See [`DiskError`]: the one of the first partition that failed. The target then holds something unfinished.
pub fn file_systems(
    plan: &DiskPlan,
    contents: &Contents<'_>,
    epoch: i64,
    fill: Fill,
    target: &dyn Target,
    threads: usize,
    report: &dyn Report,
) -> Result<(), DiskError> {
    if target.len() < plan.bytes() {
        return Err(DiskError::TooSmall { what: "the target", size: target.len(), needed: plan.bytes() });
    }
    // From the outside in; a file system is the innermost.
    let file_systems: Vec<_> = plan
        .partitions
        .iter()
        .filter_map(|partition| partition.volume.as_ref().map(|Volume::FileSystem(fs)| (partition, fs)))
        .enumerate()
        .collect();
    let at = |partition: &PlannedPartition| partition.mount_point.clone().unwrap_or_default();
    let phase = |partition: &PlannedPartition| format!("writing {}", partition.label);
    let write = |(partition, fs): (&PlannedPartition, &FsPlan), report: &dyn Report| {
        let place = Destination {
            target,
            offset: plan.offset_of(partition),
            bytes: plan.bytes_of(partition),
            sector_size: plan.sector_size,
            epoch,
            fill,
            threads,
            phase: &phase(partition),
        };
        crate::format::format(fs.format, contents, &at(partition)).write(&place, fs, report)
    };
    let has_tree = |(_, (partition, _)): &(usize, (&PlannedPartition, _))| contents.trees.contains_key(&at(partition));
    let (here, aside): (Vec<_>, Vec<_>) = file_systems.into_iter().partition(|one| threads == 1 || has_tree(one));
    // What fails, by the order of the partitions.
    let failed = |(number, one), report: &dyn Report| write(one, report).map_err(|error| (number, error));
    std::thread::scope(|scope| {
        for (_, (partition, _)) in &aside {
            report.phase(&phase(partition), None);
        }
        let aside = scope.spawn(move || aside.into_iter().try_for_each(|one| failed(one, &Quiet)));
        let here = here.into_iter().try_for_each(|one| failed(one, report));
        let aside = aside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let errors = [here.err(), aside.err()];
        errors.into_iter().flatten().min_by_key(|(number, _)| *number).map_or(Ok(()), |(_, error)| Err(error))
    })
}
