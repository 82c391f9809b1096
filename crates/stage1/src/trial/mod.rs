//! A generation on trial (`cairn.trial` on the kernel's command line): whatever goes wrong with it ends in a restart,
//! so that its tries are used up and the machine comes up in the last good generation by itself.
//!
//! `trial` runs first thing in the initrd and makes what would leave the kernel limping or hanging a panic. `good` takes
//! that back once the generation has come up well. `failed` runs before the restart and tells why, on the console, in
//! the journal, and for the generation that comes up next in `RECORD`.

mod kernel;
mod reasons;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use cairn_process::Tool;

use crate::assemble::STATE;
use crate::cmdline::Parameters;
use crate::error::{Context, Error};
use crate::folder::Owned;
use crate::root::Root;
pub use reasons::all as reasons;

/// What was changed in the kernel's settings, and how they were. It outlives the initrd.
const CHANGED: &str = "/run/cairn/trial";
/// There once the generation has come up well: from then on nothing restarts the machine.
const GOOD: &str = "/run/cairn/boot-good";
/// Why the generation that was on trial last did not come up: `generation N`, then a line for each reason.
const RECORD: &str = "boot-failed";
/// Long enough to see what went wrong, for whoever sits before the machine.
const MOMENT: Duration = Duration::from_secs(5);

/// Begins a trial. It may have begun before: what was changed then is to be taken back, too.
pub fn begin() -> Result<(), Error> {
    let before = fs::read_to_string(CHANGED).unwrap_or_default();
    let changed = before + &kernel::tighten(Path::new("/proc/sys/kernel"));
    replace(Path::new(CHANGED), &changed).with_context(|| format!("writing {CHANGED}"))
}

/// Ends a trial: the generation has come up well.
pub fn good() -> Result<(), Error> {
    replace(Path::new(GOOD), "").with_context(|| format!("writing {GOOD}"))?;
    match fs::read_to_string(CHANGED) {
        Ok(changed) => kernel::relax(Path::new("/proc/sys/kernel"), &changed),
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("reading {CHANGED}")),
    }
    Ok(())
}

/// Tells why the generation has not come up well. Whoever started this restarts the machine afterwards; nothing in
/// here may keep it from doing so.
pub fn failed(parameters: &Parameters) -> Result<(), Error> {
    let initrd = Path::new("/etc/initrd-release").exists();
    let generation = parameters.generation.map_or_else(|| "this generation".into(), |n| format!("generation {n}"));
    println!("cairn: {generation} is on trial and has not come up well");
    let reasons = reasons::all(&ask(&["list-units", "--state=failed", "--full"]), &ask(&["list-jobs", "--full"]));
    for reason in &reasons {
        println!("cairn: {reason}");
    }
    println!("cairn: restarting; when its tries are used up, the last good generation boots");
    let root = Path::new(if initrd { "/sysroot" } else { "/" });
    // Without this folder the root is not there: it is made when the root is put together for the first time.
    if let Ok(state) = Root::open(root).and_then(|root| root.folder(Path::new(STATE))) {
        let text: String = reasons.iter().map(|reason| format!("{reason}\n")).collect();
        let number = parameters.generation.map_or_else(|| "-".to_string(), |n| n.to_string());
        let owned = Owned { mode: 0o644, uid: 0, gid: 0 };
        if let Err(e) = state.replace(RECORD, &format!("generation {number}\n{text}"), owned) {
            eprintln!("cairn-stage1: writing {STATE}/{RECORD}: {e}");
        }
    }
    if !initrd {
        let journal = Tool::new("journalctl", "systemd", "write the journal to the disk").arg("--sync");
        if let Err(e) = journal.run() {
            eprintln!("cairn-stage1: {e}");
        }
    }
    std::thread::sleep(MOMENT);
    Ok(())
}

/// What systemd says; nothing if it says nothing.
fn ask(words: &[&str]) -> String {
    let tool = Tool::new("systemctl", "systemd", "see what failed").args(words.iter().copied());
    let answer = tool.args(["--plain", "--no-legend", "--no-pager"]).output();
    answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Writes a file in `/run`.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
    fs::write(path, text)
}
