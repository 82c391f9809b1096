//! `cairn upgrade`: a new generation, from the machine's own file that was edited, or from a system made elsewhere.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_boot::ApplyError;
use cairn_process::{AfterWrite, Refusal, Report};
use cairn_root::Root;
use cairn_store::{Generations, MachineStore, NixDb, Source, Store, StoreError, StorePath};
use serde_json::json;

use super::boot::tell_broken;
use crate::args::UpgradeArgs;
use crate::exit::Exit;
use crate::live::menu::{BootMenu, Occasion};
use crate::live::observed::{Observed, Usable};
use crate::live::{CACHE, OWN, Turn, brought, now, partitions, remember_own_sizes, reserve};
use crate::pipeline::{self, Workshop};
use crate::ui::Ui;
use crate::{cache, lock_file, machine_file};

/// Where a machine has its own machine file.
const OWN_FILE: &str = "/etc/cairn/machine.yaml";

/// More accounts than this no machine has.
const MOST_ACCOUNTS: u64 = 16 << 20;

pub fn run(args: UpgradeArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let root = args.root.clone();
    upgrade(args, ui).map_err(|error| match is_full(&error) {
        true => error.context(format!(
            "the disk of {} is full; the machine boots what it booted before. `cairn gc --keep N` removes old generations, then \
             the same command goes on from here",
            root.display()
        )),
        false => error,
    })
}

/// Whether the root file system had no room. The boot partition's is another matter, and is told by whoever plans for it.
fn is_full(error: &anyhow::Error) -> bool {
    let no_room = |cause: &(dyn std::error::Error + 'static)| {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
            || cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_full_database)
    };
    error.chain().any(no_room) && !error.chain().any(|cause| cause.is::<AfterWrite>() || cause.is::<ApplyError>())
}

fn upgrade(args: UpgradeArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let _turn = Turn::take(&args.root, ui.report())?;
    // Before anything else is opened on it: the store is written in a namespace of this thread's own.
    let store = MachineStore::open(&args.root)?;
    let observed = Observed::at(&args.root)?;
    tell_broken(&observed, ui);
    partitions::can_be_written(&observed)?;
    if let Some(from) = &args.from {
        let system = brought::bring(from, args.system.as_deref(), &observed, &store, ui.report())?;
        tell_new_users(&observed, &store, &system, ui)?;
        return install(&observed, &store, &system, None, ui);
    }
    let file = match &args.file {
        Some(file) => file.clone(),
        None => own_file(&observed)?,
    };
    let made = match observed.root.is_host() {
        true => make(&file, &observed, &store, ui.report())?,
        false => make_elsewhere(&file, &observed, &store, ui.report())?,
    };
    let system = made.system.info.path.clone();
    install(&observed, &store, &system, Some(&made.named.passwords), ui)
}

