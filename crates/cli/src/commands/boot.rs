//! `cairn boot`: the boot partition of a machine, compared with what it should be, healed, and told that a boot went well.

use std::path::Path;

use cairn_observe::{Observed, look};
use cairn_update::check::check;
use cairn_update::{Needs, NoFaults, Session, carry_out, good, repair};
use serde_json::json;

use super::would;
use crate::args::{BootAction, BootArgs, BootCheckArgs, BootGoodArgs, BootRepairArgs};
use crate::cache;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: BootArgs, ui: &Ui) -> anyhow::Result<Exit> {
    match args.action {
        BootAction::Check(args) => run_check(&args, ui),
        BootAction::Repair(args) => run_repair(&args, ui),
        BootAction::Good(args) => run_good(&args, ui),
    }
}

fn run_check(args: &BootCheckArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let cache = cache::folder().ok();
    let found = look(&args.place.location(), |machine| check(&Observed::of(machine)?, cache.as_deref()))?;
    let ok = found.problems.is_empty();
    for note in &found.notes {
        ui.report().note(note);
    }
    if ui.json() {
        ui.object(&json!({ "ok": ok, "problems": found.problems, "notes": found.notes }))?;
    } else if ok {
        ui.line("the boot partition is as it should be")?;
    } else {
        for problem in &found.problems {
            ui.line(problem)?;
        }
        if found.mends {
            ui.report().note("`cairn boot repair` mends the boot partition");
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Failed })
}

fn run_repair(args: &BootRepairArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let mut session = session(&args.root, args.dry_run, ui)?;
    let repair::Repair { change, mut menu, words, doubts } = repair::plan(&session)?;
    // Each doubt is told when it is met.
    let end = if doubts.is_empty() { Exit::Done } else { Exit::Refused };
    if args.dry_run {
        return would(&change, json!({ "repaired": words, "not_repaired": doubts }), ui).map(|()| end);
    }
    carry_out(&mut session, Some(&mut menu), &change, &mut NoFaults, ui.report())?;
    if ui.json() {
        ui.object(&json!({ "repaired": words, "not_repaired": doubts }))?;
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

/// The generation that runs has booted well. Run by cairn-boot-good.service.
fn run_good(args: &BootGoodArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let mut session = session(Path::new("/"), args.dry_run, ui)?;
    let good::Good { change, mut menu, booted, variant } = good::plan(&session)?;
    if let Some(variant) = &variant {
        ui.report()
            .note(&format!("the variant {variant} of generation {booted} runs: that says nothing of the generation"));
    }
    if args.dry_run {
        return would(&change, json!({ "generation": booted }), ui).map(|()| Exit::Done);
    }
    carry_out(&mut session, Some(&mut menu), &change, &mut NoFaults, ui.report())?;
    if ui.json() {
        ui.object(&json!({ "generation": booted, "good": variant.is_none() }))?;
    }
    Ok(Exit::Done)
}

fn session(root: &Path, dry_run: bool, ui: &Ui) -> anyhow::Result<Session> {
    let cache = cache::folder().ok();
    let session = match dry_run {
        true => Session::look(root, cache)?,
        false => Session::begin(root, Needs::Menu, cache, ui.report())?,
    };
    session.tell_broken(ui.report());
    Ok(session)
}
