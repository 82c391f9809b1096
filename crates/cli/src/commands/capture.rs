//! `cairn capture`: the files of a machine, to make it again.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_installer::hardware::{findings, observe};
use cairn_machine::model::FirmwareKind;
use cairn_observe::capture::{Captured, capture};
use cairn_observe::foreign::{self, Foreign, Hardware, LEFT};
use cairn_observe::view::View;
use cairn_observe::{Location, look};
use cairn_process::Refusal;
use serde_json::json;

use super::recorded::COMPUTER;
use crate::args::CaptureArgs;
use crate::exit::Exit;
use crate::ui::Ui;

/// So many lines somebody reads; all of them are in the list.
const MOST_SAID: usize = 60;

pub fn run(args: &CaptureArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let place = args.place.location();
    if let (Location::Root(root), None) = (&place, args.generation)
        && let Some(view) = foreign::open(root)?
    {
        return other_system(args, &view, ui);
    }
    let mut found = look(&place, |machine| capture(machine, args.generation))?;
    if place == Location::Root("/".into()) {
        record(&mut found)?;
    }
    let folder = args.output.clone().unwrap_or_else(|| PathBuf::from(&found.hostname));
    write(&folder, &found.files, &found.secret)?;
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

/// The computer that the machine runs on, for `cairn run`. It is no part of the machine, which comes out the same without it.
fn record(found: &mut Captured) -> anyhow::Result<()> {
    let observed = observe(Path::new("/")).context("looking at this computer")?;
    let text = findings(&observed).to_yaml(&observed);
    if found.files.contains_key(COMPUTER) {
        found
            .missing
            .push(format!("{COMPUTER}, as which this computer would be recorded: the machine has a file of this name"));
    } else {
        found.files.insert(COMPUTER.into(), text.into_bytes());
    }
    Ok(())
}

/// A system that Cairn has not made.
fn other_system(args: &CaptureArgs, view: &View<'_>, ui: &Ui) -> anyhow::Result<Exit> {
    let hardware = if view.is_host() { of_this_computer()? } else { Hardware::default() };
    let found = foreign::capture(view, &hardware)?;
    let folder = args.output.clone().unwrap_or_else(|| PathBuf::from(&found.machine.hostname));
    write(&folder, &found.files, &found.secret)?;
    if hardware.file.is_none() {
        let root = args.place.root.display();
        ui.report().note(&format!(
            "without a hardware file: what is at {root} may be another computer's. On that one, `cairn hardware -o hardware.yaml` \
             writes it, and `hardware: hardware.yaml` in the machine file includes it"
        ));
    }
    if ui.json() {
        ui.object(&json!({
            "folder": folder,
            "system": found.system,
            "files": found.files.keys().collect::<Vec<_>>(),
            "secret": found.secret,
            "left": found.left,
        }))?;
    } else {
        tell(&found, &folder, ui)?;
    }
    Ok(Exit::Done)
}

fn tell(found: &Foreign, folder: &Path, ui: &Ui) -> anyhow::Result<()> {
    for left in found.left.iter().take(MOST_SAID) {
        ui.report().note(&format!("{}: {}", left.topic, left.what));
    }
    if let Some(more @ 1..) = found.left.len().checked_sub(MOST_SAID) {
        ui.report().note(&format!("and {more} more"));
    }
    for secret in &found.secret {
        ui.report().note(&format!("{} holds secrets: only its owner may read it", folder.join(secret).display()));
    }
    let (file, list) = (folder.join("machine.yaml"), folder.join(LEFT));
    ui.line(format_args!(
        "{} is what could be carried over of {}; {} has the {} things that could not",
        file.display(),
        found.system,
        list.display(),
        found.left.len()
    ))
}

fn of_this_computer() -> anyhow::Result<Hardware> {
    let observed = observe(Path::new("/")).context("looking at this computer")?;
    let found = findings(&observed);
    Ok(Hardware {
        file: Some(found.to_yaml(&observed)),
        packages: found.packages.iter().map(|advice| advice.value.clone()).collect(),
        uefi: found.firmware.map(|kind| kind != FirmwareKind::Bios),
        secure_boot: found.secure_boot == Some(true),
    })
}

/// Into a folder that has no machine's files yet.
fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>, secret: &[String]) -> anyhow::Result<()> {
    if folder.symlink_metadata().is_ok() && !folder.is_dir() {
        return Err(Refusal(format!("{} is no folder: name another one with -o", folder.display())).into());
    }
    for name in files.keys() {
        let path = folder.join(name);
        if path.symlink_metadata().is_ok() {
            let why = format!("{} is there already: name another folder with -o", path.display());
            return Err(Refusal(why).into());
        }
    }
    for (name, bytes) in files {
        // Names of a machine file that was checked: below its folder.
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
        let mode = if secret.contains(name) { 0o600 } else { 0o644 };
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        let written = file.and_then(|mut file| file.write_all(bytes));
        written.with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