/// The machine's own machine file. `/etc` is put together when the machine starts, so one that is only mounted has none; a
/// file that somebody has put there all the same is not the caller's, and would name files of this computer.
fn own_file(observed: &Observed) -> anyhow::Result<PathBuf> {
    let file = Path::new(OWN_FILE);
    if observed.root.is_host() && file.exists() {
        return Ok(file.to_path_buf());
    }
    let newest = observed.newest()?;
    let shown = observed.root.shown(OWN_FILE);
    Err(Refusal(format!(
        "{}: name the machine file (generation {} was made from {})",
        match observed.root.kind(OWN_FILE) {
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
    observed: &Observed,
    store: &MachineStore,
    report: &dyn Report,
) -> anyhow::Result<pipeline::Made> {
    let mut checked = machine_file::load(file)?;
    pipeline::adopt_seed(&mut checked, observed.seed()?)?;
    let cache = cache::folder()?;
    let own = Store::open(&cache)?;
    let known = known_users(observed)?;
    let named = pipeline::NamedFiles::read(file, &checked, &|user| known.contains(user))?;
    let lock = lock_file::for_build(file, &checked, report)?;
    let base = cairn_system::debian::base(&lock, &checked.machine, &own, &cache, report)
        .map_err(|error| lock_file::placed(&checked, error))?;
    let workshop = Workshop { store: &own, cache: &cache, key: None };
    let made = pipeline::make(file, (checked, named, lock), base, &workshop, report)?;
    brought::copy(&Source::open(&cache)?, &made.system.info.path, observed, store, report)?;
    Ok(made)
}

/// Makes the system of a machine file for this machine, in its own store and from what is there.
fn make(file: &Path, observed: &Observed, store: &MachineStore, report: &dyn Report) -> anyhow::Result<pipeline::Made> {
    let mut checked = machine_file::load(file)?;
    // The host name may have changed; the disk has not.
    pipeline::adopt_seed(&mut checked, observed.seed()?)?;
    let cache = observed.root.own_or_new(CACHE);
    let cache = cache.with_context(|| format!("making {}", observed.root.shown(CACHE).display()))?.path().to_path_buf();
    for generation in &observed.usable {
        cairn_system::adopt(store, &generation.system, &cache)?;
    }
    let known = known_users(observed)?;
    let named = pipeline::NamedFiles::read(file, &checked, &|user| known.contains(user))?;
    let lock = lock_file::for_build(file, &checked, report)?;
    let mut shares_keys = false;
    // The newest that has the same packages will do; to read the lock of every one takes its time.
    for generation in observed.usable.iter().rev() {
        if cairn_system::debian::is_known(&lock, &checked.machine, store, &cache) {
            break;
        }
        if let (Ok(Some(own)), Ok(machine)) = (generation.lock(), generation.checked()) {
            let adopted = cairn_system::debian::adopt(&own, &machine.machine, store, &cache, &generation.base)?;
            shares_keys |= !adopted && own.debian.packages == lock.debian.packages;
        }
    }
    let placed = |error| lock_file::placed(&checked, error);
    let base = match cairn_system::debian::cached(&lock, &checked.machine, store, &cache).map_err(placed)? {
        Some(base) => base,
        None => {
            if shares_keys {
                report.note(
                    "the base of earlier generations was made by an earlier Cairn and holds keys that all machines share: it \
                     is made anew",
                );
            }
            cairn_system::debian::base(&lock, &checked.machine, store, &cache, report).map_err(placed).context(
                "making the base of the new packages on this machine (`cairn upgrade --from` takes it from elsewhere)",
            )?
        }
    };
    let workshop = Workshop { store, cache: &cache, key: None };
    pipeline::make(file, (checked, named, lock), base, &workshop, report)
}

/// Hashes of passwords are in no store, so a system that comes from one brings none for its new accounts.
fn tell_new_users(observed: &Observed, store: &MachineStore, system: &StorePath, ui: &Ui) -> anyhow::Result<()> {
    let known = known_users(observed)?;
    let machine = Usable::of(observed, store, 0, system, 0)?.checked()?.machine;
    for (name, user) in machine.users {
        if user.hashed_password_file.is_some() && !known.contains(&name) {
            ui.report().note(&format!("{name} is new and has no password yet: `passwd {name}` once it has booted"));
        }
    }
    Ok(())
}

/// Accounts that are there: their first password is history.
fn known_users(observed: &Observed) -> anyhow::Result<std::collections::BTreeSet<String>> {
    let mut known = std::collections::BTreeSet::new();
    for path in ["etc/passwd", "var/lib/cairn/etc/upper/passwd"] {
        // One that cannot be read knows nobody: a password too many helps more than one too few.
        let text = observed.root.read_text(path, MOST_ACCOUNTS).ok().flatten().unwrap_or_default();
        known.extend(text.lines().filter_map(|line| line.split(':').next()).map(str::to_string));
    }
    if let Some(newest) = observed.usable.last() {
        known.extend(newest.checked()?.machine.users.into_keys());
    }
    Ok(known)
}

/// Makes a generation of a system that is in the store, and brings it into the boot menu.
pub fn install(
    observed: &Observed,
    store: &MachineStore,
    system: &StorePath,
    passwords: Option<&pipeline::Passwords>,
    ui: &Ui,
) -> anyhow::Result<Exit> {
    let mut record = observed.record_or_new();
    record.seed = Some(observed.seed()?);
    let root = &observed.root;
    let generations = Generations::at(root.path());
    let same = observed.usable.last().filter(|newest| newest.system == *system);
    let time = now();

    // Everything that can fail without a change is tried first: the boot partition, as it will be.
    let number = match same {
        Some(newest) => newest.boot.number,
        None => generations.next_number(record.highest)?,
    };
    let new = match same {
        Some(_) => None,
        None => Some(Usable::of(observed, store, number, system, time)?),
    };
    let mut menu = BootMenu::open(observed, &new.iter().collect::<Vec<_>>())?;
    menu.settle(&mut record)?;
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

    store.sync()?;
    let closure = store.closure(std::slice::from_ref(system))?;
    NixDb::open(root.path())?.register(&closure, time)?;
    if let Some(passwords) = passwords {
        first_passwords(root, passwords)?;
    }
    if new.is_some() {
        let made = generations.add(system, time, number - 1)?;
        anyhow::ensure!(made == number, "somebody else made generation {number} meanwhile: run this again");
    }
    if generations.current()? != Some(number) {
        generations.switch(number)?;
    }
    menu.apply(&planned, &mut record, ui.report())?;
    if new.is_some() {
        remember_own_sizes(root, store);
    }
    reserve::keep(root);
    if ui.json() {
        ui.object(&json!({ "generation": number, "system": system.to_string(), "new": new.is_some() }))?;
        return Ok(Exit::Done);
    }
    let next = match record.trial {
        Some(_) => "it is tried at the next boot",
        None => "it boots from now on",
    };
    let wanted = (before.trial, before.default) != (record.trial, record.default);
    match &new {
        Some(_) => ui.line(format_args!("generation {number} is made; {next}"))?,
        None if wanted => ui.line(format_args!("generation {number} is this system already; {next}"))?,
        None if !planned.is_empty() => {
            ui.line(format_args!("generation {number} is this system already; the boot partition was mended"))?;
        }
        None => ui.line(format_args!("generation {number} is this system already: nothing to do"))?,
    }
    Ok(Exit::Done)
}

/// Password hashes of accounts that do not exist yet go into the machine's own state, as in a new image. They are on the disk
/// when this returns: the generation that is made next must not come up without them.
fn first_passwords(root: &Root, passwords: &pipeline::Passwords) -> anyhow::Result<()> {
    if passwords.is_empty() {
        return Ok(());
    }
    let own = root.own(OWN).with_context(|| format!("opening {}", root.shown(OWN).display()))?;
    let folder = own.folder_or_new("passwords", 0o700).context("making the folder of passwords")?;
    own.sync().context("making the folder of passwords")?;
    for (user, hash) in passwords {
        let written = folder.write_durably(user, format!("{}\n", hash.trim()).as_bytes(), 0o600);
        written.with_context(|| format!("writing {}", folder.shown(user).display()))?;
    }
    Ok(())
}
