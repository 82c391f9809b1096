//! The disks of a computer as a person knows them: model, size, serial number, what is on them, and what uses it.
//!
//! [`look`] reads sysfs, udev's notes, `/dev/disk/by-id` and what is mounted, below a folder, into plain values. What lies in a
//! partition, `blkid` of util-linux tells, which knows all signatures there are; where a folder of records is looked at, or nobody
//! may open the disks, udev's notes have what it said earlier.
//!
//! Everything in here is what a disk or the kernel says: data of strangers. Nothing is opened because it is said.

mod contents;
mod facts;
mod hidden;
mod identity;
mod lvm;
mod recorded;
mod select;
mod stack;
mod sysfs;
mod table;
mod usage;

use std::path::Path;

use cairn_disk::FileSource;
use cairn_root::Root;
use serde::Serialize;

use crate::hardware::{ObserveError, open};

pub use contents::{Contents, Signature};
pub use facts::type_words;
pub use hidden::hidden;
pub(crate) use hidden::hidden_at;
pub use identity::{Identity, name_of};
pub use recorded::{devices_of, record};
pub use select::{Candidate, Obstacle, Selector, SelectorError, Unselected, Wish, candidates};
pub use stack::Stack;
pub(crate) use sysfs::shows_partitions;
pub(crate) use table::NEITHER;
pub use table::{Table, tables};
pub use usage::Use;

/// What is known of a block device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The kernel's name of today; another start may give another one.
    pub name: String,
    /// `MAJOR:MINOR`, of today, too.
    pub number: String,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes; nothing where there is no medium in it.
    pub bytes: u64,
    /// Bytes in a logical sector: the unit of its partition table.
    pub sector_size: u64,
    /// Bytes that it writes at once.
    pub physical_sector_size: u64,
    /// It cannot be written to.
    pub read_only: bool,
    /// Its medium can be taken out.
    pub removable: bool,
    /// Whether it turns.
    pub rotational: bool,
    /// How it is reached, where it is a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<&'static str>,
    /// By what a person and another start find it again.
    pub identity: Identity,
    /// Where it lies, if it is a partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<Partition>,
    /// What is in it.
    pub contents: Contents,
    /// The devices that lie upon it: an array, a volume, what is unlocked in it.
    pub held_by: Vec<String>,
    /// The devices that it lies upon.
    pub lies_on: Vec<String>,
    /// What uses it.
    pub uses: Vec<Use>,
}

/// A partition's place and what its table says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Partition {
    /// The disk's name.
    pub disk: String,
    /// Its number in the table.
    pub number: u32,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its type: a GUID, or the number of an MBR (`0x83`).
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_id: Option<String>,
    /// Its own identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its attributes in a GPT, or `0x80` where an MBR starts from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
}

/// What a block device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// Something with sectors of its own.
    Disk,
    /// A part of another device.
    Partition,
    /// CD, DVD.
    Optical,
    /// A floppy disk.
    Floppy,
    /// A file as a disk.
    Loop,
    /// What an eMMC keeps for boot loaders and secrets, beside its disk.
    BootArea,
    /// What is unlocked in an encrypted device.
    Crypt,
    /// A volume of LVM.
    LogicalVolume,
    /// A disk that is reached in more than one way.
    Multipath,
    /// An array of Linux's own RAID, or one of the firmware's.
    Raid,
    /// A slow device with a quick one before it.
    Bcache,
    /// A volume of a ZFS pool.
    Zvol,
    /// Another device of the device mapper.
    Mapped,
    /// Memory.
    Memory,
}

/// Looks at the devices of the computer that `root` shows; `/` is this one. Memory and loop devices without a file are left out.
///
/// # Errors
/// See [`ObserveError`]. A device that vanishes while it is looked at is no error.
pub fn look(root: &Path) -> Result<Vec<Device>, ObserveError> {
    look_at(&open(root)?)
}

/// The same, where the folder is open.
pub(crate) fn look_at(root: &Root) -> Result<Vec<Device>, ObserveError> {
    let mut devices = sysfs::devices(root)?;
    let uses = usage::Uses::read(root);
    let names = identity::Names::read(root);
    let mut facts = facts::of(root, &devices);
    for device in &mut devices {
        let facts = facts.remove(&device.name).unwrap_or_default();
        names.complete(device, &facts);
        contents::complete(device, &facts);
        device.uses = uses.of(device);
        if root.is_host() {
            groups(device);
        }
    }
    Ok(devices)
}

/// Finds out which volume group a physical volume belongs to.
fn groups(device: &mut Device) {
    let Some(signature) = device.contents.signature.as_mut().filter(|it| it.kind == "LVM2_member") else { return };
    let volume = std::fs::File::open(format!("/dev/{}", device.name)).and_then(FileSource::new);
    signature.group = volume.ok().and_then(|volume| lvm::group(&volume));
}
