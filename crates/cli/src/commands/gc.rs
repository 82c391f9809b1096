//! `cairn gc`: removes what nothing refers to; on demand old generations first.

use std::collections::BTreeSet;

use cairn_layout::human;
use cairn_observe::words::numbers;
use cairn_store::gc::Garbage;
use cairn_update::gc::{Collection, Rule, now, plan};
use cairn_update::{Needs, NoFaults, Session, Step, carry_out};
use serde_json::json;

use crate::args::GcArgs;
use crate::cache;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: GcArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let cache = cache::folder().ok();
    let mut session = match args.dry_run {
        true => Session::look(&args.root, cache)?,
        false => Session::begin(&args.root, Needs::Room, cache, ui.report())?,
    };
    // An age without end is older than everything.
    let made_before = args.older_than.map(|age| now().saturating_sub_unsigned(age));
    let rule = Rule { keep: args.keep, made_before, named: args.drop.iter().copied().collect() };
    let mut found = plan(&mut session, &rule, ui.report())?;
    let garbage = match args.dry_run {
        true => {
            found.change.steps().find_map(|step| if let Step::Collect(known) = step { known.clone() } else { None })
        }
        false => {
            let done = carry_out(&mut session, found.menu.as_mut(), &found.change, &mut NoFaults, ui.report())?;
            Some(done.garbage)
        }
    };
    told(&args, &found, &garbage.unwrap_or_default(), ui)
}

fn told(args: &GcArgs, found: &Collection, garbage: &Garbage, ui: &Ui) -> anyhow::Result<Exit> {
    let Collection { gone, packages, kept, .. } = found;
    let downloaded: u64 = packages.iter().map(|package| package.bytes).sum();
    if ui.json() {
        let mut answer = json!({
            "dry_run": args.dry_run,
            "removed": gone,
            "kept": kept,
            "paths": garbage.dead.len(),
            "packages": packages.len(),
            "bytes": garbage.bytes + downloaded,
        });
        if args.dry_run {
            answer["change"] = json!(found.change);
        }
        ui.object(&answer)?;
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
