//! The generations of a machine: each with its date, its kernel, what it changed, its own size, and what is known of it.
//!
//! Only what is shown is read. Systems on one base share its packages and its kernel's name, machine files that are the
//! same byte for byte are not parsed, and each store path's record is read once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use cairn_boot::{Record, Situation, choose};
use cairn_machine::SourceFile;
use cairn_machine::model::Boot;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::links::{Link, keep, links};
use crate::own_sizes::own_sizes;
use crate::packages::{self, Counts, Packages};
use crate::running::{Bootable, running};
use crate::system::{self, SystemFacts};
use crate::view::{Closures, Files, Menu, View, ViewError};
use crate::{record, settings, time};

/// Nobody writes a machine file of this size by hand, and read it takes some hundred times as much memory.
pub const MOST_MACHINE_FILE: u64 = 1 << 20;

/// One generation, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its number.
    pub number: u64,
    /// When its link was made, in seconds since 1970.
    #[serde(serialize_with = "moment")]
    pub date: Option<i64>,
    /// Its system.
    pub system: String,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// What it changed against the one before; `None` for the first, and where one of them cannot be read.
    pub changes: Option<Changes>,
    /// The bytes on the disk that would be free without it.
    pub own_size: Option<u64>,
    /// It is running.
    pub booted: bool,
    /// It is started when nobody chooses.
    pub default: bool,
    /// It has booted well.
    pub good: bool,
    /// It is the last that has booted well.
    pub last_good: bool,
    /// It is tried at the next boot.
    pub trial: bool,
    /// It was tried and did not boot well.
    pub failed: bool,
    /// It can be chosen in the menu; `None` where the boot partition cannot be read.
    pub in_menu: Option<bool>,
    /// The tries that the loader still gives it; `None` for one that is not counted.
    pub tries_left: Option<u32>,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

/// What a generation changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Changes {
    /// Packages, where both lists are known.
    pub packages: Option<Counts>,
    /// Keys of the machine file, where both have one.
    pub settings: Option<Vec<String>>,
    /// Whether both are one and the same system.
    pub same_system: bool,
}

/// All of them, and what else is to be said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generations {
    /// By number.
    pub generations: Vec<Row>,
    /// What could not be found out, and what somebody should know.
    pub notes: Vec<String>,
}

fn moment<S: Serializer>(date: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(time::rfc3339).serialize(serializer)
}

/// Reads everything about the generations of a machine.
///
/// # Errors
/// What reading meets.
pub fn read(machine: &View<'_>) -> Result<Generations, ViewError> {
    let files = &*machine.root;
    let mut notes = Vec::new();
    let (links, current) = links(files)?;
    let record = record::read(files)?.unwrap_or_else(|damage| {
        notes.push(damage.to_string());
        None
    });
    let menu = match machine.boot().and_then(|boot| Menu::read(&boot)) {
        Ok(menu) => menu,
        Err(error) => {
            notes.push(format!("the boot menu is unknown: {error}"));
            None
        }
    };
    if menu.is_none() && notes.is_empty() {
        let unknown = "what is in the menu is unknown: the boot partition is not mounted, or only root may read it (sudo helps then)";
        notes.push(unknown.into());
    }
    let mut closures = Closures::new(files);
    let sizes = own_sizes(files, machine.folder.as_ref(), &mut closures, &links)?;
    let mut reader = Reader::new(files);
    let found = links.iter().map(|link| reader.find(&link.system)).collect::<Result<Vec<_>, _>>()?;
    let booted = booted(files, &links, &found)?;
    let next = next(&links, &found, record.as_ref(), booted, current);
    let record = record.unwrap_or_default();
    let mut generations: Vec<Row> = Vec::new();
    for (i, (link, system)) in links.iter().zip(&found).enumerate() {
        let entry = menu.as_ref().map(|menu| menu.of(link.number, &link.system));
        let number = link.number;
        generations.push(Row {
            number,
            date: link.time(files)?,
            system: link.system.clone(),
            kernel: system.facts.kernel_release.clone(),
            changes: match i.checked_sub(1) {
                Some(before) => {
                    let changes = reader.changes(&found[before], system)?;
                    // What a machine file says is large, and not asked for again.
                    found[before].values.borrow_mut().take();
                    changes
                }
                None => None,
            },
            own_size: sizes.get(&number).copied(),
            booted: booted == Some(number),
            default: next.default == Some(number),
            good: record.good.contains(&number) || record.last_good == Some(number),
            last_good: record.last_good == Some(number),
            trial: next.trial == Some(number),
            failed: record.failed.contains(&number),
            in_menu: entry.map(|e| e.is_some()),
            tries_left: entry.flatten().and_then(|e| e.tries_left),
            problem: system.problem().cloned(),
        });
    }
    notes.extend(fallback(&generations));
    Ok(Generations { generations, notes })
}

