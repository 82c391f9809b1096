//! Where a disk's boot partitions are mounted. By what stands on them one is the first and another the second; a mirror of the
//! EFI system partition is a partition of that type after the first one.

use cairn_machine::model::{Disk, PartitionKind};

/// The mount points of a disk's boot partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootPlaces {
    /// The one that the firmware or GRUB reads first; on most machines the only one.
    pub first: String,
    /// The one with entries and kernels (XBOOTLDR), if it is another.
    pub second: Option<String>,
    /// Mirrors of the first.
    pub mirrors: Vec<String>,
}

impl BootPlaces {
    /// Those of a disk; `None` when it has none.
    pub fn of(disk: &Disk) -> Option<BootPlaces> {
        let (mut esp, mut boot, mut mirrors) = (None, None, Vec::new());
        for (index, partition) in disk.all_partitions().iter().enumerate() {
            let Some(at) = disk.mount_point(index) else { continue };
            match partition.kind {
                PartitionKind::Esp if disk.is_mirror(index) => mirrors.push(at),
                PartitionKind::Esp => esp = Some(at),
                PartitionKind::Xbootldr => boot = Some(at),
                _ => {}
            }
        }
        let (first, second) = match (esp, boot) {
            (Some(esp), boot) => (esp, boot),
            (None, boot) => (boot?, None),
        };
        Some(BootPlaces { first, second, mirrors })
    }

    /// All of them, in the order in which they are written.
    pub fn all(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.first).chain(&self.second).chain(&self.mirrors)
    }
}

#[cfg(test)]
mod tests {
    use cairn_machine::model::NamedLayout;

    use super::*;

    #[test]
    fn every_layout_has_a_boot_partition() {
        for layout in [NamedLayout::Uefi, NamedLayout::Bios, NamedLayout::Hybrid, NamedLayout::Mbr] {
            let found = BootPlaces::of(&Disk::of_layout(layout)).unwrap();
            assert_eq!((found.first.as_str(), found.second, found.mirrors.len()), ("/boot", None, 0), "{layout:?}");
        }
        assert_eq!(BootPlaces::of(&Disk::of_partitions(Vec::new())), None);
    }
}
