//! The one table of what follows from a file system: its names, its least size, what it is found by, how it grows.

use cairn_machine::model::{FileSystem, PartitionKind};

use crate::kinds::LEAST_FAT;

/// The rules of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatRules {
    /// Which one.
    pub format: FileSystem,
    /// Its name in a machine file, in fstab(5) and for blkid.
    pub name: &'static str,
    /// Its name for people.
    pub shown: &'static str,
    /// Its least size, empty, in bytes.
    pub least: u64,
    /// The type of a partition with it in an MBR.
    pub mbr_type: u8,
    /// The longest label, in bytes.
    pub longest_label: usize,
    /// What it is found by.
    pub id: IdKind,
    /// How it grows into a partition that has grown.
    pub grows: Grows,
}

/// What a file system is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// A UUID.
    Uuid,
    /// FAT's volume id of 32 bits.
    VolumeId,
}

/// How a file system grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grows {
    /// It does not.
    Never,
    /// While it is not mounted.
    Unmounted,
}

const RULES: [FormatRules; 3] = [
    FormatRules {
        format: FileSystem::Vfat,
        name: "vfat",
        shown: "FAT32",
        least: LEAST_FAT,
        mbr_type: 0x0C,
        longest_label: 11,
        id: IdKind::VolumeId,
        grows: Grows::Never,
    },
    FormatRules {
        format: FileSystem::Ext4,
        name: "ext4",
        shown: "ext4",
        // Below, no journal fits.
        least: 32 << 20,
        mbr_type: 0x83,
        longest_label: 16,
        id: IdKind::Uuid,
        grows: Grows::Unmounted,
    },
    FormatRules {
        format: FileSystem::Swap,
        name: "swap",
        shown: "swap",
        // Ten pages, in whole MiB: what the kernel accepts as swap.
        least: 1 << 20,
        mbr_type: 0x82,
        longest_label: 16,
        id: IdKind::Uuid,
        grows: Grows::Never,
    },
];

impl FormatRules {
    /// Those of a file system.
    pub fn of(format: FileSystem) -> &'static FormatRules {
        let index = match format {
            FileSystem::Vfat => 0,
            FileSystem::Ext4 => 1,
            FileSystem::Swap => 2,
        };
        &RULES[index]
    }
}

/// The file systems that a partition of a kind can have, the usual one first.
pub(crate) fn allowed(kind: PartitionKind) -> &'static [FileSystem] {
    match kind {
        PartitionKind::Esp | PartitionKind::Xbootldr => &[FileSystem::Vfat],
        PartitionKind::Root | PartitionKind::Home => &[FileSystem::Ext4],
        PartitionKind::Data => &[FileSystem::Ext4, FileSystem::Vfat],
        PartitionKind::Swap => &[FileSystem::Swap],
        PartitionKind::BiosBoot => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_system_has_its_own_rules() {
        for format in [FileSystem::Vfat, FileSystem::Ext4, FileSystem::Swap] {
            assert_eq!(FormatRules::of(format).format, format);
        }
    }
}
