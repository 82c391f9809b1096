//! What follows from a partition's kind: GPT type, name, default file system and mount point, least size.

use cairn_machine::model::{FileSystem, PartitionKind};
use uuid::{Uuid, uuid};

use crate::format_rules::FormatRules;

/// The least size of a FAT partition: 260 MiB.
///
/// FAT32 is FAT32 only from 65,525 clusters on (below, every reader takes it for FAT16, whatever it says itself), and
/// clusters are 4 KiB: smaller ones were seen to tear file names when a boot is cut off, and on a disk with sectors of
/// 4096 bytes there are none. That makes 256 MiB of clusters, and 260 MiB is what Microsoft's documentation gives for the
/// same reason. In an image the unused part is a hole and costs nothing.
pub const LEAST_FAT: u64 = 260 << 20;

/// GRUB's core image is 30 to 200 KB; partitions are whole MiB.
const LEAST_BIOS_BOOT: u64 = 1 << 20;

const SRV: Uuid = uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8");

/// Types by the Discoverable Partitions Specification (and GRUB's own), with the names that people know them by.
const TYPES: [(Uuid, &str); 8] = [
    (uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"), "esp"),
    (uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"), "xbootldr"),
    (uuid!("21686148-6449-6e6f-744e-656564454649"), "bios-boot"),
    (uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"), "swap"),
    (uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), "root-x86-64"),
    (uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915"), "home"),
    (SRV, "srv"),
    (uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"), "linux-generic"),
];

/// The name of a GPT partition type, as systemd-repart and sfdisk call it.
pub fn type_name(type_guid: Uuid) -> Option<&'static str> {
    TYPES.iter().find(|(guid, _)| *guid == type_guid).map(|(_, name)| *name)
}

/// The GPT partition type of a kind.
///
/// Data at `/srv` has a type of its own. `/var` has one too, but that binds the partition to a machine id, which an
/// image does not have: data anywhere else is plain Linux data.
pub fn type_guid(kind: PartitionKind, mount_point: Option<&str>) -> Uuid {
    let index = match kind {
        PartitionKind::Esp => 0,
        PartitionKind::Xbootldr => 1,
        PartitionKind::BiosBoot => 2,
        PartitionKind::Swap => 3,
        PartitionKind::Root => 4,
        PartitionKind::Home => 5,
        PartitionKind::Data if mount_point == Some("/srv") => return SRV,
        PartitionKind::Data => 7,
    };
    TYPES[index].0
}

/// The MBR partition type of a kind.
///
/// The partition at /boot is plain FAT32: firmware and GRUB of a time when MBRs were made know no other. An MBR has no
/// BIOS boot partition (the machine file's check refuses one); where there is one all the same, nobody is to use it.
pub fn mbr_type(kind: PartitionKind, format: Option<FileSystem>) -> u8 {
    match (kind, format) {
        (PartitionKind::Esp, _) => 0xEF,
        (_, Some(format)) => FormatRules::of(format).mbr_type,
        (_, None) => 0xDA,
    }
}

/// The name of an MBR partition type; those that Cairn makes, and what is often met beside them.
pub fn mbr_type_name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0x05 | 0x0F | 0x85 => "extended",
        0x07 => "ntfs",
        0x0B | 0x0C => "fat32",
        0x82 => "swap",
        0x83 => "linux",
        0x8E => "lvm",
        0xEA => "xbootldr",
        0xEE => "gpt",
        0xEF => "esp",
        0xFD => "raid",
        _ => return None,
    })
}

/// The least size of a file system, empty.
pub(crate) fn least(format: Option<FileSystem>) -> u64 {
    format.map_or(LEAST_BIOS_BOOT, |format| FormatRules::of(format).least)
}

/// The weight of a partition that gives neither a size nor a weight. systemd-repart gives every partition 1000; here a
/// boot or swap partition gets none, for nobody wants half a disk of it.
pub(crate) fn default_weight(kind: PartitionKind) -> u32 {
    match kind {
        PartitionKind::Root | PartitionKind::Home | PartitionKind::Data => 1000,
        PartitionKind::Esp | PartitionKind::Xbootldr | PartitionKind::BiosBoot | PartitionKind::Swap => 0,
    }
}
