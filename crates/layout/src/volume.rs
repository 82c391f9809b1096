//! What is in a partition. What can be in what stands here: whoever makes a disk, or grows one, goes through it from the outside
//! in.

use cairn_machine::model::FileSystem;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What is in a partition, or in another volume. Today that is a file system; encryption, mirrors and volume groups are volumes
/// that hold others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Volume {
    /// A file system, or swap space.
    FileSystem(FsPlan),
}

impl Volume {
    /// The file system at its innermost.
    pub fn fs(&self) -> &FsPlan {
        match self {
            Volume::FileSystem(fs) => fs,
        }
    }
}

/// A file system to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FsPlan {
    /// Which one.
    pub format: FileSystem,
    /// Its identifier.
    pub uuid: FsUuid,
    /// Its label: at most 16 bytes for ext4 and swap, 11 ASCII capitals for FAT.
    pub label: String,
}

/// What a file system is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FsUuid {
    /// A UUID: ext4, swap.
    Uuid(Uuid),
    /// FAT's volume id.
    VolumeId(u32),
}

impl FsUuid {
    /// The UUID, where it is one.
    pub fn uuid(self) -> Option<Uuid> {
        match self {
            FsUuid::Uuid(uuid) => Some(uuid),
            FsUuid::VolumeId(_) => None,
        }
    }

    /// FAT's volume id, where it is one.
    pub fn volume_id(self) -> Option<u32> {
        match self {
            FsUuid::Uuid(_) => None,
            FsUuid::VolumeId(id) => Some(id),
        }
    }
}

impl std::fmt::Display for FsUuid {
    /// As blkid and `/dev/disk/by-uuid` have it: `1A2B-3C4D` for FAT.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FsUuid::Uuid(uuid) => uuid.fmt(f),
            FsUuid::VolumeId(id) => write!(f, "{:04X}-{:04X}", id >> 16, id & 0xffff),
        }
    }
}
