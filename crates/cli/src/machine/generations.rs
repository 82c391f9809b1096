//! The generations of a machine: each with its date, its kernel, what it changed, its own size, and what is known of it.
//!
//! Only what is shown is read. Systems on one base share its packages and its kernel's name, machine files that are the
//! same byte for byte are not parsed, and each store path's record is read once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use cairn_boot::{Record, Situation, bootspec, choose};
use cairn_machine::SourceFile;
use cairn_machine::model::Boot;
use cairn_process::Refusal;
use cairn_store::profile;
use image_builder::view::{Closures, Files, MOST_GENERATIONS, Machine, Menu, PROFILES, ViewError};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::own_sizes::own_sizes;
use super::packages::{self, Counts, Packages};
use super::{record, settings, time};

/// Nobody writes a machine file of this size by hand, and read it takes some hundred times as much memory.
pub const MOST_MACHINE_FILE: u64 = 1 << 20;

/// One generation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Generation {
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
    pub generations: Vec<Generation>,
    /// What could not be found out, and what somebody should know.
    pub notes: Vec<String>,
}

fn moment<S: Serializer>(date: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(time::rfc3339).serialize(serializer)
}

/// A generation's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The number.
    pub number: u64,
    /// The system that it names.
    pub system: String,
}

/// The links of the generations, by number, and the number of the one that the profile points at.
pub fn links(files: &dyn Files) -> Result<(Vec<Link>, Option<u64>), ViewError> {
    let mut links = Vec::new();
    let names = files.list(PROFILES)?.unwrap_or_default();
    if names.iter().filter(|name| profile::generation(name).is_some()).count() > MOST_GENERATIONS {
        return Err(ViewError::TooManyGenerations { path: PROFILES.into() });
    }
    for name in names {
        let Some(number) = profile::generation(&name) else { continue };
        if let Some(system) = files.link(&format!("{PROFILES}/{name}"))? {
            keep(files, &name, system.len())?;
            links.push(Link { number, system });
        }
    }
    links.sort_by_key(|link| link.number);
    let current = files.link(&format!("{PROFILES}/{}", profile::SYSTEM))?;
    let current = current.and_then(|target| profile::generation(target.rsplit('/').next()?));
    Ok((links, current))
}

/// Puts what is kept of a stranger's file on the account of all that is looked at.
fn keep(files: &dyn Files, path: &str, bytes: usize) -> Result<(), ViewError> {
    files.budget().keep(bytes).map_err(|why| ViewError::Endless { path: path.to_string(), why })
}

/// The link of one generation; what is not there is refused with what is.
pub fn find(links: &[Link], number: u64) -> Result<&Link, Refusal> {
    links.iter().find(|link| link.number == number).ok_or_else(|| {
        let there = match links {
            [] => "there are none".to_string(),
            links => format!("there are {}", ranges(links.iter().map(|l| l.number))),
        };
        Refusal(format!("there is no generation {number}; {there}"))
    })
}

/// Rising numbers in few words: `1 to 4, 7`.
fn ranges(numbers: impl Iterator<Item = u64>) -> String {
    runs(numbers).join(", ")
}

/// Rising numbers, those that follow on each other together: `1 to 4`, `7`.
pub fn runs(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for n in numbers {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == n => *end = n,
            _ => runs.push((n, n)),
        }
    }
    let words = runs.iter().flat_map(|(a, b)| match b - a {
        0 => vec![a.to_string()],
        1 => vec![a.to_string(), b.to_string()],
        _ => vec![format!("{a} to {b}")],
    });
    words.collect()
}

/// Which generation is running: by the kernel's command line, else by the link that the boot leaves.
fn booted(files: &dyn Files, links: &[Link]) -> Result<Option<u64>, ViewError> {
    let line = files.read("/proc/cmdline", 64 << 10)?.unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    // Of several the kernel takes the last.
    let words = || line.split_ascii_whitespace();
    let word = |name: &str| words().filter_map(|w| w.strip_prefix(name)).next_back().map(str::to_string);
    // The line may be another machine's, of one that has mounted its own /proc here: its system tells.
    let init = word("init=").and_then(|init| init.strip_suffix("/init").map(str::to_string));
    let by_number = word("cairn.generation=").and_then(|n| n.parse::<u64>().ok());
    let system = match init {
        Some(system) => Some(system),
        None => files.link("/run/booted-system")?,
    };
    let with_system = || links.iter().filter(|l| Some(&l.system) == system.as_ref()).map(|l| l.number);
    Ok(with_system().find(|n| Some(*n) == by_number).or_else(|| with_system().next_back()))
}

