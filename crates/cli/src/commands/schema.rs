//! `cairn schema`: the JSON Schema of machine files, for editors.

use cairn_machine::schema::{hardware_schema, schema};

use crate::args::SchemaArgs;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: SchemaArgs, ui: &Ui) -> anyhow::Result<Exit> {
    ui.object(&if args.hardware { hardware_schema() } else { schema() })?;
    Ok(Exit::Done)
}
