//! From what should be on the boot partitions and what is there to the steps in between. Pure.
//!
//! The order is what makes it safe to cut the power anywhere. New files are written beside old ones and are not named by
//! anything until they are whole; then the entries that name them; then what names the entries or is changed in place; last of
//! all, what nothing needs any more goes. A new file is empty until it is whole, whatever happens: one that is there with other
//! contents than its name promises was cut off, and is written anew. Between the stages stands a [`Step::Barrier`]: all before it is on the disk.

use std::collections::{BTreeMap, BTreeSet};

use cairn_layout::human;

use crate::installation::{Installation, UNFINISHED};
use crate::loader::{REMOVABLE_KEYS, REMOVABLE_SECOND, SIGNED_GRUB_READS};
use crate::present::{FoundFile, Present, Space};
use crate::set::{BootFile, BootSet, Content, Place, Role};
use crate::space;

/// One step. Paths are relative to the partition's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Writes a new file, directories and all; on the disk, read back and compared when the step is done.
    Create {
        /// The partition.
        place: Place,
        /// The path; nothing is there.
        path: String,
        /// The contents.
        content: Content,
    },
    /// Overwrites a file of one sector in place, with one write.
    Overwrite {
        /// The partition.
        place: Place,
        /// The path.
        path: String,
        /// The bytes, [`crate::SECTOR`] of them.
        bytes: Vec<u8>,
    },
    /// Copies a file of the partition to another name on it, which may be in use; read back and compared when the step is done.
    Keep {
        /// The partition.
        place: Place,
        /// The file.
        path: String,
        /// The copy.
        copy: String,
    },
    /// Gives a name that is in use other contents, read back and compared when the step is done.
    Replace {
        /// The partition.
        place: Place,
        /// The path.
        path: String,
        /// The contents.
        content: Content,
    },
    /// Removes a file.
    Remove {
        /// The partition.
        place: Place,
        /// The path.
        path: String,
    },
    /// Everything before is on the disk before anything after is begun.
    Barrier,
}

/// The steps, and what they cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The steps, in their order. Empty when all is as it should be.
    pub steps: Vec<Step>,
    /// The bytes of file contents that they write.
    pub written: u64,
    /// Why files that are there are written anew: their contents are not what their names promise.
    pub healed: Vec<String>,
}

/// What must be freed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The partition.
    pub place: Place,
    /// The bytes that are needed on top of what is free.
    pub missing: u64,
    /// The bytes that the new files take.
    pub needed: u64,
    /// The bytes that are free.
    pub free: u64,
    /// The most generations in the menu with which it fits; `None` when those that must stay are too many already.
    pub fits_with: Option<u32>,
}

impl Shortage {
    fn way_on(&self) -> String {
        match self.fits_with {
            // The new one is among them, and is not there yet when somebody collects.
            Some(limit) => format!(
                "it fits with `boot.generations: {limit}` in the machine file, or after `cairn gc --keep {}`",
                limit.saturating_sub(1).max(1)
            ),
            None => format!(
                "of Cairn's own files none can go, for all of them boot what must stay: free {} on it, or make it larger",
                human(self.missing)
            ),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// The new files do not fit, whatever of ours that is not needed goes first.
    #[error(
        "the boot partition has {} free and {} more would be needed for what is to be written ({}); {}",
        free(.0.free), human(.0.missing), human(.0.needed), .0.way_on()
    )]
    Full(Shortage),
    /// A directory stands where a file should be.
    #[error("/{0} on the boot partition is a directory, and a file belongs there: remove or rename it")]
    DirectoryInTheWay(String),
    /// A file stands where a directory should be, or the only difference is in capitals.
    #[error("/{0} on the boot partition is in the way of {1}: remove or rename it")]
    InTheWay(String, String),
    /// A file of the machine file's own would replace one that is not ours.
    #[error(
        "/{0} is on the boot partition already and is not Cairn's: remove it, or give the file in boot.files another name"
    )]
    Foreign(String),
    /// Another system's systemd-boot has its settings on the partition.
    #[error(
        "the EFI system partition has the settings of another system's systemd-boot (/{}), and there can be one of them only: take \
         GRUB (`boot: {{loader: grub}}`), or an EFI system partition of its own for this machine",
        crate::systemd_boot::LOADER_CONF
    )]
    OtherSettings,
    /// Another system has the place of the one script that Debian's signed GRUB reads.
    #[error(
        "/{0} on the EFI system partition is another system's, and Debian's signed GRUB reads no other script: take systemd-boot \
         (`boot: {{loader: systemd-boot}}`), or an EFI system partition of its own for this machine"
    )]
    OtherStub(String),
    /// There is no such partition.
    #[error("the machine has no {}", match .0 { Place::Esp => "EFI system partition", Place::Boot => "boot partition" })]
    NoPartition(Place),
}

