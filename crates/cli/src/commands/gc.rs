//! `cairn gc`: removes what nothing refers to; on demand old generations first.
//!
//! The order is what a power cut cannot hurt: the menu's entries, then the links, then the store, each on the disk before
//! the next. Whatever was interrupted, the next run goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use anyhow::Context;
use cairn_boot::{Record, Situation, choose};
use cairn_layout::human;
use cairn_machine::lock::Lock;
use cairn_process::{AfterWrite, Refusal};
use cairn_root::Folder;
use cairn_store::gc::Garbage;
use cairn_store::{Generations, MachineStore, Store};
use cairn_system::debian::{self, Leftover};
use serde_json::json;

use crate::args::GcArgs;
use crate::exit::Exit;
use crate::live::collect::{self, Candidate, Found, Objection, Rule};
use crate::live::menu::{BootMenu, Occasion};
use crate::live::observed::Observed;
use crate::live::{CACHE, Turn, now, numbers, remember_own_sizes, reserve, root};
use crate::ui::Ui;

pub fn run(args: GcArgs, ui: &Ui) -> anyhow::Result<Exit> {
    if args.dry_run { would(&args, ui) } else { collect(&args, ui) }
}

/// Says what would go. Changes nothing.
fn would(args: &GcArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let observed = Observed::at(&args.root)?;
    let mut record = observed.record_or_new();
    // Only root looks into a boot partition; what the machine remembers will do for others.
    match BootMenu::open(&observed, &[]).and_then(|menu| menu.settle(&mut record)) {
        Ok(_) => {}
        Err(error) => ui.report().note(&format!("{error:#}: judging by what the machine remembers")),
    }
    let gone = chosen(args, &observed, &record)?;
    let garbage = Store::look(&observed.root)?.garbage(&gone)?;
    let packages = old_packages(&observed, &gone, ui).map(|(_, packages)| packages).unwrap_or_default();
    told(args, &observed, &Going { packages, gone, garbage }, ui)
}

fn collect(args: &GcArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let _turn = Turn::take(&args.root, ui.report())?;
    reserve::give(&root(&args.root)?);
    let mut store = MachineStore::open(&args.root)?;
    let mut observed = Observed::at(&args.root)?;
    let asked = !rule(args).is_empty();
    // Without a wish nothing of the boot partition's changes, and it need not be there.
    let gone = match asked {
        false => chosen(args, &observed, &observed.record_or_new())?,
        true => {
            let mut record = observed.record_or_new();
            record.seed = Some(observed.seed()?);
            BootMenu::open(&observed, &[])?.settle(&mut record)?;
            let gone = chosen(args, &observed, &record)?;
            if !gone.is_empty() {
                drop_generations(&mut observed, &gone, record, ui)?;
            }
            gone
        }
    };
    let garbage = store.collect_garbage(ui.report()).map_err(|error| match gone.is_empty() {
        true => anyhow::Error::from(error),
        false => {
            let what = format!("{} removed; `cairn gc` goes on with the store", are(&gone));
            anyhow::Error::from(error).context(AfterWrite(what))
        }
    })?;
    if !gone.is_empty() || !garbage.dead.is_empty() {
        remember_own_sizes(&observed.root, &store);
    }
    let mut packages = Vec::new();
    if let Some((folder, old)) = old_packages(&observed, &gone, ui) {
        for Leftover { name, .. } in &old {
            folder.remove_file(name).map_err(|error| {
                let what = format!("removing {}: {error}", folder.shown(name).display());
                anyhow::Error::msg(what).context(AfterWrite("the rest is done; `cairn gc` goes on from here".into()))
            })?;
        }
        packages = old;
    }
    reserve::keep(&observed.root);
    told(args, &observed, &Going { gone, garbage, packages }, ui)
}

/// What goes, or would go.
struct Going {
    gone: BTreeSet<u64>,
    garbage: Garbage,
    packages: Vec<Leftover>,
}

/// Packages that were downloaded to make bases on this machine, and that are of no generation that stays. The others are kept,
/// so that the next base need not fetch them again; and so are all where it cannot be told.
fn old_packages(observed: &Observed, gone: &BTreeSet<u64>, ui: &Ui) -> Option<(Folder, Vec<Leftover>)> {
    let found = || -> anyhow::Result<Option<(Folder, Vec<Leftover>)>> {
        let path = format!("{CACHE}/{}", debian::DOWNLOADED);
        let folder = match observed.root.own(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.with_context(|| format!("looking at {}", observed.root.shown(&path).display()))?,
        };
        // On most machines there are none, and no lock need be read.
        if debian::leftover(&folder, &[])?.is_empty() {
            return Ok(None);
        }
        let staying = observed.usable.iter().filter(|g| !gone.contains(&g.boot.number));
        let locks: anyhow::Result<Vec<Lock>> = staying.filter_map(|g| g.lock().transpose()).collect();
        let old = debian::leftover(&folder, &locks?)?;
        Ok(Some((folder, old)))
    };
    found().unwrap_or_else(|error| {
        ui.report().note(&format!("downloaded packages stay: {error:#}"));
        None
    })
}

