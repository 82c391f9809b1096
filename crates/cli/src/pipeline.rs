//! From a machine file to an image, as one readable recipe: check, lock, base, system, closure, generation, boot set,
//! image. The steps are the libraries'; here they are put in a row, and their errors get a place in the machine file.

pub mod artifact;
pub mod boot_files;
mod files;
pub mod loader;
mod memory;
mod outputs;
mod problems;
pub mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::bootspec::Bootable;
use cairn_boot::{BootSet, Generation, Installation, Menu, Present, Record};
use cairn_disk::BootCode;
use cairn_layout::{BootPlaces, disk_seed, identifiers};
use cairn_machine::Checked;
use cairn_machine::lock::Lock;
use cairn_machine::model::{Disk, FileSystem, PartitionKind};
use cairn_process::Report;
use cairn_root::Root;
use cairn_store::{PathInfo, SigningKey, Store, StorePath, profile};
use cairn_system::debian::Base;
use cairn_system::{Mount, Program, System, SystemInput};
use image_builder::image::{Image, ImageContents};
use image_builder::root::RootContents;
use image_builder::verify::Expected;
use uuid::Uuid;

use crate::args::Format;
use crate::{cache, docs, lock_file, machine_file};
pub use files::NamedFiles;
pub use outputs::Places;
use standing::Rules;

/// One generation, made: everything that follows from its machine file alone.
#[derive(Debug)]
pub struct Made {
    /// The machine file, checked.
    pub checked: Checked,
    /// Its lock.
    pub lock: Lock,
    /// Its base.
    pub base: Base,
    /// Its system.
    pub system: System,
    /// What of the boot loader is made for the machine alone.
    pub loader: Option<StorePath>,
    /// The files that the machine file names.
    pub named: NamedFiles,
    /// Directories that partitions besides the root are mounted on.
    pub mount_points: Vec<String>,
}

/// Where a generation is made, and with what.
#[derive(Debug, Clone, Copy)]
pub struct Workshop<'a> {
    /// Where base and system are.
    pub store: &'a Store,
    /// A folder for what is remembered from one build to the next.
    pub cache: &'a Path,
    /// Signs the system, if given.
    pub key: Option<&'a SigningKey>,
}

/// Makes a generation: base, system. The files and the lock are the caller's.
pub fn make(
    file: &Path,
    (checked, named, lock): (Checked, NamedFiles, Lock),
    base: Base,
    workshop: &Workshop<'_>,
    report: &dyn Report,
) -> anyhow::Result<Made> {
    let (disk_name, disk) = the_disk(&checked)?;
    let disk_seed = disk_seed(checked.seed(), &disk_name);
    let (root, mounts) = mounts(&checked, &disk_name, &disk, disk_seed)?;
    let made_from = files::made_from(file, &checked, &lock)?;
    let running = std::env::current_exe().context("finding the running program")?;
    let added = in_store(workshop.store, &running);
    let program = added.as_ref().map_or(Program::File(&running), Program::Added);
    let base_folder = workshop.store.real_path(&base.info.path);
    let loader = loader::Source {
        base: &base.info.path,
        artifact: &|path| artifact::of(workshop.store, path),
        grub: Some(loader::Grub::Base { folder: &base_folder, cache: workshop.cache, remember: true }),
    };
    let loader = loader.make(&checked, workshop.store)?;
    let input = SystemInput {
        checked: &checked,
        base: &base,
        root: &root,
        mounts: &mounts,
        sources: &named.sources,
        named: &named.contents,
        loader: loader.as_ref(),
        program,
        usr: &docs::below_usr()?,
        files: &made_from.iter().map(|(name, bytes)| (*name, bytes.clone())).collect(),
        store: workshop.store,
        cache: workshop.cache,
        key: workshop.key,
    };
    let system = cairn_system::build(&input, report).map_err(|e| problems::of_system(&checked, e))?;
    let mount_points = mounts.iter().filter(|m| m.format != FileSystem::Swap).map(|m| m.target.clone()).collect();
    Ok(Made { checked, lock, base, system, loader, named, mount_points })
}

/// A machine as far as it can be made without writing an image.
#[derive(Debug)]
pub struct Prepared {
    store: Store,
    /// Its generations, from number 1 on.
    made: Vec<Made>,
    closure: Vec<PathInfo>,
    links: Vec<profile::Link>,
    record: Record,
    boot: BootSet,
    boot_code: Option<BootCode>,
    disk: Disk,
    disk_name: String,
    disk_seed: Uuid,
}

