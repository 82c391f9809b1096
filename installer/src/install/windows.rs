//! Windows on a disk: what somebody should know before that disk is changed, each in a sentence and with what to do.

use std::collections::BTreeMap;

use cairn_boot::ReadVolume;
use cairn_disk::{Region, Source, ntfs};
use cairn_layout::human;
use cairn_layout::onto::{DiskThere, Fate, Onto, PartitionThere};
use cairn_observe::view::FatVolume;
use uuid::{Uuid, uuid};

/// The partition that every Windows makes beside its own in a GPT.
const RESERVED: Uuid = uuid!("e3c9e316-0b5c-4db8-817d-f92df00215ae");
const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Kernel and initrd of a generation are 25 to 35 MB with Debian's usual kernel, and two of them have to have room.
pub const TO_SHARE: u64 = 64 << 20;

/// What is known of Windows on a disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Windows {
    /// Partitions that BitLocker encrypts.
    locked: Vec<u32>,
    /// Partitions in which it was not shut down.
    sleeps: Vec<u32>,
    /// Partitions that it will check.
    dirty: Vec<u32>,
    /// How much is free in EFI system partitions.
    free: BTreeMap<u32, u64>,
}

impl Windows {
    /// That on a disk, if it is on it. Without the disk itself only what its description has is known.
    pub fn on(there: &DiskThere, disk: Option<&dyn Source>) -> Option<Windows> {
        let mut is_there = there.partitions.iter().any(|one| one.type_guid == Some(RESERVED));
        let mut found = Windows { free: free_in_esp(there, disk), ..Windows::default() };
        for one in &there.partitions {
            match one.format.as_deref() {
                Some("BitLocker") => found.locked.push(one.number),
                Some("ntfs") => {
                    let state = disk.and_then(|disk| ntfs_state(there, one, disk)).unwrap_or_default();
                    is_there |= state.windows;
                    if state.sleeps {
                        found.sleeps.push(one.number);
                    } else if state.windows && state.dirty {
                        found.dirty.push(one.number);
                    }
                }
                _ => {}
            }
        }
        (is_there || !found.locked.is_empty()).then_some(found)
    }

    /// Without what goes, and without what the plan says itself of a partition that is shared.
    #[must_use]
    pub fn that_stays(mut self, onto: &Onto) -> Windows {
        let stays = |number: &u32| matches!(onto.fate(*number), Fate::Untouched | Fate::Kept(_));
        for list in [&mut self.locked, &mut self.sleeps, &mut self.dirty] {
            list.retain(stays);
        }
        self.free.retain(|number, _| onto.fate(*number) == Fate::Untouched);
        self
    }

    /// In sentences.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(numbers) = list(&self.locked) {
            words.push(format!(
                "Windows' {numbers} is encrypted (BitLocker). Have its recovery key at hand: it is in the Microsoft account of its owner, or with \
                 whoever administers it. BitLocker measures what the firmware starts and whether Secure Boot is on, and when that changes \
                 Windows asks for the key. `manage-bde -protectors -disable C:` in Windows, before, saves you that; `-enable` afterwards"
            ));
        }
        if let Some(numbers) = list(&self.sleeps) {
            words.push(format!(
                "Windows in {numbers} is not shut down: it sleeps (hibernation, or fast start-up), and what is changed on its disk \
                 meanwhile can be lost or damaged when it wakes. Start it and shut it down first: hold Shift while you choose `Shut \
                 down`, or type `shutdown /s /t 0`"
            ));
        }
        if let Some(numbers) = list(&self.dirty) {
            words.push(format!(
                "Windows in {numbers} was not shut down as it should have been. Start it once, so that it checks its files, before its disk is changed"
            ));
        }
        for (number, free) in &self.free {
            let (has, needs) = (human(*free), human(TO_SHARE));
            let then = if *free < TO_SHARE {
                "is too small to be shared: let the machine have one of its own"
            } else {
                "can be shared"
            };
            words.push(format!(
                "The EFI system partition of Windows (partition {number}) has {has} free. Two generations of a machine need about {needs}, so it {then}"
            ));
        }
        words
    }
}

/// What to know on the last page of what stays there.
pub fn notes(onto: &Onto, disk: &dyn Source) -> Vec<String> {
    let found = Windows::on(&onto.there, Some(disk));
    found.map(|found| found.that_stays(onto).words()).unwrap_or_default()
}

/// How much is free in each EFI system partition that can be read.
pub fn free_in_esp(there: &DiskThere, disk: Option<&dyn Source>) -> BTreeMap<u32, u64> {
    let free = |one: &PartitionThere| {
        let (offset, bytes) = place(there, one);
        let volume = FatVolume::new(disk?, offset, bytes, "the EFI system partition");
        Some((one.number, volume.space().ok()?.free))
    };
    let is_esp = |one: &&PartitionThere| one.type_guid == Some(ESP) && one.format.as_deref() == Some("vfat");
    there.partitions.iter().filter(is_esp).filter_map(free).collect()
}

fn ntfs_state(there: &DiskThere, one: &PartitionThere, disk: &dyn Source) -> Option<ntfs::State> {
    let (offset, bytes) = place(there, one);
    ntfs::state(&Region::new(disk, offset, bytes))
}

/// Where it begins, and how many bytes it has.
fn place(there: &DiskThere, one: &PartitionThere) -> (u64, u64) {
    (one.first.offset(there.sector), one.sectors.bytes(there.sector))
}

/// `partition 3`, `partitions 3 and 4`.
fn list(numbers: &[u32]) -> Option<String> {
    let (last, before) = numbers.split_last()?;
    let before: Vec<String> = before.iter().map(u32::to_string).collect();
    Some(if before.is_empty() {
        format!("partition {last}")
    } else {
        format!("partitions {} and {last}", before.join(", "))
    })
}
