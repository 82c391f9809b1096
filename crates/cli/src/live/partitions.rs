//! The machine's boot partitions, opened where they are mounted.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use anyhow::Context;
use cairn_boot::effects::Mounted;
use cairn_layout::BootPlaces;
use cairn_machine::Checked;
use cairn_process::Refusal;

use super::identity;
use super::observed::Observed;

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
    let places = checked.machine.root_disk().and_then(|(_, disk)| BootPlaces::of(disk));
    // What is to be known is told with the plan.
    for at in places.iter().flat_map(BootPlaces::all) {
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
