//! From a machine file to an image, as one readable recipe: check, lock, base, system, closure, generation, boot set,
//! image. The steps are the libraries'; here they are put in a row, and their errors get a place in the machine file.

mod artifact;
mod files;
mod outputs;
mod problems;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::{BootSet, Generation, Installation, Layout, LoaderProgram, Menu, Present, Record};
use cairn_layout::{disk_seed, identifiers};
use cairn_machine::Checked;
use cairn_machine::lock::Lock;
use cairn_machine::model::{Disk, FileSystem, PartitionKind};
use cairn_process::Report;
use cairn_store::{PathInfo, SigningKey, Store, profile};
use cairn_system::debian::Base;
use cairn_system::{Mount, Program, System, SystemInput};
use image_builder::image::{Image, ImageContents};
use image_builder::root::RootContents;
use image_builder::verify::Expected;
use uuid::Uuid;

use crate::args::Format;
use crate::{cache, docs, lock_file, machine_file};
use files::NamedFiles;

/// The number of a new machine's generation.
const FIRST_GENERATION: u64 = 1;

/// A machine as far as it can be made without writing an image.
#[derive(Debug)]
pub struct Prepared {
    /// The machine file, checked.
    pub checked: Checked,
    lock: Lock,
    system: System,
    store: Store,
    named: NamedFiles,
    closure: Vec<PathInfo>,
    links: Vec<profile::Link>,
    boot: BootSet,
    disk: Disk,
    disk_name: String,
    disk_seed: Uuid,
    mount_points: Vec<String>,
}

/// Makes everything that goes into an image: the lock if there is none, the base, the system.
pub fn prepare(file: &Path, key: Option<&SigningKey>, report: &dyn Report) -> anyhow::Result<Prepared> {
    let checked = machine_file::load(file)?;
    let named = NamedFiles::read(file, &checked)?;
    let lock = lock_file::for_build(file, &checked, report)?;
    let cache = cache::folder()?;
    let store = Store::open(&cache)?;
    let base = cairn_system::debian::base(&lock, &checked.machine, &store, &cache, report)
        .map_err(|e| lock_file::placed(&checked, e))?;

    let (disk_name, disk) = the_disk(&checked)?;
    let disk_seed = disk_seed(checked.seed(), &disk_name);
    let (root, mounts) = mounts(&checked, &disk_name, &disk, disk_seed)?;
    let made_from = files::made_from(file, &checked)?;
    let program = std::env::current_exe().context("finding the running program")?;
    let input = SystemInput {
        checked: &checked,
        base: &base,
        root: &root,
        mounts: &mounts,
        sources: &named.sources,
        named: &named.contents,
        program: Program::File(&program),
        usr: &docs::below_usr()?,
        files: &made_from.iter().map(|(name, bytes)| (*name, bytes.clone())).collect(),
        store: &store,
        cache: &cache,
        key,
    };
    let system = cairn_system::build(&input, report).map_err(|e| problems::of_system(&checked, e))?;

    let closure = closure(&store, &system)?;
    let links = profile::links(FIRST_GENERATION, &system.info.path);
    let generation = generation(&store, &checked, &lock, &system)?;
    let boot = boot_set(&store, &checked, &base, &[generation])?;
    let mount_points = mounts.iter().filter(|m| m.format != FileSystem::Swap).map(|m| m.target.clone()).collect();
    Ok(Prepared { checked, lock, system, store, named, closure, links, boot, disk, disk_name, disk_seed, mount_points })
}

/// The one disk of the machine, which holds the root file system.
fn the_disk(checked: &Checked) -> anyhow::Result<(String, Disk)> {
    let (name, disk) = checked.machine.disks.iter().next().context("the machine has no disk")?;
    Ok((name.clone(), disk.clone()))
}

