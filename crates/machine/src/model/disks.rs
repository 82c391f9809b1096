//! The disks of a machine: a named layout, or partition by partition.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Loader;
use crate::size::Size;

/// One disk: a named layout, or partition by partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("oneOf" = [{"required": ["layout"]}, {"required": ["partitions"]}]))]
pub struct Disk {
    /// A ready-made layout. Excludes `partitions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<NamedLayout>,
    /// The kind of partition table. Default: mbr for the layout `mbr`, else gpt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableKind>,
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
    /// UEFI. GPT: an EFI system partition at /boot, and a root that grows to the end of the disk.
    Uefi,
    /// BIOS. GPT: a BIOS boot partition, a FAT partition at /boot, and a root that grows. Needs GRUB.
    Bios,
    /// UEFI and BIOS. GPT: a BIOS boot partition, an EFI system partition at /boot, and a root that grows. Needs GRUB.
    Hybrid,
    /// BIOS of old. MBR: a FAT partition at /boot, and a root that grows. Needs GRUB.
    Mbr,
}

/// Kinds of partition tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// GUID partition table.
    #[default]
    Gpt,
    /// Master boot record: four partitions, within the first 2 TiB.
    Mbr,
}

/// What firmware a disk boots under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Firmware {
    /// UEFI.
    pub uefi: bool,
    /// BIOS.
    pub bios: bool,
}

/// One partition, in the words of systemd-repart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// What the partition is for; decides its GPT type (Discoverable Partitions Specification). A second `esp` is a
    /// mirror of the first.
    #[serde(rename = "type")]
    pub kind: PartitionKind,
    /// The GPT partition name; at most 36 UTF-16 units. Default: the type's name. An MBR has no names.
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
    /// esp /boot, or /efi beside an xbootldr; a second esp has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/"), example = &"/var/data")]
    pub mount_point: Option<String>,
    /// Grow to the end of the disk when the machine boots; for the last partition. Default: true for a last root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grow: Option<bool>,
    /// The GUID that a GPT has for it. Default: one that follows from the seed. For a partition that was there before
    /// the machine, and is used as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
}

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionKind {
    /// EFI system partition.
    Esp,
    /// Extended boot loader partition: kernels, beside an esp or instead of one on a BIOS machine.
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

impl NamedLayout {
    /// The layout's name in the machine file.
    pub fn name(self) -> &'static str {
        match self {
            NamedLayout::Uefi => "uefi",
            NamedLayout::Bios => "bios",
            NamedLayout::Hybrid => "hybrid",
            NamedLayout::Mbr => "mbr",
        }
    }

    /// The layout's kind of partition table.
    pub fn table(self) -> TableKind {
        match self {
            NamedLayout::Uefi | NamedLayout::Bios | NamedLayout::Hybrid => TableKind::Gpt,
            NamedLayout::Mbr => TableKind::Mbr,
        }
    }

    /// The partitions that the layout stands for, in their order.
    pub fn kinds(self) -> &'static [PartitionKind] {
        use PartitionKind::{BiosBoot, Esp, Root, Xbootldr};
        match self {
            NamedLayout::Uefi => &[Esp, Root],
            NamedLayout::Bios => &[BiosBoot, Xbootldr, Root],
            NamedLayout::Hybrid => &[BiosBoot, Esp, Root],
            NamedLayout::Mbr => &[Xbootldr, Root],
        }
    }
}

impl TableKind {
    /// The kind's name in the machine file.
    pub fn name(self) -> &'static str {
        match self {
            TableKind::Gpt => "gpt",
            TableKind::Mbr => "mbr",
        }
    }
}

impl Partition {
    /// A partition of a kind, about which nothing more is said.
    pub fn of_kind(kind: PartitionKind) -> Partition {
        Partition {
            kind,
            label: None,
            size: None,
            size_min: None,
            size_max: None,
            weight: None,
            format: None,
            mount_point: None,
            grow: None,
            id: None,
        }
    }

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
    /// A disk with a ready-made layout.
    pub fn of_layout(layout: NamedLayout) -> Disk {
        Disk { layout: Some(layout), table: None, size: None, free: default_free(), partitions: Vec::new() }
    }

    /// A disk that is described partition by partition.
    pub fn of_partitions(partitions: Vec<Partition>) -> Disk {
        Disk { layout: None, table: None, size: None, free: default_free(), partitions }
    }

