//! The whole decision in one place: from a machine's generations, its record and what is on its boot partitions to the
//! steps that bring these up to date. Pure.

use std::collections::BTreeSet;

use bootloader_templates::grub::EnvBlock;
use cairn_machine::model::Boot;

use crate::choice::{Choice, Situation, choose};
use crate::generation::Generation;
use crate::grub::{self, Grub, MemtestPrograms};
use crate::image::Images;
use crate::installation::Installation;
use crate::loader::{LoaderProgram, SIGNED_GRUB_READS};
use crate::plan::{self, PlanError, Shortage, Update};
use crate::present::Present;
use crate::record::Record;
use crate::set::{BootFile, BootSet, Place, SetError};
use crate::shared;
use crate::survey::fixed_paths;
use crate::systemd_boot::{ENROLLED, SystemdBoot};

/// What decides.
#[derive(Debug, Clone, Copy)]
pub struct Menu<'a> {
    /// Whose files they are.
    pub installation: Installation,
    /// What the machine file says.
    pub boot: &'a Boot,
    /// The generations that can be booted, as far as one can tell by looking at them.
    pub generations: &'a [Generation],
    /// What the machine remembers.
    pub record: &'a Record,
    /// The generation that runs, if it is one of this machine's.
    pub booted: Option<u64>,
    /// The loader.
    pub program: &'a LoaderProgram,
    /// What the machine has signed by keys of its own, where it has some: then nothing else has an entry.
    pub images: Option<&'a Images>,
    /// Whether entries and kernels have a partition of their own (XBOOTLDR) beside the loader's; else one is for everything: an
    /// EFI system partition, or, where there is only BIOS, any FAT partition.
    pub two_partitions: bool,
    /// Whether the EFI system partition was there before the machine, and others start from it too.
    pub shared: bool,
    /// The memory test's programs, where there is to be an entry for them.
    pub memtest: Option<&'a MemtestPrograms>,
    /// Files of the machine file's own.
    pub files: &'a [BootFile],
    /// What is to boot at the next start, and only then, where the loader keeps that on the partition (GRUB does).
    pub once: Option<u64>,
    /// Whether every generation could be read. Nothing is removed while one is in doubt.
    pub complete: bool,
}

/// Why there are no steps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MenuError {
    /// What should be on the partition cannot be said.
    #[error(transparent)]
    Set(#[from] SetError),
    /// It cannot be brought there.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Menu<'_> {
    /// What boots.
    ///
    /// # Errors
    /// [`SetError::Empty`] without a generation.
    pub fn choice(&self) -> Result<Choice, SetError> {
        let usable = self.generations.iter().map(|g| g.number).collect();
        let situation = Situation { usable: &usable, record: self.record, booted: self.booted, boot: self.boot };
        choose(&situation).ok_or(SetError::Empty)
    }

    /// What the partitions must hold, given what has been counted on them already.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn boot_set(&self, present: &Present) -> Result<BootSet, SetError> {
        let choice = self.choice()?;
        let mut set = match self.program.is_grub() {
            false => SystemdBoot {
                installation: self.installation,
                boot: self.boot,
                generations: self.generations,
                choice: &choice,
                present,
                memtest: self.memtest.and_then(|programs| programs.efi.as_ref()),
                images: self.images,
            }
            .boot_set()?,
            true => Grub {
                installation: self.installation,
                boot: self.boot,
                generations: self.generations,
                choice: &choice,
                present,
                said: self.record.said,
                once: self.once,
                memtest: self.memtest,
            }
            .boot_set()?,
        };
        set.files.extend(self.program.files(self.installation)?);
        set.files.extend(self.files.iter().cloned());
        let set = match self.two_partitions {
            false => set.on_one_partition(Place::Esp),
            true => BootSet::new(set.files),
        };
        Ok(if self.shared { shared::beside_others(set, present, self.installation, self.program) } else { set })
    }

    /// The paths outside our own folders that a survey must look at: the loader's, the machine file's, and files of it
    /// that are there from before.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn fixed_paths(&self) -> Result<Vec<String>, SetError> {
        let set = self.boot_set(&Present::default())?;
        let mut paths = fixed_paths(&set, self.installation);
        paths.extend(self.record.files.keys().cloned());
        if self.boot.other_systems {
            paths.extend(shared::paths());
        }
        paths.push(SIGNED_GRUB_READS.into());
        paths.extend(ENROLLED.map(str::to_string));
        if self.shared {
            paths.extend(shared::FALLBACK.map(str::to_string));
        }
        Ok(paths)
    }

    /// The steps.
    ///
    /// # Errors
    /// See [`MenuError`]; then nothing may be written.
    pub fn plan(&self, present: &Present) -> Result<(BootSet, Update), MenuError> {
        self.plan_with(present, self.boot).map_err(|error| match error {
            MenuError::Plan(PlanError::Full(shortage)) => {
                let fits =
                    |limit: &u32| self.plan_with(present, &Boot { generations: *limit, ..self.boot.clone() }).is_ok();
                let there = u32::try_from(self.generations.len()).unwrap_or(u32::MAX);
                let fits_with = (1..self.boot.generations.min(there)).rev().find(fits);
                PlanError::Full(Shortage { fits_with, ..shortage }).into()
            }
            other => other,
        })
    }

    fn plan_with(&self, present: &Present, boot: &Boot) -> Result<(BootSet, Update), MenuError> {
        if self.shared && !self.program.is_grub() && shared::has_other_settings(present, self.installation) {
            return Err(PlanError::OtherSettings.into());
        }
        let wanted = Menu { boot, ..*self }.boot_set(present)?;
        let recorded = self.record.files.iter();
        let own_files: BTreeSet<String> = recorded
            .filter(|(path, hash)| !shared::is_taken(present, path, hash))
            .map(|(path, _)| path.clone())
            .collect();
        let situation = plan::Situation {
            installation: self.installation,
            wanted: &wanted,
            present,
            own_files: &own_files,
            may_remove: self.complete,
        };
        let update = situation.plan()?;
        Ok((wanted, update))
    }
}

