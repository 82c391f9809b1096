//! The machine's boot partitions: mounted below its root, or in its image.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

use anyhow::Context;
use cairn_boot::effects::Mounted;
use cairn_boot::{Partitions as Both, ReadVolume, Target};
use cairn_layout::BootPlaces;
use cairn_machine::Checked;
use cairn_observe::{Observed, identity};
use cairn_process::Refusal;
use cairn_root::Root;

/// A boot partition.
#[derive(Debug)]
pub enum Partition<'a> {
    /// It is mounted.
    Mounted(Mounted),
    /// It is in an image, and only read.
    InImage(Rc<dyn ReadVolume + 'a>),
}

impl Partition<'_> {
    /// As it is read.
    pub fn reads(&self) -> &dyn ReadVolume {
        match self {
            Partition::Mounted(mounted) => mounted,
            Partition::InImage(volume) => &**volume,
        }
    }

    /// Where it is mounted.
    pub fn mounted(&self) -> Option<&Mounted> {
        match self {
            Partition::Mounted(mounted) => Some(mounted),
            Partition::InImage(_) => None,
        }
    }

    fn writes(&mut self) -> std::io::Result<&mut Mounted> {
        match self {
            Partition::Mounted(mounted) => Ok(mounted),
            Partition::InImage(_) => Err(ErrorKind::ReadOnlyFilesystem.into()),
        }
    }
}

/// All boot partitions of a machine.
#[derive(Debug)]
pub struct Partitions<'a> {
    /// Where they belong.
    pub places: BootPlaces,
    /// The one that the firmware or GRUB reads first.
    pub first: Partition<'a>,
    /// The one with entries and kernels, if it is another.
    pub second: Option<Partition<'a>>,
    /// Mirrors of the first.
    pub mirrors: Vec<Partition<'a>>,
}

impl<'a> Partitions<'a> {
    /// Opens those of a machine. What somebody should know of them goes into `notes`.
    pub fn open(observed: &Observed<'a>, checked: &Checked, notes: &mut Vec<String>) -> anyhow::Result<Partitions<'a>> {
        let (_, disk) = checked.machine.root_disk().context("the machine file has no disk")?;
        let places = BootPlaces::of(disk).context("the machine file's disk has no boot partition")?;
        let Some(root) = observed.folder() else { return in_image(observed, places) };
        let mut open = |at: &String| anyhow::Ok(Partition::Mounted(open(root, checked, at, notes)?));
        let first = open(&places.first)?;
        let second = places.second.as_ref().map(&mut open).transpose()?;
        let mirrors = places.mirrors.iter().map(open).collect::<anyhow::Result<_>>()?;
        Ok(Partitions { places, first, second, mirrors })
    }

    /// The first, and the second where there is one, as they are read.
    pub fn both(&self) -> Both<'_> {
        Both { esp: Some(self.first.reads()), boot: self.second.as_ref().map(Partition::reads) }
    }

    /// All of them, in the order in which they are written.
    pub fn all(&self) -> impl Iterator<Item = &Partition<'a>> {
        std::iter::once(&self.first).chain(&self.second).chain(&self.mirrors)
    }

    /// What the steps of an update are carried out on: the first and the second, or a mirror by its number.
    pub fn target(&mut self, mirror: Option<usize>) -> std::io::Result<Target<'_>> {
        match mirror {
            None => {
                let boot = self.second.as_mut().map(Partition::writes).transpose()?;
                Ok(Target { esp: Some(self.first.writes()?), boot: boot.map(|mounted| mounted as _) })
            }
            Some(number) => {
                let mirror = self.mirrors.get_mut(number).ok_or(ErrorKind::NotFound)?;
                Ok(Target { esp: Some(mirror.writes()?), boot: None })
            }
        }
    }
}

/// By their types and their order on the disk.
fn in_image<'a>(observed: &Observed<'a>, places: BootPlaces) -> anyhow::Result<Partitions<'a>> {
    let (mut seconds, mut firsts) = (Vec::new(), Vec::new());
    for volume in observed.machine.boot()? {
        let Some(read) = volume.volume else { continue };
        let kind = if places.second.is_some() && volume.xbootldr { &mut seconds } else { &mut firsts };
        kind.push(Partition::InImage(read));
    }
    let lacks = |at: &str| {
        Refusal(format!(
            "{} has no boot partition that can be read for {at}, where its machine file has one",
            observed.machine.name.display()
        ))
    };
    let (mut seconds, mut firsts) = (seconds.into_iter(), firsts.into_iter());
    let first = firsts.next().ok_or_else(|| lacks(&places.first))?;
    let second = match &places.second {
        Some(at) => Some(seconds.next().ok_or_else(|| lacks(at))?),
        None => None,
    };
    let mirrors = places.mirrors.iter().map(|at| firsts.next().ok_or_else(|| lacks(at))).collect::<Result<_, _>>()?;
    Ok(Partitions { places, first, second, mirrors })
}

/// Opens the partition that is mounted at `at` on a machine.
fn open(root: &Root, checked: &Checked, at: &str, notes: &mut Vec<String>) -> anyhow::Result<Mounted> {
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
pub fn can_be_written(observed: &Observed<'_>) -> anyhow::Result<()> {
    let mut checked = observed.newest()?.checked()?;
    // The identifiers are those of the disk that exists.
    checked.machine.seed = Some(observed.seed()?);
    // What is to be known is told with the plan.
    let partitions = Partitions::open(observed, &checked, &mut Vec::new())?;
    partitions.all().filter_map(Partition::mounted).try_for_each(is_writable)
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
