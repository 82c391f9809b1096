//! What there is: the generations of a machine, which of them can be booted, which one runs, what the machine remembers. It says
//! all that a change is planned from.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use cairn_boot::bootspec::{Bootable, Bootspecs};
use cairn_boot::{Artifact, Generation, Record, RecordError, Variant};
use cairn_disk::{Budget, Spent};
use cairn_machine::Checked;
use cairn_machine::lock::Lock;
use cairn_process::Refusal;
use cairn_root::Root;
use cairn_store::{Store, StorePath};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::ObserveError;
use crate::links::links;
use crate::made_from::MadeFrom;
use crate::running::{self, running};
use crate::system::{self, SystemFacts};
use crate::view::{Files, Kind, View, ViewError};
use crate::words::numbers;

/// Larger than any kernel or initrd.
const MOST_FILE: u64 = 1 << 30;

/// A machine as it is found.
#[derive(Debug)]
pub struct Observed<'a> {
    /// Where it is, and its files.
    pub machine: View<'a>,
    /// The generations that can be booted, by number.
    pub usable: Vec<Usable<'a>>,
    /// Those that cannot, and why.
    pub broken: BTreeMap<u64, Broken>,
    /// The number of the current one, whatever runs.
    pub current: Option<u64>,
    /// The one that runs, if this machine does, itself or as one of its variants.
    pub booted: Option<u64>,
    /// The variant of it that runs, if it is not the generation itself.
    pub variant: Option<String>,
    /// What the machine remembers; `None` when that is lost.
    pub record: Option<Record>,
    /// Why it is lost, if it was there.
    pub record_problem: Option<RecordError>,
    /// Hashes of kernels, initrds and loaders in the store, each found out once.
    pub hashes: Hashes,
}

/// A generation that can be booted.
#[derive(Debug, Clone)]
pub struct Usable<'a> {
    /// What the boot partition needs of it.
    pub boot: Generation,
    /// When it was made, in seconds since 1970.
    pub time: i64,
    /// Its system.
    pub system: StorePath,
    /// Its base, if it was made from one.
    pub base: Option<StorePath>,
    /// What of the boot loader was made with it.
    pub loader: Option<StorePath>,
    /// Its machine file and what that names.
    pub made_from: MadeFrom<'a>,
}

/// A generation that cannot be booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Why not.
    pub why: String,
    /// Whether there is nothing left of it: its system is not in the store.
    pub gone: bool,
    /// When it was made, in seconds since 1970.
    pub time: i64,
}

impl<'a> Observed<'a> {
    /// Looks at a machine. Changes nothing on it.
    ///
    /// # Errors
    /// See [`ObserveError`].
    pub fn of(machine: View<'a>) -> Result<Observed<'a>, ObserveError> {
        let files = &machine.root;
        let (links, current) = links(&**files)?;
        let (mut usable, mut broken) = (Vec::new(), BTreeMap::new());
        let hashes = Hashes::default();
        let store = machine.folder.as_ref().and_then(|root| Store::look(root).ok());
        let mut systems = Systems::default();
        for link in links {
            let time = link.time(&**files)?.unwrap_or_default();
            match systems.of(&link.system, || read(files, store.as_ref(), &link.system, &hashes))? {
                Ok(found) => usable.push(found.numbered(link.number, time)),
                Err(why) => {
                    let gone = StorePath::from_absolute(&link.system).is_ok() && files.kind(&link.system)?.is_none();
                    broken.insert(link.number, Broken { why, gone, time });
                }
            }
        }
        if usable.is_empty() && broken.is_empty() {
            let what =
                format!("{} is not a machine that Cairn has made: it has no generations", machine.name.display());
            return Err(Refusal(what).into());
        }
        let (record, record_problem) = match crate::record::read(&**files)? {
            Ok(record) => (record, None),
            Err(problem) => (None, Some(problem)),
        };
        let (booted, variant) = match machine.is_host() {
            true => booted(&**files, &usable)?.unzip(),
            false => (None, None),
        };
        let variant = variant.flatten();
        Ok(Observed { machine, usable, broken, current, booted, variant, record, record_problem, hashes })
    }

    /// The newest generation that can be booted: its machine file says what the boot menu is like.
    ///
    /// # Errors
    /// A refusal when there is none.
    pub fn newest(&self) -> Result<&Usable<'a>, Refusal> {
        self.usable.last().ok_or_else(|| {
            let why = self.broken.values().next_back().map(|broken| broken.why.as_str()).unwrap_or_default();
            Refusal(format!("none of the machine's generations can be booted ({why}): nothing is changed"))
        })
    }

    /// The numbers of the generations that can be booted.
    pub fn numbers(&self) -> BTreeSet<u64> {
        self.usable.iter().map(|g| g.boot.number).collect()
    }

