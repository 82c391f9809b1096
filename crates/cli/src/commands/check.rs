//! `cairn check`: every problem at once.

use cairn_machine::Problems;
use cairn_make::machine_file::load_once;
use serde_json::json;

use crate::args::CheckArgs;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: CheckArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for file in &args.files {
        match load_once(file) {
            Ok(checked) => warnings.extend(checked.warnings),
            Err(found) => problems.extend(found.into_vec()),
        }
    }
    let exit = if problems.is_empty() { Exit::Done } else { Exit::Failed };
    if ui.json() {
        let ((problems, more), (warnings, and_more)) =
            (Problems::worth_showing(&problems), Problems::worth_showing(&warnings));
        let mut answer = json!({ "ok": problems.is_empty(), "problems": problems, "warnings": warnings });
        if more + and_more > 0 {
            answer["left_out"] = json!({ "problems": more, "warnings": and_more });
        }
        ui.object(&answer)?;
        return Ok(exit);
    }
    ui.warn(&warnings);
    match Problems::new(problems) {
        None => Ok(exit),
        Some(problems) => Err(problems.into()),
    }
}
