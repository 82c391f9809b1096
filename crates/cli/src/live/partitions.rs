//! The machine's boot partitions, by what its machine file says of its disk, and opened where they are mounted.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use anyhow::Context;
use cairn_boot::Layout;
use cairn_boot::effects::Mounted;
use cairn_machine::Checked;
use cairn_machine::model::{Disk, PartitionKind};

use super::identity;
use super::observed::Observed;
use crate::exit::Refusal;

/// Where the boot partitions of a disk are mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootPartitions {
    /// The one that the firmware or GRUB reads first; on most machines the only one.
    pub first: String,
    /// The one with entries and kernels, if it is another.
    pub second: Option<String>,
    /// Mirrors of the first.
    pub mirrors: Vec<String>,
}

impl BootPartitions {
    /// Those of a disk; `None` when it has none.
    pub fn of(disk: &Disk) -> Option<BootPartitions> {
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
        Some(BootPartitions { first, second, mirrors })
    }

    /// All of them, in the order in which they are written.
    fn all(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.first).chain(&self.second).chain(&self.mirrors)
    }

    /// Whether entries and kernels have a partition of their own.
    pub fn layout(&self) -> Layout {
        if self.second.is_some() { Layout::Two } else { Layout::One }
    }
}

/// Opens the partition that is mounted at `at` on a machine. In one that was unpacked from an image it is a folder. What
/// somebody should know of it goes into `notes`.
pub fn open(observed: &Observed, checked: &Checked, at: &str, notes: &mut Vec<String>) -> anyhow::Result<Mounted> {
    let root = &observed.root;
    let path = root.shown(at);
    let not_mounted = || {
        let help = if root.is_host() { format!("`mount {at}`") } else { "mount it there as well".to_string() };
        Refusal(format!("the boot partition is not mounted at {}: {help}, then try again", path.display()))
    };
    let opened = match Mounted::at(root, at) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(not_mounted().into()),
        Err(e) if e.kind() == ErrorKind::InvalidInput => {
            return Err(Refusal(format!(
                "{} is no folder: a link, perhaps. Make it one, and mount the boot partition of the machine's own disk there",
                path.display()
            ))
            .into());
        }
        other => other.with_context(|| format!("opening the boot partition at {}", path.display()))?,
    };
    if !observed.mounted {
        return Ok(opened);
    }
    let device = |found: std::io::Result<u64>| found.with_context(|| format!("looking at {}", path.display()));
    let machine = device(root.metadata("").and_then(|m| m.map(|m| m.dev()).ok_or(ErrorKind::NotFound.into())))?;
    if device(opened.device())? == machine {
        return Err(not_mounted().into());
    }
    match identity::doubt(root, &opened, at, checked) {
        None => Ok(opened),
        // What the running machine has mounted there is what it boots with, wherever its root was moved to.
        Some(what) if root.is_host() => {
            notes.push(format!("{what}: it is taken for this machine's boot partition, for this machine has mounted it"));
            Ok(opened)
        }
        Some(what) => Err(Refusal(format!(
            "{what}: that is not this machine's boot partition, and nothing is read from it or written to it; mount the one of \
             the machine's own disk at {}, then try again",
            path.display()
        ))
        .into()),
    }
}

/// Refuses a machine whose boot partitions cannot be written, before anything is made for them.
pub fn can_be_written(observed: &Observed) -> anyhow::Result<()> {
    let mut checked = observed.newest()?.checked()?;
    // The identifiers are those of the disk that exists.
    checked.machine.seed = Some(observed.seed()?);
    let places = checked.machine.disks.values().next().and_then(BootPartitions::of);
    // What is to be known is told with the plan.
    for at in places.iter().flat_map(BootPartitions::all) {
        is_writable(&open(observed, &checked, at, &mut Vec::new())?)?;
    }
    Ok(())
}

/// Refuses a partition that is mounted read-only.
pub fn is_writable(mounted: &Mounted) -> anyhow::Result<()> {
    let at = mounted.root().display();
    if mounted.is_read_only().with_context(|| format!("looking at {at}"))? {
        return Err(Refusal(format!(
            "the boot partition at {at} is mounted read-only: `mount -o remount,rw {at}`, then try again; if the kernel made it \
             so because it found errors (`dmesg` tells), unmount it and run `fsck.fat -a` on it first"
        ))
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cairn_machine::model::NamedLayout;

    use super::*;

    #[test]
    fn every_layout_has_a_boot_partition() {
        for layout in [NamedLayout::Uefi, NamedLayout::Bios, NamedLayout::Hybrid, NamedLayout::Mbr] {
            let found = BootPartitions::of(&Disk::of_layout(layout)).unwrap();
            assert_eq!((found.first.as_str(), found.second, found.mirrors.len()), ("/boot", None, 0), "{layout:?}");
        }
        assert_eq!(BootPartitions::of(&Disk::of_partitions(Vec::new())), None);
    }
}