/// Free bytes for people.
fn free(bytes: u64) -> String {
    if bytes == 0 { "nothing".into() } else { human(bytes) }
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// Whose files may be removed.
    pub installation: Installation,
    /// What should be there.
    pub wanted: &'a BootSet,
    /// What is there.
    pub present: &'a Present,
    /// Files of the machine file's own from earlier, which may be removed when they are no longer wanted.
    pub own_files: &'a BTreeSet<String>,
    /// Whether anything may be removed at all: not while something about a generation is in doubt.
    pub may_remove: bool,
}

/// The file beside which this one was written, to replace it, when it was cut off.
fn unfinished(path: &str) -> Option<&str> {
    let name = path.strip_suffix(UNFINISHED)?;
    match name.rsplit_once('-') {
        Some((before, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => Some(before),
        _ => Some(name),
    }
}

impl Situation<'_> {
    /// The steps.
    ///
    /// # Errors
    /// See [`PlanError`]; then nothing may be written.
    pub fn plan(&self) -> Result<Update, PlanError> {
        self.look_for_obstacles()?;
        let work = self.work();
        // The usual order, if there is room for old and new together; else what nothing needs goes first.
        let Err(shortage) = self.fits(&work, 0) else { return Ok(self.in_order(&work, false)) };
        let freed = self.removable_bytes(&work, shortage.place);
        self.fits(&work, freed).map_err(PlanError::Full)?;
        Ok(self.in_order(&work, true))
    }

    fn look_for_obstacles(&self) -> Result<(), PlanError> {
        let mut names: BTreeMap<(Place, String), &str> = BTreeMap::new();
        for (place, path) in &self.present.directories {
            names.insert((*place, path.to_lowercase()), path);
        }
        let files: BTreeMap<(Place, String), &str> =
            self.present.files.keys().map(|(place, path)| ((*place, path.to_lowercase()), path.as_str())).collect();
        for file in &self.wanted.files {
            if !self.present.space.contains_key(&file.place) {
                return Err(PlanError::NoPartition(file.place));
            }
            if let Some(found) = names.get(&(file.place, file.path.to_lowercase())) {
                return Err(PlanError::DirectoryInTheWay((*found).to_string()));
            }
            let there = files.get(&(file.place, file.path.to_lowercase()));
            if file.role == Role::Own && there.is_some() && !self.own_files.contains(&file.path) && self.differs(file) {
                return Err(PlanError::Foreign(file.path.clone()));
            }
            let something = || self.found(file).is_some_and(|found| found.len > 0);
            if file.role == Role::Stub && something() && !self.present.stub_is_ours {
                return Err(PlanError::OtherStub(file.path.clone()));
            }
            for (at, _) in file.path.match_indices('/') {
                if let Some(found) = files.get(&(file.place, file.path[..at].to_lowercase())) {
                    return Err(PlanError::InTheWay((*found).to_string(), format!("/{}", file.path)));
                }
            }
        }
        Ok(())
    }

    /// Whether a file is there with other contents.
    fn differs(&self, file: &BootFile) -> bool {
        self.found(file).is_some_and(|f| f.len != file.content.len() || f.sha256 != Some(file.content.sha256()))
    }

    /// The file under its name. FAT does not tell capitals from small letters, so either spelling is the same file.
    fn found(&self, file: &BootFile) -> Option<&FoundFile> {
        self.present.files.get(&(file.place, file.path.clone())).or_else(|| {
            let mut same = self.present.files.iter();
            same.find(|((place, path), _)| *place == file.place && path.eq_ignore_ascii_case(&file.path))
                .map(|(_, f)| f)
        })
    }

    /// What is to be done with each file.
    fn work(&self) -> Work<'_> {
        let mut work = Work::default();
        for file in &self.wanted.files {
            let Some(found) = self.found(file) else {
                work.create.push(file);
                continue;
            };
            if !self.differs(file) {
                continue;
            }
            match file.role {
                // With another length it would not be one write of one sector.
                Role::Sector | Role::Stub if found.len == file.content.len() => work.overwrite.push(file),
                Role::Program | Role::SecondStage => work.replace.push(file),
                // What is damaged has no use: nothing is lost by writing it again in its place.
                Role::Artifact | Role::Entry(_) | Role::Sector | Role::Stub | Role::Plain | Role::Own => {
                    work.heal.push(file);
                }
            }
        }
        // In each folder what shim starts before shim itself; and what the firmware finds by itself first of all, as long as the
        // installation's own folder still says whose it is.
        work.replace
            .sort_by_key(|file| (file.path.rsplit_once('/').map(|(folder, _)| folder), file.role == Role::Program));
        let wanted: BTreeSet<(Place, &str)> = self.wanted.files.iter().map(|f| (f.place, f.path.as_str())).collect();
        for (place, path) in self.present.files.keys() {
            let stub = || self.present.stub_is_ours && path.eq_ignore_ascii_case(SIGNED_GRUB_READS);
            let ours = self.installation.owns(path) || self.own_files.contains(path) || stub();
            let previous = unfinished(path).unwrap_or(path) == self.installation.previous_program();
            let kept = wanted.contains(&(*place, path)) || previous;
            // Whoever replaces the file removes what is left beside it, in the right order.
            let used = unfinished(path).is_some_and(|name| work.replace.iter().any(|f| f.path == name));
            if !ours || !self.may_remove || kept || used || self.may_share(*place, path) {
                continue;
            }
            if self.is_stale_counter(path) {
                work.stale.push((*place, path));
            } else if self.is_started(path) {
                work.started.push((*place, path));
            } else if path.starts_with(crate::entry_name::ENTRIES) {
                work.entries.push((*place, path));
            } else {
                work.others.push((*place, path));
            }
        }
        work
    }

    /// What the firmware, shim or GRUB may still start or read: it goes when what leads to it has been changed, whatever the room.
    fn is_started(&self, path: &str) -> bool {
        let below = |folder: &str| {
            path.get(folder.len()..).is_some_and(|rest| rest.starts_with('/') && path.starts_with(folder))
        };
        below(&self.installation.efi_folder())
            || below(&self.installation.grub_folder())
            || [REMOVABLE_SECOND, REMOVABLE_KEYS, SIGNED_GRUB_READS].iter().any(|one| path.eq_ignore_ascii_case(one))
    }

    /// What a power cut has left unfinished may be, for FAT, a second name of the file that it became: then it has the same
    /// contents, and removing it would free what the other needs.
    fn may_share(&self, place: Place, path: &str) -> bool {
        let Some(found) = self.present.files.get(&(place, path.to_string())) else { return false };
        let twin = |(key, other): (&(Place, String), &FoundFile)| key.0 == place && key.1 != path && other == found;
        unfinished(path).is_some() && found.len > 0 && self.present.files.iter().any(twin)
    }

    /// An entry that is wanted under another counter. The two may not stand beside each other: when the loader counts
    /// the one down it would meet the name of the other, and then boots the bad one for ever.
    fn is_stale_counter(&self, path: &str) -> bool {
        let same = |file: &BootFile| match &file.role {
            Role::Entry(Some(wanted)) => {
                wanted.counter.is_some() && {
                    let there = self.present.entries.iter().find(|e| e.path() == path);
                    there.is_some_and(|e| e.same_entry(wanted) && e.counter.is_some())
                }
            }
            _ => false,
        };
        self.wanted.files.iter().any(same)
    }

    fn fits(&self, work: &Work<'_>, freed: u64) -> Result<(), Shortage> {
        for (place, space) in &self.present.space {
            let files = work.create.iter().chain(&work.replace).filter(|f| f.place == *place);
            let exists = |directory: &str| self.has_directory(*place, directory);
            let needed = space::needed(files.map(|f| (f.path.as_str(), f.content.len())), space.cluster, &exists);
            // What is healed gives back what it takes, as far as it was as long as it should be.
            let healed: u64 = work
                .heal
                .iter()
                .filter(|f| f.place == *place)
                .map(|f| {
                    let old = self.present.files.get(&(f.place, f.path.clone())).map_or(0, |found| found.len);
                    let clusters = |len: u64| len.div_ceil(space.cluster).saturating_mul(space.cluster);
                    clusters(f.content.len()).saturating_sub(clusters(old))
                })
                .fold(0, u64::saturating_add);
            // A copy of the program that is replaced stays, and is written beside the one before.
            let replaced = work.replace.iter().filter(|f| f.place == *place).filter_map(|f| self.found(f));
            let copy =
                replaced.map(|f| (f.len.div_ceil(space.cluster) + 3).saturating_mul(space.cluster)).max().unwrap_or(0);
            let needed = needed.saturating_add(healed).saturating_add(copy);
            let free = space.free.saturating_add(freed);
            if needed > free {
                let missing = needed - free;
                return Err(Shortage { place: *place, missing, needed, free: space.free, fits_with: None });
            }
        }
        Ok(())
    }

    fn has_directory(&self, place: Place, path: &str) -> bool {
        self.present.files.keys().any(|(p, file)| {
            let below = file.get(path.len()..).is_some_and(|rest| rest.starts_with('/'));
            *p == place && below && file[..path.len()].eq_ignore_ascii_case(path)
        })
    }

    /// The bytes that come free when what nothing needs goes first.
    fn removable_bytes(&self, work: &Work<'_>, place: Place) -> u64 {
        let Some(Space { cluster, .. }) = self.present.space.get(&place) else { return 0 };
        let gone = work.stale.iter().chain(&work.entries).chain(&work.others).filter(|(p, _)| *p == place);
        gone.filter_map(|(p, path)| self.present.files.get(&(*p, (*path).to_string())))
            .map(|found| found.len.div_ceil(*cluster).saturating_mul(*cluster))
            .fold(0, u64::saturating_add)
    }

    fn in_order(&self, work: &Work<'_>, remove_first: bool) -> Update {
        let mut steps = Vec::new();
        let mut healed = Vec::new();
        let removal = |steps: &mut Vec<Step>| {
            remove(steps, &work.entries);
            barrier(steps);
            remove(steps, &work.others);
            barrier(steps);
        };
        // Every entry of a generation that is kept stays, and so does all that it names: what goes here first is what
        // would have gone last.
        if remove_first {
            removal(&mut steps);
        }
        for file in &work.heal {
            healed.push(file.path.clone());
            remove(&mut steps, &[(file.place, &file.path)]);
        }
        barrier(&mut steps);
        remove(&mut steps, &work.stale);
        barrier(&mut steps);
        let new: Vec<&BootFile> = work.create.iter().chain(&work.heal).copied().collect();
        // What an entry names, the entries, and then GRUB's first sector, which names the file with the entries.
        let stage = |f: &BootFile| match f.role {
            Role::Artifact | Role::SecondStage | Role::Plain | Role::Own => 0,
            Role::Entry(_) => 1,
            Role::Sector | Role::Stub => 2,
            // What the firmware starts comes when all that it starts is there.
            Role::Program => 3,
        };
        for now in 0..=3 {
            new.iter().filter(|file| stage(file) == now).for_each(|file| create(&mut steps, file));
            barrier(&mut steps);
        }
        for file in &work.overwrite {
            if let Content::Bytes(bytes) = &file.content {
                steps.push(Step::Overwrite { place: file.place, path: file.path.clone(), bytes: bytes.clone() });
                barrier(&mut steps);
            }
        }
        for file in &work.replace {
            let (place, path, content) = (file.place, file.path.clone(), file.content.clone());
            // The program before, for somebody who must do without the new one: under the name that the firmware knows
            // there is always a whole one.
            let copy = self.installation.previous_program();
            let something = self.found(file).is_some_and(|found| found.len > 0);
            if something && !steps.iter().any(|step| matches!(step, Step::Keep { .. })) {
                steps.push(Step::Keep { place, path: path.clone(), copy });
                barrier(&mut steps);
            }
            steps.push(Step::Replace { place, path, content });
            barrier(&mut steps);
        }
        if !remove_first {
            removal(&mut steps);
        }
        let shim = self.installation.shim_program();
        let (first, then): (Vec<_>, Vec<_>) = work.started.iter().copied().partition(|(_, path)| *path == shim);
        for gone in [first, then] {
            remove(&mut steps, &gone);
            barrier(&mut steps);
        }
        let written = steps
            .iter()
            .map(|step| match step {
                Step::Create { content, .. } | Step::Replace { content, .. } => content.len(),
                Step::Overwrite { bytes, .. } => bytes.len() as u64,
                Step::Keep { .. } | Step::Remove { .. } | Step::Barrier => 0,
            })
            .fold(0, u64::saturating_add);
        Update { steps, written, healed }
    }
}

