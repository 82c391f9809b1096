//! `cairn hardware`: what this computer is, and which drivers it needs.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use cairn_disk::output::NewFile;
use cairn_installer::hardware::{Difference, Findings, Observed, Record, difference, findings, observe, to_nix};
use cairn_machine::model::Hardware;
use cairn_machine::{SourceFile, check_hardware};
use cairn_make::plain_file;
use cairn_process::Refusal;
use serde::Serialize;

use crate::args::HardwareArgs;
use crate::exit::Exit;
use crate::ui::Ui;
use crate::words::hardware::{differences as words, explain};

/// What differs, as data.
#[derive(Serialize)]
struct Answer<'d> {
    same: bool,
    differences: &'d [Difference],
}

pub fn run(args: &HardwareArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let observed = observe(&args.root).with_context(|| format!("looking at {}", args.root.display()))?;
    let found = findings(&observed);
    if let Some(path) = &args.diff {
        return diff(path, &found, ui);
    }
    if ui.json() {
        return ui.object(&Record::new(&observed, &found)).map(|()| Exit::Done);
    }
    let done = match (&args.output, args.nix) {
        (Some(path), true) => write(path, &to_nix(&observed, &found), ui),
        (Some(path), false) => hardware_file(path, &observed, found.clone(), ui),
        (None, true) => ui.text(to_nix(&observed, &found)).map(|()| Exit::Done),
        (None, false) if args.explain => ui.text(explain(&observed, &found)).map(|()| Exit::Done),
        (None, false) => ui.text(found.to_yaml(&observed)).map(|()| Exit::Done),
    }?;
    notes(&found, args, ui);
    Ok(done)
}

/// What a person should know, where the answer itself does not say it.
fn notes(found: &Findings, args: &HardwareArgs, ui: &Ui) {
    if let Some(kernel) = found.kernel_package.as_ref().filter(|_| !args.explain && !args.nix) {
        ui.report().note(&format!("{}: set `kernel: {}` under `source: debian:`", kernel.reason, kernel.value));
    }
    for warning in &found.warnings {
        ui.report().note(warning);
    }
}

fn hardware_file(path: &Path, observed: &Observed, mut found: Findings, ui: &Ui) -> anyhow::Result<Exit> {
    // The identifiers of an installed disk hang on the seed of the file that is about to be replaced.
    found.seed = read(path, "left as it is")?.and_then(|hardware| hardware.seed);
    write(path, &found.to_yaml(observed), ui)
}

fn write(path: &Path, text: &str, ui: &Ui) -> anyhow::Result<Exit> {
    let file = NewFile::create(path)?;
    file.file().write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    file.commit()?;
    ui.line(path.display())?;
    Ok(Exit::Done)
}

/// As diff(1): whether they are the same is the exit code.
fn diff(path: &Path, found: &Findings, ui: &Ui) -> anyhow::Result<Exit> {
    let missing = || Refusal(format!("{} is not there to be compared", path.display()));
    let file = read(path, "not compared")?.ok_or_else(missing)?;
    let differences = difference(&file, found);
    if ui.json() {
        ui.object(&Answer { same: differences.is_empty(), differences: &differences })?;
    } else {
        ui.text(words(&differences))?;
    }
    Ok(if differences.is_empty() { Exit::Done } else { Exit::Failed })
}

/// A hardware file that is there.
fn read(path: &Path, otherwise: &str) -> anyhow::Result<Option<Hardware>> {
    let bytes = match plain_file::read(path, plain_file::TEXT) {
        Ok(bytes) => bytes,
        Err(e) if e.is_missing() => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match check_hardware(&SourceFile::new(path.display().to_string(), text)) {
        Ok(hardware) => Ok(Some(hardware)),
        Err(problems) => Err(Refusal(format!(
            "{} is no hardware file that can be read, so it is {otherwise}:\n{problems}",
            path.display()
        ))
        .into()),
    }
}