/// Makes everything that goes into an image with these generations, the oldest first: the locks where there are none, the
/// bases, the systems.
pub fn prepare(files: &[&Path], key: Option<&SigningKey>, report: &dyn Report) -> anyhow::Result<Prepared> {
    let cache = cache::folder()?;
    let store = Store::open(&cache)?;
    let workshop = Workshop { store: &store, cache: &cache, key };
    // All that is wrong with any of the files is known before anything is made.
    let checked = files.iter().map(|file| Ok((*file, machine_file::load(file)?)));
    let mut checked = checked.collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(seed) = checked.first().map(|(_, first)| first.seed()) {
        checked.iter_mut().skip(1).try_for_each(|(_, checked)| adopt_seed(checked, seed))?;
    }
    same_machine(&checked)?;
    let mut made: Vec<Made> = Vec::new();
    for (file, checked) in checked {
        let named = NamedFiles::read(file, &checked, &|_| false)?;
        let lock = lock_file::for_build(file, &checked, report)?;
        let base = cairn_system::debian::base(&lock, &checked.machine, &store, &cache, report)
            .map_err(|e| lock_file::placed(&checked, e))?;
        made.push(make(file, (checked, named, lock), base, &workshop, report)?);
    }
    let newest = made.last().context("no machine file is given")?;
    let (disk_name, disk) = the_disk(&newest.checked)?;
    let disk_seed = disk_seed(newest.checked.seed(), &disk_name);

    let numbered = || (1..).zip(&made);
    let closure = closure(&store, &made)?;
    let mut links = vec![profile::gcroot_link()];
    links.extend(numbered().map(|(number, made)| profile::generation_link(number, &made.system.info.path)));
    links.push(profile::current_link(made.len() as u64));
    // What was there before counts as good; the newest one has yet to show that it is.
    let folder = files.last().and_then(|file| file.parent()).unwrap_or(Path::new(""));
    let mut record = Record { seed: Some(newest.checked.seed()), ..Record::first(1) };
    for number in 2..=made.len() as u64 {
        record.try_next(number);
        if number < made.len() as u64 {
            record.booted_well(number);
        }
    }
    let generations =
        numbered().map(|(number, made)| generation(&store, number, made)).collect::<Result<Vec<_>, _>>()?;
    let base = store.real_path(&newest.base.info.path);
    let grub = match &newest.loader {
        Some(path) => {
            let made = store.real_path(path);
            loader::Grub::Made(Root::open(&made).with_context(|| format!("opening {}", made.display()))?)
        }
        None => loader::Grub::Base { folder: &base, cache: &cache, remember: true },
    };
    let loader =
        loader::Source { base: &newest.base.info.path, artifact: &|path| artifact::of(&store, path), grub: Some(grub) };
    let boot = boot_set(&loader, folder, newest, &generations, &record)?;
    let boot_code = loader.boot_code(&newest.checked)?;
    Ok(Prepared { store, made, closure, links, record, boot, boot_code, disk, disk_name, disk_seed })
}

/// The store path that a program is in, if that is a path of this store: on a machine, `cairn` itself.
fn in_store(store: &Store, program: &Path) -> Option<StorePath> {
    let folder = program.strip_prefix(cairn_store::STORE_DIR).ok()?;
    let path = StorePath::from_basename(folder.iter().next()?.to_str()?).ok()?;
    let inside = Path::new(&path.to_string()).join("bin/cairn") == program;
    (inside && store.info(&path).ok()?.is_some()).then_some(path)
}

/// Gives a machine file that names no seed the one of the machine that it is a generation of: its identifiers are those of
/// a disk that exists, whatever the host name is now.
pub fn adopt_seed(checked: &mut Checked, seed: Uuid) -> anyhow::Result<()> {
    if checked.seed() == seed {
        return Ok(());
    }
    let named = checked.machine.seed.is_some() || checked.hardware.as_ref().is_some_and(|h| h.seed.is_some());
    if named {
        let message = "this seed is not the one that the machine was made with".to_string();
        let help = format!("its disk has the identifiers of `seed: {seed}`; leave the line out, or write that");
        return Err(checked.problem("/seed", message, Some(help)).into());
    }
    checked.machine.seed = Some(seed);
    Ok(())
}

/// Refuses machine files whose disks would have other identifiers: they are not one machine.
fn same_machine(all: &[(&Path, Checked)]) -> anyhow::Result<()> {
    let of = |checked: &Checked| -> anyhow::Result<_> {
        let (name, disk) = the_disk(checked)?;
        let ids = identifiers(&disk, disk_seed(checked.seed(), &name));
        ids.map_err(|e| problems::of_plan(checked, &name, e))
    };
    let Some((first, rest)) = all.split_first() else { return Ok(()) };
    for (_, checked) in rest {
        let (pointer, what) = if checked.seed() != first.1.seed() {
            let pointer = if checked.machine.seed.is_some() { "/seed" } else { "/hostname" };
            (pointer, "their seeds differ (without a seed of its own, a machine's follows from its host name)")
        } else if of(checked)? != of(&first.1)? {
            ("/disks", "their disks differ")
        } else {
            continue;
        };
        let message = format!("this is not the machine of {}: {what}", first.0.display());
        let help = format!(
            "generations of one machine share its disk: give both files `seed: {}` and the same `disks`",
            first.1.seed()
        );
        return Err(checked.problem(pointer, message, Some(help)).into());
    }
    Ok(())
}

