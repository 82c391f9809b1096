//! `cairn inspect`: what is in an image.

use crate::args::InspectArgs;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: InspectArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let found = image_builder::inspect::inspect(&args.image)?;
    if ui.json() {
        ui.object(&found)?;
    } else {
        ui.text(found)?;
    }
    Ok(Exit::Done)
}
