//! A disk as it is, as far as a plan depends on it.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::units::{Lba, SectorSize, Sectors};

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskThere {
    /// Its size.
    pub bytes: u64,
    /// Its sectors.
    pub sector: SectorSize,
    /// Its partition table.
    pub table: TableThere,
    /// What is on it besides a table, in words: a file system without partitions, a part of an array.
    pub whole: Option<String>,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionThere>,
}

/// Its partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableThere {
    /// There is none.
    None,
    /// A GPT that is whole, at least in one of its copies.
    Gpt {
        /// The disk's GUID.
        id: Uuid,
        /// The first sector that partitions may have.
        first: Lba,
        /// The last one.
        last: Lba,
        /// How many entries it has.
        entries: u32,
    },
    /// An MBR, or another one that can only be replaced: how people call it.
    Other(String),
    /// One that nobody should change: why.
    Broken(String),
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionThere {
    /// Its number.
    pub number: u32,
    /// Its first sector.
    pub first: Lba,
    /// Its length.
    pub sectors: Sectors,
    /// Its GUID, in a GPT.
    pub id: Option<Uuid>,
    /// Its type, in a GPT.
    pub type_guid: Option<Uuid>,
    /// The file system in it, as blkid calls it; nothing where there is none, or nobody could look.
    pub format: Option<String>,
    /// What it is and holds, in words.
    pub what: String,
}

impl DiskThere {
    /// The highest number that a partition can have.
    pub(crate) fn most(&self) -> u32 {
        match self.table {
            TableThere::Gpt { entries, .. } => entries,
            _ => 128,
        }
    }
}

impl PartitionThere {
    /// Its last sector.
    pub fn last(&self) -> Lba {
        Lba(self.first.0.saturating_add(self.sectors.0).saturating_sub(1))
    }
}
