//! What lies upon the parts of a disk that go: arrays, volume groups and what is unlocked, put together by whoever found them first.
//! What lies upon them alone is taken apart before anything is written; what lies on other disks too is nobody's to touch.

use std::collections::BTreeSet;

use anyhow::Context;
use cairn_layout::onto::{Fate, Onto};
use cairn_process::{Refusal, Tool};

use crate::disks::{Device, Kind, Stack, Use};

/// A device that is to be taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The kernel's name.
    pub name: String,
    /// What it is called.
    pub shown: String,
    /// What it is.
    pub kind: Kind,
}

/// The parts of a disk whose contents go: the disk itself where it gets a new table.
pub fn affected<'d>(devices: &'d [Device], disk: &'d Device, onto: &Onto) -> Vec<&'d Device> {
    let goes = |one: &&Device| {
        let Some(partition) = one.partition.as_ref().filter(|p| p.disk == disk.name) else { return false };
        onto.new_table || matches!(onto.fate(partition.number), Fate::Removed | Fate::Replaced(_))
    };
    let parts = devices.iter().filter(goes);
    if onto.new_table { std::iter::once(disk).chain(parts).collect() } else { parts.collect() }
}

/// The partition of this number on a disk.
pub fn partition_of<'d>(devices: &'d [Device], disk: &Device, number: u32) -> Option<&'d Device> {
    devices.iter().find(|one| one.partition.as_ref().is_some_and(|p| p.disk == disk.name && p.number == number))
}

/// What is to be taken apart, what lies uppermost first.
///
/// # Errors
/// A refusal that names what is in use, what lies on other disks too, and what cannot be taken apart from here.
pub fn releases(devices: &[Device], disk: &Device, onto: &Onto) -> Result<Vec<Release>, Refusal> {
    let stack = Stack(devices);
    let affected = affected(devices, disk, onto);
    let mut upon: Vec<&Device> = Vec::new();
    let mut met: BTreeSet<&str> = affected.iter().map(|one| one.name.as_str()).collect();
    let mut at: Vec<&Device> = affected.clone();
    while let Some(one) = at.pop() {
        if let Some(used) = one.uses.first() {
            return Err(in_use(one, used));
        }
        for next in stack.upon(one).filter(|next| !affected.iter().any(|part| part.name == next.name)) {
            // A partition of the disk that stays is nobody's problem.
            let other_partition = next.partition.as_ref().is_some_and(|p| p.disk == disk.name);
            if !other_partition && met.insert(&next.name) {
                upon.push(next);
                at.push(next);
            }
        }
    }
    for one in &upon {
        let elsewhere = stack.below(one).find(|below| !met.contains(below.name.as_str()));
        if let Some(other) = elsewhere {
            return Err(Refusal(format!(
                "{} lies on {} too, which does not belong to what is installed on: nothing of it is touched. Take it apart yourself first, \
                 or choose another disk",
                shown(one),
                other.name
            )));
        }
    }
    // What lies upon nothing else of these is uppermost.
    let mut releases = Vec::new();
    while !upon.is_empty() {
        let is_free = |one: &&Device| !stack.upon(one).any(|next| upon.iter().any(|other| other.name == next.name));
        let (free, rest): (Vec<&Device>, Vec<&Device>) = upon.iter().copied().partition(is_free);
        if free.is_empty() {
            return Err(Refusal(format!("{} lies upon itself: nothing of it is touched", shown(rest[0]))));
        }
        for one in free.into_iter().filter(|one| one.kind != Kind::Partition) {
            if !matches!(one.kind, Kind::Raid | Kind::Crypt | Kind::LogicalVolume | Kind::Mapped) {
                return Err(Refusal(format!("{} is in use ({:?}): take it apart first", shown(one), one.kind)));
            }
            releases.push(Release { name: one.name.clone(), shown: shown(one), kind: one.kind });
        }
        upon = rest;
    }
    Ok(releases)
}

fn shown(device: &Device) -> String {
    device.identity.name.clone().map_or_else(|| device.name.clone(), |name| format!("{name} ({})", device.name))
}

fn in_use(device: &Device, used: &Use) -> Refusal {
    let how = match used {
        Use::Mounted(at) => format!("is mounted at {}: `umount {}` first", at.display(), at.display()),
        Use::Swap => format!("is swap: `swapoff /dev/{}` first", device.name),
    };
    Refusal(format!("{} {how}", device.name))
}

impl Release {
    fn tool(&self) -> Tool {
        let node = format!("/dev/{}", self.name);
        match self.kind {
            Kind::Raid => Tool::new("mdadm", "mdadm", "take apart what lies on the disk").args(["--stop", &node]),
            _ => Tool::new("dmsetup", "dmsetup", "take apart what lies on the disk").args(["remove", "--retry", &node]),
        }
    }

    /// That the tool for it is there.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self) -> anyhow::Result<()> {
        self.tool().check().map(drop).with_context(|| format!("{} must be taken apart first", self.shown))
    }

    /// Takes it apart.
    ///
    /// # Errors
    /// What the tool says: something has it open.
    pub fn carry_out(&self) -> anyhow::Result<()> {
        self.tool().run().with_context(|| format!("taking apart {}", self.shown))
    }
}