    /// The kind of partition table.
    pub fn table(&self) -> TableKind {
        self.table.unwrap_or_else(|| self.layout.map(NamedLayout::table).unwrap_or_default())
    }

    /// The partitions in their order: those that are listed, or those of the layout.
    pub fn all_partitions(&self) -> Cow<'_, [Partition]> {
        match self.layout {
            Some(layout) if self.partitions.is_empty() => {
                layout.kinds().iter().copied().map(Partition::of_kind).collect()
            }
            _ => Cow::Borrowed(self.partitions.as_slice()),
        }
    }

    /// The partition ([`Disk::all_partitions`]) of this type (`home`), or that is mounted here (`/srv`), if there is just one.
    pub fn named(&self, name: &str) -> Option<usize> {
        let partitions = self.all_partitions();
        let is = |index: &usize| {
            partitions[*index].kind.name() == name || self.mount_point(*index).is_some_and(|at| at == name)
        };
        let mut found = (0..partitions.len()).filter(is);
        found.next().filter(|_| found.next().is_none())
    }

    /// Gives a partition ([`Disk::all_partitions`]) its GUID. A layout then stands there partition by partition, and is the same.
    pub fn give_id(&mut self, index: usize, id: Uuid) {
        if let Some(layout) = self.layout.take() {
            self.table = Some(self.table.unwrap_or(layout.table()));
            self.partitions = layout.kinds().iter().copied().map(Partition::of_kind).collect();
        }
        if let Some(partition) = self.partitions.get_mut(index) {
            partition.id = Some(id);
        }
    }

    /// Whether the EFI system partition was there before the machine, and other systems may start from it too.
    pub fn shares_esp(&self) -> bool {
        let partitions = self.all_partitions();
        partitions.iter().find(|one| one.kind == PartitionKind::Esp).is_some_and(|one| one.id.is_some())
    }

    /// Where a partition ([`Disk::all_partitions`]) is mounted, with the defaults; `None` for those that are not, and
    /// beyond the end.
    pub fn mount_point(&self, index: usize) -> Option<String> {
        let partitions = self.all_partitions();
        let partition = partitions.get(index)?;
        let has_xbootldr = partitions.iter().any(|p| p.kind == PartitionKind::Xbootldr);
        let default = match partition.kind {
            PartitionKind::Root => Some("/"),
            PartitionKind::Home => Some("/home"),
            PartitionKind::Esp if self.is_mirror(index) => None,
            PartitionKind::Esp if has_xbootldr => Some("/efi"),
            PartitionKind::Esp | PartitionKind::Xbootldr => Some("/boot"),
            PartitionKind::Swap | PartitionKind::BiosBoot | PartitionKind::Data => None,
        };
        partition.mount_point.clone().or_else(|| default.map(str::to_owned))
    }

    /// Whether a partition ([`Disk::all_partitions`]) is a mirror of the EFI system partition: one that comes after
    /// another.
    pub fn is_mirror(&self, index: usize) -> bool {
        let partitions = self.all_partitions();
        let is_esp = |partition: &Partition| partition.kind == PartitionKind::Esp;
        partitions.get(index).is_some_and(is_esp) && partitions[..index].iter().any(is_esp)
    }

    /// Whether a partition grows to the end of the disk when the machine boots: a last root does by itself.
    pub fn grows(&self, index: usize) -> bool {
        let partitions = self.all_partitions();
        let last = index + 1 == partitions.len();
        let by_itself = |partition: &Partition| last && partition.kind == PartitionKind::Root;
        partitions.get(index).is_some_and(|partition| partition.grow.unwrap_or_else(|| by_itself(partition)))
    }

    /// Whether there is a partition of a kind.
    pub fn has(&self, kind: PartitionKind) -> bool {
        self.all_partitions().iter().any(|partition| partition.kind == kind)
    }

    /// What firmware the disk boots under with a boot loader. Under BIOS that is GRUB, from a BIOS boot partition on
    /// GPT, and from behind the table itself on MBR.
    pub fn firmware(&self, loader: Loader) -> Firmware {
        let core_image = self.table() == TableKind::Mbr || self.has(PartitionKind::BiosBoot);
        Firmware { uefi: self.has(PartitionKind::Esp), bios: loader == Loader::Grub && core_image }
    }
}
