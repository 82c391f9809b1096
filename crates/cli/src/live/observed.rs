//! What there is: the generations of a machine, which of them can be booted, which one runs, what the machine remembers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::bootspec::{Bootable, Bootspecs};
use cairn_boot::effects::{RecordFileError, read_bootspecs, read_record};
use cairn_boot::{Artifact, Generation, Record, Variant};
use cairn_disk::Budget;
use cairn_machine::Checked;
use cairn_machine::lock::Lock;
use cairn_process::Refusal;
use cairn_root::Root;
use cairn_store::{Generations, Store, StorePath, profile};
use image_builder::view::{MOST_GENERATIONS, PROFILES, ViewError};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::made_from::MadeFrom;

/// Nobody's host name, and no kernel's release, is longer.
const MOST_TEXT: u64 = 4096;

/// Larger than any kernel or initrd.
const MOST_FILE: u64 = 1 << 30;

/// A machine as it is found.
#[derive(Debug)]
pub struct Observed {
    /// Its root.
    pub root: Root,
    /// Whether its partitions are mounted below its root; in one that was unpacked from an image they are folders.
    pub mounted: bool,
    /// The image that it was unpacked from.
    pub image: Option<PathBuf>,
    /// The generations that can be booted, by number.
    pub usable: Vec<Usable>,
    /// Those that cannot, and why.
    pub broken: BTreeMap<u64, String>,
    /// The number of the current one, whatever runs.
    pub current: Option<u64>,
    /// The one that runs, if this machine does, itself or as one of its variants.
    pub booted: Option<u64>,
    /// The variant of it that runs, if it is not the generation itself.
    pub variant: Option<String>,
    /// What the machine remembers; `None` when that is lost.
    pub record: Option<Record>,
    /// Why it is lost, if it was there.
    pub record_problem: Option<String>,
    /// Hashes of kernels, initrds and loaders in the store, each found out once.
    pub hashes: Hashes,
}

/// A generation that can be booted.
#[derive(Debug, Clone)]
pub struct Usable {
    /// What the boot partition needs of it.
    pub boot: Generation,
    /// Its system.
    pub system: StorePath,
    /// Its base.
    pub base: StorePath,
    /// What of the boot loader was made with it.
    pub loader: Option<StorePath>,
    /// Its machine file and what that names.
    pub made_from: MadeFrom,
}

impl Observed {
    /// Looks at the machine below `path`. Changes nothing on it.
    pub fn at(path: &Path) -> anyhow::Result<Observed> {
        let root = &super::root(path)?;
        refuse_too_many(root)?;
        let generations = Generations::at(root.path());
        let (mut usable, mut broken) = (Vec::new(), BTreeMap::new());
        let hashes = Hashes::default();
        let store = Store::at(root.path()).ok();
        let mut systems = Systems::default();
        for link in generations.list()? {
            let found = match (&link.system, link.exists) {
                (Some(system), true) => {
                    systems.of(system, || read(root, store.as_ref(), link.number, system, link.time, &hashes))?
                }
                (Some(system), false) => Err(format!("its system {system} is not in the store")),
                (None, _) => Err(format!("its link leads to {}, which is no store path", link.target)),
            };
            match found {
                Ok(found) => usable.push(found.numbered(link.number, link.time)),
                Err(why) => drop(broken.insert(link.number, why)),
            }
        }
        if usable.is_empty() && broken.is_empty() {
            let what = format!("{} is not a machine that Cairn has made: it has no generations", path.display());
            return Err(Refusal(what).into());
        }
        let (record, record_problem) = match read_record(root) {
            Ok(record) => (record, None),
            Err(RecordFileError::Record(error)) => (None, Some(error.to_string())),
            Err(other) => return Err(other.into()),
        };
        let (booted, variant) = match root.is_host() {
            true => booted(&usable)?.unzip(),
            false => (None, None),
        };
        let current = generations.current()?;
        Ok(Observed {
            root: root.clone(),
            mounted: true,
            image: None,
            usable,
            broken,
            current,
            booted,
            variant: variant.flatten(),
            record,
            record_problem,
            hashes,
        })
    }

    /// The newest generation that can be booted: its machine file says what the boot menu is like.
    pub fn newest(&self) -> anyhow::Result<&Usable> {
        self.usable.last().ok_or_else(|| {
            let why = self.broken.values().next_back().map(String::as_str).unwrap_or_default();
            Refusal(format!("none of the machine's generations can be booted ({why}): nothing is changed")).into()
        })
    }

    /// The numbers of the generations that can be booted.
    pub fn numbers(&self) -> BTreeSet<u64> {
        self.usable.iter().map(|g| g.boot.number).collect()
    }

