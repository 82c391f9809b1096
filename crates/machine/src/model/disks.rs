//! The disks of a machine: a named layout, or partition by partition.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::size::Size;

/// One disk: a named layout, or partition by partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["layout"]}, {"required": ["partitions"]}]))]
pub struct Disk {
    /// A ready-made layout. Excludes `partitions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<NamedLayout>,
    /// The image's size. Default: what the partitions need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Room to leave free on the root file system when its size is computed (and not given).
    #[serde(default = "default_free")]
    pub free: Size,
    /// The partitions in their order on the disk. Excludes `layout`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<Partition>,
}

fn default_free() -> Size {
    Size::from_mib(256)
}

/// Layouts with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NamedLayout {
    /// GPT: an EFI system partition, and a root that grows to the end of the disk.
    Uefi,
}

/// One partition, in the words of systemd-repart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// What the partition is for; decides its GPT type (Discoverable Partitions Specification).
    #[serde(rename = "type")]
    pub kind: PartitionKind,
    /// The GPT partition name; at most 36 UTF-16 units. Default: the type's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), example = &"data")]
    pub label: Option<String>,
    /// An exact size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// The least size, where it is not exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_min: Option<Size>,
    /// The greatest size, where it is not exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_max: Option<Size>,
    /// The share of the disk's remaining space that this partition gets, against the others' weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000000), example = 1)]
    pub weight: Option<u32>,
    /// The file system. Default: vfat for esp and xbootldr, swap for swap, none for bios-boot, else ext4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FileSystem>,
    /// Where it is mounted. Default: / for root, /home for home, /boot for xbootldr, and for
    /// esp /boot, or /efi beside an xbootldr.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/"), example = &"/var/data")]
    pub mount_point: Option<String>,
    /// Grow to the end of the disk when the machine boots; for the last partition. Default: true for a last root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grow: Option<bool>,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionKind {
    /// EFI system partition.
    Esp,
    /// Extended boot loader partition.
    Xbootldr,
    /// BIOS boot partition, for GRUB's core image.
    BiosBoot,
    /// Swap.
    Swap,
    /// The root file system.
    Root,
    /// /home.
    Home,
    /// Any other data; needs a `mount_point`.
    Data,
}

/// File systems that Cairn writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    /// FAT, for boot partitions.
    Vfat,
    /// ext4.
    Ext4,
    /// Swap space.
    Swap,
}

impl PartitionKind {
    /// The kind's name in the machine file; also the partition's default label.
    pub fn name(self) -> &'static str {
        match self {
            PartitionKind::Esp => "esp",
            PartitionKind::Xbootldr => "xbootldr",
            PartitionKind::BiosBoot => "bios-boot",
            PartitionKind::Swap => "swap",
            PartitionKind::Root => "root",
            PartitionKind::Home => "home",
            PartitionKind::Data => "data",
        }
    }
}

impl FileSystem {
    /// The file system's name in the machine file and in fstab.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Vfat => "vfat",
            FileSystem::Ext4 => "ext4",
            FileSystem::Swap => "swap",
        }
    }
}

impl Partition {
    /// The file system with the default for the partition's kind; `None` for a BIOS boot partition.
    pub fn file_system(&self) -> Option<FileSystem> {
        let default = match self.kind {
            PartitionKind::Esp | PartitionKind::Xbootldr => Some(FileSystem::Vfat),
            PartitionKind::Swap => Some(FileSystem::Swap),
            PartitionKind::BiosBoot => None,
            PartitionKind::Root | PartitionKind::Home | PartitionKind::Data => Some(FileSystem::Ext4),
        };
        self.format.or(default)
    }
}

impl Disk {
    /// Where a partition of the list is mounted, with the defaults; `None` for those that are not, and beyond the end.
    pub fn mount_point(&self, index: usize) -> Option<String> {
        let partition = self.partitions.get(index)?;
        let has_xbootldr = self.partitions.iter().any(|p| p.kind == PartitionKind::Xbootldr);
        let default = match partition.kind {
            PartitionKind::Root => Some("/"),
            PartitionKind::Home => Some("/home"),
            PartitionKind::Esp if has_xbootldr => Some("/efi"),
            PartitionKind::Esp | PartitionKind::Xbootldr => Some("/boot"),
            PartitionKind::Swap | PartitionKind::BiosBoot | PartitionKind::Data => None,
        };
        partition.mount_point.clone().or_else(|| default.map(str::to_owned))
    }
}