/// Takes over what the loader has counted: a trial whose tries are used up has failed, unless it is what runs now.
/// Returns the generation that failed.
pub fn settle(record: &mut Record, present: &Present, booted: Option<u64>) -> Option<u64> {
    let trial = record.trial.filter(|n| booted != Some(*n))?;
    let counters = present.entries.iter().filter(|e| e.number == trial).filter_map(|e| e.counter);
    let block = present.environment.as_deref().and_then(|bytes| EnvBlock::parse(bytes).ok());
    let counted = block.as_ref().and_then(EnvBlock::trial).filter(|(key, _)| grub::number(key) == Some(trial));
    let used_up = counters.map(|c| c.left).chain(counted.map(|(_, left)| u32::from(left))).min() == Some(0);
    used_up.then(|| record.failed(trial))?;
    Some(trial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_name::{Counter, EntryName};
    use uuid::Uuid;

    #[test]
    fn a_trial_without_tries_left_has_failed_unless_it_runs() {
        let installation = Installation::of_seed(Uuid::from_bytes([9; 16]));
        let entry = |left| EntryName::of(installation, 2, "text", Some(Counter { left, done: 3 - left }));
        let with = |left| Present { entries: vec![entry(left)], ..Present::default() };
        let mut record = Record::first(1);
        record.try_next(2);
        assert_eq!(settle(&mut record.clone(), &with(1), Some(1)), None);
        assert_eq!(settle(&mut record.clone(), &with(0), Some(2)), None);
        assert_eq!(settle(&mut record.clone(), &Present::default(), Some(1)), None);
        assert_eq!(settle(&mut record, &with(0), Some(1)), Some(2));
        assert_eq!((record.trial, record.failed.contains(&2)), (None, true));
        assert_eq!(settle(&mut record, &with(0), Some(1)), None);
    }

    #[test]
    fn of_two_counters_the_lower_one_counts() {
        let installation = Installation::of_seed(Uuid::from_bytes([9; 16]));
        let entry = |left| EntryName::of(installation, 2, "text", Some(Counter { left, done: 3 - left }));
        let mut record = Record::first(1);
        record.try_next(2);
        let present = Present { entries: vec![entry(3), entry(0)], ..Present::default() };
        assert_eq!(settle(&mut record, &present, Some(1)), Some(2));
    }

    #[test]
    fn grub_s_count_is_that_of_the_trial_it_names() {
        let counted = |number: u64, left| {
            let mut block = EnvBlock::new();
            block.arm(&format!("{number}-abc"), left);
            Present { environment: Some(block.to_bytes().unwrap().to_vec()), ..Present::default() }
        };
        let mut record = Record::first(1);
        record.try_next(3);
        assert_eq!(settle(&mut record.clone(), &counted(2, 0), Some(1)), None, "another generation's");
        assert_eq!(settle(&mut record.clone(), &counted(3, 1), Some(1)), None, "it has a try left");
        assert_eq!(settle(&mut record.clone(), &counted(3, 0), Some(3)), None, "it runs");
        assert_eq!(settle(&mut record, &counted(3, 0), Some(1)), Some(3));
    }
}
