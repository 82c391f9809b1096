//! `cairn hardware`: which drivers this computer needs.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use cairn_disk::output::NewFile;
use cairn_installer::hardware::{findings, observe};
use cairn_machine::{SourceFile, check, template};
use cairn_make::plain_file;
use cairn_process::Refusal;

use crate::args::HardwareArgs;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: HardwareArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let observed = observe(&args.root).with_context(|| format!("looking at {}", args.root.display()))?;
    let mut found = findings(&observed);
    for warning in &found.warnings {
        ui.report().note(warning);
    }
    let Some(path) = args.output else {
        ui.text(found.to_yaml())?;
        return Ok(Exit::Done);
    };
    found.seed = seed_of(&path)?;
    let file = NewFile::create(&path)?;
    file.file().write_all(found.to_yaml().as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    file.commit()?;
    ui.line(path.display())?;
    Ok(Exit::Done)
}

/// The seed in the file that is about to be replaced: the identifiers of an installed disk hang on it.
fn seed_of(path: &Path) -> anyhow::Result<Option<uuid::Uuid>> {
    let bytes = match plain_file::read(path, plain_file::TEXT) {
        Ok(bytes) => bytes,
        Err(e) if e.is_missing() => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("reading {}", path.display())),
    };
    // A hardware file is checked as a machine file includes it.
    let including = format!("{}\nhardware: hardware.yaml\n", template("machine"));
    let including = SourceFile::new("machine.yaml", including);
    match check(&including, &mut |_| Ok(bytes.clone())) {
        Ok(checked) => Ok(checked.hardware.and_then(|hardware| hardware.seed)),
        Err(problems) => Err(Refusal(format!(
            "{} is no hardware file that can be read, so it is left as it is:\n{problems}",
            path.display()
        ))
        .into()),
    }
}
