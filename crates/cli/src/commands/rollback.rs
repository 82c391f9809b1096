//! `cairn rollback`: another generation from the next boot on.

use cairn_boot::Record;
use cairn_store::Generations;
use serde_json::json;

use super::boot::tell_broken;
use crate::args::RollbackArgs;
use crate::exit::{Exit, Refusal};
use crate::live::Turn;
use crate::live::menu::BootMenu;
use crate::live::observed::Observed;
use crate::ui::Ui;

pub fn run(args: RollbackArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let _turn = Turn::take(&args.root)?;
    let observed = Observed::at(&args.root)?;
    tell_broken(&observed, ui);
    let mut menu = BootMenu::open(&observed, &[])?;
    let mut record = observed.record_or_new();
    record.seed = Some(observed.seed()?);
    menu.settle(&mut record)?;
    let number = match args.generation {
        Some(number) => number,
        None => before(&observed, &record)?,
    };
    observed.find(number)?;
    record.want(number);
    let planned = menu.plan_to_apply(&record)?;
    // The link first: without its entry in the menu it changes nothing about what boots.
    Generations::at(&args.root).switch(number)?;
    menu.apply(&planned, &mut record, ui.report())?;
    let how = match record.trial {
        Some(_) => "has not booted well yet, and is tried at the next boot",
        None => "is what boots from now on",
    };
    if ui.json() {
        ui.object(&json!({ "generation": number, "trial": record.trial.is_some() }))?;
    } else {
        ui.line(format_args!("generation {number} {how}"))?;
    }
    if args.reboot {
        cairn_process::Tool::new("systemctl", "systemd", "restart the machine").arg("reboot").run()?;
    }
    Ok(Exit::Done)
}

/// The newest good generation before the one that would boot.
fn before(observed: &Observed, record: &Record) -> anyhow::Result<u64> {
    let there = observed.numbers();
    let good: Vec<u64> = record.good.iter().copied().filter(|n| there.contains(n)).collect();
    let next = record.trial.or(record.default).or(good.last().copied());
    let found = good.iter().rev().find(|n| Some(**n) < next).copied();
    found.ok_or_else(|| Refusal("there is no older generation that has booted well: name one".into()).into())
}
