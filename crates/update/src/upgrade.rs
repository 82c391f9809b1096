//! A new generation, from the machine's own file that was edited, or from a system made elsewhere.
//!
//! The system is made or copied first ([`bring`]): nothing refers to it then, and what it says decides everything else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_make::recipe::adopt_seed;
use cairn_make::{Kit, Made, NamedFiles, Passphrases, Passwords, Workshop, lock_file, machine_file};
use cairn_observe::Observed;
use cairn_observe::view::Files;
use cairn_process::{Refusal, Report};
use cairn_root::Root;
use cairn_store::{CopySource, Generations, MachineStore, Store, StorePath};
use cairn_system::debian;

use crate::brought;
use crate::change::{Change, StageName, Step};
use crate::engine::{full_words, is_full};
use crate::menu::{BootMenu, Occasion};
use crate::partitions;
use crate::session::Session;
use crate::signed;
use crate::turn::{CACHE, now};

/// Where a machine has its own machine file.
const OWN_FILE: &str = "/etc/cairn/machine.yaml";

/// More accounts than this no machine has.
const MOST_ACCOUNTS: u64 = 16 << 20;

/// What is wanted.
#[derive(Debug)]
pub struct Wish {
    /// The machine file; without one it is the machine's own.
    pub file: Option<PathBuf>,
    /// The store below this folder has the system.
    pub from: Option<PathBuf>,
    /// The system's path there; without one it is the current one.
    pub system: Option<String>,
    /// The program that makes the generation after this one, which the machine gets.
    pub program: PathBuf,
    /// Its manual pages and completions, by their path below `/usr`.
    pub usr: BTreeMap<String, Vec<u8>>,
}

/// A system that is in the machine's store, and of no generation yet.
#[derive(Debug)]
pub struct Brought {
    /// The system.
    pub system: StorePath,
    /// Hashes of first passwords by user.
    pub passwords: Passwords,
    /// Passphrases of wireless networks.
    pub passphrases: Passphrases,
}

/// What is to be done.
#[derive(Debug)]
pub struct Upgrade {
    /// The steps.
    pub change: Change,
    /// The boot partitions that they are for.
    pub menu: BootMenu<'static>,
    /// The generation.
    pub number: u64,
    /// Its system.
    pub system: StorePath,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Whether it is tried at the next boot.
    pub trial: bool,
}

/// What an upgrade comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is a new generation.
    New,
    /// The generation is this system already, and boots from now on.
    Chosen,
    /// Besides, the boot partition was not as it should be.
    Mended,
    /// There is nothing to do.
    Nothing,
}

/// Makes the system that is wanted, or copies it, into the machine's own store. Nothing refers to it yet.
///
/// # Errors
/// What is wrong with the machine file, and what making and copying meet.
pub fn bring(session: &Session, wish: Wish, report: &dyn Report) -> anyhow::Result<Brought> {
    bring_it(session, wish, report).map_err(|error| match is_full(&error) {
        true => error.context(full_words(&session.root)),
        false => error,
    })
}

fn bring_it(session: &Session, wish: Wish, report: &dyn Report) -> anyhow::Result<Brought> {
    let (root, observed, store) = (&session.root, &session.observed, session.store()?);
    partitions::can_be_written(observed)?;
    if let Some(from) = &wish.from {
        let system = brought::bring(from, wish.system.as_deref(), (root, observed), store, report)?;
        tell_new_users(observed, store, &system, report)?;
        return Ok(Brought { system, passwords: Passwords::new(), passphrases: Passphrases::new() });
    }
    let file = match &wish.file {
        Some(file) => file.clone(),
        None => own_file(root, observed)?,
    };
    let kit = |cache: PathBuf| Kit { cache, key: None, program: wish.program, usr: wish.usr };
    let made = match root.is_host() {
        true => {
            let cache = root.own_or_new(CACHE);
            let cache = cache.with_context(|| format!("making {}", root.shown(CACHE).display()))?.path().to_path_buf();
            make_here(&file, observed, store, &kit(cache), report)?
        }
        false => {
            let cache = session.cache.clone();
            let cache =
                cache.context("finding a folder for the cache: set HOME or XDG_CACHE_HOME to an absolute path")?;
            make_elsewhere(&file, (root, observed), store, &kit(cache), report)?
        }
    };
    let NamedFiles { passwords, mut passphrases, .. } = made.named;
    // One that is there as it is needs no step.
    passphrases.retain(|name, line| kept_passphrase(observed, name).as_ref() != Some(line));
    Ok(Brought { system: made.system.info.path, passwords, passphrases })
}