    /// The generation of a number.
    ///
    /// # Errors
    /// A refusal that says which there are.
    pub fn find(&self, number: u64) -> Result<&Usable<'a>, Refusal> {
        if let Some(found) = self.usable.iter().find(|g| g.boot.number == number) {
            return Ok(found);
        }
        let there = numbers(self.numbers());
        Err(Refusal(match self.broken.get(&number) {
            Some(Broken { why, .. }) => {
                format!("generation {number} cannot be booted: {why}; the machine has {there}")
            }
            None => format!("there is no generation {number}; the machine has {there}"),
        }))
    }

    /// The seed of the installation: what the machine remembers, or, on one that never recorded it, what the machine file of the
    /// oldest generation says that has one.
    ///
    /// # Errors
    /// See [`MadeFrom::checked`].
    pub fn seed(&self) -> Result<Uuid, ObserveError> {
        match self.record.as_ref().and_then(|record| record.seed) {
            Some(seed) => Ok(seed),
            None => {
                for generation in &self.usable {
                    if generation.made_from.is_there()? {
                        return Ok(generation.checked()?.seed());
                    }
                }
                Err(ObserveError::Unfit("none of the machine's generations has a machine file".into()))
            }
        }
    }

    /// The machine's record, or what is left to assume without one: what runs is good.
    pub fn record_or_new(&self) -> Record {
        self.record.clone().unwrap_or_else(|| {
            let good = self.booted.or(self.current).or_else(|| self.numbers().first().copied());
            let mut record = good.map(Record::first).unwrap_or_default();
            record.highest = self.numbers().last().copied().unwrap_or_default();
            record
        })
    }

    /// Takes these generations out: the machine as it will be without them.
    pub fn leave_out(&mut self, gone: &BTreeSet<u64>) {
        self.usable.retain(|g| !gone.contains(&g.boot.number));
        self.broken.retain(|number, _| !gone.contains(number));
    }

    /// What the machine will remember.
    pub fn remember(&mut self, record: Record) {
        self.record = Some(record);
    }

    /// The generation of this number and time that a system in the machine's store would make.
    ///
    /// # Errors
    /// Why it could not be booted.
    pub fn would_be(
        &self,
        store: &Store,
        number: u64,
        system: &StorePath,
        time: i64,
    ) -> Result<Usable<'a>, ObserveError> {
        let found = read(&self.machine.root, Some(store), &system.to_string(), &self.hashes)?;
        Ok(found.map_err(|why| ObserveError::Unfit(format!("{system}: {why}")))?.numbered(number, time))
    }

    /// The hash of a file in the machine's store, which is read for it.
    ///
    /// # Errors
    /// What reading meets.
    pub fn artifact(&self, path: &Path) -> Result<Artifact, ObserveError> {
        artifact(&*self.machine.root, None, path, &self.hashes)?.map_err(ObserveError::Unfit)
    }

    /// The root of the machine, where it is below a folder.
    pub fn folder(&self) -> Option<&Root> {
        self.machine.folder.as_ref()
    }
}

/// Systems that were read, by their paths. Links cost nothing, so many may lead to one system: it is read once, and what each
/// link makes of it, in the menu too, goes on one account for the machine.
#[derive(Default)]
struct Systems<'a> {
    read: BTreeMap<String, Result<Usable<'a>, String>>,
    budget: Budget,
}

impl<'a> Systems<'a> {
    fn of(
        &mut self,
        system: &str,
        read: impl FnOnce() -> Result<Result<Usable<'a>, String>, ObserveError>,
    ) -> Result<Result<Usable<'a>, String>, ObserveError> {
        let known = match self.read.get(system) {
            Some(known) => known.clone(),
            None => {
                let new = read()?;
                self.read.insert(system.to_string(), new.clone());
                new
            }
        };
        let size = known.as_ref().map_or_else(String::len, |found| found.boot.size());
        let endless = |source: Spent| ObserveError::Endless { system: system.to_string(), source };
        self.budget.keep(size).map_err(endless)?;
        Ok(known)
    }
}

impl<'a> Usable<'a> {
    /// The same system under another number.
    fn numbered(mut self, number: u64, time: i64) -> Usable<'a> {
        self.boot.number = number;
        self.boot.date = cairn_boot::date(time);
        self.time = time;
        self
    }

    /// Its machine file.
    ///
    /// # Errors
    /// See [`MadeFrom::checked`].
    pub fn checked(&self) -> Result<Checked, ObserveError> {
        self.made_from.checked()
    }

    /// Its lock.
    ///
    /// # Errors
    /// See [`MadeFrom::lock`].
    pub fn lock(&self) -> Result<Option<Lock>, ObserveError> {
        self.made_from.lock()
    }
}

/// The artifacts of files in the store, by their paths there.
pub type Hashes = RefCell<BTreeMap<PathBuf, Artifact>>;

