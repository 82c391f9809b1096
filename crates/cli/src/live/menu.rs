//! Brings a machine's boot partitions up to date: survey, plan, then the record, then the partitions. The record comes first,
//! so that whatever is interrupted afterwards is completed by the next run; what a BIOS starts comes last.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;

use anyhow::Context;
use cairn_boot::effects::{Mounted, write_record};
use cairn_boot::{
    BootFile, BootSet, Content, Generation, Installation, LoaderProgram, MemtestPrograms, Menu, Partitions, PlanError,
    Present, ReadVolume, Record, Role, Step, Target, Update, apply, settle, survey,
};
use cairn_disk::{CodeUpdate, Problem};
use cairn_layout::BootPlaces;
use cairn_machine::Checked;
use cairn_machine::model::Loader;
use cairn_process::{AfterWrite, Refusal, Report};
use cairn_root::Root;
use cairn_store::{Store, StoreError, StorePath};

use super::CACHE;
use super::bios::{self, Bios};
use super::firmware::FirmwarePlan;
use super::observed::{Observed, Usable, artifact};
use super::partitions;
use crate::cache;
use crate::pipeline::loader::{self, Grub};

/// Longer programs are no boot loaders.
const MOST_PROGRAM: u64 = 64 << 20;

/// The boot partitions of a machine, opened, with what decides what belongs on them.
#[derive(Debug)]
pub struct BootMenu {
    root: Root,
    installation: Installation,
    checked: Checked,
    program: LoaderProgram,
    memtest: Option<MemtestPrograms>,
    files: Vec<BootFile>,
    generations: Vec<Generation>,
    booted: Option<u64>,
    complete: bool,
    two_partitions: bool,
    first: Mounted,
    second: Option<Mounted>,
    mirrors: Vec<Mounted>,
    bios: Option<Bios>,
    /// What is to boot at the next start only ([`BootMenu::once`]).
    once: Option<u64>,
    /// What cannot be compared, and why.
    doubts: Vec<String>,
    /// What to know about the partitions.
    notes: Vec<String>,
    /// Why nobody knows what the loader's program is: neither can it be made, nor is it to be read.
    unknown: Option<String>,
    /// What was found on the boot partition, when these files with names that are not ours were looked at too. Kernels and
    /// initrds are read to the end for it, which is done once.
    found: RefCell<Option<(Vec<String>, Present)>>,
}

/// What is to be done, worked out.
#[derive(Debug)]
pub struct Planned {
    /// For the boot partition, and then for each of its mirrors.
    updates: Vec<Update>,
    /// The files that the machine file wants on the partition, for the record.
    own_files: BTreeMap<String, String>,
    /// For what a BIOS starts, on a machine that one can start.
    bios: Option<Box<CodeUpdate>>,
    /// For the firmware's variables.
    firmware: FirmwarePlan,
    /// What cannot be compared or must not be changed, and why.
    doubts: Vec<String>,
    /// What to know about the partitions.
    notes: Vec<String>,
}

/// What a boot partition is changed for: how much may be taken for an accident, and not for somebody's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Somebody wants everything as Cairn has it.
    Repair,
    /// Somebody says which generation is to boot next.
    Choice,
    /// Something else.
    Other,
}

impl Planned {
    /// Leaves what may be somebody's wish, and tells of it.
    fn leave_wishes(&mut self, occasion: Occasion) {
        if occasion == Occasion::Other {
            self.firmware.keep_overrides();
        }
        // Another system has put it there.
        if occasion != Occasion::Repair && self.bios.as_ref().is_some_and(|update| update.problem == Problem::Foreign) {
            self.bios = None;
            self.doubts.push(format!(
                "{}, and is left as it is; `cairn boot repair` takes it back",
                bios::word(Problem::Foreign)
            ));
        }
    }

    /// Whether everything is as it should be.
    pub fn is_empty(&self) -> bool {
        self.updates.iter().all(|update| update.steps.is_empty()) && self.bios.is_none() && self.firmware.is_empty()
    }

    /// What to know about, and what nobody need do anything about.
    pub fn notes(&self) -> Vec<&String> {
        self.notes.iter().chain(self.firmware.notes()).collect()
    }

    /// What is not as it should be, or cannot be told, and stays as it is.
    pub fn doubts(&self) -> &[String] {
        &self.doubts
    }

