//! `cairn install`: a machine onto a disk.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::output::NewFile;
use cairn_installer::disks::{Device, look, name_of};
use cairn_installer::install::instructions::{self, Instructions};
use cairn_installer::install::{
    Consent, InstallPlan, Planned, Request, again, apply, medium, plan, settle, undo, words_of_consent,
};
use cairn_machine::Problems;
use cairn_make::machine_file::load;
use cairn_make::{Kit, plain_file};
use cairn_process::{Refusal, Report, Tool, Usage, go_on, set_left};
use serde_json::json;

use super::failed;
use super::guided::Guide;
use super::over;
use super::said::Said;
use crate::args::{InstallArgs, Into, ShareArgs, Then};
use crate::exit::Exit;
use crate::kit;
use crate::ui::Ui;
use crate::watched::Watched;
use crate::words::disks::candidates;
use crate::words::install::{losses, shown};

/// Where receipts are kept unless somebody says it.
const RECEIPTS: &str = "/var/lib/cairn/receipts";
/// The longest plan.
const MOST: u64 = 64 << 20;

pub fn run(args: InstallArgs, ui: &Ui) -> anyhow::Result<Exit> {
    if let Some(words) = &args.over {
        return over::run(words, ui);
    }
    let watched = Watched::new(ui.report(), args.progress.as_deref())?;
    let mut computer = failed::firmware().to_string();
    let result = watched.during(|| carry_out(&args, &mut computer, &watched, ui));
    let result = result.map_err(|error| failed::told(error, &args, &computer, &watched));
    if result.is_ok() {
        watched.tell("end", json!({ "ok": true }));
    }
    let then = result?;
    match then {
        Then::Nothing => Ok(Exit::Done),
        Then::Reboot => end("reboot", &watched),
        Then::PowerOff => end("poweroff", &watched),
    }
}

/// What is asked for, from wherever that is said.
struct Wanted<'d> {
    request: Request,
    disk: &'d Device,
    /// What the instructions say about what is lost, and about the end.
    erase: Option<String>,
    then: Then,
}

/// `computer` says what class of computer it is, and from a certain moment on of disk.
fn carry_out(args: &InstallArgs, computer: &mut String, watched: &Watched<'_>, ui: &Ui) -> anyhow::Result<Then> {
    // What a disk is called is compared with what it is called later, by somebody else or by ourselves.
    settle(watched);
    if let Some(receipt) = &args.undo {
        undo(receipt, watched)?;
        done(json!({ "undone": receipt }), "the disk is as it was before the installation", ui)?;
        return Ok(Then::Nothing);
    }
    if let Some(receipt) = args.receipt.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        // One that is there may be the only way back from another installation.
        return Err(Refusal(format!("{} is there already: give the receipt another name", receipt.display())).into());
    }
    let devices = look(Path::new("/")).context("looking at the disks")?;
    let kit = kit::kit(None)?;
    let folder = tempfile::tempdir().context("making a folder for instructions")?;
    let asks = args.apply.is_none() && args.file.is_none() && !args.unattended;
    let mut named = None;
    let (planned, erase, then) = match &args.apply {
        None if asks => {
            let planned;
            (planned, named) = asked(args, &devices, &kit, watched, ui)?;
            (planned, None, Then::Nothing)
        }
        Some(path) => {
            let saved = read(path)?;
            let disk = saved.disk.find(&devices).map_err(Refusal)?;
            (again(&saved, &devices, disk, &kit, watched)?, None, Then::Nothing)
        }
        None => {
            let wanted = wanted(args, &devices, folder.path())?;
            (plan(&wanted.request, &devices, wanted.disk, &kit, watched)?, wanted.erase, wanted.then)
        }
    };
    let disk = &planned.plan.disk;
    *computer += &format!(" {} {}", disk.transport.as_deref().unwrap_or("disk"), disk.sector_size);
    if let Some(path) = &args.plan {
        write(&planned, path, ui)?;
        return Ok(Then::Nothing);
    }
    if !asks {
        ui.talk(shown(&planned.plan));
    }
    watched.finish();
    let consent = if named.is_some() { named } else { consent(&planned, args, erase, ui)? };
    let receipt = args.receipt.clone().map_or_else(|| new_receipt(&planned.plan), Ok)?;
    let plan = planned.plan.clone();
    let done_to = apply(planned, consent.as_ref(), &receipt, watched)?;
    let said = format!(
        "{} is installed on {}; what was overwritten is kept in {}",
        plan.file.display(),
        done_to.disk,
        done_to.receipt.display()
    );
    done(json!({ "plan": plan, "done": done_to }), &said, ui)?;
    if asks && args.then.is_none() && medium::is_there() {
        ui.ask("\nEnter restarts the computer; take the medium out when the screen goes dark: ")?;
        return Ok(Then::Reboot);
    }
    Ok(args.then.unwrap_or(then))
}

fn done(object: serde_json::Value, said: &str, ui: &Ui) -> anyhow::Result<()> {
    if ui.json() { ui.object(&object) } else { ui.line(said) }
}