/// Reads a system as a generation without a number. The text is why it cannot be booted.
fn read<'a>(
    files: &Rc<dyn Files + 'a>,
    store: Option<&Store>,
    system: &str,
    hashes: &Hashes,
) -> Result<Result<Usable<'a>, String>, ObserveError> {
    let SystemFacts { boots, problem, base, loader, etc, kernel_release, hostname, .. } =
        system::facts(&**files, system)?;
    let Bootspecs { system: boots, variants } = match (boots, problem) {
        (Some(boots), None) => boots,
        (_, why) => return Ok(Err(why.unwrap_or_default())),
    };
    let Ok(path) = StorePath::from_absolute(system) else { return Ok(Err(format!("{system} is no store path"))) };
    // A kernel that cannot be read makes a generation that cannot be booted, and no machine that cannot be looked at.
    let file = |path: &Path| artifact(&**files, store, path, hashes);
    let if_any = |path: &Option<PathBuf>| path.as_deref().map(file).transpose().map(Option::transpose);
    let mut others = Vec::new();
    for (name, Bootable { bootspec, device_tree }) in variants {
        let found = (file(&bootspec.kernel)?, if_any(&bootspec.initrd)?, if_any(&device_tree)?);
        let (kernel, initrd, device_tree) = match found {
            (Ok(kernel), Ok(initrd), Ok(device_tree)) => (kernel, initrd, device_tree),
            (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => return Ok(Err(why)),
        };
        others.push(Variant { name, kernel, initrd, device_tree, bootspec });
    }
    let Bootable { bootspec, device_tree } = boots;
    let found = (file(&bootspec.kernel)?, if_any(&bootspec.initrd)?, if_any(&device_tree)?);
    let (kernel, initrd, device_tree) = match found {
        (Ok(kernel), Ok(initrd), Ok(device_tree)) => (kernel, initrd, device_tree),
        (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => return Ok(Err(why)),
    };
    let boot = Generation {
        number: 0,
        kernel,
        initrd,
        device_tree,
        variants: others,
        name: hostname.unwrap_or_else(|| bootspec.label.clone()),
        date: String::new(),
        kernel_release,
        bootspec,
    };
    let made_from = MadeFrom::of(files, system, etc.as_ref());
    Ok(Ok(Usable { boot, time: 0, system: path, base, loader, made_from }))
}

/// A file of the store, with its hash: from the store's records where it has some, else by reading it. Generations share
/// kernels and initrds, so each is looked at once. The text is why it is none.
fn artifact(
    files: &dyn Files,
    store: Option<&Store>,
    path: &Path,
    hashes: &Hashes,
) -> Result<Result<Artifact, String>, ViewError> {
    if let Some(known) = hashes.borrow().get(path) {
        return Ok(Ok(known.clone()));
    }
    let Some(text) = path.to_str() else { return Ok(Err(format!("{} is not UTF-8", path.display()))) };
    let found = match store.and_then(|store| store.file_in(path).ok()) {
        // What is written down is no word about whether it is there.
        Some(_) if files.kind(text)? != Some(Kind::File) => return Ok(Err(format!("there is no {text}"))),
        Some((size, sha256)) => Artifact { store_path: text.to_string(), sha256, size },
        None => {
            let mut hasher = Sha256::new();
            let mut counted = Counted { hasher: &mut hasher, size: 0 };
            match files.copy(text, MOST_FILE, &mut counted) {
                Ok(Some(())) => {}
                Ok(None) => return Ok(Err(format!("there is no {text}"))),
                Err(ViewError::TooLarge { bytes, .. }) => {
                    return Ok(Err(format!("{text} has {bytes} bytes, which is no kernel or initrd")));
                }
                Err(ViewError::Io { source, .. }) => return Ok(Err(format!("reading {text}: {source}"))),
                Err(other) => return Err(other),
            }
            let size = counted.size;
            Artifact { store_path: text.to_string(), sha256: hasher.finalize().into(), size }
        }
    };
    hashes.borrow_mut().insert(path.to_path_buf(), found.clone());
    Ok(Ok(found))
}

/// Hashes what is written to it.
struct Counted<'h> {
    hasher: &'h mut Sha256,
    size: u64,
}

impl std::io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Which of the generations runs, and as which of its variants.
fn booted(files: &dyn Files, usable: &[Usable<'_>]) -> Result<Option<(u64, Option<String>)>, ViewError> {
    let inits: Vec<(u64, Option<&str>, String)> = usable
        .iter()
        .flat_map(|g| {
            let init = |path: &Path| path.display().to_string();
            let variants = g.boot.variants.iter();
            let variants = variants.map(move |v| (g.boot.number, Some(v.name.as_str()), init(&v.bootspec.init)));
            std::iter::once((g.boot.number, None, init(&g.boot.bootspec.init))).chain(variants)
        })
        .collect();
    let all =
        inits.iter().map(|(number, variant, init)| running::Bootable { number: *number, variant: *variant, init });
    Ok(running(files, all)?.map(|one| (one.number, one.variant.map(str::to_string))))
}
