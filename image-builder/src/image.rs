//! From a closure and a boot set to a disk image: everything is planned first, then written in one pass.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cairn_boot::{Artifact, BootSet, Content as BootContent, Place, Role};
use cairn_disk::fat::FatFile;
use cairn_disk::{Content, Contents, DiskError, FileTarget, Tree, apply, ext4, fat};
use cairn_layout::{DiskPlan, Needs, PlanError, free_to_leave, identifiers, plan};
use cairn_machine::model::{Disk, PartitionKind};
use cairn_process::Report;
use cairn_store::Store;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::output::{NewFile, OutputError};
use crate::root::{self, RootContents, RootError};

/// How many more generations the boot partition must have room for.
const SPARE_GENERATIONS: usize = 3;

/// A part of what decides an image's bytes that no input names: raise it when the writers change what they write.
const RECIPE: u32 = 1;

/// What an image is made of.
#[derive(Debug)]
pub struct ImageContents<'a> {
    /// The disk as the machine file has it.
    pub disk: &'a Disk,
    /// The disk's seed ([`cairn_layout::disk_seed`]).
    pub seed: Uuid,
    /// The files of the boot partition.
    pub boot: &'a BootSet,
    /// The root file system.
    pub root: RootContents<'a>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The disk cannot be laid out like this; [`PlanError::pointer`] says where in the machine file.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The root file system.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file system or the partition table.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file that the image is written to.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// There is no partition to boot from.
    #[error("the disk has no EFI system partition, and systemd-boot needs one: add a partition of the type `esp`")]
    NoEsp,
}

/// A planned image: nothing is written yet, and nothing but the writing can fail.
#[derive(Debug)]
pub struct Image {
    /// The disk.
    pub plan: DiskPlan,
    root: Tree,
    boot: BTreeMap<String, Vec<FatFile>>,
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
        "{RECIPE} {}\n{:?}\n{}\n{:?}\n{:?}\n{:?}\n{:?}\n{}\n{}",
        env!("CARGO_PKG_VERSION"),
        contents.disk,
        contents.seed,
        contents.boot,
        root.links,
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
        let (esp, boot) = boot_mount_points(contents)?;
        let mut files: BTreeMap<String, Vec<FatFile>> = BTreeMap::from([(esp.clone(), Vec::new())]);
        files.entry(boot.clone()).or_default();
        for file in &contents.boot.files {
            let at = if file.place == Place::Esp { &esp } else { &boot };
            files.entry(at.clone()).or_default().push(fat_file(contents.root.store, &file.path, &file.content));
        }
        let with_spare = |at: &str| {
            let mut all = files.get(at).cloned().unwrap_or_default();
            if at == boot {
                all.extend(spare(&contents.boot.files));
            }
            fat::needed(&all)
        };
        let free = free_to_leave(contents.disk, None);
        let needs = Needs {
            esp: with_spare(&esp),
            xbootldr: if esp == boot { 0 } else { with_spare(&boot) },
            root: ext4::needed(&root, free.bytes())?,
            ..Needs::default()
        };
        let plan = plan(contents.disk, contents.seed, &needs, None)?;
        Ok(Image { plan, root, boot: files, epoch: contents.root.epoch })
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
            files: self.boot.iter().map(|(at, files)| (at.clone(), files.as_slice())).collect(),
            trees: BTreeMap::from([("/".to_string(), &self.root)]),
        };
        apply(&self.plan, &contents, self.epoch, &target, threads, report)?;
        Ok(())
    }
}

/// Where the ESP and the partition with the entries are mounted: one place, or two with XBOOTLDR.
fn boot_mount_points(contents: &ImageContents<'_>) -> Result<(String, String), ImageError> {
    let ids = identifiers(contents.disk, contents.seed)?;
    let of = |kind| ids.iter().find(|p| p.kind == kind).map(|p| p.mount_point.clone().unwrap_or_default());
    let esp = of(PartitionKind::Esp).ok_or(ImageError::NoEsp)?;
    let boot = of(PartitionKind::Xbootldr).unwrap_or_else(|| esp.clone());
    Ok((esp, boot))
}

fn fat_file(store: &Store, path: &str, content: &BootContent) -> FatFile {
    match content {
        BootContent::Bytes(bytes) => FatFile::from_bytes(path, bytes.clone()),
        BootContent::Store(artifact) => FatFile {
            path: path.to_string(),
            len: artifact.size,
            content: Content::Path(on_this_machine(store, artifact)),
        },
    }
}

fn on_this_machine(store: &Store, artifact: &Artifact) -> PathBuf {
    store.root().join(artifact.store_path.trim_start_matches('/'))
}

/// Files of the size that the next generations will have, none of which shares a kernel or an initrd with another.
fn spare(files: &[cairn_boot::BootFile]) -> Vec<FatFile> {
    let mut spare = Vec::new();
    for generation in 0..SPARE_GENERATIONS {
        for file in files.iter().filter(|f| matches!(f.role, Role::Artifact | Role::Entry(_))) {
            let path = format!("{}.{generation}", file.path);
            spare.push(FatFile { path, len: file.content.len(), content: Content::Bytes(Vec::new()) });
        }
    }
    spare
}
