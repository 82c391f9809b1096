//! `cairn install`: a machine onto a disk.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::output::NewFile;
use cairn_installer::disks::{Device, look, name_of};
use cairn_installer::install::{
    Asked, Consent, InstallPlan, Planned, Request, again, apply, plan, settle, undo, words_of_consent,
};
use cairn_layout::onto::{Mode, Wish};
use cairn_make::plain_file;
use cairn_process::{Refusal, Usage};
use serde_json::json;

use crate::args::{InstallArgs, Into};
use crate::exit::Exit;
use crate::kit;
use crate::ui::Ui;
use crate::words::disks::candidates;
use crate::words::install::{losses, shown};

/// Where receipts are kept unless somebody says it.
const RECEIPTS: &str = "/var/lib/cairn/receipts";
/// The longest plan.
const MOST: u64 = 64 << 20;

pub fn run(args: InstallArgs, ui: &Ui) -> anyhow::Result<Exit> {
    // What a disk is called is compared with what it is called later, by somebody else or by ourselves.
    settle(ui.report());
    if let Some(receipt) = &args.undo {
        undo(receipt, ui.report())?;
        return done(json!({ "undone": receipt }), "the disk is as it was before the installation", ui);
    }
    let devices = look(Path::new("/")).context("looking at the disks")?;
    let kit = kit::kit(None)?;
    let planned = match &args.apply {
        Some(path) => {
            let saved = read(path)?;
            let disk = saved.disk.find(&devices).map_err(Refusal)?;
            again(&saved, &devices, disk, &kit, ui.report())?
        }
        None => {
            let (request, disk) = request(&args, &devices)?;
            plan(&request, &devices, disk, &kit, ui.report())?
        }
    };
    if let Some(path) = &args.plan {
        return write(&planned, path, ui);
    }
    ui.talk(shown(&planned.plan));
    let consent = consent(&planned, &args, ui)?;
    let receipt = args.receipt.map_or_else(|| new_receipt(&planned.plan), Ok)?;
    let plan = planned.plan.clone();
    let done_to = apply(planned, consent.as_ref(), &receipt, ui.report())?;
    let said = format!(
        "{} is installed on {}; what was overwritten is kept in {}",
        plan.file.display(),
        done_to.disk,
        done_to.receipt.display()
    );
    done(json!({ "plan": plan, "done": done_to }), &said, ui)
}

fn done(object: serde_json::Value, said: &str, ui: &Ui) -> anyhow::Result<Exit> {
    if ui.json() { ui.object(&object) } else { ui.line(said) }?;
    Ok(Exit::Done)
}

fn request<'d>(args: &InstallArgs, devices: &'d [Device]) -> anyhow::Result<(Request, &'d Device)> {
    let (Some(file), Some(selector)) = (&args.file, &args.disk) else {
        return Err(Usage("give a machine file and the disk that it is for, by --disk".into()).into());
    };
    let disk = selector.select(devices, &|node| name_of(Path::new("/"), node));
    let disk = disk.map_err(|why| Refusal(format!("{why}\n{}", candidates(devices).trim_end())))?;
    let of = |list: &[(String, u32)]| list.iter().cloned().collect();
    let mode = match args.into {
        Into::Whole => Mode::Whole,
        Into::Free | Into::Again => Mode::Free,
    };
    let wish =
        Wish { mode, replace: of(&args.replace), keep: of(&args.keep), spare: args.spare.iter().copied().collect() };
    let said = !(wish.replace.is_empty() && wish.keep.is_empty() && wish.spare.is_empty());
    let asked = match args.into {
        Into::Again if said => {
            let why = "--into again finds out by itself what is replaced and kept; say it with --into free instead";
            return Err(Usage(why.into()).into());
        }
        Into::Again => Asked::Again,
        _ => Asked::Wish(wish),
    };
    Ok((Request { file: file.clone(), asked, elsewhere: args.elsewhere }, disk))
}

fn read(path: &Path) -> anyhow::Result<InstallPlan> {
    let bytes = plain_file::read(path, MOST).with_context(|| format!("reading {}", path.display()))?;
    let plan = serde_json::from_slice(&bytes);
    plan.map_err(|why| {
        Refusal(format!("{} is no plan that `cairn install --plan` wrote: {why}", path.display())).into()
    })
}

fn write(planned: &Planned, path: &Path, ui: &Ui) -> anyhow::Result<Exit> {
    let text = serde_json::to_string_pretty(&planned.plan).context("writing the plan")?;
    let new = NewFile::create(path)?;
    new.file().write_all(format!("{text}\n").as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    new.commit()?;
    if ui.json() {
        ui.object(&json!({ "plan": planned.plan }))?;
    } else {
        ui.text(shown(&planned.plan))?;
    }
    Ok(Exit::Done)
}

/// What somebody says about what is lost: on the command line, or at the terminal.
fn consent(planned: &Planned, args: &InstallArgs, ui: &Ui) -> anyhow::Result<Option<Consent>> {
    if let Some(word) = &args.yes_erase {
        return Ok(Some(Consent(word.clone())));
    }
    // Who carries out a plan by which nothing is lost has said enough.
    if losses(&planned.plan).is_empty() && args.apply.is_some() {
        return Ok(None);
    }
    let words = words_of_consent(&planned.plan.disk);
    let word = words.first().map_or("", String::as_str);
    match ui.ask(format_args!("To go on, type {word} (anything else ends here): "))? {
        Some(line) => Ok(Some(Consent(line))),
        None => Err(Refusal(format!("nothing was written: to carry this out, say --yes-erase {word}")).into()),
    }
}

/// A new name for a receipt, in a folder that only root reads.
fn new_receipt(plan: &InstallPlan) -> anyhow::Result<PathBuf> {
    let folder = Path::new(RECEIPTS);
    fs::create_dir_all(folder).with_context(|| format!("making {RECEIPTS}"))?;
    let serial = plan.disk.serial.as_deref().unwrap_or(&plan.disk.name);
    let serial: String = serial.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let free = (1..).map(|n: u32| folder.join(format!("{serial}-{n}"))).find(|path| !path.exists());
    free.context("there are too many receipts")
}
