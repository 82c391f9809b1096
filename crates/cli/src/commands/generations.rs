//! `cairn generations`: what there is to boot, and what each one changed.

use cairn_observe::generations::read;
use cairn_observe::{ObserveError, look};

use crate::args::GenerationsArgs;
use crate::exit::Exit;
use crate::ui::Ui;
use crate::words::generations::list;

pub fn run(args: &GenerationsArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let found = look(&args.place.location(), |machine| Ok::<_, ObserveError>(read(&machine)?))?;
    if ui.json() {
        ui.object(&found)?;
        return Ok(Exit::Done);
    }
    ui.text(list(&found.generations))?;
    for note in &found.notes {
        ui.report().note(note);
    }
    Ok(Exit::Done)
}
