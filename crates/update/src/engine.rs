//! Carries out a change, step by step, and knows by construction whether something was touched when it ends early.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};

use anyhow::Context;
use cairn_boot::effects::write_record;
use cairn_boot::{ApplyError, Content, apply};
use cairn_make::Passwords;
use cairn_make::contents::open;
use cairn_process::{AfterWrite, Report};
use cairn_root::Root;
use cairn_store::gc::Garbage;
use cairn_store::{Generations, MachineStore, NixDb, StoreError};
use cairn_system::debian;

use crate::change::{Change, Step};
use crate::menu::BootMenu;
use crate::session::Session;
use crate::turn::{CACHE, OWN};
use crate::{firmware, notice, reserve};

/// Where a change can be made to fail, so that what is left then can be looked at.
pub trait Faults {
    /// Asked before each step.
    ///
    /// # Errors
    /// What the step is to fail with.
    fn before(&mut self, step: &Step) -> std::io::Result<()>;
}

/// Nothing fails that does not fail by itself.
#[derive(Debug, Clone, Copy)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn before(&mut self, _: &Step) -> std::io::Result<()> {
        Ok(())
    }
}

/// What became known while a change was carried out.
#[derive(Debug, Default)]
pub struct Done {
    /// What was collected.
    pub garbage: Garbage,
}

/// Carries out a change. A session that was only opened to look is refused by what it has not got: the turn.
///
/// # Errors
/// What a step meets. Once something was touched it is an [`AfterWrite`], which says what is left and what to do.
pub fn carry_out(
    session: &mut Session,
    menu: Option<&mut BootMenu<'static>>,
    change: &Change,
    faults: &mut dyn Faults,
    report: &dyn Report,
) -> anyhow::Result<Done> {
    anyhow::ensure!(session.may_change(), "this session only looks");
    let mut engine = Engine {
        root: session.root.clone(),
        store: session.store.as_mut(),
        menu,
        report,
        done: Done::default(),
        touched: false,
        told_phase: false,
        other_sizes: false,
    };
    for stage in &change.stages {
        for step in &stage.steps {
            let result = faults.before(step).map_err(anyhow::Error::from).and_then(|()| engine.step(step));
            if let Err(error) = result {
                return Err(engine.ended(error, step, &stage.left));
            }
            engine.touched |= step.touches();
            engine.other_sizes |= matches!(step, Step::Link { .. } | Step::Unlink(_));
        }
    }
    Ok(engine.done)
}

struct Engine<'e> {
    root: Root,
    store: Option<&'e mut MachineStore>,
    menu: Option<&'e mut BootMenu<'static>>,
    report: &'e dyn Report,
    done: Done,
    touched: bool,
    told_phase: bool,
    /// Whether the store, or who needs what of it, is another than before.
    other_sizes: bool,
}

