//! A machine's boot partitions, and what belongs on them: survey, and plan. What is done about it are steps of a [`crate::Change`].

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::effects::{firmware_folder, read_firmware};
use cairn_boot::firmware::Firmware;
use cairn_boot::{
    BootFile, BootSet, EntryName, Generation, Installation, Loaded, LoaderProgram, MemtestPrograms, Menu,
    Partitions as Both, PlanError, Present, Record, Update, settle, survey, survey_of_running,
};
use cairn_machine::Checked;
use cairn_make::loader::{self, Grub};
use cairn_observe::view::Files;
use cairn_observe::{Observed, Usable};
use cairn_process::Refusal;
use cairn_root::Root;
use cairn_store::to_hex;

use crate::bios::Bios;
use crate::firmware::FirmwarePlan;
use crate::grub_parts::{as_found, base_to_run};
use crate::own_keys::{Keys, OwnKeys, SignedSet, Signer};
use crate::partitions::{self, Partition, Partitions};
use crate::planned::Planned;

/// The boot partitions of a machine, opened, with what decides what belongs on them.
#[derive(Debug)]
pub struct BootMenu<'a> {
    /// The machine's root; nothing for one in an image.
    root: Option<Root>,
    installation: Installation,
    checked: Checked,
    program: LoaderProgram,
    memtest: Option<MemtestPrograms>,
    files: Vec<BootFile>,
    generations: Vec<Generation>,
    booted: Option<u64>,
    complete: bool,
    pub(crate) partitions: Partitions<'a>,
    pub(crate) bios: Option<Bios<'a>>,
    /// The generation that is to boot at the next start only ([`BootMenu::once`]).
    once: Option<u64>,
    /// What cannot be compared, and why.
    doubts: Vec<String>,
    /// What to know about the partitions.
    notes: Vec<String>,
    /// Why nobody knows what the loader's program is: neither can it be made, nor is it to be read.
    unknown: Option<String>,
    /// What signs, on a machine that starts by keys of its own.
    own_keys: Option<OwnKeys<'a>>,
    /// The base whose programs sign, where there is one that may be run.
    signs_by: Option<PathBuf>,
    /// Whether what has no signature gets one.
    signs: bool,
    /// What need not be read again ([`BootMenu::as_loaded`]).
    loaded: Loaded,
    /// What was found on the boot partition, when these files with names that are not ours were looked at too. Kernels and
    /// initrds are read to the end for it, which is done once.
    found: RefCell<Option<(Vec<String>, Present)>>,
}

/// What a boot partition is changed for: how much may be taken for an accident, and not for somebody's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// `cairn boot repair`: somebody wants everything as Cairn has it.
    Repair,
    /// `cairn upgrade` and `cairn rollback`: somebody says which generation is to boot next.
    Choice,
    /// `cairn gc`, `cairn boot good`: what boots next is not what it is about.
    Other,
}

