//! From a closure and a boot set to the contents of a new disk: everything is planned first, then written in one pass, into an
//! image or onto a device.

mod boot_volume;
mod key;
mod root;

pub use boot_volume::{BootVolume, NewBootPartition, open, put_together};
pub use root::{RootContents, RootError, add_store, tree};

use std::collections::{BTreeMap, BTreeSet};

use cairn_boot::plan::Situation;
use cairn_boot::{BootSet, Installation, Place, PlanError, Present, Role, Space};
use cairn_disk::fat::{FatContents, FatFile};
use cairn_disk::format::format;
use cairn_disk::{BootCode, Content, DiskError, Fill, Target, Tree, apply, file_systems};
use cairn_layout::onto::{DiskThere, Onto, OntoError, Wish, onto};
use cairn_layout::{BootPlaces, DiskPlan, Needs, PlanError as LayoutError, free_to_leave, plan};
use cairn_machine::model::{Disk, FileSystem, PartitionKind};
use cairn_process::Report;
use uuid::Uuid;

use key::Key;

/// How many more generations the boot partition must have room for.
const SPARE_GENERATIONS: usize = 3;

/// Where a machine keeps what it knows of how it was made, below its root.
pub const LOGS: &str = "var/log/cairn";

/// A part of what decides a disk's bytes that no input names: raise it when the writers change what they write.
const RECIPE: u32 = 3;

/// What a new disk is made of.
#[derive(Debug)]
pub struct Contents<'a> {
    /// The disk as the machine file has it.
    pub disk: &'a Disk,
    /// The disk's seed ([`cairn_layout::disk_seed`]).
    pub seed: Uuid,
    /// Whose files those of the boot partition are.
    pub installation: Installation,
    /// The files of the boot partition.
    pub boot: &'a BootSet,
    /// Whether the EFI system partition is one that is there: what goes onto it is no part of the contents.
    pub esp_is_kept: bool,
    /// What a BIOS starts, if the machine boots under one.
    pub boot_code: Option<&'a BootCode>,
    /// The root file system.
    pub root: RootContents<'a>,
}

/// Why there are no contents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentsError {
    /// The disk cannot be laid out like this; [`LayoutError::pointer`] says where in the machine file.
    #[error(transparent)]
    Plan(LayoutError),
    /// It cannot be laid out on the disk that is there.
    #[error(transparent)]
    Onto(OntoError),
    /// The root file system.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file system or the partition table.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The files of the boot partition.
    #[error(transparent)]
    Boot(#[from] PlanError),
    /// There is no partition to boot from.
    #[error("the disk has no boot partition: add one of the type `esp` (or `xbootldr`, for GRUB under BIOS)")]
    NoBootPartition,
}

impl From<LayoutError> for ContentsError {
    fn from(error: LayoutError) -> ContentsError {
        ContentsError::Plan(error)
    }
}

impl From<OntoError> for ContentsError {
    fn from(error: OntoError) -> ContentsError {
        match error {
            OntoError::Plan(error) => ContentsError::Plan(error),
            error => ContentsError::Onto(error),
        }
    }
}

/// A planned disk: nothing is written yet, and nothing but the writing can fail.
#[derive(Debug)]
pub struct NewDisk {
    /// The disk.
    pub plan: DiskPlan,
    /// What becomes of what is there, on a disk that exists.
    pub onto: Option<Onto>,
    root: Tree,
    boot: BTreeMap<String, NewBootPartition>,
    boot_code: Option<BootCode>,
    epoch: i64,
}

impl Contents<'_> {
    /// What the bytes of the disk follow from, as one hash: the same key, the same bytes.
    pub fn key(&self) -> String {
        let mut key = Key::default();
        key.text("recipe", format_args!("{RECIPE} {}", env!("CARGO_PKG_VERSION")));
        // What a machine file says, as a machine file would say it: values of numbers, texts and lists.
        key.field("disk", serde_json::to_vec(self.disk).unwrap_or_default());
        key.text("seed", self.seed);
        for file in &self.boot.files {
            let place = match file.place {
                Place::Esp => "esp",
                Place::Boot => "boot",
            };
            key.text("boot file", format_args!("{place} {} {}", file.role.name(), file.path));
            key.field("boot contents", file.content.sha256());
        }
        if let Some(code) = self.boot_code {
            key.field("boot sector", code.sector);
            key.field("core image", &code.core);
        }
        let root = &self.root;
        for link in root.links {
            key.text("link", link.path.display());
            key.text("target", &link.target);
        }
        key.text("record", root.record);
        for (user, hash) in root.passwords {
            key.text("user", user);
            key.text("password", hash);
        }
        for (network, line) in root.passphrases {
            key.text("network", network);
            key.text("passphrase", line);
        }
        for place in root.mount_points {
            key.text("mount point", place);
        }
        key.text("epoch", root.epoch);
        for info in root.closure {
            key.text("path", &info.path);
            key.text("nar", info.nar_hash_hex());
            key.text("ca", info.ca.as_deref().unwrap_or("-"));
            for signature in &info.signatures {
                key.text("signature", signature);
            }
        }
        key.hex()
    }
}

