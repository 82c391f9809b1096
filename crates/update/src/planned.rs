//! What is to be done to a machine's boot partitions, and to what starts from them, worked out.

use std::collections::BTreeMap;

use cairn_boot::{Record, Step as BootStep, Update};
use cairn_disk::{CodeProblem, CodeUpdate};
use cairn_layout::BootPlaces;

use crate::bios;
use crate::change::{Change, StageName, Step};
use crate::firmware::FirmwarePlan;
use crate::menu::Occasion;

/// The boot partition's update completes by itself.
const BOOT_LEFT: &str = "the machine boots what it booted before; `cairn boot repair` completes the update";

/// What is to be done, worked out.
#[derive(Debug)]
pub struct Planned {
    /// For the boot partition, and then for each of its mirrors.
    pub(crate) updates: Vec<Update>,
    /// Where these partitions belong.
    pub(crate) places: BootPlaces,
    /// The files that the machine file wants on the partition, for the record.
    pub(crate) own_files: BTreeMap<String, String>,
    /// For what a BIOS starts, on a machine that one can start.
    pub(crate) bios: Option<Box<CodeUpdate>>,
    /// For the firmware's variables.
    pub(crate) firmware: FirmwarePlan,
    /// What cannot be compared or must not be changed, and why.
    pub(crate) doubts: Vec<String>,
    /// What to know about the partitions.
    pub(crate) notes: Vec<String>,
}

impl Planned {
    /// Leaves what may be somebody's wish, and tells of it.
    pub(crate) fn leave_wishes(&mut self, occasion: Occasion) {
        if occasion == Occasion::Other {
            self.firmware.keep_overrides();
        }
        // Another system has put it there.
        if occasion != Occasion::Repair
            && self.bios.as_ref().is_some_and(|update| update.problem == CodeProblem::Foreign)
        {
            self.bios = None;
            self.doubts.push(format!(
                "{}, and is left as it is; `cairn boot repair` takes it back",
                bios::word(CodeProblem::Foreign)
            ));
        }
    }

    /// Whether everything is as it should be.
    pub fn is_empty(&self) -> bool {
        !self.writes() && self.bios.is_none() && self.firmware.is_empty()
    }

    /// Whether something on a boot partition is to be changed.
    pub(crate) fn writes(&self) -> bool {
        self.updates.iter().any(|update| !update.steps.is_empty())
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
                    BootStep::Create { path, .. } if update.healed.contains(path) => {
                        format!("/{path} is damaged: it is written anew")
                    }
                    BootStep::Create { path, .. } => format!("/{path} is missing"),
                    BootStep::Overwrite { path, .. } => format!("/{path} says something else than it should"),
                    BootStep::Replace { path, .. } => format!("/{path} is another version of the boot loader"),
                    BootStep::Remove { path, .. } if update.healed.contains(path) => continue,
                    BootStep::Remove { path, .. } => format!("/{path} is not needed any more"),
                    BootStep::Keep { .. } | BootStep::Barrier => continue,
                };
                words.push(format!("{word}{on}"));
            }
        }
        words.extend(self.bios.iter().map(|update| bios::word(update.problem).to_string()));
        words.extend(self.firmware.words());
        words
    }

    /// Adds the stages to a change: the record, then the partitions, a mirror only after what it mirrors is complete. The record
    /// comes first, so that whatever is interrupted afterwards is completed by the next run; `record` is what it says in the end.
    /// What a BIOS starts comes after all of them. Between the two the old core image meets the new menu, and on the way back to an
    /// earlier Cairn a new one an old menu, so both must boot whatever the order: a core image finds the menu by the partition's and
    /// the installation's identifiers, which stay, and no menu uses a command that the core images of the first release do not have.
    /// Last it is because the menu is then complete whatever happens here, and because what starts the machine now has proved that
    /// it can.
    pub(crate) fn into_stages(self, record: &mut Record, change: &mut Change) {
        // What is new is ours from now on, what goes is ours until it is gone.
        let before = std::mem::take(&mut record.files);
        record.files = before.into_iter().chain(self.own_files.clone()).collect();
        let mut steps = vec![Step::Record(Box::new(record.clone()))];
        let mut places = std::iter::once(&self.places.first).chain(&self.places.mirrors);
        for (number, update) in self.updates.into_iter().enumerate() {
            let at = places.next().cloned().unwrap_or_default();
            if !update.steps.is_empty() {
                steps.push(Step::Boot { at, mirror: number.checked_sub(1), update });
            }
        }
        if record.files != self.own_files {
            record.files = self.own_files;
            steps.push(Step::Record(Box::new(record.clone())));
        }
        change.stage(StageName::Boot, BOOT_LEFT, steps);
        let told = |notes: &[String]| (!notes.is_empty()).then(|| Step::Tell(notes.to_vec()));
        let firmware = Some(Step::Firmware(self.firmware.clone())).filter(|_| !self.firmware.is_empty());
        let notes = [self.notes, self.firmware.notes().to_vec()].concat();
        let steps = [told(&notes), firmware, told(&self.doubts)].into_iter().flatten().collect();
        change.stage(StageName::Firmware, BOOT_LEFT, steps);
        let left = "a BIOS starts what it started before; `cairn boot repair` tries again";
        change.stage(StageName::Bios, left, self.bios.map(Step::BootCode).into_iter().collect());
    }
}
