//! A machine that is booted from its image and told what to do on its serial console, every write recorded.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::machine::{Firmware, Machine, Setup};

/// How long a machine may take to come up, and a command to be done, under emulation.
const PATIENCE: Duration = Duration::from_secs(400);

/// The account of the machines that are tortured; it may use sudo.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Its name.
    pub name: &'static str,
    /// Its password.
    pub password: &'static str,
}

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
pub fn record(
    firmware: Firmware,
    disk: &Path,
    account: Account,
    commands: &[(String, String)],
    folder: &Path,
) -> Result<Session> {
    let (before, log) = (folder.join(BEFORE), folder.join("log"));
    // What is there is from an attempt that did not come to its end.
    let (from, to) = if before.exists() { (before.as_path(), disk) } else { (disk, before.as_path()) };
    crate::Cmd::new("cp").args(["--reflink=auto", "--sparse=always"]).arg(from).arg(to).ok()?;
    File::create(&log)?;
    let machine = Setup::new(disk).firmware(firmware).recorded(&log).boot()?;
    let mut console = Console::open(machine, account)?;
    let mut done = Vec::new();
    console.settle()?;
    done.push(("boot".into(), entries(&log)?));
    for (name, command) in commands {
        console.run(command).with_context(|| format!("{name} on the machine"))?;
        console.settle()?;
        done.push((name.clone(), entries(&log)?));
    }
    console.off()?;
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

/// A shell on a machine's serial console.
#[derive(Debug)]
pub struct Console {
    machine: Machine,
    count: usize,
}

impl Console {
    /// Waits for the login prompt and logs in, as root in the end.
    pub fn open(mut machine: Machine, account: Account) -> Result<Console> {
        machine.wait_for("login: ", PATIENCE)?;
        machine.type_line(account.name)?;
        machine.wait_for("assword: ", PATIENCE)?;
        machine.type_line(account.password)?;
        machine.wait_for("$ ", PATIENCE)?;
        machine.type_line("sudo -s")?;
        machine.wait_for("assword for", PATIENCE)?;
        machine.wait_for(": ", PATIENCE)?;
        machine.type_line(account.password)?;
        machine.wait_for("# ", PATIENCE)?;
        let mut console = Console { machine, count: 0 };
        console.run(
            "stty -echo; bind 'set enable-bracketed-paste off' 2>/dev/null; dmesg -n 1; PS1='> '; unset PROMPT_COMMAND",
        )?;
        Ok(console)
    }

    /// Runs a command, which must end well, and gives what it said.
    pub fn run(&mut self, command: &str) -> Result<String> {
        let (code, said) = self.try_run(command)?;
        ensure!(code == 0, "it ended with {code} and said:\n{said}");
        Ok(said)
    }

    /// Runs a command and gives its exit code and what it said.
    pub fn try_run(&mut self, command: &str) -> Result<(i32, String)> {
        self.count += 1;
        // What is typed is not what is waited for, in case the terminal echoes.
        let (begin, end) = (format!("begin-{}:", self.count), format!("end-{}:", self.count));
        let line = format!("printf 'beg''in-{}:\\n'; {command}; printf 'en''d-{}:%s.\\n' $?", self.count, self.count);
        self.machine.type_line(&line)?;
        self.machine.wait_for(&begin, PATIENCE)?;
        self.machine.wait_for(&end, PATIENCE)?;
        self.machine.wait_for(".", Duration::from_secs(20))?;
        let said = self.machine.said.clone();
        let (said, code) = said.rsplit_once(&end).context("no end")?;
        let said = said.rsplit_once(&begin).map_or(said, |(_, said)| said).trim().to_string();
        let Ok(code) = code.split('.').next().unwrap_or_default().parse() else { bail!("no exit code in {code:?}") };
        Ok((code, said))
    }

    /// Waits until `cairn boot good` has run, if it is to run at all, and all is on the disk.
    pub fn settle(&mut self) -> Result<()> {
        self.run(
            "systemctl is-system-running --wait >/dev/null; \
             while systemctl list-jobs --no-legend | grep -q cairn-boot; do sleep 1; done; \
             sync; echo 3 >/proc/sys/vm/drop_caches; sync -d /boot; true",
        )?;
        Ok(())
    }

    /// Switches the machine off.
    pub fn off(mut self) -> Result<()> {
        self.machine.type_line("systemctl poweroff")?;
        self.machine.wait_for_end(PATIENCE)
    }
}
