//! `cairn inspect`: what is in an image.

use crate::args::InspectArgs;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: InspectArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let found = cairn_observe::inspect::inspect(&args.image)?;
    let gave_up = found.gave_up.join("; ");
    if ui.json() {
        ui.object(&found)?;
    } else {
        ui.text(found)?;
    }
    anyhow::ensure!(gave_up.is_empty(), "not all of {} can be told: {gave_up}", args.image.display());
    Ok(Exit::Done)
}
