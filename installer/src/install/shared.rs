//! An EFI system partition that is there and that other systems start from too: what the machine needs of it goes there last of all,
//! by the same transaction as in an upgrade, on the mounted partition.

use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use cairn_boot::effects::Mounted;
use cairn_boot::{Step, Target, Volume, apply};
use cairn_layout::onto::{DiskThere, Onto, Origin, PartitionThere, Wish};
use cairn_layout::{PartitionIds, human};
use cairn_machine::Checked;
use cairn_machine::model::PartitionKind;
use cairn_make::Shared;
use cairn_process::Refusal;
use cairn_root::Root;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount, umount};
use nix::sched::{CloneFlags, unshare};

use crate::disks::{Device, Use};

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
    let mut notes = vec![format!("partition {number} is shared: {written} are added to it, of {free} that are free")];
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

/// The partition's number, where a plan keeps it.
fn number(onto: &Onto) -> Option<u32> {
    let mut all = onto.plan.partitions.iter().zip(&onto.origins);
    all.find_map(|(one, origin)| match origin {
        Origin::Keeps(number) if one.kind == PartitionKind::Esp => Some(*number),
        _ => None,
    })
}

/// The device of the partition that a plan keeps.
pub fn device<'d>(onto: &Onto, devices: &'d [Device], disk: &Device) -> Option<&'d Device> {
    let number = number(onto)?;
    devices.iter().find(|one| one.partition.as_ref().is_some_and(|p| p.disk == disk.name && p.number == number))
}

/// That it can be mounted here and now, which is tried without a write.
///
/// # Errors
/// A refusal that says why not.
pub fn check(device: &Device) -> anyhow::Result<()> {
    let mounted = device.uses.iter().find_map(|one| if let Use::Mounted(at) = one { Some(at.display()) } else { None });
    if let Some(at) = mounted {
        let name = &device.name;
        return Err(Refusal(format!("{name} is mounted at {at}: `umount /dev/{name}`, then try again")).into());
    }
    mounted_at(device, MsFlags::MS_RDONLY, |_| Ok(()))
}

/// Carries out what was planned for it.
///
/// # Errors
/// What mounting and writing meet; what is there then starts what it started before.
pub fn write(device: &Device, shared: &Shared, store: &Path) -> anyhow::Result<()> {
    mounted_at(device, MsFlags::empty(), |mut mounted| {
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
    mounted_at(device, MsFlags::empty(), |mut mounted| {
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

/// Does something with the partition mounted where nobody else sees it: however this program ends, nothing stays mounted.
fn mounted_at<T: Send>(
    device: &Device,
    flags: MsFlags,
    act: impl FnOnce(Mounted) -> anyhow::Result<T> + Send,
) -> anyhow::Result<T> {
    let node = PathBuf::from(format!("/dev/{}", device.name));
    let place = tempfile::tempdir().context("making a folder to mount it at")?;
    let place = place.path();
    let with = || -> anyhow::Result<T> {
        unshare(CloneFlags::CLONE_NEWNS).context("making a view of the files of one's own")?;
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("making mounts one's own")?;
        let flags = flags | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        // As the machine itself mounts it.
        let options = Some("umask=0077,errors=continue");
        mount(Some(&node), place, Some("vfat"), flags, options).map_err(|error| {
            let node = node.display();
            Refusal(match error {
                Errno::ENODEV => "this system's kernel has no driver for FAT (vfat), which is needed to share an EFI system partition".into(),
                Errno::EBUSY => format!("{node} is in use: unmount it, then try again"),
                other => format!("{node} cannot be mounted: {other}; `fsck.fat -n {node}` may say why"),
            })
        })?;
        let done = Mounted::open(place).with_context(|| format!("opening {}", node.display())).and_then(act);
        // With the view it would go too, but nobody knows when.
        umount(place).with_context(|| format!("unmounting {}", node.display())).and(done)
    };
    thread::scope(|scope| scope.spawn(with).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