    /// The generation of a number; a refusal that says which there are.
    pub fn find(&self, number: u64) -> anyhow::Result<&Usable> {
        if let Some(found) = self.usable.iter().find(|g| g.boot.number == number) {
            return Ok(found);
        }
        let there = super::numbers(self.numbers());
        let what = match self.broken.get(&number) {
            Some(why) => format!("generation {number} cannot be booted: {why}; the machine has {there}"),
            None => format!("there is no generation {number}; the machine has {there}"),
        };
        Err(Refusal(what).into())
    }

    /// The seed of the installation: what the machine remembers, or, on one that never recorded it, what the oldest
    /// generation's machine file says.
    pub fn seed(&self) -> anyhow::Result<Uuid> {
        match self.record.as_ref().and_then(|record| record.seed) {
            Some(seed) => Ok(seed),
            None => Ok(self.usable.first().context("the machine has no generation")?.checked()?.seed()),
        }
    }

    /// The current generation's record, or what is left to assume without one: what runs is good.
    pub fn record_or_new(&self) -> Record {
        self.record.clone().unwrap_or_else(|| {
            let good = self.booted.or(self.current).or_else(|| self.numbers().first().copied());
            let mut record = good.map(Record::first).unwrap_or_default();
            record.highest = self.numbers().last().copied().unwrap_or_default();
            record
        })
    }
}

/// Refuses a machine with more generations than anybody has, before any of them is looked at.
fn refuse_too_many(root: &Root) -> anyhow::Result<()> {
    let folder = || root.shown(PROFILES);
    let names = root.names(PROFILES).with_context(|| format!("reading {}", folder().display()))?.unwrap_or_default();
    let count = names.iter().filter(|name| name.to_str().and_then(profile::generation).is_some()).count();
    match count > MOST_GENERATIONS {
        true => Err(ViewError::TooManyGenerations { path: folder() }.into()),
        false => Ok(()),
    }
}

/// Systems that were read, by their paths. Links cost nothing, so many may lead to one system: it is read once, and what each
/// link makes of it, in the menu too, goes on one account for the machine.
#[derive(Default)]
struct Systems {
    read: BTreeMap<StorePath, Result<Usable, String>>,
    budget: Budget,
}

impl Systems {
    fn of(
        &mut self,
        system: &StorePath,
        read: impl FnOnce() -> anyhow::Result<Usable>,
    ) -> anyhow::Result<Result<Usable, String>> {
        let read = || read().map_err(|error| format!("{error:#}"));
        let known = self.read.entry(system.clone()).or_insert_with(read);
        let size = known.as_ref().map_or_else(String::len, |found| found.boot.size());
        self.budget.keep(size).with_context(|| format!("looking at the generations, at {system}"))?;
        Ok(known.clone())
    }
}

impl Usable {
    /// The same system under another number.
    fn numbered(mut self, number: u64, time: i64) -> Usable {
        self.boot.number = number;
        self.boot.date = cairn_boot::date(time);
        self
    }

    /// A generation that has no link yet: a system in the machine's store.
    pub fn of(
        observed: &Observed,
        store: &Store,
        number: u64,
        system: &StorePath,
        time: i64,
    ) -> anyhow::Result<Usable> {
        read(&observed.root, Some(store), number, system, time, &observed.hashes)
    }

    /// Its machine file.
    pub fn checked(&self) -> anyhow::Result<Checked> {
        self.made_from.checked()
    }

    /// Its lock.
    pub fn lock(&self) -> anyhow::Result<Option<Lock>> {
        self.made_from.lock()
    }
}

/// The artifacts of files in the store, by their paths there.
pub type Hashes = RefCell<BTreeMap<PathBuf, Artifact>>;