/// Reads everything about the generations of a machine; `root`: the folder that it is below.
pub fn read(machine: &Machine<'_>, root: Option<&Path>) -> Result<Generations, ViewError> {
    let files = &*machine.root;
    let mut notes = Vec::new();
    let (links, current) = links(files)?;
    let (record, damage) = record::read(files)?;
    notes.extend(damage);
    let booted = booted(files, &links)?;
    let menu = match Menu::read(&machine.boot) {
        Ok(menu) => menu,
        Err(error) => {
            notes.push(format!("the boot menu is unknown: {error}"));
            None
        }
    };
    if menu.is_none() && notes.is_empty() {
        notes
            .push("the boot partition is not mounted, or only root may read it: what is in the menu is unknown".into());
    }
    let mut closures = Closures::new(files);
    let sizes = own_sizes(files, root, &mut closures, &links)?;
    let mut reader = Reader::new(files);
    let found = links.iter().map(|link| reader.find(&link.system)).collect::<Result<Vec<_>, _>>()?;
    let next = next(&links, &found, record.as_ref(), booted, current);
    let record = record.unwrap_or_default();
    let mut generations: Vec<Generation> = Vec::new();
    for (i, (link, system)) in links.iter().zip(&found).enumerate() {
        let entry = menu.as_ref().map(|menu| menu.of(link.number, &link.system));
        let number = link.number;
        generations.push(Generation {
            number,
            date: files.modified(&format!("{PROFILES}/{}", profile::link_name(number)))?,
            system: link.system.clone(),
            kernel: system.kernel.clone(),
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
            problem: system.problem.clone(),
        });
    }
    notes.extend(fallback(&generations));
    Ok(Generations { generations, notes })
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
    let usable = links.iter().zip(found).filter(|(_, f)| f.problem.is_none()).map(|(l, _)| l.number).collect();
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
fn fallback(generations: &[Generation]) -> Option<String> {
    let booted = generations.iter().find(|g| g.booted)?;
    let failed = generations.iter().rev().find(|g| g.failed && g.number > booted.number)?;
    Some(format!("generation {} did not boot well; the machine came up in generation {}", failed.number, booted.number))
}

/// A system as it was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its path.
    pub system: String,
    /// Where its link `base` leads.
    pub base: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The machine file that it was made from.
    pub machine_file: Option<Vec<u8>>,
    /// Why it cannot be used.
    pub problem: Option<String>,
    /// What the machine file says, once somebody has asked: each is compared with the one before and the one after.
    values: RefCell<Option<Option<Rc<Value>>>>,
}

impl Found {
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
    /// The kernels' names by base.
    pub kernels: BTreeMap<String, Option<String>>,
    /// What was looked at already: many links may lead to one system.
    found: BTreeMap<String, Rc<Found>>,
}

impl<'a> Reader<'a> {
    /// Nothing is read yet.
    pub fn new(files: &'a dyn Files) -> Reader<'a> {
        Reader { files, packages: Packages::new(files), kernels: BTreeMap::new(), found: BTreeMap::new() }
    }

    /// Looks at a system, once.
    pub fn find(&mut self, system: &str) -> Result<Rc<Found>, ViewError> {
        if let Some(known) = self.found.get(system) {
            return Ok(Rc::clone(known));
        }
        let found = Rc::new(self.look_at(system)?);
        self.found.insert(system.to_string(), Rc::clone(&found));
        Ok(found)
    }

    fn look_at(&mut self, system: &str) -> Result<Found, ViewError> {
        let mut found = Found {
            system: system.into(),
            base: None,
            kernel: None,
            machine_file: None,
            problem: None,
            values: RefCell::default(),
        };
        if self.files.kind(system)?.is_none() {
            found.problem = Some("its system is gone from the store".into());
            return Ok(found);
        }
        found.problem = self.boot_problem(system)?;
        found.base = self.files.link(&format!("{system}/base"))?;
        found.kernel = self.kernel(system, found.base.as_deref())?;
        found.machine_file = match self.files.read(&format!("{system}/machine.yaml"), MOST_MACHINE_FILE) {
            // The rest can be told without it; what it says is unknown then.
            Err(ViewError::TooLarge { .. }) => None,
            other => other?,
        };
        let kept = [found.kernel.as_ref().map(String::len), found.machine_file.as_ref().map(Vec::len)];
        keep(self.files, system, kept.into_iter().flatten().sum())?;
        Ok(found)
    }

    /// What is wrong with the bootspec; a generation with a damaged one cannot be put into the menu.
    fn boot_problem(&self, system: &str) -> Result<Option<String>, ViewError> {
        let path = format!("{system}/boot.json");
        let Some(bytes) = self.files.read(&path, bootspec::MOST)? else {
            return Ok(Some("it has no boot.json".into()));
        };
        // As whoever writes the boot menu reads it.
        let whole = bootspec::parse(&bytes, Path::new(&path)).is_ok();
        Ok((!whole).then(|| "its boot.json is damaged".to_string()))
    }

    fn kernel(&mut self, system: &str, base: Option<&str>) -> Result<Option<String>, ViewError> {
        let key = base.unwrap_or(system);
        if let Some(kernel) = self.kernels.get(key) {
            return Ok(kernel.clone());
        }
        // A base has it written down; in a system of NixOS the modules' folder has its name.
        let written = self.files.read(&format!("{key}/kernel-release"), 4096)?;
        let kernel = match written.map(|b| String::from_utf8_lossy(&b).trim().to_string()).filter(|k| !k.is_empty()) {
            Some(kernel) => Some(kernel),
            None => {
                let modules = self.files.list(&format!("{system}/kernel-modules/lib/modules"))?;
                modules.and_then(|names| names.into_iter().next())
            }
        };
        self.kernels.insert(key.to_string(), kernel.clone());
        Ok(kernel)
    }

    /// What one changed against the other, in few words.
    fn changes(&mut self, before: &Found, after: &Found) -> Result<Option<Changes>, ViewError> {
        if before.system == after.system {
            let packages = Some(Counts::default());
            return Ok(Some(Changes { packages, settings: Some(Vec::new()), same_system: true }));
        }
        let counts = if before.base.is_some() && before.base == after.base {
            Some(Counts::default())
        } else {
            let old = self.packages.of(&before.system, before.base.as_deref())?;
            let new = self.packages.of(&after.system, after.base.as_deref())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_in_few_words() {
        assert_eq!(ranges([1, 2, 3, 4, 7, 9, 10].into_iter()), "1 to 4, 7, 9, 10");
        let links = [1, 3].map(|number| Link { number, system: "s".into() });
        assert_eq!(find(&links, 3).unwrap().number, 3);
        assert_eq!(find(&links, 2).unwrap_err().0, "there is no generation 2; there are 1, 3");
        assert_eq!(find(&[], 2).unwrap_err().0, "there is no generation 2; there are none");
    }
}