/// Which one runs: itself, or one of its variants.
fn booted(files: &dyn Files, links: &[Link], found: &[Rc<Found>]) -> Result<Option<u64>, ViewError> {
    let mut inits = Vec::new();
    for (link, found) in links.iter().zip(found) {
        inits.push((link.number, None, format!("{}/init", link.system)));
        for (name, one) in found.facts.boots.iter().flat_map(|boots| &boots.variants) {
            inits.push((link.number, Some(name.as_str()), one.bootspec.init.display().to_string()));
        }
    }
    let all = inits.iter().map(|(number, variant, init)| Bootable { number: *number, variant: *variant, init });
    Ok(running(files, all)?.map(|one| one.number))
}

/// What boots next.
struct Next {
    /// When nothing is tried.
    default: Option<u64>,
    /// What is tried first.
    trial: Option<u64>,
}

/// By the same rule as the boot update has it. A machine without a record boots what its profile points at.
fn next(
    links: &[Link],
    found: &[Rc<Found>],
    record: Option<&Record>,
    booted: Option<u64>,
    current: Option<u64>,
) -> Next {
    let usable = links.iter().zip(found).filter(|(_, f)| f.problem().is_none()).map(|(l, _)| l.number).collect();
    // Of the machine file only whether anything is tried at all decides here.
    let machine_file = links.iter().position(|l| Some(l.number) == current).and_then(|i| found[i].values());
    let tries = machine_file.as_ref().and_then(|v| v["boot"]["tries"].as_u64()).and_then(|n| u32::try_from(n).ok());
    let boot = Boot { tries: tries.unwrap_or(Boot::default().tries), ..Boot::default() };
    let choice = record.and_then(|record| choose(&Situation { usable: &usable, record, booted, boot: &boot }));
    match choice {
        Some(choice) => Next { default: Some(choice.ground), trial: choice.trial },
        None => Next { default: current, trial: None },
    }
}

/// The machine came up by itself in another generation than it was told to.
fn fallback(generations: &[Row]) -> Option<String> {
    let booted = generations.iter().find(|g| g.booted)?;
    let failed = generations.iter().rev().find(|g| g.failed && g.number > booted.number)?;
    Some(format!("generation {} did not boot well; the machine came up in generation {}", failed.number, booted.number))
}

/// A system as it was found, with the machine file that it was made from.
#[derive(Debug)]
pub struct Found {
    /// Its path.
    pub system: String,
    /// What it says.
    pub facts: SystemFacts,
    /// The machine file that it was made from.
    pub machine_file: Option<Vec<u8>>,
    /// What the machine file says, once somebody has asked: each is compared with the one before and the one after.
    values: RefCell<Option<Option<Rc<Value>>>>,
}

impl Found {
    /// Where its link `base` leads.
    pub fn base(&self) -> Option<String> {
        self.facts.base.as_ref().map(ToString::to_string)
    }

    /// Why it cannot be used.
    pub fn problem(&self) -> Option<&String> {
        self.facts.problem.as_ref()
    }

