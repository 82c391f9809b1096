//! Bringing back what an installation has overwritten, as long as it can be brought back.

use std::path::Path;

use anyhow::Context;
use cairn_disk::{BlockTarget, Target};
use cairn_process::{Refusal, Report};

use super::claim::{Fingerprint, claim, open_to_look};
use super::firmware;
use super::holders::{affected, releases};
use super::ioctl;
use super::receipt::{self, Event, Saved, Writer};
use crate::disks::look;

/// Undoes an installation: what its receipt has goes back to where it was, and so do the firmware's entries.
///
/// # Errors
/// A refusal where the contents of something were overwritten, where the disk has changed since, or where it is in use.
pub fn undo(path: &Path, report: &dyn Report) -> anyhow::Result<()> {
    let saved = receipt::load(path)?;
    let Saved { receipt, events, .. } = &saved;
    if events.contains(&Event::Undone) {
        return Err(Refusal("this installation has been undone already".into()).into());
    }
    let losses = receipt.onto.losses();
    if events.contains(&Event::Data) && receipt.onto.loses() {
        let what: Vec<String> = losses.iter().map(|one| format!("{} ({})", one.number, one.what)).collect();
        let what = if what.is_empty() { String::new() } else { format!(" of partition {}", what.join(", ")) };
        return Err(Refusal(format!(
            "the contents{what} were overwritten when the new ones were written: they cannot be brought back. The table and the headers are in \
             {}, for who wants to search the disk with them",
            path.display()
        ))
        .into());
    }
    let devices = look(Path::new("/")).context("looking at the disks")?;
    let disk = receipt.disk.find(&devices).map_err(Refusal)?;
    let source = open_to_look(disk)?;
    let done = events.iter().find_map(|event| if let Event::Done(hash) = event { Some(hash) } else { None });
    if let Some(done) = done {
        let now = receipt::table(&source, disk.sector_size).with_context(|| format!("reading {}", disk.name))?;
        if now != *done {
            return Err(Refusal(format!(
                "{} has changed since the installation: what was saved then would undo that too. Nothing was written",
                disk.name
            ))
            .into());
        }
    }
    releases(&devices, disk, &receipt.onto)?;
    let fingerprint = Fingerprint::of(&source).with_context(|| format!("reading {}", disk.name))?;
    drop(source);
    let claimed = claim(disk, &affected(&devices, disk, &receipt.onto), &receipt.disk, &fingerprint)?;
    put(&saved, &claimed.target)?;
    Writer::resume(path).context("opening the receipt")?.note(&Event::Undone)?;
    if let Err(error) = ioctl::reread(claimed.target.file()) {
        report.note(&format!("the kernel keeps to the partitions of the installation until it is restarted ({error})"));
    }
    if let (Some(variables), Some(saved)) = (firmware::variables(), &receipt.firmware)
        && let Err(error) = variables.restore(saved)
    {
        report.note(&format!("the firmware's entries could not all be brought back: {error}"));
    }
    Ok(())
}

/// Writes what a receipt has back to a disk that is claimed.
///
/// # Errors
/// What reading the one and writing the other meet.
pub fn restore(path: &Path, disk: &BlockTarget) -> anyhow::Result<()> {
    put(&receipt::load(path)?, disk)?;
    Writer::resume(path).context("opening the receipt")?.note(&Event::Undone)
}

/// The ends of the disk last: until its table is there again nobody looks for what it says.
fn put(saved: &Saved, disk: &BlockTarget) -> anyhow::Result<()> {
    let mut at = 0;
    let mut pieces = Vec::new();
    for (offset, len) in &saved.receipt.pieces {
        let len = usize::try_from(*len).context("a piece of the receipt")?;
        let bytes = saved.bytes.get(at..at + len).context("the receipt is cut off")?;
        pieces.push((*offset, bytes));
        at += len;
    }
    pieces.sort_by_key(|(offset, _)| *offset == 0);
    for (offset, bytes) in pieces {
        disk.write_at(offset, bytes).with_context(|| format!("writing to {}", disk.name()))?;
    }
    disk.sync().with_context(|| format!("writing to {}", disk.name()))
}
