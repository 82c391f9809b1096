//! `cairn disks`: the disks of a computer, or the one that is meant.

use anyhow::Context;
use cairn_installer::disks::{Device, Stack, hidden, look, name_of};
use cairn_process::Refusal;
use serde::Serialize;

use crate::args::DisksArgs;
use crate::exit::Exit;
use crate::ui::Ui;
use crate::words::disks::{candidates, list};

/// The answer as data.
#[derive(Serialize)]
struct Answer<'d> {
    devices: &'d [Device],
    notes: &'d [String],
}

pub fn run(args: &DisksArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let mut devices = look(&args.root).with_context(|| format!("looking at {}", args.root.display()))?;
    let notes = hidden(&args.root, &devices);
    if let Some(selector) = &args.selector {
        let meant = selector.select(&devices, &|node| name_of(&args.root, node));
        let meant = meant.map_err(|why| Refusal(format!("{why}\n{}", candidates(&devices).trim_end())))?;
        devices = Stack(&devices).whole(meant).into_iter().cloned().collect();
    }
    if ui.json() {
        return ui.object(&Answer { devices: &devices, notes: &notes }).map(|()| Exit::Done);
    }
    ui.text(list(&devices))?;
    for note in &notes {
        ui.report().note(note);
    }
    Ok(Exit::Done)
}
