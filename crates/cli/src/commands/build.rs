//! `cairn build`: machine files to images.

use std::collections::BTreeMap;

use cairn_make::{MachineFile, machine_file, prepare};
use cairn_process::{Refusal, Usage};
use cairn_store::SigningKey;
use image_builder::outputs::standing::{BUILD, Rules};
use image_builder::outputs::{Places, write_images};
use serde_json::json;

use crate::args::BuildArgs;
use crate::exit::Exit;
use crate::kit;
use crate::ui::Ui;

pub fn run(args: BuildArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let key = args.key.as_deref().map(SigningKey::load).transpose()?;
    // All that is wrong with any of the files is known before the first image is begun.
    let mut names = BTreeMap::new();
    if !args.after.is_empty() && args.files.len() > 1 {
        return Err(Usage("--after makes one machine: give one machine file besides".into()).into());
    }
    let mut machines = Vec::new();
    for file in &args.files {
        let checked = machine_file::load(file)?;
        // An older generation's file says whose disk it is.
        let seed = args.after.first().map(|first| Ok(machine_file::load(first)?.seed()));
        let seed = seed.unwrap_or_else(|| anyhow::Ok(checked.seed()))?;
        let name = checked.machine.hostname;
        machines.push((name.clone(), seed));
        if let Some(other) = names.insert(name.clone(), file) {
            let both = format!("{} and {} both make {name}", other.display(), file.display());
            return Err(Refusal(format!("{both}; build them into folders of their own with -o")).into());
        }
    }
    let mut formats = Vec::new();
    for format in args.format {
        if !formats.contains(&format) {
            formats.push(format);
        }
    }
    let rules = Rules { force: args.force, ..BUILD };
    let kit = kit::kit(key)?;
    let cache = &kit.cache;
    for (name, seed) in machines {
        Places { folder: &args.output, name: &name, formats: &formats, seed, rules, cache }.check()?;
    }
    for file in &args.files {
        let generations: Vec<MachineFile> = args.after.iter().chain([file]).map(|file| file.as_path().into()).collect();
        let machine = prepare(&generations, &kit, ui.report())?;
        for path in write_images(&machine, &args.output, &formats, rules, cache, ui.report())? {
            if ui.json() {
                ui.event("image", json!({ "path": path, "machine": file }))?;
            } else {
                ui.line(path.display())?;
            }
        }
    }
    Ok(Exit::Done)
}
