//! A machine with all of its generations, as far as it can be made without writing it anywhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::bootspec::Bootable;
use cairn_boot::{
    BootSet, Generation, Installation, Menu, Partitions, Place, PlanError, Present, ReadVolume, Record, Role, Space,
    Step, Update, has_other_fallback, own_files, survey,
};
use cairn_disk::BootCode;
use cairn_layout::onto::{DiskThere, Wish};
use cairn_layout::{BootPlaces, PartitionIds, disk_seed, human, identifiers};
use cairn_machine::Checked;
use cairn_machine::model::Disk;
use cairn_process::{Refusal, Report};
use cairn_store::{PathInfo, Store, StorePath, profile};
use uuid::Uuid;

use crate::contents::{Contents, ContentsError, NewDisk, RootContents};
use crate::machine_file::MachineFile;
use crate::named_files::{NamedFiles, Passphrases, Passwords};
use crate::plain_file::{self, BOOT_FILE};
use crate::recipe::{Kit, Made, Workshop, adopt_seed, make, the_disk};
use crate::{loader, lock_file, problems};

/// A machine as far as it can be made without writing an image.
#[derive(Debug)]
pub struct Prepared {
    store: Store,
    /// Its generations, from number 1 on.
    made: Vec<Made>,
    passwords: Passwords,
    passphrases: Passphrases,
    mount_points: Vec<String>,
    record_text: String,
    closure: Vec<PathInfo>,
    links: Vec<profile::Link>,
    boot: BootSet,
    shared: Option<Shared>,
    boot_code: Option<BootCode>,
    program: String,
    disk: Disk,
    disk_name: String,
    disk_seed: Uuid,
}

/// What becomes of an EFI system partition that is there, and that other systems start from too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The steps that bring the machine's files onto it.
    pub update: Update,
    /// The bytes that are free on it before them.
    pub free: u64,
    /// Whether what the firmware finds there by itself is another system's, and stays so.
    pub other_fallback: bool,
    /// The other systems that the machine's menu starts too.
    pub others: Vec<&'static str>,
}

/// Makes everything that goes onto the disk of a machine with these generations, the oldest first: the locks where there are none, the
/// bases, the systems.
///
/// # Errors
/// What the steps say, with its place in the machine file.
pub fn prepare(files: &[MachineFile], kit: &Kit, report: &dyn Report) -> anyhow::Result<Prepared> {
    prepare_beside(files, None, kit, report)
}