    /// What the machine file says; nothing where there is none that is YAML.
    fn values(&self) -> Option<Rc<Value>> {
        let read = || {
            let values = cairn_machine::values(&SourceFile::new("machine.yaml", self.machine_file.clone()?));
            values.ok().map(Rc::new)
        };
        self.values.borrow_mut().get_or_insert_with(read).clone()
    }
}

/// Reads systems.
#[derive(Debug)]
pub struct Reader<'a> {
    /// The root file system.
    pub files: &'a dyn Files,
    /// Their packages.
    pub packages: Packages<'a>,
    /// What was looked at already: many links may lead to one system.
    found: BTreeMap<String, Rc<Found>>,
}

impl<'a> Reader<'a> {
    /// Nothing is read yet.
    pub fn new(files: &'a dyn Files) -> Reader<'a> {
        Reader { files, packages: Packages::new(files), found: BTreeMap::new() }
    }

    /// Looks at a system, once.
    ///
    /// # Errors
    /// What reading meets.
    pub fn find(&mut self, system: &str) -> Result<Rc<Found>, ViewError> {
        if let Some(known) = self.found.get(system) {
            return Ok(Rc::clone(known));
        }
        let facts = system::facts(self.files, system)?;
        let machine_file = match facts.exists {
            false => None,
            true => match self.files.read(&format!("{system}/machine.yaml"), MOST_MACHINE_FILE) {
                // The rest can be told without it; what it says is unknown then.
                Err(ViewError::TooLarge { .. }) => None,
                other => other?,
            },
        };
        let kept = [facts.kernel_release.as_ref().map(String::len), machine_file.as_ref().map(Vec::len)];
        keep(self.files, system, kept.into_iter().flatten().sum())?;
        let found = Rc::new(Found { system: system.into(), facts, machine_file, values: RefCell::default() });
        self.found.insert(system.to_string(), Rc::clone(&found));
        Ok(found)
    }

    /// What one changed against the other, in few words.
    fn changes(&mut self, before: &Found, after: &Found) -> Result<Option<Changes>, ViewError> {
        if before.system == after.system {
            let packages = Some(Counts::default());
            return Ok(Some(Changes { packages, settings: Some(Vec::new()), same_system: true }));
        }
        let (base, new_base) = (before.base(), after.base());
        let counts = if base.is_some() && base == new_base {
            Some(Counts::default())
        } else {
            let old = self.packages.of(&before.system, base.as_deref())?;
            let new = self.packages.of(&after.system, new_base.as_deref())?;
            if let (Some(old), Some(new)) = (&old, &new) {
                self.compare(&after.system, old.len() + new.len())?;
            }
            old.zip(new).map(|(old, new)| packages::count(&packages::changes(&old, &new)))
        };
        if let (Some(old), Some(new)) = (&before.machine_file, &after.machine_file)
            && old != new
        {
            self.compare(&after.system, old.len() + new.len())?;
        }
        let settings = settings_of(before, after).map(|all| all.into_iter().map(|s| s.key).collect());
        if counts.is_none() && settings.is_none() {
            return Ok(None);
        }
        Ok(Some(Changes { packages: counts, settings, same_system: false }))
    }

    /// Two systems can be compared again and again, by links that lead to them in turn.
    fn compare(&self, system: &str, things: usize) -> Result<(), ViewError> {
        let steps = self.files.budget().steps(things as u64 / 2);
        steps.map_err(|why| ViewError::Endless { path: system.to_string(), why })
    }
}

/// The settings that differ; `None` where one has no machine file, or none that is YAML.
pub fn settings_of(before: &Found, after: &Found) -> Option<Vec<settings::Setting>> {
    let (old, new) = (before.machine_file.as_ref()?, after.machine_file.as_ref()?);
    if old == new {
        return Some(Vec::new());
    }
    Some(settings::differences(&*before.values()?, &*after.values()?))
}