/// The one disk of the machine, which holds the root file system.
fn the_disk(checked: &Checked) -> anyhow::Result<(String, Disk)> {
    let (name, disk) = checked.machine.root_disk().context("the machine has no disk")?;
    Ok((name.to_string(), disk.clone()))
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

/// The systems and all that they refer to; the systems' own information with the signature of this build.
fn closure(store: &Store, made: &[Made]) -> anyhow::Result<Vec<PathInfo>> {
    let roots: Vec<StorePath> = made.iter().map(|made| made.system.info.path.clone()).collect();
    let mut closure = store.closure(&roots)?;
    for info in &mut closure {
        if let Some(made) = made.iter().find(|made| made.system.info.path == info.path) {
            *info = made.system.info.clone();
        }
    }
    Ok(closure)
}

fn generation(store: &Store, number: u64, made: &Made) -> anyhow::Result<Generation> {
    let Bootable { bootspec, device_tree } = &made.system.boots;
    let file = |path: &Option<PathBuf>| path.as_deref().map(|path| artifact::of(store, path)).transpose();
    Ok(Generation {
        number,
        name: made.checked.machine.hostname.clone(),
        date: cairn_boot::date(made.lock.debian.date),
        kernel_release: made.system.kernel_release.clone(),
        kernel: artifact::of(store, &bootspec.kernel)?,
        initrd: file(&bootspec.initrd)?,
        device_tree: file(device_tree)?,
        // A system of Debian has none.
        variants: Vec::new(),
        bootspec: bootspec.clone(),
    })
}

/// The boot set of a new machine; the newest machine file says what the menu is like.
fn boot_set(
    loader: &loader::Source<'_>,
    folder: &Path,
    newest: &Made,
    generations: &[Generation],
    record: &Record,
) -> anyhow::Result<BootSet> {
    let machine = &newest.checked.machine;
    let places = machine.root_disk().and_then(|(_, disk)| BootPlaces::of(disk));
    let memtest = loader.memtest(&newest.checked);
    let menu = Menu {
        installation: Installation::of_seed(newest.checked.seed()),
        boot: &machine.boot,
        generations,
        record,
        booted: None,
        program: &loader.program(&newest.checked)?,
        two_partitions: places.is_some_and(|places| places.second.is_some()),
        memtest: memtest.as_ref(),
        files: &boot_files::read(folder, &newest.checked)?,
        once: None,
        complete: true,
    };
    Ok(menu.boot_set(&Present::default())?)
}

impl Prepared {
    /// The newest generation.
    fn newest(&self) -> &Made {
        // There is at least one: without a file there is nothing prepared.
        &self.made[self.made.len() - 1]
    }

    /// What `verify` holds an image of this machine against.
    pub fn expected(&self) -> Expected {
        let newest = self.newest();
        Expected::from_machine(&newest.checked, &mut |path| newest.named.contents.get(path).cloned())
            .with_packages(lock_file::packages(&newest.lock))
            .with_system(Some(newest.system.info.path.to_string()), Some(newest.system.kernel_release.clone()))
    }

    /// Writes the images that are not there yet, and gives the paths of all.
    pub fn write(
        &self,
        folder: &Path,
        formats: &[Format],
        rules: Rules,
        report: &dyn Report,
    ) -> anyhow::Result<Vec<PathBuf>> {
        image_builder::output::prepare_folder(folder)?;
        let cache = cache::folder()?;
        let Made { checked, lock, .. } = self.newest();
        let passwords: Passwords = self.made.iter().flat_map(|made| made.named.passwords.clone()).collect();
        let mount_points: BTreeSet<String> = self.made.iter().flat_map(|made| made.mount_points.clone()).collect();
        let contents = ImageContents {
            disk: &self.disk,
            seed: self.disk_seed,
            installation: Installation::of_seed(checked.seed()),
            boot: &self.boot,
            boot_code: self.boot_code.as_ref(),
            root: RootContents {
                store: &self.store,
                closure: &self.closure,
                links: &self.links,
                record: &self.record.to_text(),
                passwords: &passwords,
                mount_points: &mount_points.into_iter().collect::<Vec<_>>(),
                epoch: lock.debian.date,
            },
        };
        let plan = || Image::plan(&contents).map_err(|e| problems::of_image(checked, &self.disk_name, e));
        outputs::write(
            &outputs::Wanted {
                places: Places {
                    folder,
                    name: &checked.machine.hostname,
                    formats,
                    seed: checked.seed(),
                    rules,
                    cache: &cache,
                },
                newest: self.made.len() as u64,
                key: &image_builder::image::key(&contents),
                plan: &plan,
            },
            report,
        )
    }
}

/// The hashes of first passwords by user: what else than the store goes into an image.
pub type Passwords = BTreeMap<String, String>;