/// The same for a disk with an EFI system partition that is kept, where there is one: what is on it decides what goes there.
///
/// # Errors
/// As [`prepare`]; a refusal where the partition has no room, or is such that the machine could not start from it.
pub fn prepare_beside(
    files: &[MachineFile],
    esp: Option<&dyn ReadVolume>,
    kit: &Kit,
    report: &dyn Report,
) -> anyhow::Result<Prepared> {
    let cache = &kit.cache;
    let store = Store::open(cache)?;
    let workshop = Workshop { store: &store, kit };
    // All that is wrong with any of the files is known before anything is made.
    let checked = files.iter().map(|file| Ok((file, file.load()?)));
    let mut checked = checked.collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(seed) = checked.first().map(|(_, first)| first.seed()) {
        checked.iter_mut().skip(1).try_for_each(|(_, checked)| adopt_seed(checked, seed))?;
    }
    same_machine(&checked)?;
    let mut made: Vec<Made> = Vec::new();
    for (file, checked) in checked {
        let named = NamedFiles::read(&file.path, &checked, &|_| false)?;
        let lock = lock_file::for_build(&file.path, &checked, cache, report)?;
        let base = cairn_system::debian::base(&lock, &checked.machine, &store, cache, report)
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
    let folder = files.last().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
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
    let parts = newest.loader.as_ref().map(|path| loader::made_in(&store.real_path(path))).transpose()?;
    let grub = match &parts {
        Some(read) => loader::Grub::Made(read),
        None => loader::Grub::Base { folder: &base, cache, remember: true },
    };
    let loader = loader::Parts {
        base: &newest.base.info.path,
        artifact: &|path| loader::artifact(&store, path),
        grub: Some(grub),
    };
    let (boot, shared) = boot_set(&loader, folder, newest, &generations, &record, esp)?;
    let boot_code = loader.boot_code(&newest.checked)?;
    let program =
        loader.program(&newest.checked)?.own_path(Installation::of_seed(newest.checked.seed()), disk.shares_esp());
    let passwords = made.iter().flat_map(|made| made.named.passwords.clone()).collect();
    let passphrases = made.iter().flat_map(|made| made.named.passphrases.clone()).collect();
    let mount_points: BTreeSet<String> = made.iter().flat_map(|made| made.mount_points.clone()).collect();
    Ok(Prepared {
        passwords,
        passphrases,
        mount_points: mount_points.into_iter().collect(),
        record_text: record.to_text(),
        store,
        made,
        closure,
        links,
        boot,
        shared,
        boot_code,
        program,
        disk,
        disk_name,
        disk_seed,
    })
}

/// Refuses machine files whose disks would have other identifiers: they are not one machine.
fn same_machine(all: &[(&MachineFile, Checked)]) -> anyhow::Result<()> {
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
        let message = format!("this is not the machine of {}: {what}", first.0.path.display());
        let help = format!(
            "generations of one machine share its disk: give both files `seed: {}` and the same `disks`",
            first.1.seed()
        );
        return Err(checked.problem(pointer, message, Some(help)).into());
    }
    Ok(())
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
    let file = |path: &Option<PathBuf>| path.as_deref().map(|path| loader::artifact(store, path)).transpose();
    Ok(Generation {
        number,
        name: made.checked.machine.hostname.clone(),
        date: cairn_boot::date(made.lock.date()),
        kernel_release: Some(made.system.kernel_release.clone()),
        kernel: loader::artifact(store, &bootspec.kernel)?,
        initrd: file(&bootspec.initrd)?,
        device_tree: file(device_tree)?,
        // A system of Debian has none.
        variants: Vec::new(),
        bootspec: bootspec.clone(),
    })
}

/// The boot set of a new machine; the newest machine file says what the menu is like.
fn boot_set(
    loader: &loader::Parts<'_>,
    folder: &Path,
    newest: &Made,
    generations: &[Generation],
    record: &Record,
    esp: Option<&dyn ReadVolume>,
) -> anyhow::Result<(BootSet, Option<Shared>)> {
    let machine = &newest.checked.machine;
    let places = machine.root_disk().and_then(|(_, disk)| BootPlaces::of(disk));
    let memtest = loader.memtest(&newest.checked);
    let program = loader.program(&newest.checked)?;
    let menu = Menu {
        installation: Installation::of_seed(newest.checked.seed()),
        boot: &machine.boot,
        generations,
        record,
        booted: None,
        program: &program,
        // Nobody but the machine draws its keys, when it has started.
        images: None,
        shared: machine.root_disk().is_some_and(|(_, disk)| disk.shares_esp()),
        two_partitions: places.is_some_and(|places| places.second.is_some()),
        memtest: memtest.as_ref(),
        files: &own_files(&newest.checked, &mut |source| {
            // The user's own, anywhere.
            plain_file::read(&folder.join(source), BOOT_FILE).map_err(|error| error.to_string())
        })?,
        once: None,
        complete: true,
    };
    match esp {
        None => Ok((menu.boot_set(&Present::default())?, None)),
        Some(esp) => onto_shared(&menu, esp).map(|(set, shared)| (set, Some(shared))),
    }
}

