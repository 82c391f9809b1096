//! What nothing refers to goes; on demand old generations first.
//!
//! The order is what a power cut cannot hurt: the menu's entries, then the links, then the store, each on the disk before
//! the next. Whatever was interrupted, the next run goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use anyhow::Context;
use cairn_boot::{Record, Situation, choose};
use cairn_machine::lock::Lock;
use cairn_observe::Observed;
use cairn_observe::words::numbers;
use cairn_process::{Refusal, Report};
use cairn_root::Root;
use cairn_store::Store;
use cairn_system::debian::{self, Leftover};

use crate::change::{Change, StageName, Step};
use crate::collect::{self, Candidate, Found, Objection};
use crate::menu::{BootMenu, Occasion};
use crate::session::Session;
use crate::turn::CACHE;

pub use crate::collect::Rule;
pub use crate::turn::now;

/// What is to be done.
#[derive(Debug)]
pub struct Collection {
    /// The steps.
    pub change: Change,
    /// The boot partitions that they are for, where generations go.
    pub menu: Option<BootMenu<'static>>,
    /// The generations that go.
    pub gone: BTreeSet<u64>,
    /// Those that stay.
    pub kept: Vec<u64>,
    /// Downloaded packages that go.
    pub packages: Vec<Leftover>,
}

/// Works out what is to be done. A session that only looks learns how much would go, too.
///
/// # Errors
/// What must not go is refused.
pub fn plan(session: &mut Session, rule: &Rule, report: &dyn Report) -> anyhow::Result<Collection> {
    let looks = !session.may_change();
    let remembered = || session.observed.record_or_new();
    let settled = || session.menu(&[]).and_then(|menu| session.settled(&menu));
    let (record, readable) = match (looks, rule.is_empty()) {
        // Without a wish nothing of the boot partition's changes, and it need not be there.
        (false, true) => (remembered(), true),
        (false, false) => (settled()?, true),
        // Only root looks into a boot partition; what the machine remembers will do for others.
        (true, _) => match settled() {
            Ok(record) => (record, true),
            Err(error) => {
                report.note(&format!("{error:#}: judging by what the machine remembers"));
                (remembered(), false)
            }
        },
    };
    let gone = chosen(rule, &session.observed, &record)?;
    let kept = session.observed.numbers().into_iter().filter(|n| !gone.contains(n)).collect();
    let garbage = looks.then(|| Store::look(&session.root)?.garbage(&gone)).transpose()?;
    let packages = old_packages(&session.root, &session.observed, &gone, report);

    let mut change = Change::default();
    let menu = match gone.is_empty() || !readable {
        true => None,
        false => Some(drop_generations(session, &gone, record, &mut change)?),
    };
    let is = if gone.len() == 1 { "is" } else { "are" };
    let left = match gone.is_empty() {
        true => "`cairn gc` goes on from here".to_string(),
        false => format!("{} {is} removed; `cairn gc` goes on with the store", numbers(gone.iter().copied())),
    };
    change.stage(StageName::Garbage, left, vec![Step::Collect(garbage)]);
    if !packages.is_empty() {
        let left = "the rest is done; `cairn gc` goes on from here";
        change.stage(StageName::Garbage, left, vec![Step::RemovePackages(packages.clone())]);
    }
    change.stage(StageName::Afterwards, "", vec![Step::RememberSizes, Step::Reserve]);
    Ok(Collection { change, menu, gone, kept, packages })
}

/// Takes generations out of the menu, then out of the profile.
fn drop_generations(
    session: &mut Session,
    gone: &BTreeSet<u64>,
    mut record: Record,
    change: &mut Change,
) -> anyhow::Result<BootMenu<'static>> {
    // What the installation's names follow from must not go with its first generation.
    record.seed = Some(session.observed.seed()?);
    session.observed.remember(record.clone());
    session.observed.leave_out(gone);
    let menu = session.menu(&[])?;
    record.keep_only(&session.observed.numbers());
    menu.plan_to_apply(&record, Occasion::Other)?.into_stages(&mut record, change);
    let left = "`cairn gc` with the same options goes on from here";
    change.stage(StageName::Generations, left, gone.iter().copied().map(Step::Unlink).collect());
    Ok(menu)
}

/// Packages that were downloaded to make bases on this machine, and that are of no generation that stays. The others are kept,
/// so that the next base need not fetch them again; and so are all where it cannot be told.
fn old_packages(root: &Root, observed: &Observed<'_>, gone: &BTreeSet<u64>, report: &dyn Report) -> Vec<Leftover> {
    let found = || -> anyhow::Result<Vec<Leftover>> {
        let path = format!("{CACHE}/{}", debian::DOWNLOADED);
        let folder = match root.own(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.with_context(|| format!("looking at {}", root.shown(&path).display()))?,
        };
        // On most machines there are none, and no lock need be read.
        if debian::leftover(&folder, &[])?.is_empty() {
            return Ok(Vec::new());
        }
        let staying = observed.usable.iter().filter(|g| !gone.contains(&g.boot.number));
        let locks: Result<Vec<Lock>, _> = staying.filter_map(|g| g.lock().transpose()).collect();
        Ok(debian::leftover(&folder, &locks?)?)
    };
    found().unwrap_or_else(|error| {
        report.note(&format!("downloaded packages stay: {error:#}"));
        Vec::new()
    })
}

/// The generations that go.
fn chosen(rule: &Rule, observed: &Observed<'_>, record: &Record) -> anyhow::Result<BTreeSet<u64>> {
    let usable = observed.numbers();
    let needed = needed(observed, record, &usable)?;
    let mut all: Vec<Candidate> = observed
        .usable
        .iter()
        .map(|g| Candidate { number: g.boot.number, time: g.time, found: Found::Usable })
        .chain(observed.broken.iter().map(|(number, broken)| {
            let found = if broken.gone { Found::Gone } else { Found::Doubtful };
            Candidate { number: *number, time: broken.time, found }
        }))
        .collect();
    all.sort_by_key(|g| g.number);
    collect::choose(&all, &needed, rule).map_err(|objection| {
        let text = match objection {
            Objection::NoSuch(number) => {
                format!("there is no generation {number}; the machine has {}", numbers(all.iter().map(|g| g.number)))
            }
            Objection::Needed(number, reason) => format!("generation {number} stays: it is {reason}"),
            Objection::Doubt(number) => {
                let why = observed.broken.get(&number).map(|broken| broken.why.as_str()).unwrap_or_default();
                format!(
                    "generation {number} cannot be booted ({why}), and nothing is removed while it is there; if it can \
                     go, `cairn gc --drop {number}`"
                )
            }
        };
        Refusal(text).into()
    })
}

/// What stays whatever anybody wishes, and why.
fn needed(
    observed: &Observed<'_>,
    record: &Record,
    usable: &BTreeSet<u64>,
) -> anyhow::Result<BTreeMap<u64, &'static str>> {
    // Without one that can be booted there is nothing to decide, and nothing may go.
    let checked = observed.newest()?.checked()?;
    let boot = &checked.machine.boot;
    let mut needed = BTreeMap::new();
    if let Some(choice) = choose(&Situation { usable, record, booted: observed.booted, boot }) {
        needed.insert(choice.ground, "what boots when nothing is chosen");
        needed.extend(choice.trial.map(|n| (n, "what is tried at the next boot")));
    }
    needed.extend(record.last_good.map(|n| (n, "the last that has booted well")));
    needed.extend(observed.current.map(|n| (n, "the current one")));
    needed.extend(observed.booted.map(|n| (n, "running")));
    Ok(needed)
}