/// Takes generations out of the menu, then out of the profile.
fn drop_generations(observed: &mut Observed, gone: &BTreeSet<u64>, mut record: Record, ui: &Ui) -> anyhow::Result<()> {
    // What the installation's names follow from must not go with its first generation.
    observed.record = Some(record.clone());
    observed.usable.retain(|g| !gone.contains(&g.boot.number));
    observed.broken.retain(|number, _| !gone.contains(number));
    let mut menu = BootMenu::open(observed, &[])?;
    record.keep_only(&observed.numbers());
    let planned = menu.plan_to_apply(&record, Occasion::Other)?;
    menu.apply(&planned, &mut record, ui.report())?;
    let generations = Generations::at(observed.root.path());
    for number in gone {
        generations.remove(*number).map_err(|error| {
            anyhow::Error::from(error).context(AfterWrite("`cairn gc` with the same options goes on from here".into()))
        })?;
    }
    Ok(())
}

/// The generations that go.
fn chosen(args: &GcArgs, observed: &Observed, record: &Record) -> anyhow::Result<BTreeSet<u64>> {
    let usable = observed.numbers();
    let needed = needed(observed, record, &usable)?;
    let all: Vec<Candidate> = Generations::at(observed.root.path())
        .list()?
        .into_iter()
        .map(|g| {
            let found = match (usable.contains(&g.number), &g.system, g.exists) {
                (true, ..) => Found::Usable,
                (false, Some(_), false) => Found::Gone,
                (false, ..) => Found::Doubtful,
            };
            Candidate { number: g.number, time: g.time, found }
        })
        .collect();
    collect::choose(&all, &needed, &rule(args)).map_err(|objection| {
        let text = match objection {
            Objection::NoSuch(number) => {
                format!("there is no generation {number}; the machine has {}", numbers(all.iter().map(|g| g.number)))
            }
            Objection::Needed(number, reason) => format!("generation {number} stays: it is {reason}"),
            Objection::Doubt(number) => {
                let why = observed.broken.get(&number).map(String::as_str).unwrap_or_default();
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
fn needed(observed: &Observed, record: &Record, usable: &BTreeSet<u64>) -> anyhow::Result<BTreeMap<u64, &'static str>> {
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

fn rule(args: &GcArgs) -> Rule {
    // An age without end is older than everything.
    let made_before = args.older_than.map(|age| now().saturating_sub_unsigned(age));
    Rule { keep: args.keep, made_before, named: args.drop.iter().copied().collect() }
}

fn told(args: &GcArgs, observed: &Observed, going: &Going, ui: &Ui) -> anyhow::Result<Exit> {
    let Going { gone, garbage, packages } = going;
    let downloaded: u64 = packages.iter().map(|package| package.bytes).sum();
    if ui.json() {
        let kept: Vec<u64> = observed.numbers().into_iter().filter(|n| !gone.contains(n)).collect();
        ui.object(&json!({
            "dry_run": args.dry_run,
            "removed": gone,
            "kept": kept,
            "paths": garbage.dead.len(),
            "packages": packages.len(),
            "bytes": garbage.bytes + downloaded,
        }))?;
        return Ok(Exit::Done);
    }
    let would = if args.dry_run { "would be " } else { "" };
    if !gone.is_empty() {
        let whom = if args.dry_run { format!("{} would be", numbers(gone.iter().copied())) } else { are(gone) };
        ui.line(format_args!("{whom} removed"))?;
    }
    let words = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let freed = match (garbage.dead.len(), packages.len()) {
        (0, 0) if gone.is_empty() => return ui.line("there is nothing to remove").map(|()| Exit::Done),
        (paths, 0) => words(paths, "store path"),
        (0, packages) => words(packages, "downloaded package"),
        (paths, packages) => format!("{} and {}", words(paths, "store path"), words(packages, "downloaded package")),
    };
    ui.line(format_args!("{freed}, {} {would}freed", human(garbage.bytes + downloaded)))?;
    Ok(Exit::Done)
}

fn are(gone: &BTreeSet<u64>) -> String {
    format!("{} {}", numbers(gone.iter().copied()), if gone.len() == 1 { "is" } else { "are" })
}