    /// What is to be done, in words.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (n, update) in self.updates.iter().enumerate() {
            let on = if n == 0 { "" } else { " (on the mirror)" };
            for step in &update.steps {
                let word = match step {
                    Step::Create { path, .. } if update.healed.contains(path) => {
                        format!("/{path} is damaged: it is written anew")
                    }
                    Step::Create { path, .. } => format!("/{path} is missing"),
                    Step::Overwrite { path, .. } => format!("/{path} says something else than it should"),
                    Step::Replace { path, .. } => format!("/{path} is another version of the boot loader"),
                    Step::Remove { path, .. } if update.healed.contains(path) => continue,
                    Step::Remove { path, .. } => format!("/{path} is not needed any more"),
                    Step::Keep { .. } | Step::Barrier => continue,
                };
                words.push(format!("{word}{on}"));
            }
        }
        words.extend(self.bios.iter().map(|update| bios::word(update.problem).to_string()));
        words.extend(self.firmware.words());
        words
    }
}

impl BootMenu {
    /// Opens the boot partitions of a machine. `more` are generations that do not have a link yet.
    pub fn open(observed: &Observed, more: &[&Usable]) -> anyhow::Result<BootMenu> {
        let newest = match more.last() {
            Some(newest) => newest,
            None => observed.newest()?,
        };
        let mut checked = newest.checked()?;
        // The identifiers are those of the disk that exists, whatever the host name is now that they once came from: GRUB
        // looks for its menu by them.
        let seed = observed.seed()?;
        checked.machine.seed = Some(seed);
        let installation = Installation::of_seed(seed);
        let (_, disk) = checked.machine.root_disk().context("the machine file has no disk")?;
        let places = BootPlaces::of(disk).context("the machine file's disk has no boot partition")?;
        let root = &observed.root;
        let mut notes = Vec::new();
        let mut open = |at: &str| partitions::open(observed, &checked, at, &mut notes);
        let generations = observed.usable.iter().chain(more.iter().copied()).map(|g| g.boot.clone()).collect();
        let first = open(&places.first)?;
        let second = places.second.as_deref().map(&mut open).transpose()?;
        let mirrors = places.mirrors.iter().map(|at| open(at)).collect::<anyhow::Result<_>>()?;
        // A system that does not have GRUB's parts gets them from its base's own GRUB. Nothing of a disk or an image that is
        // not the running machine's is run, for it may be anybody's: there it must be the base of the same name that this
        // computer has made or taken itself.
        let made = match &newest.loader {
            Some(path) => root.inside(path.to_string()).with_context(|| format!("opening {path}"))?,
            None => None,
        };
        let base = match &made {
            None if checked.machine.boot.loader == Loader::Grub => base_to_run(observed, &newest.base)?,
            _ => None,
        };
        let loader = loader::Source {
            base: &newest.base,
            artifact: &|path| artifact(root, None, path, &observed.hashes),
            grub: match (made, &base) {
                (Some(made), _) => Some(Grub::Made(made)),
                // Whoever only looks comes here too, so nothing is written down.
                (None, Some((folder, cache))) => Some(Grub::Base { folder, cache, remember: false }),
                (None, None) => None,
            },
        };
        let (mut doubts, mut unknown) = (Vec::new(), None);
        let (program, code) = match loader.grub.is_some() || checked.machine.boot.loader != Loader::Grub {
            true => (loader.program(&checked)?, loader.boot_code(&checked)?),
            false => {
                doubts.push(format!(
                    "GRUB's own parts are not compared: only {} can make them, and it is not in this user's store (to build the \
                     machine's file here brings it)",
                    newest.base
                ));
                let found = as_found(&first, installation, &checked);
                unknown = found.as_ref().err().cloned();
                (LoaderProgram::Grub { efi: found.unwrap_or_else(|_| Some(Vec::new())) }, None)
            }
        };
        let bios = match (code, &observed.image) {
            (None, _) => None,
            (Some(code), Some(image)) => Some(Bios::of_image(code, &checked, image)?),
            (Some(code), None) => Bios::of_mounted(code, &checked, &first),
        };
        Ok(BootMenu {
            installation,
            program,
            memtest: loader.memtest(&checked),
            files: newest.made_from.boot_files(&checked)?,
            generations,
            booted: observed.booted,
            complete: observed.broken.is_empty(),
            two_partitions: places.second.is_some(),
            first,
            second,
            mirrors,
            root: root.clone(),
            checked,
            bios,
            once: None,
            doubts,
            notes,
            unknown,
            found: RefCell::default(),
        })
    }

