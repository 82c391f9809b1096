//! `cairn boot`: the boot partition of a machine, compared with what it should be, healed, and told that a boot went well.

use std::path::Path;

use anyhow::Context;
use cairn_boot::Record;
use serde_json::json;

use crate::args::{BootAction, BootArgs};
use crate::exit::Exit;
use crate::live::menu::{BootMenu, Occasion};
use crate::live::observed::Observed;
use crate::live::unpacked::Unpacked;
use crate::live::{Turn, notice};
use crate::machine::{self, Place};
use crate::ui::Ui;

pub fn run(args: BootArgs, ui: &Ui) -> anyhow::Result<Exit> {
    match args.action {
        BootAction::Check(args) => match Place::from(&args.place) {
            Place::Root(root) => check(&Observed::at(&root)?, ui),
            Place::Image(image) => {
                let unpacked = machine::look(&Place::Image(image.clone()), Unpacked::new)?;
                check(&unpacked.observed(&image)?, ui)
            }
        },
        BootAction::Repair(args) => repair(&args.root, ui),
        BootAction::Good => good(ui),
    }
}

fn check(observed: &Observed, ui: &Ui) -> anyhow::Result<Exit> {
    let menu = BootMenu::open(observed, &[])?;
    let mut record = observed.record_or_new();
    let failed = menu.settle(&mut record)?;
    let planned = menu.plan(&record)?;
    let mut problems: Vec<String> = observed.record_problem.iter().cloned().collect();
    problems.extend(observed.broken.iter().map(|(number, why)| format!("generation {number} cannot be booted: {why}")));
    problems.extend(failed.map(|number| format!("generation {number} has used up its tries")));
    problems.extend(planned.words());
    problems.extend(planned.doubts().iter().cloned());
    let ok = problems.is_empty();
    for note in planned.notes() {
        ui.report().note(note);
    }
    if ui.json() {
        ui.object(&json!({ "ok": ok, "problems": problems, "notes": planned.notes() }))?;
    } else if ok {
        ui.line("the boot partition is as it should be")?;
    } else {
        for problem in &problems {
            ui.line(problem)?;
        }
        if !planned.is_empty() && observed.mounted {
            ui.report().note("`cairn boot repair` mends the boot partition");
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn repair(root: &Path, ui: &Ui) -> anyhow::Result<Exit> {
    let _turn = Turn::take(root, ui.report())?;
    let observed = Observed::at(root)?;
    tell_broken(&observed, ui);
    let mut menu = BootMenu::open(&observed, &[])?;
    let mut record = match &observed.record {
        Some(record) => record.clone(),
        None => restored(&observed, &menu)?,
    };
    record.seed = Some(observed.seed()?);
    menu.settle(&mut record)?;
    record.keep_only(&observed.numbers());
    let planned = menu.plan_to_apply(&record, Occasion::Repair)?;
    let words = planned.words();
    menu.apply(&planned, &mut record, ui.report())?;
    // Each was told when it was met.
    let end = if planned.doubts().is_empty() { Exit::Done } else { Exit::Refused };
    if ui.json() {
        ui.object(&json!({ "repaired": words, "not_repaired": planned.doubts() }))?;
        return Ok(end);
    }
    for word in &words {
        ui.line(word)?;
    }
    match (words.is_empty(), end) {
        (false, _) => ui.report().note("repaired"),
        (true, Exit::Done) => ui.report().note("the boot partition is as it should be"),
        (true, _) => {}
    }
    Ok(end)
}

/// What can be known without the record: an entry without a counter is of a generation that has booted well.
fn restored(observed: &Observed, menu: &BootMenu) -> anyhow::Result<Record> {
    let mut record = observed.record_or_new();
    for entry in menu.survey(&record)?.entries {
        match entry.counter {
            None => drop(record.good.insert(entry.number)),
            Some(counter) if counter.left == 0 => drop(record.failed.insert(entry.number)),
            Some(_) => {}
        }
    }
    Ok(record)
}

/// The generation that runs has booted well. Run by cairn-boot-good.service.
fn good(ui: &Ui) -> anyhow::Result<Exit> {
    let root = Path::new("/");
    let _turn = Turn::take(root, ui.report())?;
    let observed = Observed::at(root)?;
    let booted =
        observed.booted.context("what runs here is none of this machine's generations: nothing is recorded")?;
    tell_broken(&observed, ui);
    let mut menu = BootMenu::open(&observed, &[])?;
    let mut record = observed.record_or_new();
    record.seed = Some(observed.seed()?);
    menu.settle(&mut record)?;
    if let Some(variant) = &observed.variant {
        ui.report()
            .note(&format!("the variant {variant} of generation {booted} runs: that says nothing of the generation"));
        return Ok(Exit::Done);
    }
    record.booted_well(booted);
    // Every good boot mends what is not as it should be, but for what somebody may have chosen in the menu.
    let planned = menu.plan_to_apply(&record, Occasion::Other)?;
    menu.apply(&planned, &mut record, ui.report())?;
    ui.report().note(&format!("generation {booted} has booted well"));
    let there = observed.numbers();
    let failed: Vec<u64> = record.failed.iter().copied().filter(|n| *n > booted && there.contains(n)).collect();
    notice::tell(booted, &failed, &record)?;
    Ok(Exit::Done)
}

/// Generations that cannot be booted are no reason to stop, but nothing is removed while there are some.
pub fn tell_broken(observed: &Observed, ui: &Ui) {
    for (number, why) in &observed.broken {
        ui.report()
            .note(&format!("generation {number} is left out: {why}; nothing is removed from the boot partition"));
    }
}
