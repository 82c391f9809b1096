//! A machine that is booted from its image and told what to do, every write recorded.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::image::{Base, Image};
use super::log::Log;
use crate::guest::Guest;
use crate::machine::{MARK, Setup};

/// Until `cairn boot good` has run, if it is to run at all, and all is on the disk.
const SETTLED: &str = "systemctl is-system-running --wait >/dev/null; \
                       while systemctl list-jobs --no-legend | grep -q cairn-boot; do sleep 1; done; \
                       sync; echo 3 >/proc/sys/vm/drop_caches; sync -d /boot";

/// The boot partition as the end of a machine leaves it, while there still is somebody to say in a log that all of it is there.
const LEFT: &str = "umount /boot && sync";

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

    /// Whether the log, replayed on the disk before, makes these sectors what they are on the disk after.
    fn tells_all(&self, after: &Path, partition: Range<u64>) -> Result<()> {
        let log = Log::read(&self.log, partition.clone())?;
        let mut image = Image::new(Base::read(&self.before, partition.clone())?, partition.start, &log);
        log.entries.iter().for_each(|entry| image.apply(entry, |_| true));
        let after = Image::new(Base::read(after, partition.clone())?, partition.start, &Log::default());
        let other = (0..image.sectors()).find(|n| image.sector(*n) != after.sector(*n));
        ensure!(other.is_none(), "sector {other:?} of the partition is not as the log says");
        Ok(())
    }

    fn keep(&self, folder: &Path) -> Result<()> {
        let lines = self.done.iter().map(|(what, number)| format!("{number} {what}\n"));
        Ok(std::fs::write(folder.join(DONE), lines.collect::<String>())?)
    }
}

const BEFORE: &str = "before.raw";
const DONE: &str = "done";

/// Boots this machine, whose disk is written to, runs the commands (each with a name for the report) as root, and switches
/// the machine off.
///
/// # Errors
/// When the machine does not come up or a command fails, or the log does not tell how `partition` came to what it is.
pub fn record(machine: &Setup, partition: Range<u64>, commands: &[(String, String)], folder: &Path) -> Result<Session> {
    let (before, log, disk) = (folder.join(BEFORE), folder.join("log"), machine.image());
    // What is there is from an attempt that did not come to its end.
    let (from, to) = if before.exists() { (before.as_path(), disk) } else { (disk, before.as_path()) };
    crate::Cmd::new("cp").args(["--reflink=auto", "--sparse=always"]).arg(from).arg(to).ok()?;
    File::create(&log)?;
    let mut guest = Guest::start(&machine.clone().recorded(&log))?;
    let mut done = Vec::new();
    guest.run(SETTLED)?;
    done.push(("boot".into(), far(&mut guest, machine, 0, &log)?));
    for (name, command) in commands {
        if let Err(error) = guest.run(command) {
            let kernel = guest.run("dmesg | tail -n 30").unwrap_or_default();
            return Err(error.context(format!("{name} on the machine, whose kernel said at last:\n{kernel}")));
        }
        guest.run(SETTLED)?;
        done.push((name.clone(), far(&mut guest, machine, done.len(), &log)?));
    }
    if machine.emulated() {
        guest.power_off()?;
        done.push(("power off".into(), entries(&log)?));
    } else {
        guest.run(LEFT)?;
        done.push(("power off".into(), far(&mut guest, machine, done.len(), &log)?));
        guest.power_off()?;
        marked(&log, &mut done)?;
    }
    let session = Session { before, log, done };
    session.tells_all(disk, partition)?;
    session.keep(folder)?;
    Ok(session)
}

/// How far the log is. A recorder in the guest is behind, and can be asked at the end only: it gets a mark with this number.
fn far(guest: &mut Guest, machine: &Setup, number: usize, log: &Path) -> Result<u64> {
    if machine.emulated() {
        return entries(log);
    }
    guest.run(&format!("{MARK} {number}"))?;
    Ok(0)
}

/// Looks for the places in a log whose marks are their numbers. One that is missing says that the recorder gave up.
fn marked(log: &Path, done: &mut [(String, u64)]) -> Result<()> {
    let log = Log::read(log, 0..0)?;
    for (n, (name, far)) in done.iter_mut().enumerate() {
        let mark = n.to_string();
        let place = log.marks().find(|(word, _)| *word == mark);
        *far = place.with_context(|| format!("the log does not say where '{name}' was over"))?.1;
    }
    Ok(())
}

/// How many entries QEMU's log has, as its superblock says; that is written at each flush.
fn entries(log: &Path) -> Result<u64> {
    let mut header = [0; 24];
    File::open(log)?.read_exact(&mut header).context("the log has no superblock yet")?;
    Ok(u64::from_le_bytes(header[16..24].try_into()?))
}
