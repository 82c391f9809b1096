//! A machine that is booted from its image and told what to do, every write recorded.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::guest::Guest;
use crate::machine::{Firmware, Setup};

/// Until `cairn boot good` has run, if it is to run at all, and all is on the disk.
const SETTLED: &str = "systemctl is-system-running --wait >/dev/null; \
                       while systemctl list-jobs --no-legend | grep -q cairn-boot; do sleep 1; done; \
                       sync; echo 3 >/proc/sys/vm/drop_caches; sync -d /boot";

/// A boot that was recorded.
#[derive(Debug, Clone)]
pub struct Session {
    /// The disk as it was before.
    pub before: PathBuf,
    /// The log.
    pub log: PathBuf,
    /// What was done, and how many entries the log had when that was over and on the disk.
    pub done: Vec<(String, u64)>,
}

impl Session {
    /// One that was recorded in this folder before, if it came to its end.
    ///
    /// # Errors
    /// When its list of what was done cannot be read.
    pub fn kept(folder: &Path) -> Result<Option<Session>> {
        let Ok(text) = std::fs::read_to_string(folder.join(DONE)) else { return Ok(None) };
        let line = |line: &str| {
            let (number, what) = line.split_once(' ').context("no number")?;
            Ok((what.to_string(), number.parse()?))
        };
        let done = text.lines().map(line).collect::<Result<_>>()?;
        Ok(Some(Session { before: folder.join(BEFORE), log: folder.join("log"), done }))
    }

    fn keep(&self, folder: &Path) -> Result<()> {
        let lines = self.done.iter().map(|(what, number)| format!("{number} {what}\n"));
        Ok(std::fs::write(folder.join(DONE), lines.collect::<String>())?)
    }
}

const BEFORE: &str = "before.raw";
const DONE: &str = "done";

/// Boots `disk`, which is written to, runs the commands (each with a name for the report) as root, and switches the
/// machine off.
///
/// # Errors
/// When the machine does not come up or a command fails.
pub fn record(firmware: Firmware, disk: &Path, commands: &[(String, String)], folder: &Path) -> Result<Session> {
    let (before, log) = (folder.join(BEFORE), folder.join("log"));
    // What is there is from an attempt that did not come to its end.
    let (from, to) = if before.exists() { (before.as_path(), disk) } else { (disk, before.as_path()) };
    crate::Cmd::new("cp").args(["--reflink=auto", "--sparse=always"]).arg(from).arg(to).ok()?;
    File::create(&log)?;
    let mut guest = Guest::start(&Setup::new(disk).firmware(firmware).recorded(&log))?;
    let mut done = Vec::new();
    guest.run(SETTLED)?;
    done.push(("boot".into(), entries(&log)?));
    for (name, command) in commands {
        if let Err(error) = guest.run(command) {
            let kernel = guest.run("dmesg | tail -n 30").unwrap_or_default();
            return Err(error.context(format!("{name} on the machine, whose kernel said at last:\n{kernel}")));
        }
        guest.run(SETTLED)?;
        done.push((name.clone(), entries(&log)?));
    }
    guest.power_off()?;
    done.push(("power off".into(), entries(&log)?));
    let session = Session { before, log, done };
    session.keep(folder)?;
    Ok(session)
}

/// How many entries a log has, as its superblock says; that is written at each flush.
fn entries(log: &Path) -> Result<u64> {
    let mut header = [0; 24];
    File::open(log)?.read_exact(&mut header).context("the log has no superblock yet")?;
    Ok(u64::from_le_bytes(header[16..24].try_into()?))
}