impl<'a> BootMenu<'a> {
    /// Opens the boot partitions of a machine. `more` are generations that do not have a link yet; `cache` is where this user keeps
    /// what was made, if anywhere.
    ///
    /// # Errors
    /// A refusal where they are not mounted, or are another machine's; what reading meets.
    pub fn open(observed: &Observed<'a>, more: &[&Usable<'a>], cache: Option<&Path>) -> anyhow::Result<BootMenu<'a>> {
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
        let mut notes = Vec::new();
        let partitions = Partitions::open(observed, &checked, &mut notes)?;
        let generations = observed.usable.iter().chain(more.iter().copied()).map(|g| g.boot.clone()).collect();
        let made_from_packages = || {
            Refusal(format!(
                "generation {} was not made from packages, so nothing is known of its boot loader: nothing is changed",
                newest.boot.number
            ))
        };
        let newest_base = newest.base.as_ref().ok_or_else(made_from_packages)?;
        let files = &*observed.machine.root;
        let read = |name: &str| grub_part(files, newest, name);
        let made = match &newest.loader {
            Some(path) if files.kind(&path.to_string())?.is_some() => Some(path),
            _ => None,
        };
        let base = match made {
            None if loader::makes_grub(&checked) => base_to_run(observed, newest_base, cache)?,
            _ => None,
        };
        let loader = loader::Parts {
            base: newest_base,
            artifact: &|path| Ok(observed.artifact(path)?),
            grub: match (made, &base) {
                (Some(_), _) => Some(Grub::Made(&read)),
                // Whoever only looks comes here too, so nothing is written down.
                (None, Some((folder, cache))) => Some(Grub::Base { folder, cache, remember: false }),
                (None, None) => None,
            },
        };
        let (mut doubts, mut unknown) = (Vec::new(), None);
        let (program, code) = match loader.grub.is_some() || !loader::makes_grub(&checked) {
            true => (loader.program(&checked)?, loader.boot_code(&checked)?),
            false => {
                doubts.push(format!(
                    "GRUB's own parts are not compared: only {} can make them, and it is not in this user's store (to build the \
                     machine's file here brings it)",
                    newest_base
                ));
                let signed = checked.machine.boot.by_shim().then(|| loader.program(&checked)).transpose()?;
                let program = signed.unwrap_or_else(|| {
                    let found = as_found(partitions.first.reads(), installation, &checked);
                    unknown = found.as_ref().err().cloned();
                    LoaderProgram::Grub { efi: found.unwrap_or_else(|_| Some(Vec::new())) }
                });
                (program, None)
            }
        };
        let own_keys = (checked.machine.boot.by_own_keys() && checked.machine.firmware().uefi).then(|| {
            OwnKeys::new(&observed.machine.root, newest_base, observed.usable.iter().chain(more.iter().copied()))
        });
        let signs_by = match own_keys {
            Some(_) => base_to_run(observed, newest_base, cache)?.map(|(folder, _)| folder),
            None => None,
        };
        let bios = match (code, observed.machine.disk, partitions.first.mounted()) {
            (None, ..) => None,
            (Some(code), Some(disk), _) => Some(Bios::of_image(code, &checked, disk)),
            (Some(code), None, Some(first)) => Bios::of_mounted(code, &checked, first),
            (Some(_), None, None) => None,
        };
        Ok(BootMenu {
            installation,
            program,
            memtest: loader.memtest(&checked),
            files: newest.made_from.boot_files(&checked)?,
            generations,
            booted: observed.booted,
            complete: observed.broken.is_empty(),
            partitions,
            root: observed.folder().cloned(),
            checked,
            bios,
            once: None,
            doubts,
            notes,
            unknown,
            own_keys,
            signs_by,
            signs: false,
            loaded: Loaded::default(),
            found: RefCell::default(),
        })
    }

    /// Lets what the machine is to start by be signed, and keys be drawn for that, where they are missing: for whoever changes it.
    #[must_use]
    pub fn signing(mut self, signs: bool) -> BootMenu<'a> {
        self.signs = signs;
        self
    }

    /// Takes kernel and initrd of the generation that runs as the loader has just read them, instead of reading them again at every
    /// boot. Where the boot partition is there more than once, nobody knows from which one they came.
    #[must_use]
    pub fn as_loaded(mut self) -> BootMenu<'a> {
        let running = self.generations.iter().find(|one| Some(one.number) == self.booted);
        if let Some(running) = running.filter(|_| self.partitions.mirrors.is_empty()) {
            self.loaded = Loaded::of(self.installation, running);
        }
        self
    }

    /// Lets a generation boot at the next start, and only then. For GRUB that is a part of what is planned after this; whether
    /// it is, for systemd-boot is told afterwards (`firmware::once`).
    pub fn once(&mut self, number: u64, record: &Record) -> anyhow::Result<bool> {
        if !self.menu(record).choice()?.kept.contains(&number) {
            let what = format!(
                "generation {number} has no entry in the menu any more: raise boot.generations to keep it there"
            );
            return Err(Refusal(what).into());
        }
        self.once = Some(number);
        Ok(self.program.is_grub())
    }

    fn menu<'m>(&'m self, record: &'m Record) -> Menu<'m> {
        Menu {
            installation: self.installation,
            boot: &self.checked.machine.boot,
            generations: &self.generations,
            record,
            booted: self.booted,
            program: &self.program,
            images: None,
            two_partitions: self.partitions.second.is_some(),
            shared: self.checked.machine.root_disk().is_some_and(|(_, disk)| disk.shares_esp()),
            memtest: self.memtest.as_ref(),
            files: &self.files,
            once: self.once,
            complete: self.complete,
        }
    }

    /// What is on the boot partition.
    ///
    /// # Errors
    /// What reading meets.
    pub fn survey(&self, record: &Record) -> anyhow::Result<Present> {
        let fixed = self.menu(record).fixed_paths()?;
        if let Some((looked_at, present)) = &*self.found.borrow()
            && *looked_at == fixed
        {
            return Ok(present.clone());
        }
        let present = survey_of_running(self.partitions.both(), self.installation, &fixed, &self.loaded);
        let present = present.context("looking at the boot partition")?;
        *self.found.borrow_mut() = Some((fixed, present.clone()));
        Ok(present)
    }

    /// The entries that are on the boot partition now.
    pub(crate) fn entries(&self) -> anyhow::Result<Vec<EntryName>> {
        let present =
            survey(self.partitions.both(), self.installation, &[]).context("looking at the boot partition")?;
        Ok(present.entries)
    }

    /// Takes over what the loader has counted; the generation whose tries are used up.
    ///
    /// # Errors
    /// What reading meets.
    pub fn settle(&self, record: &mut Record) -> anyhow::Result<Option<u64>> {
        let present = self.survey(record)?;
        Ok(settle(record, &present, self.booted))
    }

    /// Works out what is to be done. A boot partition on which it cannot be done is refused, and nothing is written.
    pub fn plan(&self, record: &Record) -> anyhow::Result<Planned> {
        match self.signed(record, false)? {
            Ok(set) => self.plan_of(record, set),
            Err(why) => Ok(self.unplanned(record, why)),
        }
    }

    /// Nothing, where it is not known what should be there, and why.
    fn unplanned(&self, record: &Record, why: String) -> Planned {
        Planned {
            updates: Vec::new(),
            own_files: record.files.clone(),
            bios: None,
            firmware: FirmwarePlan::default(),
            places: self.partitions.places.clone(),
            doubts: self.doubts.iter().cloned().chain([why]).collect(),
            notes: self.notes.clone(),
        }
    }

    /// The machine's firmware, where it can be asked.
    fn firmware(&self) -> Option<Firmware> {
        let folder = firmware_folder(self.root.as_ref()?).ok()??.ok()?;
        read_firmware(&folder).ok()?
    }

    /// What the machine has signed by keys of its own: nothing where it does not, or has none yet. With `signs` what is missing is
    /// made; otherwise the text says what is.
    fn signed(&self, record: &Record, signs: bool) -> anyhow::Result<Result<Option<SignedSet>, String>> {
        let Some(own) = &self.own_keys else { return Ok(Ok(None)) };
        let keys = match own.keys() {
            // Whoever only looks is told.
            Err(error) if !signs && error.is::<Refusal>() => return Ok(Err(error.to_string())),
            other => other?,
        };
        let firmware = self.firmware();
        let refuses = |keys: Option<&Keys>| {
            firmware.as_ref().is_some_and(|firmware| match keys {
                Some(keys) => firmware.refuses(&keys.der),
                None => firmware.secure_boot,
            })
        };
        if refuses(keys.as_ref()) {
            let whose = match keys {
                Some(_) => "this machine's own are not among those that it knows",
                None => "this machine has no keys of its own (yet, or any more)",
            };
            let why = format!(
                "this computer starts only what is signed (Secure Boot is on), and {whose}: put the firmware into setup mode (its setup \
                 may call that clearing or deleting the keys), or switch Secure Boot off, and try again; or take `secure_boot: shim`"
            );
            return if signs { Err(Refusal(why).into()) } else { Ok(Err(why)) };
        }
        let root = self.root.as_ref().filter(|_| signs);
        let signer = root.zip(self.signs_by.as_deref()).map(|(root, base)| Signer { root, base });
        let keys = match (keys, &signer) {
            (Some(keys), _) => keys,
            (None, Some(signer)) if signer.root.is_host() => {
                signer.draw(&self.checked.machine.hostname, self.checked.seed())?;
                own.keys()?.context("the keys that were drawn are gone")?
            }
            // The machine draws them itself, when it has started.
            (None, _) => return Ok(Ok(None)),
        };
        let kept = self.menu(record).choice()?.kept;
        Ok(match own.signed(&keys, &self.generations, &kept, signer.as_ref())? {
            Ok(set) => Ok(Some(set)),
            Err(what) if root.is_some() => {
                let why = format!(
                    "{what} has to be signed, and nothing here can do that: only the machine's own base can, and it is not in this user's \
                     store (to build the machine's file here brings it)"
                );
                return Err(Refusal(why).into());
            }
            Err(what) => {
                Err(format!("{what} is not signed by the machine's own keys yet: `cairn boot repair` signs it"))
            }
        })
    }

    fn plan_of(&self, record: &Record, signed: Option<SignedSet>) -> anyhow::Result<Planned> {
        let own = signed.as_ref().map(|set| LoaderProgram::OwnKeys(set.loader.clone()));
        let program = own.as_ref().unwrap_or(&self.program);
        let menu = Menu { program, images: signed.as_ref().map(|set| &set.images), ..self.menu(record) };
        let plan = |present: &Present, menu: &Menu<'_>| -> anyhow::Result<(BootSet, Update)> {
            menu.plan(present).map_err(|error| match error {
                cairn_boot::MenuError::Plan(
                    why @ (PlanError::Full(_)
                    | PlanError::Foreign(_)
                    | PlanError::DirectoryInTheWay(_)
                    | PlanError::InTheWay(..)
                    | PlanError::OtherSettings
                    | PlanError::OtherStub(_)),
                ) => Refusal(why.to_string()).into(),
                other => other.into(),
            })
        };
        let present = self.survey(record)?;
        if let Some(why) = &self.unknown {
            return Ok(self.unplanned(record, why.clone()));
        }
        let (set, update) = plan(&present, &menu)?;
        let firmware = match (&self.root, self.partitions.first.mounted()) {
            (Some(root), Some(first)) => {
                FirmwarePlan::new(root, &self.checked, self.installation, program, first, &present)
            }
            // In an image there are no variables.
            _ => FirmwarePlan::default(),
        };
        let mut updates = vec![update];
        for mirror in &self.partitions.mirrors {
            let menu = Menu { two_partitions: false, shared: false, ..menu };
            let fixed = menu.fixed_paths()?;
            let present = survey(Both { esp: Some(mirror.reads()), boot: None }, self.installation, &fixed);
            let present = present.context("looking at a mirror of the boot partition")?;
            updates.push(plan(&present, &menu)?.1);
        }
        let own = set.files.iter().filter(|file| file.is_remembered(self.installation));
        let own_files = own.map(|file| (file.path.clone(), to_hex(&file.content.sha256()))).collect();
        let mut doubts = self.doubts.clone();
        let bios = self.bios.as_ref().map_or(Ok(None), Bios::plan).unwrap_or_else(|why| {
            doubts.push(why);
            None
        });
        let (places, notes) = (self.partitions.places.clone(), self.notes.clone());
        Ok(Planned { updates, places, own_files, bios, firmware, doubts, notes })
    }

    /// The same for somebody who is about to do it: refused, too, where a partition that is to be changed is read-only.
    pub fn plan_to_apply(&self, record: &Record, occasion: Occasion) -> anyhow::Result<Planned> {
        if let Some(why) = &self.unknown {
            return Err(Refusal(format!("{}: {why}", self.doubts.join("; "))).into());
        }
        let signed = match self.signed(record, self.signs)? {
            Ok(signed) => signed,
            Err(why) => return Ok(self.unplanned(record, why)),
        };
        // What goes, goes when nothing needs it now: what a new generation is to need is not all that there is.
        if let (Some(set), Some(root), Some(base)) = (&signed, &self.root, &self.signs_by)
            && self.signs
            && occasion != Occasion::Choice
        {
            Signer { root, base }.tidy(set);
        }
        let mut planned = self.plan_of(record, signed)?;
        let starts_anything = self.checked.machine.boot.secure_boot.is_some();
        if occasion == Occasion::Choice && planned.firmware.secure_boot && !starts_anything {
            let why = "this computer starts only what is signed (Secure Boot is on), and the machine would not boot any more: write `boot: \
                       {secure_boot: shim}` into the machine file; or `secure_boot: none`, and switch Secure Boot off in the firmware's setup";
            return Err(Refusal(why.into()).into());
        }
        let by_shim = self.checked.machine.boot.by_shim() && self.checked.machine.firmware().uefi;
        if occasion == Occasion::Choice
            && by_shim
            && self.firmware().is_some_and(|firmware| firmware.refuses(b"Microsoft"))
        {
            let why = "this computer starts only what is signed (Secure Boot is on), and Microsoft, which has signed shim, is not among those \
                       that it knows: keep `secure_boot: {keys: own}`, or give the firmware back the keys that it came with (its setup can \
                       do that)";
            return Err(Refusal(why.into()).into());
        }
        planned.leave_wishes(occasion);
        if planned.writes() {
            self.partitions.all().filter_map(Partition::mounted).try_for_each(partitions::is_writable)?;
        }
        Ok(planned)
    }
}

/// A part of GRUB that was made with a system.
fn grub_part(files: &dyn Files, of: &Usable<'_>, name: &str) -> anyhow::Result<Vec<u8>> {
    let folder = of.loader.as_ref().map(ToString::to_string).unwrap_or_default();
    let shown = || files.shown(&format!("{folder}/{name}"));
    let bytes =
        files.read_inside(&folder, name, loader::MOST).with_context(|| format!("reading {}", shown().display()))?;
    bytes.with_context(|| format!("there is no {}", shown().display()))
}