    /// Lets a generation boot at the next start, and only then. For GRUB that is a part of what is planned after this; whether
    /// it is, for systemd-boot is told afterwards ([`super::firmware::once`]).
    pub fn once(&mut self, number: u64, record: &Record) -> anyhow::Result<bool> {
        if !self.menu(record).choice()?.kept.contains(&number) {
            let what = format!(
                "generation {number} has no entry in the menu any more: raise boot.generations to keep it there"
            );
            return Err(Refusal(what).into());
        }
        self.once = Some(number);
        Ok(matches!(self.program, LoaderProgram::Grub { .. }))
    }

    fn menu<'a>(&'a self, record: &'a Record) -> Menu<'a> {
        Menu {
            installation: self.installation,
            boot: &self.checked.machine.boot,
            generations: &self.generations,
            record,
            booted: self.booted,
            program: &self.program,
            two_partitions: self.two_partitions,
            memtest: self.memtest.as_ref(),
            files: &self.files,
            once: self.once,
            complete: self.complete,
        }
    }

    /// What is on the boot partition.
    pub fn survey(&self, record: &Record) -> anyhow::Result<Present> {
        let fixed = self.menu(record).fixed_paths()?;
        if let Some((looked_at, present)) = &*self.found.borrow()
            && *looked_at == fixed
        {
            return Ok(present.clone());
        }
        let partitions = Partitions { esp: Some(&self.first), boot: self.second.as_ref().map(|v| v as _) };
        let present = survey(partitions, self.installation, &fixed).context("looking at the boot partition")?;
        *self.found.borrow_mut() = Some((fixed, present.clone()));
        Ok(present)
    }

    /// Takes over what the loader has counted; the generation whose tries are used up.
    pub fn settle(&self, record: &mut Record) -> anyhow::Result<Option<u64>> {
        let present = self.survey(record)?;
        Ok(settle(record, &present, self.booted))
    }

