//! An EFI system partition that is there and that other systems start from too: what the machine needs of it goes there last of all,
//! by the same transaction as in an upgrade, on the mounted partition.

use std::path::Path;

use anyhow::Context;
use cairn_boot::effects::Mounted;
use cairn_boot::{Step, Target, Volume, apply};
use cairn_layout::onto::{DiskThere, PartitionThere, Wish};
use cairn_layout::{PartitionIds, human};
use cairn_machine::Checked;
use cairn_machine::model::PartitionKind;
use cairn_make::Shared;
use cairn_root::Root;

use super::mounting::{How, with_mounted};
use crate::disks::Device;

/// As the machine itself mounts it.
const VFAT: How = How { kind: "vfat", options: "umask=0077,errors=continue", reads: false };

/// The partition that is kept as the machine's EFI system partition, if one is that could be it.
pub fn kept<'t>(wish: &Wish, ids: &[PartitionIds], there: &'t DiskThere) -> Option<&'t PartitionThere> {
    let number = wish.kept_of(ids, PartitionKind::Esp)?;
    there.partitions.iter().find(|one| one.number == number && one.format.as_deref() == Some("vfat"))
}

/// What to know of it; an error where the machine could not start from it.
pub fn judge(shared: &Shared, number: u32, checked: &Checked) -> anyhow::Result<Vec<String>> {
    if shared.other_fallback && !checked.machine.boot.nvram {
        let message = format!(
            "the firmware would not start this machine: \\EFI\\BOOT\\BOOTX64.EFI of partition {number} is another system's, and stays so"
        );
        let help = "write `boot: {nvram: true}`, so that the machine is entered into the firmware's menu".to_string();
        return Err(checked.problem("/boot/nvram", message, Some(help)).into());
    }
    let (written, free) = (human(shared.update.written), human(shared.free));
    let mut notes =
        vec![format!("partition {number} is shared: the machine takes {written} of the {free} that are free in it")];
    if shared.other_fallback {
        notes.push(format!(
            "\\EFI\\BOOT\\BOOTX64.EFI of partition {number} is another system's and stays: a firmware that forgets its entries starts that one"
        ));
    }
    if !shared.others.is_empty() {
        notes.push(format!("the machine's menu starts {} too", shared.others.join(", ")));
    }
    Ok(notes)
}

/// That it can be mounted here and now, which is tried without a write.
///
/// # Errors
/// A refusal that says why not.
pub fn check(device: &Device) -> anyhow::Result<()> {
    with_mounted(device, How { reads: true, ..VFAT }, |_| Ok(()))
}

/// Carries out what was planned for it.
///
/// # Errors
/// What mounting and writing meet; what is there then starts what it started before.
pub fn write(device: &Device, shared: &Shared, store: &Path) -> anyhow::Result<()> {
    with_mounted(device, VFAT, |at| {
        let mut mounted = Mounted::open(at).context("opening it")?;
        let store = Root::open(store).context("opening the store")?;
        let open = |content: &cairn_boot::Content| cairn_make::contents::open(&store, content);
        let mut target = Target { esp: Some(&mut mounted), boot: None };
        Ok(apply(&shared.update, &mut target, &open, &mut |_| ())?)
    })
}

/// The files that an update makes.
pub fn made(shared: &Shared) -> Vec<String> {
    let made = |step: &Step| if let Step::Create { path, .. } = step { Some(path.clone()) } else { None };
    shared.update.steps.iter().filter_map(made).collect()
}

/// Removes files that an installation has made. What is gone already is no error.
///
/// # Errors
/// What mounting and writing meet.
pub fn remove(device: &Device, files: &[String]) -> anyhow::Result<()> {
    with_mounted(device, VFAT, |at| {
        let mut mounted = Mounted::open(at).context("opening it")?;
        // What names others first.
        for path in files.iter().rev() {
            match mounted.remove(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing /{path}"));
                }
                _ => mounted.barrier()?,
            }
        }
        // A folder that is empty now has no other use; one with something in it stays.
        let mut folders: Vec<&Path> = files.iter().flat_map(|path| Path::new(path).ancestors().skip(1)).collect();
        folders.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        folders.dedup();
        for folder in folders.into_iter().filter(|path| path.components().next().is_some()) {
            mounted.folder().remove_empty_folder(folder).with_context(|| format!("removing /{}", folder.display()))?;
        }
        Ok(mounted.barrier()?)
    })
}
