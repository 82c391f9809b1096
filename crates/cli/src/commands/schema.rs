//! `cairn schema`: the JSON Schema of machine files, for editors.

use cairn_machine::schema::{hardware_schema, install_schema, schema};

use crate::args::SchemaArgs;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: SchemaArgs, ui: &Ui) -> anyhow::Result<Exit> {
    ui.object(&match (args.hardware, args.install) {
        (true, _) => hardware_schema(),
        (false, true) => install_schema(),
        (false, false) => schema(),
    })?;
    Ok(Exit::Done)
}
