//! `cairn lock`: exact packages and hashes, to commit.

use cairn_make::lock_file::{differences, make, read, versions};
use cairn_make::machine_file::{load, lock_path};
use cairn_observe::packages::{Change, changes};
use serde_json::json;

use crate::args::LockArgs;
use crate::cache;
use crate::exit::Exit;
use crate::ui::Ui;

/// How many changed packages are worth a line each.
const LINES: usize = 20;

pub fn run(args: LockArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let checked = load(&args.file)?;
    let path = lock_path(&args.file);
    // With --update a damaged lock file is no obstacle: this is the way to mend it.
    let old = if args.update { read(&args.file).ok().flatten() } else { read(&args.file)? };
    let why = old.as_ref().map(|lock| differences(lock, &checked)).unwrap_or_default();
    let (changed, packages) = match &old {
        Some(lock) if why.is_empty() && !args.update => {
            ui.report().note(&format!("{} fits; --update takes newer versions", path.display()));
            (Vec::new(), lock.packages().len())
        }
        _ => {
            for reason in &why {
                ui.report().note(reason);
            }
            let new = make(&args.file, &checked, &cache::folder()?, ui.report())?;
            let before = old.as_ref().map(versions).unwrap_or_default();
            let changed = changes(&before, &versions(&new));
            if old.is_some() {
                tell(&changed, ui);
            }
            (changed, new.packages().len())
        }
    };
    if ui.json() {
        ui.object(&json!({ "file": path.to_string_lossy(), "packages": packages, "changes": changed }))?;
    } else {
        ui.line(path.display())?;
    }
    Ok(Exit::Done)
}

fn tell(changed: &[Change], ui: &Ui) {
    for Change { name, from, to } in changed.iter().take(LINES) {
        ui.report().note(&match (from, to) {
            (Some(from), Some(to)) => format!("{name}: {from} -> {to}"),
            (None, Some(to)) => format!("{name}: {to} (new)"),
            (Some(from), None) => format!("{name}: {from} (gone)"),
            (None, None) => continue,
        });
    }
    match changed.len().checked_sub(LINES) {
        None | Some(0) if changed.is_empty() => ui.report().note("nothing has changed"),
        None | Some(0) => {}
        Some(more) => ui.report().note(&format!("and {more} packages more")),
    }
}
