//! `cairn capture`: the files of a machine, to make it again.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_observe::capture::{Captured, capture};
use cairn_observe::look;
use cairn_process::Refusal;
use serde_json::json;

use crate::args::CaptureArgs;
use crate::exit::Exit;
use crate::ui::Ui;

pub fn run(args: &CaptureArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let found = look(&args.place.location(), |machine| capture(machine, args.generation))?;
    let folder = args.output.clone().unwrap_or_else(|| PathBuf::from(&found.hostname));
    write(&folder, &found)?;
    for missing in &found.missing {
        ui.report().note(&format!("not there: {missing}"));
    }
    if ui.json() {
        ui.object(&json!({
            "folder": folder,
            "generation": found.generation,
            "files": found.files.keys().collect::<Vec<_>>(),
            "missing": found.missing,
        }))?;
    } else {
        let file = folder.join("machine.yaml");
        ui.line(format_args!("{} is generation {} of {}", file.display(), found.generation, found.hostname))?;
    }
    Ok(Exit::Done)
}

/// Into a folder that has no machine's files yet.
fn write(folder: &Path, found: &Captured) -> anyhow::Result<()> {
    for name in found.files.keys() {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            let why = format!("{} is there already: name another folder with -o", path.display());
            return Err(Refusal(why).into());
        }
    }
    for (name, bytes) in &found.files {
        // Names of a machine file that was checked: below its folder.
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        let mode = if found.secret.contains(name) { 0o600 } else { 0o644 };
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