fn wanted<'d>(args: &InstallArgs, devices: &'d [Device], folder: &Path) -> anyhow::Result<Wanted<'d>> {
    let (given, path) = match &args.file {
        Some(file) => (file.clone(), file.clone()),
        None => {
            let found = instructions::find(devices, folder)?;
            (found.clone(), found)
        }
    };
    let Instructions { machine, install } = instructions::read(&path, folder)?;
    let said = match &args.disk {
        Some(selector) => Said::of_arguments(&args.share, selector)?,
        None => match install {
            Some(install) => Said::of_instructions(&install, &given)?,
            None => {
                let why = format!("say which disk: by --disk, or as `install: {{disk: …}}` in {}", given.display());
                return Err(Usage(format!("{why}\n{}", candidates(devices).trim_end())).into());
            }
        },
    };
    let disk = said.selector.select(devices, &|node| name_of(Path::new("/"), node));
    let disk = disk.map_err(|why| Refusal(format!("{why}\n{}", candidates(devices).trim_end())))?;
    let request = Request { file: machine, asked: said.asked, elsewhere: args.elsewhere };
    Ok(Wanted { request, disk, erase: said.erase, then: said.then })
}

/// The plan of what somebody at the terminal answers, and the disk's name from them unless it was said before. What cannot be done is
/// told, and asked for once more.
fn asked(
    args: &InstallArgs,
    devices: &[Device],
    kit: &Kit,
    watched: &Watched<'_>,
    ui: &Ui,
) -> anyhow::Result<(Planned, Option<Consent>)> {
    let ShareArgs { into, replace, keep, spare } = &args.share;
    if *into != Into::Whole || !(replace.is_empty() && keep.is_empty() && spare.is_empty()) {
        return Err(Usage(
            "what becomes of the disk is one of the questions: without a machine file, leave it out".into(),
        )
        .into());
    }
    let mut guide = Guide::begin(devices, args.manner(), ui)?;
    set_left(Some("nothing was written to any disk"));
    loop {
        let file = guide.machine_file()?;
        let planned = load(&file).map_err(anyhow::Error::from).and_then(|checked| {
            let said = checked.machine.install.context("no instructions")?;
            let said = Said::of_instructions(&said, &file)?;
            let disk = said
                .selector
                .select(devices, &|node| name_of(Path::new("/"), node))
                .map_err(|why| Refusal(why.to_string()))?;
            let request = Request { file: file.clone(), asked: said.asked, elsewhere: args.elsewhere };
            plan(&request, devices, disk, kit, watched)
        });
        // From here on a person is waited for.
        watched.finish();
        match planned {
            Ok(planned) => {
                if let Some(consent) = guide.last(&planned.plan, &file, args.yes_erase.is_some())? {
                    return Ok((planned, consent));
                }
            }
            Err(error) if error.chain().any(|why| why.is::<Refusal>() || why.is::<Problems>()) && go_on().is_ok() => {
                guide.cannot(&file, &error)?;
            }
            Err(error) => return Err(error.context(format!("the answers are in {}", file.display()))),
        }
    }
}

fn read(path: &Path) -> anyhow::Result<InstallPlan> {
    let bytes = plain_file::read(path, MOST).with_context(|| format!("reading {}", path.display()))?;
    let plan = serde_json::from_slice(&bytes);
    plan.map_err(|why| {
        Refusal(format!("{} is no plan that `cairn install --plan` wrote: {why}", path.display())).into()
    })
}

fn write(planned: &Planned, path: &Path, ui: &Ui) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(&planned.plan).context("writing the plan")?;
    let new = NewFile::create(path)?;
    new.file().write_all(format!("{text}\n").as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    new.commit()?;
    if ui.json() { ui.object(&json!({ "plan": planned.plan })) } else { ui.text(shown(&planned.plan)) }
}

/// What somebody says about what is lost: on the command line, in the instructions, or at the terminal.
fn consent(planned: &Planned, args: &InstallArgs, erase: Option<String>, ui: &Ui) -> anyhow::Result<Option<Consent>> {
    if let Some(word) = args.yes_erase.clone().or(erase) {
        return Ok(Some(Consent(word)));
    }
    // Who carries out a plan by which nothing is lost has said enough, and so has who wrote it down.
    let nothing_is_lost = losses(&planned.plan).is_empty();
    if nothing_is_lost && (args.apply.is_some() || args.unattended || args.file.is_some() && args.disk.is_none()) {
        return Ok(None);
    }
    let words = words_of_consent(&planned.plan.disk);
    let word = words.first().map_or("", String::as_str);
    if args.unattended {
        let why = format!("nothing was written: the instructions do not say that this may be lost (`erase: {word}`)");
        return Err(Refusal(why).into());
    }
    match ui.ask(format_args!("To go on, type {word} (anything else ends here): "))? {
        Some(line) => Ok(Some(Consent(line))),
        None => Err(Refusal(format!("nothing was written: to carry this out, say --yes-erase {word}")).into()),
    }
}

/// A new name for a receipt, in a folder that only root reads.
fn new_receipt(plan: &InstallPlan) -> anyhow::Result<PathBuf> {
    let folder = Path::new(RECEIPTS);
    fs::create_dir_all(folder).with_context(|| format!("making {RECEIPTS}"))?;
    fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .with_context(|| format!("closing {RECEIPTS} to others"))?;
    let serial = plan.disk.serial.as_deref().unwrap_or(&plan.disk.name);
    let serial: String = serial.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let free = (1..).map(|n: u32| folder.join(format!("{serial}-{n}"))).find(|path| !path.exists());
    free.context("there are too many receipts")
}

/// Restarts the computer, or switches it off.
fn end(verb: &'static str, watched: &Watched<'_>) -> anyhow::Result<Exit> {
    watched.tell("then", json!({ "what": verb }));
    Tool::new("systemctl", "systemd", "end what runs").arg(verb).run().with_context(|| format!("systemctl {verb}"))?;
    Ok(Exit::Done)
}