/// The kernel's `root=`, and what is mounted besides the root.
fn mounts(checked: &Checked, name: &str, disk: &Disk, seed: Uuid) -> anyhow::Result<(String, Vec<Mount>)> {
    let ids = identifiers(disk, seed).map_err(|e| problems::of_plan(checked, name, e))?;
    let mut root = None;
    let mut mounts = Vec::new();
    for partition in ids {
        let Some(fs) = &partition.fs else { continue };
        if partition.kind == PartitionKind::Root {
            root = Some(format!("UUID={}", fs.uuid));
        } else if let Some(target) = partition.mount_point {
            mounts.push(Mount { device: format!("PARTUUID={}", partition.part_uuid), target, format: fs.format });
        } else if fs.format == FileSystem::Swap {
            let device = format!("PARTUUID={}", partition.part_uuid);
            mounts.push(Mount { device, target: "none".into(), format: fs.format });
        }
    }
    Ok((root.context("the disk has no root partition")?, mounts))
}

/// The system and all that it refers to; the system's own information with the signature of this build.
fn closure(store: &Store, system: &System) -> anyhow::Result<Vec<PathInfo>> {
    let mut closure = store.closure(std::slice::from_ref(&system.info.path))?;
    for info in &mut closure {
        if info.path == system.info.path {
            *info = system.info.clone();
        }
    }
    Ok(closure)
}

fn generation(store: &Store, checked: &Checked, lock: &Lock, system: &System) -> anyhow::Result<Generation> {
    let initrd = system.bootspec.initrd.as_deref().map(|path| artifact::of(store, path)).transpose()?;
    Ok(Generation {
        number: FIRST_GENERATION,
        name: checked.machine.hostname.clone(),
        date: cairn_boot::date(lock.debian.date),
        kernel_release: system.kernel_release.clone(),
        kernel: artifact::of(store, &system.bootspec.kernel)?,
        initrd,
        bootspec: system.bootspec.clone(),
    })
}

/// The boot set of a new machine: its first generation is what boots.
fn boot_set(store: &Store, checked: &Checked, base: &Base, generations: &[Generation]) -> anyhow::Result<BootSet> {
    let program = store_path(&base.info.path, "usr/lib/systemd/boot/efi/systemd-bootx64.efi");
    let two =
        checked.machine.disks.values().any(|disk| disk.has(PartitionKind::Esp) && disk.has(PartitionKind::Xbootldr));
    let menu = Menu {
        installation: Installation::of_seed(checked.seed()),
        boot: &checked.machine.boot,
        generations,
        record: &Record::first(FIRST_GENERATION),
        booted: None,
        program: &LoaderProgram::SystemdBoot(artifact::of(store, &program)?),
        layout: if two { Layout::Two } else { Layout::One },
        files: &[],
        complete: true,
    };
    Ok(menu.boot_set(&Present::default())?)
}

fn store_path(path: &cairn_store::StorePath, inside: &str) -> PathBuf {
    Path::new(&path.to_string()).join(inside)
}

impl Prepared {
    /// What `verify` holds an image of this machine against.
    pub fn expected(&self) -> Expected {
        Expected::from_machine(&self.checked, &mut |path| self.named.contents.get(path).cloned())
            .with_packages(lock_file::packages(&self.lock))
            .with_system(Some(self.system.info.path.to_string()), Some(self.system.kernel_release.clone()))
    }

    /// Writes the images that are not there yet, and gives the paths of all.
    pub fn write(&self, folder: &Path, formats: &[Format], report: &dyn Report) -> anyhow::Result<Vec<PathBuf>> {
        image_builder::output::prepare_folder(folder)?;
        let contents = ImageContents {
            disk: &self.disk,
            seed: self.disk_seed,
            installation: Installation::of_seed(self.checked.seed()),
            boot: &self.boot,
            root: RootContents {
                store: &self.store,
                closure: &self.closure,
                links: &self.links,
                passwords: &self.named.passwords,
                mount_points: &self.mount_points,
                epoch: self.lock.debian.date,
            },
        };
        let plan = || Image::plan(&contents).map_err(|e| problems::of_image(&self.checked, &self.disk_name, e));
        outputs::write(
            &outputs::Wanted {
                folder,
                name: &self.checked.machine.hostname,
                formats,
                key: &image_builder::image::key(&contents),
                plan: &plan,
            },
            report,
        )
    }
}

/// The hashes of first passwords by user: what else than the store goes into an image.
pub type Passwords = BTreeMap<String, String>;
