//! A twin of a disk that is not here, from what a hardware file has of it: a sparse file of its size, with its partition table and the
//! signatures of what was on it. What cannot be made here is said.

mod signature;
mod table;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::BlockTarget;
use cairn_layout::onto::DiskThere;
use cairn_machine::model::RecordedDisk;
use cairn_process::Refusal;

use super::describe::{describe, read};
use crate::disks::{Device, NEITHER};

/// The twin of a recorded disk.
#[derive(Debug)]
pub struct Recorded {
    /// It.
    pub twin: BlockTarget,
    /// The disk, as a plan sees it.
    pub there: DiskThere,
    /// What of the disk could not be made here: a sentence each.
    pub notes: Vec<String>,
}

/// Makes the twin of a disk that was recorded, in a new file that messages call `path`; in the folder of that there is room for scratch files.
/// `devices` are all disks of that computer, and `device` is this one among them.
///
/// # Errors
/// What writing the file meets; a refusal where nobody could write to such a disk.
pub fn recorded(
    file: File,
    path: &Path,
    disk: &RecordedDisk,
    (devices, device): (&[Device], &Device),
) -> anyhow::Result<Recorded> {
    // Where a file without a name is, its number says.
    let node = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    let twin = super::rehearse::empty(file, path, disk.bytes)?;
    let mut notes = Vec::new();
    let damaged = disk.table.as_ref().and_then(|table| table.damaged.clone());
    table::write(disk, &twin, &mut notes).context("writing the partition table of the twin")?;
    let sector = u64::from(disk.sector_size);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Of a disk with a table, that table is what it says of itself.
    if disk.table.is_none() {
        let place = signature::Place { name: "the disk".into(), at: 0, len: disk.bytes, sector };
        signature::put(&twin, &node, folder, &place, disk.signature.as_ref(), disk.unknown, &mut notes)?;
    } else if let Some(found) = &disk.signature {
        notes.push(format!("the disk has {} beside its partition table: that is not on the twin", found.kind));
    }
    for one in &disk.partitions {
        let (name, at) = (format!("partition {}", one.number), one.start.saturating_mul(sector));
        let place = signature::Place { name, at, len: one.size.saturating_mul(sector), sector };
        signature::put(&twin, &node, folder, &place, one.signature.as_ref(), one.unknown, &mut notes)?;
    }
    let table = match damaged {
        Some(why) if why == NEITHER => Ok(None),
        Some(why) => Err(why),
        None => read(&twin, sector),
    };
    let there = describe(devices, device, table);
    let there = there.map_err(|why| Refusal(format!("{} cannot be installed on: {why}", disk.name)))?;
    if disk.partitions.iter().any(|one| one.signature.is_some()) {
        notes.push("the file systems that were there are empty on the twin: their files are not recorded".into());
    }
    Ok(Recorded { twin, there, notes })
}
