//! `cairn upgrade`: a new generation, from the machine's own file that was edited, or from a system made elsewhere.

use anyhow::Context;
use cairn_update::upgrade::{Outcome, Upgrade, Wish, bring, plan};
use cairn_update::{Needs, NoFaults, Session, carry_out};
use serde_json::json;

use super::would;
use crate::args::UpgradeArgs;
use crate::exit::Exit;
use crate::ui::Ui;
use crate::{cache, docs};

pub fn run(args: UpgradeArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let mut session = Session::begin(&args.root, Needs::Store, cache::folder().ok(), ui.report())?;
    session.tell_broken(ui.report());
    let wish = Wish {
        file: args.file,
        from: args.from,
        system: args.system,
        program: std::env::current_exe().context("finding the running program")?,
        usr: docs::below_usr()?,
    };
    let brought = bring(&session, wish, ui.report())?;
    let Upgrade { change, mut menu, number, system, outcome, trial } = plan(&session, brought)?;
    let answer = json!({ "generation": number, "system": system.to_string(), "new": outcome == Outcome::New });
    if args.dry_run {
        return would(&change, answer, ui).map(|()| Exit::Done);
    }
    carry_out(&mut session, Some(&mut menu), &change, &mut NoFaults, ui.report())?;
    if ui.json() {
        ui.object(&answer)?;
        return Ok(Exit::Done);
    }
    let next = if trial { "it is tried at the next boot" } else { "it boots from now on" };
    match outcome {
        Outcome::New => ui.line(format_args!("generation {number} is made; {next}"))?,
        Outcome::Chosen => ui.line(format_args!("generation {number} is this system already; {next}"))?,
        Outcome::Mended => {
            ui.line(format_args!("generation {number} is this system already; the boot partition was mended"))?;
        }
        Outcome::Nothing => ui.line(format_args!("generation {number} is this system already: nothing to do"))?,
    }
    Ok(Exit::Done)
}
