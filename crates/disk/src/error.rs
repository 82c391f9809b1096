//! What can go wrong between a plan and a disk.

use std::io;
use std::path::PathBuf;

use cairn_layout::human;

use crate::budget::Spent;

/// Why something could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The file system that holds the target is full.
    #[error("no space is left for {target} (at {offset} bytes): free some, or write it somewhere else", offset = human(*.offset))]
    Full {
        /// The target's name.
        target: String,
        /// Where in the target the write was.
        offset: u64,
    },
    /// A write failed.
    #[error("writing {target} at byte {offset}")]
    Write {
        /// The target's name.
        target: String,
        /// Where in the target the write was.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// What came back is not what was written.
    #[error("{target} does not read back as it was written at byte {offset}: the disk is failing")]
    Differs {
        /// The target's name.
        target: String,
        /// Where in the target the write was.
        offset: u64,
    },
    /// What goes into a file system could not be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file was changed by somebody between planning and copying.
    #[error("{} was changed while it was copied: it had {expected} bytes, and now has {found}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its length when the file system was planned.
        expected: u64,
        /// Its length now, or as much of it as there is.
        found: String,
    },
    /// A name that is not UTF-8.
    #[error("the name {} is not UTF-8 and cannot be put into an image: rename it", path.display())]
    Name {
        /// The path, as far as it can be shown.
        path: PathBuf,
    },
    /// Neither file, folder nor symbolic link.
    #[error("{} is {what}, and cannot be put into an image", path.display())]
    Special {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// An entry of a tree that does not go with the others.
    #[error("the tree has a wrong entry '{path}': {why}")]
    Tree {
        /// The entry's path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The contents do not fit into a partition.
    #[error("{what} is {size}, but its contents need {needed}", size = human(*.size), needed = human(*.needed))]
    TooSmall {
        /// Which file system.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// What it needs in bytes.
        needed: u64,
    },
    /// A file that FAT cannot hold.
    #[error("'{path}' cannot be put on a FAT partition: {why}")]
    FatFile {
        /// The file's path on the partition.
        path: String,
        /// Why not.
        why: &'static str,
    },
    /// Making the ext4 file system failed.
    #[error("making the ext4 file system")]
    Ext4 {
        /// Why.
        source: mkext4::Error,
    },
    /// Making the FAT file system failed.
    #[error("making the FAT file system")]
    Fat {
        /// Why.
        source: io::Error,
    },
    /// What was to go onto a boot partition did not.
    #[error("filling the boot partition")]
    Contents {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Making the partition table failed.
    #[error("writing the partition table")]
    PartitionTable {
        /// Why.
        source: gpt::GptError,
    },
    /// Making the MBR failed.
    #[error("writing the partition table")]
    Mbr {
        /// Why.
        source: mbrman::Error,
    },
    /// A partition table that cannot be read.
    #[error("reading the partition table: {why}")]
    BadPartitionTable {
        /// What is wrong with it.
        why: String,
    },
    /// A file system that cannot be read.
    #[error("reading the {what} file system: {why}")]
    BadFileSystem {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A file system that is whole, as far as one can see, and has what the reader does not know.
    #[error("reading the {what} file system: it has {why}, which cannot be read here")]
    Unknown {
        /// Which one.
        what: &'static str,
        /// What it has.
        why: String,
    },
    /// A file system that was not unmounted.
    #[error(
        "reading the {what} file system: its journal is to be played first: the machine was switched off hard, or is running; start \
         it once and shut it down (an image with `cairn run --persist`), or run `e2fsck` on the file system"
    )]
    Unclean {
        /// Which one.
        what: &'static str,
    },
    /// A file system that would take for ever.
    #[error("reading the {what} file system: {why}")]
    Endless {
        /// Which one.
        what: &'static str,
        /// What ran out.
        why: Spent,
    },
    /// A file that nobody has made that large.
    #[error("{path} has {bytes} bytes, which is too large to be looked into")]
    TooLarge {
        /// The file.
        path: String,
        /// Its length.
        bytes: u64,
    },
}

impl DiskError {
    /// An error of a write to a target.
    pub(crate) fn write(target: &str, offset: u64, source: io::Error) -> DiskError {
        let target = target.to_string();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskError::Full { target, offset },
            _ => DiskError::Write { target, offset, source },
        }
    }
}