    /// Works out what is to be done. A boot partition on which it cannot be done is refused, and nothing is written.
    pub fn plan(&self, record: &Record) -> anyhow::Result<Planned> {
        let menu = self.menu(record);
        let plan = |present: &Present, menu: &Menu<'_>| -> anyhow::Result<(BootSet, Update)> {
            menu.plan(present).map_err(|error| match error {
                cairn_boot::MenuError::Plan(
                    why @ (PlanError::Full(_)
                    | PlanError::Foreign(_)
                    | PlanError::DirectoryInTheWay(_)
                    | PlanError::InTheWay(..)),
                ) => Refusal(why.to_string()).into(),
                other => other.into(),
            })
        };
        let present = self.survey(record)?;
        if let Some(why) = &self.unknown {
            let doubts = self.doubts.iter().chain([why]).cloned().collect();
            return Ok(Planned {
                updates: Vec::new(),
                own_files: record.files.clone(),
                bios: None,
                firmware: FirmwarePlan::default(),
                doubts,
                notes: self.notes.clone(),
            });
        }
        let (set, update) = plan(&present, &menu)?;
        let firmware =
            FirmwarePlan::new(&self.root, &self.checked, self.installation, &self.program, &self.first, &present);
        let mut updates = vec![update];
        for mirror in &self.mirrors {
            let menu = Menu { two_partitions: false, ..menu };
            let fixed = menu.fixed_paths()?;
            let present = survey(Partitions { esp: Some(mirror), boot: None }, self.installation, &fixed);
            let present = present.with_context(|| format!("looking at {}", mirror.root().display()))?;
            updates.push(plan(&present, &menu)?.1);
        }
        let own = set.files.iter().filter(|file| file.role == Role::Own);
        let own_files = own.map(|file| (file.path.clone(), hex(&file.content.sha256()))).collect();
        let mut doubts = self.doubts.clone();
        let bios = self.bios.as_ref().map_or(Ok(None), Bios::plan).unwrap_or_else(|why| {
            doubts.push(why);
            None
        });
        Ok(Planned { updates, own_files, bios, firmware, doubts, notes: self.notes.clone() })
    }

    /// The same for somebody who is about to do it: refused, too, where a partition that is to be changed is read-only.
    pub fn plan_to_apply(&self, record: &Record, occasion: Occasion) -> anyhow::Result<Planned> {
        if let Some(why) = &self.unknown {
            return Err(Refusal(format!("{}: {why}", self.doubts.join("; "))).into());
        }
        let mut planned = self.plan(record)?;
        planned.leave_wishes(occasion);
        if planned.updates.iter().any(|update| !update.steps.is_empty()) {
            let all = std::iter::once(&self.first).chain(&self.second).chain(&self.mirrors);
            all.into_iter().try_for_each(partitions::is_writable)?;
        }
        Ok(planned)
    }

    /// Writes the record, then the partitions; a mirror only after what it mirrors is complete. What a BIOS starts comes after
    /// all of them. Between the two the old core image meets the new menu, and on the way back to an earlier Cairn a new one an
    /// old menu, so both must boot whatever the order: a core image finds the menu by the partition's and the installation's
    /// identifiers, which stay, and no menu uses a command that the core images of the first release do not have. Last it is
    /// because the menu is then complete whatever happens here, and because what starts the machine now has proved that it can.
    pub fn apply(&mut self, planned: &Planned, record: &mut Record, report: &dyn Report) -> anyhow::Result<()> {
        // What is new is ours from now on, what goes is ours until it is gone.
        self.found.take();
        let before = std::mem::take(&mut record.files);
        record.files = before.into_iter().chain(planned.own_files.clone()).collect();
        write_record(&self.root, record)?;
        if planned.updates.iter().any(|update| !update.steps.is_empty()) {
            report.phase("updating the boot partition", None);
        }
        let root = self.root.clone();
        let open = |content: &Content| image_builder::boot_volume::open(&root, content);
        let done = |result: Result<(), cairn_boot::ApplyError>| {
            result.map_err(|error| match error.touched() {
                true => anyhow::Error::from(AfterWrite(
                    "the machine boots what it booted before; `cairn boot repair` completes the update".into(),
                ))
                .context(format!("{:#}", anyhow::Error::from(error))),
                false => error.into(),
            })
        };
        let mut updates = planned.updates.iter();
        if let Some(update) = updates.next() {
            let boot = self.second.as_mut().map(|v| v as _);
            let mut target = Target { esp: Some(&mut self.first), boot };
            done(apply(update, &mut target, &open, &mut |_| ()))?;
        }
        for (update, mirror) in updates.zip(&mut self.mirrors) {
            let mut target = Target { esp: Some(mirror), boot: None };
            done(apply(update, &mut target, &open, &mut |_| ()))?;
        }
        if record.files != planned.own_files {
            record.files.clone_from(&planned.own_files);
            write_record(&self.root, record)?;
        }
        planned.notes.iter().for_each(|note| report.note(note));
        planned.firmware.apply(report);
        for doubt in &planned.doubts {
            report.note(doubt);
        }
        if let (Some(update), Some(bios)) = (&planned.bios, &self.bios) {
            report.phase("updating what a BIOS starts", None);
            bios.apply(update)?;
        }
        Ok(())
    }
}

/// A base that may be run, and the folder in which is remembered what was made of it: the running machine's own, or the one of
/// the same name in the user's own store.
fn base_to_run(observed: &Observed, base: &StorePath) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
    let root = &observed.root;
    if root.is_host() && observed.image.is_none() {
        return Ok(Some((root.shown(base.to_string()), root.shown(CACHE))));
    }
    let cache = cache::folder()?;
    let store = match Store::at(&cache) {
        Ok(store) => store,
        // Who only looks after machines never built one here.
        Err(StoreError::NoStore { .. }) => return Ok(None),
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
        Err(other) => return Err(other.into()),
    };
    Ok(store.info(base)?.map(|_| (store.real_path(base), cache)))
}

/// The loader's program where nothing can make it: what is on the partition, or why that says nothing.
fn as_found(first: &Mounted, installation: Installation, checked: &Checked) -> Result<Option<Vec<u8>>, String> {
    if !checked.machine.firmware().uefi {
        return Ok(None);
    }
    let path = installation.grub_program();
    let mut program = Vec::new();
    let read = first.open(&path).and_then(|file| file.take(MOST_PROGRAM).read_to_end(&mut program));
    match read {
        Ok(0) => Err(format!("/{path} on the boot partition is empty")),
        Ok(_) => Ok(Some(program)),
        Err(error) => Err(format!("/{path} on the boot partition cannot be read: {error}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