/// The machine's own machine file. `/etc` is put together when the machine starts, so one that is only mounted has none; a
/// file that somebody has put there all the same is not the caller's, and would name files of this computer.
fn own_file(root: &Root, observed: &Observed<'_>) -> anyhow::Result<PathBuf> {
    let file = Path::new(OWN_FILE);
    if root.is_host() && file.exists() {
        return Ok(file.to_path_buf());
    }
    let newest = observed.newest()?;
    let shown = root.shown(OWN_FILE);
    Err(Refusal(format!(
        "{}: name the machine file (generation {} was made from {})",
        match root.kind(OWN_FILE) {
            Ok(Some(_)) => format!("{} is not read, for the machine does not run", shown.display()),
            _ => format!("there is no {}", shown.display()),
        },
        newest.boot.number,
        newest.made_from.shown().display()
    ))
    .into())
}

/// Makes the system of a machine file for a machine that does not run here. Nothing of that machine's disk is run or believed
/// for it, as its base's programs and what it remembers would be: base and system are made in the user's own store, as for
/// an image, and copied.
fn make_elsewhere(
    file: &Path,
    (root, observed): (&Root, &Observed<'_>),
    store: &MachineStore,
    kit: &Kit,
    report: &dyn Report,
) -> anyhow::Result<Made> {
    let mut checked = machine_file::load(file)?;
    adopt_seed(&mut checked, observed.seed()?)?;
    let own = Store::open(&kit.cache)?;
    let known = known_users(observed)?;
    let named = NamedFiles::read(file, &checked, &|name| is_known(name, &known, observed))?;
    let lock = lock_file::for_build(file, &checked, &kit.cache, report)?;
    let base = debian::base(&lock, &checked.machine, &own, &kit.cache, report)
        .map_err(|error| lock_file::placed(&checked, error))?;
    let workshop = Workshop { store: &own, kit };
    let made = cairn_make::make(&file.into(), (checked, named, lock), base, &workshop, report)?;
    brought::copy(&CopySource::open(&kit.cache)?, &made.system.info.path, root, store, report)?;
    Ok(made)
}

/// Makes the system of a machine file for this machine, in its own store and from what is there.
fn make_here(
    file: &Path,
    observed: &Observed<'_>,
    store: &MachineStore,
    kit: &Kit,
    report: &dyn Report,
) -> anyhow::Result<Made> {
    let cache = &kit.cache;
    let mut checked = machine_file::load(file)?;
    // The host name may have changed; the disk has not.
    adopt_seed(&mut checked, observed.seed()?)?;
    for generation in &observed.usable {
        cairn_system::adopt(store, &generation.system, cache)?;
    }
    let known = known_users(observed)?;
    let named = NamedFiles::read(file, &checked, &|name| is_known(name, &known, observed))?;
    let lock = lock_file::for_build(file, &checked, cache, report)?;
    let mut shares_keys = false;
    // The newest that has the same packages will do; to read the lock of every one takes its time.
    for generation in observed.usable.iter().rev() {
        if debian::is_known(&lock, store, cache) {
            break;
        }
        if let (Some(base), Ok(Some(own))) = (&generation.base, generation.lock()) {
            let adopted = debian::adopt(&own, store, cache, base)?;
            shares_keys |= !adopted && own.packages() == lock.packages();
        }
    }
    let placed = |error| lock_file::placed(&checked, error);
    let base = match debian::cached(&lock, store, cache).map_err(placed)? {
        Some(base) => base,
        None => {
            if shares_keys {
                report.note(
                    "the base of earlier generations was made by an earlier Cairn and holds keys that all machines share: it \
                     is made anew",
                );
            }
            debian::base(&lock, &checked.machine, store, cache, report).map_err(placed).context(
                "making the base of the new packages on this machine (`cairn upgrade --from` takes it from elsewhere)",
            )?
        }
    };
    cairn_make::make(&file.into(), (checked, named, lock), base, &Workshop { store, kit }, report)
}

/// Hashes of passwords are in no store, so a system that comes from one brings none for its new accounts.
fn tell_new_users(
    observed: &Observed<'_>,
    store: &MachineStore,
    system: &StorePath,
    report: &dyn Report,
) -> anyhow::Result<()> {
    let known = known_users(observed)?;
    let machine = observed.would_be(store, 0, system, 0)?.checked()?.machine;
    for (name, user) in machine.users {
        if user.hashed_password_file.is_some() && !known.contains(&name) {
            report.note(&format!("{name} is new and has no password yet: `passwd {name}` once it has booted"));
        }
    }
    Ok(())
}

/// Whether what a secret is of is there: an account, or a wireless network's passphrase.
fn is_known(name: &str, accounts: &BTreeSet<String>, observed: &Observed<'_>) -> bool {
    let network = name.strip_prefix("wifi/");
    network.map_or_else(|| accounts.contains(name), |network| kept_passphrase(observed, network).is_some())
}

/// The line with the passphrase of a wireless network that the machine has.
fn kept_passphrase(observed: &Observed<'_>, name: &str) -> Option<String> {
    let bytes = observed.machine.root.read(&format!("/var/lib/cairn/wifi/{name}"), MOST_ACCOUNTS).ok()??;
    Some(String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_string())
}

/// Accounts that are there: their first password is history.
fn known_users(observed: &Observed<'_>) -> anyhow::Result<BTreeSet<String>> {
    let files: &dyn Files = &*observed.machine.root;
    let mut known = BTreeSet::new();
    for path in ["/etc/passwd", "/var/lib/cairn/etc/upper/passwd"] {
        // One that cannot be read knows nobody: a password too many helps more than one too few.
        let bytes = files.read(path, MOST_ACCOUNTS).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        known.extend(text.lines().filter_map(|line| line.split(':').next()).map(str::to_string));
    }
    if let Some(newest) = observed.usable.last() {
        known.extend(newest.checked()?.machine.users.into_keys());
    }
    Ok(known)
}

/// Works out how a system that was brought becomes a generation, and comes into the boot menu.
///
/// # Errors
/// A system that did not boot well before, and a boot partition without room, are refused.
pub fn plan(session: &Session, brought: Brought) -> anyhow::Result<Upgrade> {
    let Brought { system, passwords, passphrases } = brought;
    let (observed, store) = (&session.observed, session.store()?);
    let same = observed.usable.last().filter(|newest| newest.system == system);
    let time = now();

    // Everything that can fail without a change is tried first: the boot partition, as it will be.
    let highest = observed.record_or_new().highest;
    let number = match same {
        Some(newest) => newest.boot.number,
        None => Generations::at(session.root.path()).next_number(highest)?,
    };
    let new = match same {
        Some(_) => None,
        None => Some(observed.would_be(store, number, &system, time)?),
    };
    new.iter().try_for_each(|new| signed::check(observed, new))?;
    let menu = session.menu(&new.iter().collect::<Vec<_>>())?;
    let mut record = session.settled(&menu)?;
    if same.is_some() && record.failed.contains(&number) {
        return Err(Refusal(format!(
            "generation {number} is this system, and it did not boot well: change something, or try it once more with \
             `cairn rollback {number}`"
        ))
        .into());
    }
    // Also when it is there already: somebody may have gone back, or an upgrade may have ended before it got here.
    let before = record.clone();
    match same {
        Some(_) => record.want(number),
        None => record.try_next(number),
    }
    let planned = menu.plan_to_apply(&record, Occasion::Choice)?;
    let wanted = (before.trial, before.default) != (record.trial, record.default);
    let outcome = match (&new, wanted, planned.is_empty()) {
        (Some(_), ..) => Outcome::New,
        (None, true, _) => Outcome::Chosen,
        (None, false, false) => Outcome::Mended,
        (None, false, true) => Outcome::Nothing,
    };

    let mut change = Change::default();
    let paths = store.closure(std::slice::from_ref(&system))?;
    let mut steps = vec![Step::SyncStore, Step::Register { paths, time }];
    if !passwords.is_empty() {
        steps.push(Step::Passwords(passwords));
    }
    if !passphrases.is_empty() {
        steps.push(Step::Passphrases(passphrases));
    }
    change.stage(StageName::Store, "", steps);
    let mut steps = Vec::new();
    if new.is_some() {
        steps.push(Step::Link { number, system: system.clone(), time });
    }
    if observed.current != Some(number) {
        steps.push(Step::Switch(number));
    }
    let left = "the machine boots what it booted before; the same command goes on from here";
    change.stage(StageName::Generations, left, steps);
    planned.into_stages(&mut record, &mut change);
    let mut steps = vec![Step::Reserve];
    if new.is_some() {
        steps.insert(0, Step::RememberSizes);
    }
    change.stage(StageName::Afterwards, "", steps);
    Ok(Upgrade { change, menu, number, system, outcome, trial: record.trial.is_some() })
}