/// What is to be done, by kind.
#[derive(Debug, Default)]
struct Work<'a> {
    create: Vec<&'a BootFile>,
    heal: Vec<&'a BootFile>,
    overwrite: Vec<&'a BootFile>,
    replace: Vec<&'a BootFile>,
    stale: Vec<(Place, &'a str)>,
    entries: Vec<(Place, &'a str)>,
    others: Vec<(Place, &'a str)>,
    started: Vec<(Place, &'a str)>,
}

fn create(steps: &mut Vec<Step>, file: &BootFile) {
    let (place, path, content) = (file.place, file.path.clone(), file.content.clone());
    steps.push(Step::Create { place, path, content });
}

fn remove(steps: &mut Vec<Step>, files: &[(Place, &str)]) {
    steps.extend(files.iter().map(|(place, path)| Step::Remove { place: *place, path: (*path).to_string() }));
}

/// A barrier, where there is something for it to stand behind.
fn barrier(steps: &mut Vec<Step>) {
    if !matches!(steps.last(), None | Some(Step::Barrier)) {
        steps.push(Step::Barrier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_name::EntryName;

    #[test]
    fn what_was_cut_off_is_known_by_its_name() {
        assert_eq!(unfinished("EFI/a/boot.efi.new"), Some("EFI/a/boot.efi"));
        assert_eq!(unfinished("EFI/a/boot.efi-12.new"), Some("EFI/a/boot.efi"));
        // A name of its own, with a dash in it.
        for (name, of) in [("a-b.new", "a-b"), ("a-.new", "a-"), ("a-1x.new", "a-1x"), ("a-1-b.new", "a-1-b")] {
            assert_eq!(unfinished(name), Some(of));
        }
        assert_eq!(unfinished("EFI/a/boot.efi"), None);
        assert_eq!(unfinished("new"), None);
    }

    fn situation<T>(wanted: &BootSet, present: &Present, ask: impl FnOnce(&Situation<'_>) -> T) -> T {
        let own_files = BTreeSet::new();
        let installation = Installation::of_seed(uuid::Uuid::nil());
        ask(&Situation { installation, wanted, present, own_files: &own_files, may_remove: true })
    }

    #[test]
    fn a_folder_is_there_when_something_is_in_it() {
        let found = FoundFile { len: 1, sha256: None };
        let files = BTreeMap::from([((Place::Esp, "EFI/Boot/x.efi".to_string()), found)]);
        let present = Present { files, ..Present::default() };
        situation(&BootSet { files: Vec::new() }, &present, |situation| {
            for (path, there) in [
                ("EFI", true),
                ("efi", true),
                ("EFI/BOOT", true),
                ("EFX", false),
                ("EF", false),
                ("EFI/Bo", false),
                ("EFI/Boot/x.efi", false),
                ("EFI/Boot/x.efi/and/more", false),
            ] {
                assert_eq!(situation.has_directory(Place::Esp, path), there, "{path}");
                assert!(!situation.has_directory(Place::Boot, path), "{path}");
            }
        });
    }

    #[test]
    fn a_counter_is_stale_beside_another_one_of_the_same_entry() {
        let installation = Installation::of_seed(uuid::Uuid::nil());
        let counter = |left| Some(crate::Counter { left, done: 0 });
        let name = |number, counter| EntryName::of(installation, number, "text", counter);
        for (wanted, there, stale) in [
            (name(1, counter(3)), name(1, counter(1)), true),
            (name(1, counter(3)), name(1, None), false),
            (name(1, None), name(1, counter(1)), false),
            (name(1, counter(3)), name(2, counter(1)), false),
        ] {
            let file = BootFile {
                place: Place::Boot,
                path: wanted.path(),
                content: Content::Bytes(Vec::new()),
                role: Role::Entry(Some(wanted)),
            };
            let present = Present { entries: vec![there.clone()], ..Present::default() };
            situation(&BootSet { files: vec![file] }, &present, |situation| {
                assert_eq!(situation.is_stale_counter(&there.path()), stale, "{there}");
                assert!(!situation.is_stale_counter("loader/entries/other.conf"));
            });
        }
    }
}
