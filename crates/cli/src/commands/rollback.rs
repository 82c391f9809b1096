//! `cairn rollback`: another generation from the next boot on.

use cairn_update::rollback::{Rollback, Wish, plan};
use cairn_update::{Needs, NoFaults, Session, carry_out};
use serde_json::json;

use super::would;
use crate::args::RollbackArgs;
use crate::cache;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: RollbackArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let cache = cache::folder().ok();
    let mut session = match args.dry_run {
        true => Session::look(&args.root, cache)?,
        false => Session::begin(&args.root, Needs::Menu, cache, ui.report())?,
    };
    session.tell_broken(ui.report());
    let wish = Wish { generation: args.generation, once: args.once };
    let Rollback { change, mut menu, number, trial } = plan(&session, wish)?;
    let answer = match args.once {
        true => json!({ "generation": number, "once": true }),
        false => json!({ "generation": number, "trial": trial }),
    };
    if args.dry_run {
        return would(&change, answer, ui).map(|()| Exit::Done);
    }
    carry_out(&mut session, Some(&mut menu), &change, &mut NoFaults, ui.report())?;
    let how = match (args.once, trial) {
        (true, _) => "is booted at the next start, once",
        (false, true) => "has not booted well yet, and is tried at the next boot",
        (false, false) => "is what boots from now on",
    };
    if ui.json() {
        ui.object(&answer)?;
    } else {
        ui.line(format_args!("generation {number} {how}"))?;
    }
    if args.reboot {
        cairn_process::Tool::new("systemctl", "systemd", "restart the machine").arg("reboot").run()?;
    }
    Ok(Exit::Done)
}
