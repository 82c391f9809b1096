//! Bringing back what an installation has overwritten, as long as it can be brought back.

use std::path::Path;

use anyhow::Context;
use cairn_boot::effects::with_help;
use cairn_disk::{BlockTarget, Target};
use cairn_machine::model::PartitionKind;
use cairn_process::{Refusal, Report};

use super::claim::{Fingerprint, claim, open_to_look};
use super::firmware;
use super::holders::{affected, partition_of, releases};
use super::receipt::{self, Event, Receipt, Saved, Writer};
use super::wipe::{self, Piece};
use super::{ioctl, shared};
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
    let esp = receipt.onto.kept(PartitionKind::Esp).filter(|_| !receipt.added.is_empty());
    let esp = esp.and_then(|number| partition_of(&devices, disk, number));
    match esp {
        Some(esp) => shared::check(esp)?,
        None if receipt.added.is_empty() => {}
        None => report.note("the EFI system partition that was shared is gone, and with it what was added to it"),
    }
    put(&saved, &claimed.target)?;
    if let Some(esp) = esp
        && events.contains(&Event::Data)
        && let Err(error) = shared::remove(esp, &receipt.added)
    {
        report.note(&format!("what was added to {} could not all be removed: {error:#}", esp.name));
    }
    Writer::resume(path).context("opening the receipt")?.note(&Event::Undone)?;
    if let Err(error) = ioctl::reread(claimed.target.file()) {
        report.note(&format!("the kernel keeps to the partitions of the installation until it is restarted ({error})"));
    }
    if let Some(saved) = &receipt.firmware {
        let restored = firmware::variables()
            .and_then(|variables| variables.restore(saved, &receipt.onto).map_err(|error| with_help(&error)));
        if let Err(why) = restored {
            report.note(&format!("the firmware's entries could not all be brought back: {why}"));
        }
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

/// In steps, each on the disk before the next one begins, so that nothing is found that is not whole yet. What was cleared comes back in
/// the opposite order. Where contents were written beside what stays, nobody is to find these any more, so they go from their beginnings
/// on. The table is last, its copy before it: one of the two is whole at any moment.
fn put(saved: &Saved, disk: &BlockTarget) -> anyhow::Result<()> {
    let Saved { receipt, bytes, events } = saved;
    let (onto, end) = (&receipt.onto, receipt.onto.there.bytes);
    let ends = wipe::END.min(end);
    let [_, pages, begins, tails] = wipe::steps(onto);
    let steps = if events.contains(&Event::Data) { [pages, begins, tails] } else { [tails, begins, pages] };
    let table = [vec![(end - ends, ends)], vec![(0, ends)]];
    let failed = || format!("writing to {}", disk.name());
    for step in steps.into_iter().chain(table) {
        for (at, len) in step {
            let bytes = saved_at(receipt, bytes, (at, len)).context("the receipt has too little")?;
            disk.write_at(at, bytes).with_context(failed)?;
        }
        disk.sync().with_context(failed)?;
    }
    Ok(())
}

/// What a receipt has of a piece of the disk.
fn saved_at<'b>(receipt: &Receipt, bytes: &'b [u8], (at, len): Piece) -> Option<&'b [u8]> {
    let mut from = 0;
    for (offset, length) in &receipt.pieces {
        if *offset <= at && at.checked_add(len)? <= offset.checked_add(*length)? {
            let from = usize::try_from(from + (at - offset)).ok()?;
            return bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?);
        }
        from += length;
    }
    None
}