impl NewDisk {
    /// Plans a disk that is as large as it must be: trees, sizes, places.
    ///
    /// # Errors
    /// Everything that can be wrong before the first byte is written; see [`ContentsError`].
    pub fn plan(contents: &Contents<'_>) -> Result<NewDisk, ContentsError> {
        NewDisk::plan_on(contents, None)
    }

    /// Plans the same onto a disk that exists.
    ///
    /// # Errors
    /// As [`NewDisk::plan`].
    pub fn plan_onto(contents: &Contents<'_>, there: &DiskThere, wish: &Wish) -> Result<NewDisk, ContentsError> {
        NewDisk::plan_on(contents, Some((there, wish)))
    }

    fn plan_on(contents: &Contents<'_>, there: Option<(&DiskThere, &Wish)>) -> Result<NewDisk, ContentsError> {
        let root = root::tree(&contents.root)?;
        let places = BootPlaces::of(contents.disk).ok_or(ContentsError::NoBootPartition)?;
        let mut boot = BTreeMap::new();
        for (at, set) in
            sets(&places, contents.boot).into_iter().filter(|(at, _)| !contents.esp_is_kept || *at != places.first)
        {
            boot.insert(at, new_boot_partition(contents, &set)?);
        }
        // A disk that exists has its size; a machine needs some room there too.
        let free = if there.is_some() { contents.disk.free } else { free_to_leave(contents.disk, None) };
        let all = parts(&boot, &root);
        let needed = |kind, at: &str| format(kind, &all, at).needed(free.bytes());
        let first = needed(FileSystem::Vfat, &places.first)?;
        let second = places.second.as_ref().map_or(Ok(0), |at| needed(FileSystem::Vfat, at))?;
        let (esp, xbootldr) = if contents.disk.has(PartitionKind::Esp) { (first, second) } else { (0, first) };
        let needs = Needs { esp, xbootldr, root: needed(FileSystem::Ext4, "/")?, ..Needs::default() };
        let (disk, seed) = (contents.disk, contents.seed);
        let onto = there.map(|(there, wish)| onto(disk, seed, &needs, there, wish)).transpose()?;
        let plan = match &onto {
            Some(onto) => onto.plan.clone(),
            None => plan(disk, seed, &needs, None)?,
        };
        Ok(NewDisk { plan, onto, root, boot, boot_code: contents.boot_code.cloned(), epoch: contents.root.epoch })
    }

    /// The root file system.
    pub fn root(&self) -> &Tree {
        &self.root
    }

    /// Adds something that the machine is to know of how it was made: `name` in [`LOGS`].
    ///
    /// # Errors
    /// When there is one of this name.
    pub fn log(&mut self, name: &str, text: &str) -> Result<(), DiskError> {
        root::log(&mut self.root, &format!("{LOGS}/{name}"), text, self.epoch)
    }

    /// Writes it all.
    ///
    /// # Errors
    /// A file of the store that has changed meanwhile, or what the system says.
    pub fn write(&self, target: &dyn Target, threads: usize, report: &dyn Report) -> Result<(), DiskError> {
        apply(&self.plan, &parts(&self.boot, &self.root), self.epoch, target, threads, report)?;
        self.write_boot_code(target)
    }

    /// Writes the file systems only, as large as their contents need: on a disk that exists they grow when they are on it.
    ///
    /// # Errors
    /// As [`NewDisk::write`].
    pub fn write_file_systems(
        &self,
        target: &dyn Target,
        threads: usize,
        report: &dyn Report,
    ) -> Result<(), DiskError> {
        let parts = parts(&self.boot, &self.root);
        file_systems(&self.plan, &parts, self.epoch, Fill::Contents, target, threads, report)
    }

    /// Whether the disk gets something that a BIOS starts.
    pub fn has_boot_code(&self) -> bool {
        self.boot_code.is_some() && self.plan.core_image_area().is_some()
    }

    /// Writes what a BIOS starts, if there is something.
    ///
    /// # Errors
    /// As [`NewDisk::write`].
    pub fn write_boot_code(&self, target: &dyn Target) -> Result<(), DiskError> {
        match (&self.boot_code, self.plan.core_image_area()) {
            (Some(code), Some(area)) => code.write(target, area),
            _ => Ok(()),
        }
    }
}

/// What goes into the partitions, by mount point.
fn parts<'c>(boot: &'c BTreeMap<String, NewBootPartition>, root: &'c Tree) -> cairn_disk::Contents<'c> {
    cairn_disk::Contents {
        files: boot.iter().map(|(at, contents)| (at.clone(), contents as &dyn FatContents)).collect(),
        trees: BTreeMap::from([("/".to_string(), root)]),
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
fn new_boot_partition(contents: &Contents<'_>, set: &BootSet) -> Result<NewBootPartition, ContentsError> {
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
