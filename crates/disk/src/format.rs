//! File systems, as whoever makes a disk has them: what room they need, and that they can be written. One for each kind.

use cairn_layout::{FsPlan, SectorSize};
use cairn_machine::model::FileSystem;
use cairn_process::Report;
use uuid::Uuid;

use crate::apply::Fill;
use crate::error::DiskError;
use crate::ext4::{self, Ext4Options, Ext4Plan, Ext4Size};
use crate::fat::{self, FatContents, FatFile, FatOptions};
use crate::target::Target;
use crate::tree::Tree;
use crate::{Contents, swap};

/// A file system with its contents.
pub trait Format {
    /// The least size of a volume for it in bytes, with `free` of them left.
    ///
    /// # Errors
    /// What it cannot hold.
    fn needed(&self, free: u64) -> Result<u64, DiskError>;

    /// Makes it.
    ///
    /// # Errors
    /// See [`DiskError`].
    fn write(&self, place: &Destination<'_>, fs: &FsPlan, report: &dyn Report) -> Result<(), DiskError>;
}

/// Where a file system goes.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The disk, or the volume that it is in.
    pub target: &'a dyn Target,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub bytes: u64,
    /// The sectors of the disk.
    pub sector_size: SectorSize,
    /// The time of everything that has none of its own, in seconds since 1970.
    pub epoch: i64,
    /// How large the file system is, where it could be smaller than its place.
    pub fill: Fill,
    /// So many threads copy files.
    pub threads: usize,
    /// What the work is called.
    pub phase: &'a str,
}

/// The file system of a kind that is mounted at a path, with what of these contents belongs there. Without any it is empty.
pub fn format<'c>(kind: FileSystem, contents: &Contents<'c>, at: &str) -> Box<dyn Format + 'c> {
    match kind {
        FileSystem::Vfat => Box::new(Fat(contents.files.get(at).copied())),
        FileSystem::Ext4 => Box::new(Ext4(contents.trees.get(at).copied())),
        FileSystem::Swap => Box::new(Swap),
    }
}

struct Fat<'c>(Option<&'c dyn FatContents>);

impl Format for Fat<'_> {
    fn needed(&self, _free: u64) -> Result<u64, DiskError> {
        Ok(self.0.map_or(0, FatContents::needed))
    }

    fn write(&self, place: &Destination<'_>, fs: &FsPlan, report: &dyn Report) -> Result<(), DiskError> {
        report.phase(place.phase, None);
        let options = FatOptions {
            volume_id: fs.uuid.volume_id().unwrap_or_default(),
            label: fs.label.clone(),
            epoch: place.epoch,
            sector_size: place.sector_size,
            small: false,
        };
        if place.fill == Fill::Partition {
            let failed = |source| DiskError::write(place.target.name(), place.offset, source);
            place.target.zeros(place.offset, place.bytes).map_err(failed)?;
        }
        let nothing: [FatFile; 0] = [];
        fat::fill(place.target, place.offset, place.bytes, self.0.unwrap_or(&nothing), &options)
    }
}

/// What is free in a file system that will grow: enough for a machine on which it did not.
const ROOM_TO_START_WITH: u64 = 64 << 20;

struct Ext4<'c>(Option<&'c Tree>);

impl Format for Ext4<'_> {
    fn needed(&self, free: u64) -> Result<u64, DiskError> {
        self.0.map_or(Ok(0), |tree| ext4::needed(tree, free))
    }

    fn write(&self, place: &Destination<'_>, fs: &FsPlan, report: &dyn Report) -> Result<(), DiskError> {
        let empty = Tree::new();
        let tree = self.0.unwrap_or(&empty);
        let bytes = match place.fill {
            Fill::Partition => place.bytes,
            Fill::Contents => ext4::needed(tree, ROOM_TO_START_WITH)?.min(place.bytes),
        };
        let size = Ext4Size::Fixed(bytes);
        let options = Ext4Options { uuid: uuid(fs), label: fs.label.clone(), epoch: place.epoch, size };
        let ext4 = Ext4Plan::new(tree, &options)?;
        report.phase(place.phase, Some(ext4.data_bytes()));
        ext4.write(place.target, place.offset, place.threads, report)
    }
}

struct Swap;

impl Format for Swap {
    fn needed(&self, _free: u64) -> Result<u64, DiskError> {
        Ok(0)
    }

    fn write(&self, place: &Destination<'_>, fs: &FsPlan, report: &dyn Report) -> Result<(), DiskError> {
        report.phase(place.phase, None);
        swap::write(place.target, place.offset, place.bytes, uuid(fs), &fs.label)
    }
}

fn uuid(fs: &FsPlan) -> Uuid {
    // The planner gives every file system but FAT a UUID.
    fs.uuid.uuid().unwrap_or_default()
}
