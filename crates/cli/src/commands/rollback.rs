//! `cairn rollback`: another generation from the next boot on.

use anyhow::Context;
use cairn_boot::Record;
use cairn_process::Refusal;
use cairn_store::Generations;
use serde_json::json;

use super::boot::tell_broken;
use crate::args::RollbackArgs;
use crate::exit::Exit;
use crate::live::menu::{BootMenu, Occasion};
use crate::live::observed::Observed;
use crate::live::{Turn, firmware};
use crate::ui::Ui;

pub fn run(args: RollbackArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let _turn = Turn::take(&args.root, ui.report())?;
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
    if args.once {
        once(&observed, number, &mut menu, record, ui)?;
        return reboot(&args);
    }
    record.want(number);
    let planned = menu.plan_to_apply(&record, Occasion::Choice)?;
    // The link first: without its entry in the menu it changes nothing about what boots.
    Generations::at(observed.root.path()).switch(number)?;
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
    reboot(&args)
}

fn reboot(args: &RollbackArgs) -> anyhow::Result<Exit> {
    if args.reboot {
        cairn_process::Tool::new("systemctl", "systemd", "restart the machine").arg("reboot").run()?;
    }
    Ok(Exit::Done)
}

/// At the next boot only: the loader is told, and nothing else remembers it.
fn once(observed: &Observed, number: u64, menu: &mut BootMenu, mut record: Record, ui: &Ui) -> anyhow::Result<()> {
    let in_partition = menu.once(number, &record)?;
    let planned = menu.plan_to_apply(&record, Occasion::Other)?;
    menu.apply(&planned, &mut record, ui.report())?;
    if !in_partition {
        let entries = menu.survey(&record)?.entries;
        let entry = entries.iter().find(|entry| entry.number == number).context("the menu has no entry for it")?;
        firmware::once(&observed.root, entry)?;
    }
    if ui.json() {
        return ui.object(&json!({ "generation": number, "once": true }));
    }
    ui.line(format_args!("generation {number} is booted at the next start, once"))
}

/// The newest good generation before the one that would boot.
fn before(observed: &Observed, record: &Record) -> anyhow::Result<u64> {
    let there = observed.numbers();
    let good: Vec<u64> = record.good.iter().copied().filter(|n| there.contains(n)).collect();
    let next = record.trial.or(record.default).or(good.last().copied());
    let found = good.iter().rev().find(|n| Some(**n) < next).copied();
    found.ok_or_else(|| Refusal("there is no older generation that has booted well: name one".into()).into())
}
