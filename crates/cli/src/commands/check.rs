//! `cairn check`: every problem at once.

use std::path::Path;

use cairn_machine::{Checked, Problem, Problems};
use cairn_make::machine_file::load_once;
use cairn_make::named_files::look;
use serde_json::json;

use crate::args::CheckArgs;
use crate::exit::Exit;
use crate::ui::Ui;

/// Where a machine has its own machine file, below its root.
const OWN: &str = "etc/cairn";

/// What is wrong with the files that a machine file names. What came through a pipe has no folder that they could be beside, and
/// on a machine the secrets are not beside its own file any more.
fn named(file: &Path, checked: &Checked) -> Vec<Problem> {
    if !file.is_file() || ["/dev", "/proc"].iter().any(|folder| file.starts_with(folder)) {
        return Vec::new();
    }
    let whole = file.canonicalize().unwrap_or_else(|_| file.to_path_buf());
    let is_own = whole.parent().is_some_and(|folder| folder.ends_with(OWN));
    look(file, checked, &|_| is_own)
}

pub fn run(args: CheckArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for file in &args.files {
        match load_once(file) {
            Ok(checked) => {
                problems.extend(named(file, &checked));
                warnings.extend(checked.warnings);
            }
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
