//! From a closure and a boot set to a disk image: everything is planned first, then written in one pass.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cairn_boot::plan::Situation;
use cairn_boot::{BootSet, Installation, Place, PlanError, Present, Role, Space};
use cairn_disk::fat::{FatContents, FatFile};
use cairn_disk::{BootCode, Content, Contents, DiskError, FileTarget, Tree, apply, ext4};
use cairn_layout::{BootPlaces, DiskPlan, Needs, PlanError as LayoutError, free_to_leave, plan};
use cairn_machine::model::{Disk, PartitionKind};
use cairn_process::Report;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::boot_volume::NewBootPartition;
use crate::output::{NewFile, OutputError};
use crate::root::{self, RootContents, RootError};

/// How many more generations the boot partition must have room for.
const SPARE_GENERATIONS: usize = 3;

/// A part of what decides an image's bytes that no input names: raise it when the writers change what they write.
const RECIPE: u32 = 2;

/// What an image is made of.
#[derive(Debug)]
pub struct ImageContents<'a> {
    /// The disk as the machine file has it.
    pub disk: &'a Disk,
    /// The disk's seed ([`cairn_layout::disk_seed`]).
    pub seed: Uuid,
    /// Whose files those of the boot partition are.
    pub installation: Installation,
    /// The files of the boot partition.
    pub boot: &'a BootSet,
    /// What a BIOS starts, if the machine boots under one.
    pub boot_code: Option<&'a BootCode>,
    /// The root file system.
    pub root: RootContents<'a>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The disk cannot be laid out like this; [`LayoutError::pointer`] says where in the machine file.
    #[error(transparent)]
    Plan(#[from] LayoutError),
    /// The root file system.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file system or the partition table.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file that the image is written to.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The files of the boot partition.
    #[error(transparent)]
    Boot(#[from] PlanError),
    /// There is no partition to boot from.
    #[error("the disk has no boot partition: add one of the type `esp` (or `xbootldr`, for GRUB under BIOS)")]
    NoBootPartition,
}

/// A planned image: nothing is written yet, and nothing but the writing can fail.
#[derive(Debug)]
pub struct Image {
    /// The disk.
    pub plan: DiskPlan,
    root: Tree,
    boot: BTreeMap<String, NewBootPartition>,
    boot_code: Option<BootCode>,
    epoch: i64,
}

/// What the bytes of an image follow from, as one hash: the same key, the same image.
pub fn key(contents: &ImageContents<'_>) -> String {
    let root = &contents.root;
    let paths: Vec<_> = root
        .closure
        .iter()
        .map(|info| {
            let signatures = info.signatures.join(" ");
            format!("{} {} {} {signatures}", info.path, info.nar_hash_hex(), info.ca.as_deref().unwrap_or("-"))
        })
        .collect();
    let described = format!(
        "{RECIPE} {}\n{:?}\n{}\n{:?}\n{:?}\n{:?}\n{}\n{:?}\n{:?}\n{}\n{}",
        env!("CARGO_PKG_VERSION"),
        contents.disk,
        contents.seed,
        contents.boot,
        contents.boot_code.map(|code| Sha256::digest(&code.core)),
        root.links,
        root.record,
        root.passwords,
        root.mount_points,
        root.epoch,
        paths.join("\n"),
    );
    Sha256::digest(described).iter().map(|b| format!("{b:02x}")).collect()
}

impl Image {
    /// Plans an image: trees, sizes, places.
    ///
    /// # Errors
    /// Everything that can be wrong before the first byte is written; see [`ImageError`].
    pub fn plan(contents: &ImageContents<'_>) -> Result<Image, ImageError> {
        let root = root::tree(&contents.root)?;
        let places = BootPlaces::of(contents.disk).ok_or(ImageError::NoBootPartition)?;
        let mut boot = BTreeMap::new();
        for (at, set) in sets(&places, contents.boot) {
            boot.insert(at, new_boot_partition(contents, &set)?);
        }
        let needed = |at: &String| boot.get(at).map_or(0, FatContents::needed);
        let (esp, xbootldr) = match contents.disk.has(PartitionKind::Esp) {
            true => (needed(&places.first), places.second.as_ref().map_or(0, needed)),
            false => (0, needed(&places.first)),
        };
        let free = free_to_leave(contents.disk, None);
        let needs = Needs { esp, xbootldr, root: ext4::needed(&root, free.bytes())?, ..Needs::default() };
        let plan = plan(contents.disk, contents.seed, &needs, None)?;
        let boot_code = contents.boot_code.cloned();
        Ok(Image { plan, root, boot, boot_code, epoch: contents.root.epoch })
    }

    /// Writes the image to a file that stands under its name when it is whole.
    ///
    /// # Errors
    /// A file of the store that has changed meanwhile, or what the system says; nothing is left behind then.
    pub fn write_raw(&self, path: &Path, threads: usize, report: &dyn Report) -> Result<(), ImageError> {
        let new = NewFile::create(path)?;
        self.write_to(&new, path, threads, report)?;
        new.commit()?;
        Ok(())
    }

    /// Writes the image to a file that has no name yet.
    ///
    /// # Errors
    /// See [`Image::write_raw`].
    pub fn write_to(&self, new: &NewFile, path: &Path, threads: usize, report: &dyn Report) -> Result<(), ImageError> {
        let io = |doing| move |source| OutputError::Io { doing, path: path.into(), source };
        new.file().set_len(self.plan.bytes()).map_err(io("making room for"))?;
        let file = new.file().try_clone().map_err(io("opening"))?;
        let target = FileTarget::new(file, path.display().to_string(), self.plan.bytes()).map_err(io("opening"))?;
        let contents = Contents {
            files: self.boot.iter().map(|(at, contents)| (at.clone(), contents as &dyn FatContents)).collect(),
            trees: BTreeMap::from([("/".to_string(), &self.root)]),
        };
        apply(&self.plan, &contents, self.epoch, &target, threads, report)?;
        if let (Some(code), Some(area)) = (&self.boot_code, self.plan.core_image_area()) {
            code.write(&target, area)?;
        }
        Ok(())
    }
}

/// The part of the set that goes onto each partition, as if it were the only one.
fn sets(places: &BootPlaces, set: &BootSet) -> Vec<(String, BootSet)> {
    let whole = set.clone().on_one_partition(Place::Esp);
    let mut sets: Vec<(String, BootSet)> = places.mirrors.iter().map(|at| (at.clone(), whole.clone())).collect();
    match &places.second {
        Some(second) => {
            let part = |place| {
                let files = set.files.iter().filter(|f| f.place == place).cloned().collect();
                BootSet { files }.on_one_partition(Place::Esp)
            };
            sets.push((places.first.clone(), part(Place::Esp)));
            sets.push((second.clone(), part(Place::Boot)));
        }
        None => sets.push((places.first.clone(), whole)),
    }
    sets
}

/// The steps that fill a new partition, and the room that it must have.
fn new_boot_partition(contents: &ImageContents<'_>, set: &BootSet) -> Result<NewBootPartition, ImageError> {
    // The partition is made as large as it must be, so there is room without end.
    let space = Space { cluster: 4096, free: u64::MAX / 2 };
    let situation = Situation {
        installation: contents.installation,
        wanted: set,
        present: &Present { space: BTreeMap::from([(Place::Esp, space)]), ..Present::default() },
        own_files: &BTreeSet::new(),
        may_remove: false,
    };
    let file = |path: String, len| FatFile { path, len, content: Content::Bytes(Vec::new()) };
    let mut room_for: Vec<FatFile> = set.files.iter().map(|f| file(f.path.clone(), f.content.len())).collect();
    // Files of the size that the next generations will have, none of which shares a kernel or an initrd with another.
    for generation in 0..SPARE_GENERATIONS {
        let grows = set.files.iter().filter(|f| matches!(f.role, Role::Artifact | Role::Entry(_)));
        room_for.extend(grows.map(|f| file(format!("{}.{generation}", f.path), f.content.len())));
    }
    Ok(NewBootPartition { steps: situation.plan()?.steps, room_for, store: contents.root.store.root().to_path_buf() })
}