impl Engine<'_> {
    /// The error of a step, with what is left.
    fn ended(&self, error: anyhow::Error, step: &Step, left: &str) -> anyhow::Error {
        let by_step = match error.downcast_ref::<ApplyError>() {
            Some(error) => error.touched(),
            None => step.touches() && !step.is_atomic(),
        };
        let full = is_full(&error).then(|| full_words(&self.root));
        match self.touched || by_step {
            true => {
                let left = full.map_or_else(|| left.to_string(), |full| format!("{full}; {left}"));
                anyhow::Error::from(AfterWrite(left)).context(format!("{error:#}"))
            }
            false => error,
        }
    }

    fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        let root = &self.root;
        match step {
            Step::SyncStore => Ok(self.store()?.sync()?),
            Step::Register { paths, time } => Ok(NixDb::open(root.path())?.register(paths, *time).map(drop)?),
            Step::Passwords(passwords) => first_passwords(root, passwords),
            Step::Passphrases(all) => keep_secrets(root, "wifi", all),
            Step::Link { number, system, time } => {
                let made = Generations::at(root.path()).add(system, *time, number.saturating_sub(1))?;
                anyhow::ensure!(made == *number, "somebody else made generation {number} meanwhile: run this again");
                Ok(())
            }
            Step::Switch(number) => Ok(Generations::at(root.path()).switch(*number)?),
            Step::Unlink(number) => Ok(Generations::at(root.path()).remove(*number)?),
            Step::Record(record) => Ok(write_record(root, record)?),
            Step::Boot { mirror, update, .. } => {
                if !std::mem::replace(&mut self.told_phase, true) {
                    self.report.phase("updating the boot partition", None);
                }
                let root = self.root.clone();
                let menu = self.menu()?;
                let mut target = menu.partitions.target(*mirror)?;
                Ok(apply(update, &mut target, &|content: &Content| open(&root, content), &mut |_| ())?)
            }
            Step::Once(number) => {
                let entries = self.menu()?.entries()?;
                let entry = entries.iter().find(|entry| entry.number == *number);
                firmware::once(&self.root, entry.context("the menu has no entry for it")?)
            }
            Step::Firmware(plan) => {
                plan.apply(self.report);
                Ok(())
            }
            Step::BootCode(update) => {
                self.report.phase("updating what a BIOS starts", None);
                self.menu()?.bios.as_ref().map_or(Ok(()), |bios| bios.apply(update))
            }
            Step::Collect(_) => {
                let report = self.report;
                self.done.garbage = self.store_mut()?.collect_garbage(report)?;
                self.other_sizes |= !self.done.garbage.dead.is_empty();
                Ok(())
            }
            Step::RemovePackages(packages) => {
                let path = format!("{CACHE}/{}", debian::DOWNLOADED);
                let folder = root.own(&path).with_context(|| format!("opening {}", root.shown(&path).display()))?;
                packages.iter().try_for_each(|package| {
                    let removed = folder.remove_file(&package.name);
                    removed.with_context(|| format!("removing {}", folder.shown(&package.name).display()))
                })
            }
            Step::RememberSizes if !self.other_sizes => Ok(()),
            Step::RememberSizes => {
                // Without it the list of generations takes longer, and that is all.
                let there = Generations::at(root.path()).list().unwrap_or_default();
                let systems: Vec<_> = there.into_iter().filter(|g| g.exists).filter_map(|g| g.system).collect();
                let _ = self.store()?.remember_own_sizes(&systems);
                Ok(())
            }
            Step::Reserve => {
                reserve::keep(root);
                Ok(())
            }
            Step::Notice { booted, failed, record } => notice::tell(*booted, failed, record),
            Step::Tell(notes) => {
                notes.iter().for_each(|note| self.report.note(note));
                Ok(())
            }
        }
    }

    fn store(&self) -> anyhow::Result<&MachineStore> {
        self.store.as_deref().context("the store is not open")
    }

    fn store_mut(&mut self) -> anyhow::Result<&mut MachineStore> {
        self.store.as_deref_mut().context("the store is not open")
    }

    fn menu(&mut self) -> anyhow::Result<&mut BootMenu<'static>> {
        self.menu.as_deref_mut().context("the boot partitions are not open")
    }
}

/// Whether the root file system had no room. The boot partition's is another matter, and is told by whoever plans for it.
pub(crate) fn is_full(error: &anyhow::Error) -> bool {
    let no_room = |cause: &(dyn std::error::Error + 'static)| {
        let kind = cause.downcast_ref::<Error>().map(Error::kind);
        matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
            || cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_full_database)
    };
    error.chain().any(no_room) && !error.chain().any(|cause| cause.is::<AfterWrite>() || cause.is::<ApplyError>())
}

/// What is to be said of a machine whose root file system is full.
pub(crate) fn full_words(root: &Root) -> String {
    format!(
        "the disk of {} is full; the machine boots what it booted before. `cairn gc --keep N` removes old generations, then the \
         same command goes on from here",
        root.path().display()
    )
}

/// Password hashes of accounts that do not exist yet go into the machine's own state, as in a new image. They are on the disk
/// when this returns: the generation that is made next must not come up without them.
fn first_passwords(root: &Root, passwords: &Passwords) -> anyhow::Result<()> {
    let trimmed = passwords.iter().map(|(user, hash)| (user.clone(), hash.trim().to_string())).collect();
    keep_secrets(root, "passwords", &trimmed)
}

/// Lines that only root reads, each in a file of its own in a folder of the machine's own state.
fn keep_secrets(root: &Root, folder: &str, lines: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let own = root.own(OWN).with_context(|| format!("opening {}", root.shown(OWN).display()))?;
    let making = || format!("making the folder of {folder}");
    let place = own.folder_or_new(folder, 0o700).with_context(making)?;
    own.sync().with_context(making)?;
    for (name, line) in lines {
        let written = place.write_durably(name, format!("{line}\n").as_bytes(), 0o600);
        written.with_context(|| format!("writing {}", place.shown(name).display()))?;
    }
    Ok(())
}
