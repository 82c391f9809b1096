//! `cairn diff`: how two generations differ.

use cairn_observe::diff::read;
use cairn_observe::look;

use crate::args::DiffArgs;
use crate::exit::Exit;
use crate::ui::Ui;
use crate::words::diff::text;

pub fn run(args: &DiffArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let found = look(&args.place.location(), |machine| read(&machine, args.from, args.to, args.files))?;
    if ui.json() {
        ui.object(&found)?;
    } else {
        ui.text(text(&found))?;
    }
    Ok(Exit::Done)
}