/// What goes onto an EFI system partition that others use too.
fn onto_shared(menu: &Menu<'_>, esp: &dyn ReadVolume) -> anyhow::Result<(BootSet, Shared)> {
    let looking = "looking at the EFI system partition that is kept";
    let mut present =
        survey(Partitions { esp: Some(esp), boot: None }, menu.installation, &menu.fixed_paths()?).context(looking)?;
    let free = present.space.get(&Place::Esp).map_or(0, |space| space.free);
    if menu.two_partitions {
        // It is made anew, as large as it must be.
        present.space.insert(Place::Boot, Space { cluster: 4096, free: u64::MAX / 2 });
    }
    let full = |needed: u64| {
        refusal(&format!(
            "the EFI system partition has {} free, and {} would be needed for this machine and one upgrade of it: give the machine a \
             partition of its own for kernels (`type: xbootldr`), so that only the loader goes there, or an EFI system partition of its own",
            human(free),
            human(needed)
        ))
    };
    let (set, mut update) = menu.plan(&present).map_err(|error| match error {
        cairn_boot::MenuError::Plan(PlanError::Full(short)) => full(short.needed),
        cairn_boot::MenuError::Plan(why) => refusal(&why.to_string()),
        other => other.into(),
    })?;
    // What the next generation brings stands beside what is there.
    let grows = set.files.iter().filter(|file| file.place == Place::Esp && file.role == Role::Artifact);
    let next: u64 = grows.map(|file| file.content.len()).sum();
    if update.written.saturating_add(next) > free {
        return Err(full(update.written.saturating_add(next)));
    }
    update.steps.retain(|step| !matches!(step, Step::Create { place: Place::Boot, .. }));
    let other_fallback = has_other_fallback(&present, menu.installation, menu.program);
    let mut others: Vec<&str> = cairn_boot::others(&present).iter().map(|other| other.title).collect();
    if !menu.boot.other_systems {
        others.clear();
    }
    Ok((set, Shared { update, free, other_fallback, others }))
}

fn refusal(why: &str) -> anyhow::Error {
    Refusal(why.to_string()).into()
}

impl Prepared {
    /// The newest generation.
    pub fn newest(&self) -> &Made {
        // There is at least one: without a file there is nothing prepared.
        &self.made[self.made.len() - 1]
    }

    /// The number of the newest generation.
    pub fn count(&self) -> u64 {
        self.made.len() as u64
    }

    /// The boot loader's own program, by its path on the EFI system partition.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// What becomes of the EFI system partition that is kept, where there is one.
    pub fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    /// The store that the contents come from.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What goes onto the disk.
    pub fn contents(&self) -> Contents<'_> {
        let Made { checked, lock, .. } = self.newest();
        Contents {
            disk: &self.disk,
            seed: self.disk_seed,
            installation: Installation::of_seed(checked.seed()),
            boot: &self.boot,
            esp_is_kept: self.shared.is_some(),
            boot_code: self.boot_code.as_ref(),
            root: RootContents {
                store: &self.store,
                closure: &self.closure,
                links: &self.links,
                record: &self.record_text,
                passwords: &self.passwords,
                passphrases: &self.passphrases,
                mount_points: &self.mount_points,
                epoch: lock.date(),
            },
        }
    }

    /// Plans the disk, as large as it must be.
    ///
    /// # Errors
    /// What is wrong, with its place in the machine file.
    pub fn plan(&self) -> anyhow::Result<NewDisk> {
        NewDisk::plan(&self.contents()).map_err(|e| self.placed(e))
    }

    /// Plans the disk onto one that exists.
    ///
    /// # Errors
    /// What is wrong: with its place in the machine file, or as a refusal where it is about the disk that is there.
    pub fn plan_onto(&self, there: &DiskThere, wish: &Wish) -> anyhow::Result<NewDisk> {
        NewDisk::plan_onto(&self.contents(), there, wish).map_err(|e| self.placed(e))
    }

    fn placed(&self, error: ContentsError) -> anyhow::Error {
        problems::of_contents(&self.newest().checked, &self.disk_name, error)
    }

    /// The disk's partitions, as far as they are known without a disk: what they are, and by what they are found.
    ///
    /// # Errors
    /// As [`Prepared::plan`].
    pub fn partitions(&self) -> anyhow::Result<Vec<PartitionIds>> {
        identifiers(&self.disk, self.disk_seed).map_err(|e| self.placed(e.into()))
    }
}