fn read(
    root: &Root,
    store: Option<&Store>,
    number: u64,
    system: &StorePath,
    time: i64,
    hashes: &Hashes,
) -> anyhow::Result<Usable> {
    let Bootspecs { system: boots, variants } = read_bootspecs(root, &system.to_string())?;
    let link = |name: &str| -> anyhow::Result<StorePath> {
        let path = format!("{system}/{name}");
        let target = root.link(&path).with_context(|| format!("reading {path}"))?;
        let target = target.with_context(|| format!("there is no link {path}"))?;
        Ok(StorePath::from_absolute(&target.to_string_lossy())?)
    };
    let base = link("base")?;
    // Systems have it since what a BIOS starts follows an upgrade, and with GRUB only.
    let loader = link(cairn_system::LOADER).ok();
    let etc = link("etc")?;
    let text = |path: String| -> anyhow::Result<String> {
        let text = root.read_text(&path, MOST_TEXT).with_context(|| format!("reading {path}"))?;
        text.with_context(|| format!("there is no {path}"))
    };
    let release = text(format!("{base}/kernel-release"))?;
    let name = text(format!("{etc}/hostname")).context("reading its host name")?;
    let file = |path: &Path| artifact(root, store, path, hashes);
    let if_any = |path: &Option<PathBuf>| path.as_deref().map(file).transpose();
    let mut others = Vec::new();
    for (name, Bootable { bootspec, device_tree }) in variants {
        others.push(Variant {
            name,
            kernel: file(&bootspec.kernel)?,
            initrd: if_any(&bootspec.initrd)?,
            device_tree: if_any(&device_tree)?,
            bootspec,
        });
    }
    let Bootable { bootspec, device_tree } = boots;
    let boot = Generation {
        number,
        kernel: file(&bootspec.kernel)?,
        initrd: if_any(&bootspec.initrd)?,
        device_tree: if_any(&device_tree)?,
        variants: others,
        name: name.trim().to_string(),
        date: cairn_boot::date(time),
        kernel_release: release.trim().to_string(),
        bootspec,
    };
    Ok(Usable {
        boot,
        system: system.clone(),
        base,
        loader,
        made_from: MadeFrom::at(root, system.to_string().into(), format!("{etc}/cairn").into()),
    })
}

/// A file of the store, with its hash: from the store's records where it has some, else by reading it. Generations share
/// kernels and initrds, so each is looked at once.
pub fn artifact(root: &Root, store: Option<&Store>, path: &Path, hashes: &Hashes) -> anyhow::Result<Artifact> {
    if let Some(known) = hashes.borrow().get(path) {
        return Ok(known.clone());
    }
    let recorded = store.and_then(|store| crate::pipeline::artifact::of(store, path).ok());
    let file = root.open_file(path).with_context(|| format!("opening {}", path.display()))?;
    let length = file.metadata().with_context(|| format!("reading {}", path.display()))?.len();
    anyhow::ensure!(length <= MOST_FILE, "{} has {length} bytes, which is no kernel or initrd", path.display());
    let found = match recorded {
        Some(artifact) => artifact,
        None => {
            let mut hasher = Sha256::new();
            let size = std::io::copy(&mut file.take(MOST_FILE), &mut hasher);
            let size = size.with_context(|| format!("reading {}", path.display()))?;
            let store_path = path.to_str().context("a path in the store is not UTF-8")?.to_string();
            Artifact { store_path, sha256: hasher.finalize().into(), size }
        }
    };
    hashes.borrow_mut().insert(path.to_path_buf(), found.clone());
    Ok(found)
}

/// Which of the generations runs, and as which of its variants: the boot entry put its number on the kernel's command line.
/// A number alone is not believed, for it may have been typed in the boot menu.
fn booted(usable: &[Usable]) -> anyhow::Result<Option<(u64, Option<String>)>> {
    let line = std::fs::read_to_string("/proc/cmdline").context("reading /proc/cmdline")?;
    let systems = |name: Option<&str>| {
        let of = |g: &Usable| {
            let variant = g.boot.variants.iter().find(|variant| Some(&*variant.name) == name);
            let spec = if name.is_none() { Some(&g.boot.bootspec) } else { variant.map(|variant| &variant.bootspec) };
            spec.map(|spec| (g.boot.number, spec.init.display().to_string()))
        };
        booted_by(&line, usable.iter().filter_map(of))
    };
    let names: BTreeSet<&str> = usable.iter().flat_map(|g| &g.boot.variants).map(|v| v.name.as_str()).collect();
    let mut all = std::iter::once(None).chain(names.into_iter().map(Some));
    Ok(all.find_map(|name| systems(name).map(|number| (number, name.map(str::to_string)))))
}

fn booted_by(line: &str, generations: impl Iterator<Item = (u64, String)>) -> Option<u64> {
    let word = |name: &str| line.split_ascii_whitespace().filter_map(|w| w.strip_prefix(name)).next_back();
    let init = word("init=")?;
    let number = word("cairn.generation=").and_then(|n| n.parse::<u64>().ok());
    let same: Vec<u64> = generations.filter(|(_, path)| path == init).map(|(n, _)| n).collect();
    same.iter().find(|n| Some(**n) == number).or(same.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_generation_is_told_by_number_and_system() {
        let all = || [(1, "/a/init"), (2, "/b/init"), (3, "/a/init")].map(|(n, p)| (n, p.to_string())).into_iter();
        assert_eq!(booted_by("init=/a/init quiet cairn.generation=1", all()), Some(1));
        assert_eq!(booted_by("init=/a/init", all()), Some(3));
        assert_eq!(booted_by("init=/b/init cairn.generation=1 cairn.trial\n", all()), Some(2));
        assert_eq!(booted_by("init=/c/init cairn.generation=1", all()), None);
        assert_eq!(booted_by("quiet", all()), None);
    }
}
