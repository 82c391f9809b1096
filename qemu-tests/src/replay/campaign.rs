//! Real machines, made by the built command, upgrade, roll back and collect under recording; all states of their boot
//! partition are judged, and a sample of them is really booted.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use super::image::{Base, Image};
use super::log::{Log, SECTOR};
use super::session::{Session, record};
use super::start::{SAYS_SO, start};
use super::states::Thorough;
use super::whole::{Boots, Turn, Verdicts, judge, rebuild};
use crate::cairn::{Cairn, repository};
use crate::disk::partitions;
use crate::judge::fat::Fat;
use crate::judge::grub::Platform;
use crate::machine::{Firmware, Setup};

/// A kind of machine.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in the report.
    pub name: &'static str,
    /// Its machine file, in `examples`.
    pub example: &'static str,
    /// What it boots with, in turns.
    pub firmware: &'static [Firmware],
    /// What it runs in while it is recorded.
    pub machine: fn(&Path) -> Setup,
}

/// systemd-boot, all of it emulated.
pub const SYSTEMD_BOOT: Kind =
    Kind { name: "systemd-boot", example: "hello", firmware: &[Firmware::Uefi], machine: Setup::new };
/// The same in user-mode Linux: another kernel writes, and another recorder than QEMU's writes down what.
pub const USER_MODE: Kind = Kind { name: "user-mode", machine: Setup::uml, ..SYSTEMD_BOOT };

/// The kinds that are tortured. GRUB's disk is hybrid: every state of it is judged for both firmwares, and one session is
/// with the one, the next with the other.
pub const KINDS: [Kind; 3] = [
    SYSTEMD_BOOT,
    Kind { name: "GRUB", example: "grub", firmware: &[Firmware::Uefi, Firmware::Bios], machine: Setup::new },
    USER_MODE,
];

/// What is done, boot after boot. A new generation has the kernel module that is named in its initrd, or else the initrd
/// of the one before.
pub const SESSIONS: [&[&str]; 6] = [
    &["edit 2 loop", "cairn upgrade", "cairn boot check"],
    // The second generation was on trial, and has booted well. Others come, one is chosen back, old ones go.
    &[
        "edit 3",
        "cairn upgrade",
        "cairn rollback 1",
        "edit 4 nbd",
        "cairn upgrade",
        "cairn gc --keep 1",
        "cairn boot check",
    ],
    // The fourth has booted well.
    &["cairn rollback", "edit 5", "cairn upgrade", "cairn gc --keep 2", "cairn boot check"],
    // Two upgrades before a start: the second takes the first one's place on trial. Then neither is wanted.
    &["edit 6 brd", "cairn upgrade", "edit 7", "cairn upgrade", "cairn rollback 5", "cairn boot check"],
    // What is old goes before something new comes, which is given up at once, and goes too.
    &["cairn gc --keep 1", "edit 8 zram", "cairn upgrade", "cairn rollback 5", "cairn gc --keep 1", "cairn boot check"],
    // A repair with nothing to repair; the same again, which is no new generation.
    &[
        "edit 9 null_blk",
        "cairn upgrade",
        "cairn boot repair",
        "cairn upgrade",
        "cairn gc --keep 2",
        "cairn boot check",
    ],
];

/// What no update does, and the judge must find: for a moment no generation's initrd is whole.
pub const SPOILS: &str = "write the initrds anew";

/// A command of a session as the machine's shell takes it.
fn shell(command: &str) -> String {
    if command == SPOILS {
        return "for file in /boot/cairn/*/*-initrd; do cp $file /tmp && cp /tmp/${file##*/} $file || exit; done"
            .into();
    }
    let Some(edit) = command.strip_prefix("edit ") else { return format!("{command} -q 2>&1") };
    let (n, module) = edit.split_once(' ').unwrap_or((edit, ""));
    let file = "/etc/cairn/machine.yaml";
    let name = format!("sed -i 's/^hostname: .*/hostname: stone-{n}/' {file}");
    match module {
        "" => name,
        module => {
            format!(
                "{name}; sed -i '/^kernel_modules:/d' {file}; echo 'kernel_modules: {{initrd: [{module}]}}' >>{file}"
            )
        }
    }
}

/// The machine's image, for writing to: the example, with a unit that says that it is up.
///
/// # Errors
/// When it cannot be built.
pub fn image(cairn: &Cairn, kind: &Kind, folder: &Path) -> Result<PathBuf> {
    let Kind { example, .. } = kind;
    let image = folder.join(format!("{example}.raw"));
    // An earlier run has made it, and it goes on from there.
    if image.exists() {
        return Ok(image);
    }
    std::fs::create_dir_all(folder)?;
    let examples = repository().join("examples");
    std::fs::copy(examples.join("hello.password"), folder.join("hello.password"))?;
    let mut text = std::fs::read_to_string(examples.join(format!("{example}.yaml")))?;
    match text.contains("  units:\n") {
        true => text = text.replace("  units:\n", &format!("  units:\n{SAYS_SO}")),
        false => text.push_str(&format!("services:\n  units:\n{SAYS_SO}")),
    }
    std::fs::write(folder.join(format!("{example}.yaml")), text)?;
    cairn.cmd(["build", "--format", "raw", "-q", &format!("{example}.yaml")]).dir(folder).ok()?;
    Ok(image)
}

/// The sectors of the boot partition.
fn range(image: &Path) -> Result<Range<u64>> {
    let found = partitions(image)?;
    let found = crate::disk::find(&found, crate::disk::ESP)?;
    Ok(found.start / SECTOR as u64..(found.start + found.size) / SECTOR as u64)
}

fn boots(kind: &Kind, image: &Path, range: &Range<u64>) -> Result<Boots> {
    if kind.example == "hello" {
        return Ok(Boots::SystemdBoot);
    }
    let image = Image::new(Base::read(image, range.clone())?, range.start, &Log::default());
    let fat = Fat::open(&image).map_err(anyhow::Error::msg)?;
    let mark = fat.list("cairn").into_iter().find(|node| node.folder).context("no folder of Cairn's")?.name;
    Ok(Boots::Grub(format!("/cairn/{mark}/grub"), vec![Platform::Uefi, Platform::Bios]))
}

/// What was recorded and judged of one boot.
#[derive(Debug)]
pub struct Judged {
    /// Its number, from 1.
    pub number: usize,
    /// What it was with, if with any.
    pub firmware: Option<Firmware>,
    /// What was recorded.
    pub session: Session,
    /// What was found.
    pub verdicts: Verdicts,
}

/// Records and judges these sessions on a machine of this kind, whose image is written to.
///
/// # Errors
/// When the machine does not do as it should, or its first state is bad.
pub fn torture(kind: &Kind, disk: &Path, sessions: &[&[&str]], how: Thorough, folder: &Path) -> Result<Vec<Judged>> {
    let range = range(disk)?;
    let boots = boots(kind, disk, &range)?;
    let mut all = Vec::new();
    for (number, commands) in (1..).zip(sessions) {
        let folder = folder.join(format!("session-{number}"));
        std::fs::create_dir_all(&folder)?;
        let commands: Vec<_> = commands.iter().map(|command| ((*command).to_string(), shell(command))).collect();
        let began = Instant::now();
        let firmware = kind.firmware[(number - 1) % kind.firmware.len()];
        let machine = (kind.machine)(disk).firmware(firmware);
        let session = match Session::kept(&folder)? {
            Some(session) => session,
            None => record(&machine, range.clone(), &commands, &folder)
                .with_context(|| format!("{}, session {number}", kind.name))?,
        };
        eprintln!("{}, session {number}: recorded in {} s", kind.name, began.elapsed().as_secs());
        let began = Instant::now();
        let verdicts = judge(&session, range.clone(), &boots, how)?;
        let (states, took) = (verdicts.count.states, began.elapsed().as_secs());
        eprintln!("{}, session {number}: {states} states in {took} s, bad: {:?}", kind.name, verdicts.bad);
        let firmware = machine.emulated().then_some(firmware);
        all.push(Judged { number, firmware, session, verdicts });
    }
    Ok(all)
}

/// A state to boot: which session, after how many entries of its log, and what is next to it.
type Place<'a> = (&'a Judged, u64, String);

/// A state that was booted.
#[derive(Debug)]
pub struct Booted {
    /// Which session it is of.
    pub session: usize,
    /// After so many entries of its log.
    pub at: u64,
    /// Where that is.
    pub what: String,
    /// What started it.
    pub firmware: Firmware,
    /// What came up, after how many seconds; or why nothing did.
    pub outcome: Result<(String, u64)>,
}

/// Boots `sample` states beside names that go, or, where there are fewer, beside other changes; those that came up in an earlier
/// run in this folder are not booted again.
///
/// # Errors
/// When a state cannot be rebuilt.
pub fn boot(kind: &Kind, all: &[Judged], sample: usize, folder: &Path) -> Result<Vec<Booted>> {
    let mut booted = Vec::new();
    let kept = folder.join("booted");
    let before = std::fs::read_to_string(&kept).unwrap_or_default();
    for (n, (judged, at, what)) in places(all, sample).into_iter().enumerate() {
        let disk = folder.join("state.raw");
        // One side of a change with the one firmware and the other with the other, each in turn.
        let firmware = kind.firmware[(n + n / 2) % kind.firmware.len()];
        let key = format!("{} {at} {firmware:?} ", judged.number);
        if let Some((seconds, name)) = before.lines().find_map(|line| line.strip_prefix(&key)?.split_once(' ')) {
            let outcome = Ok((name.to_string(), seconds.parse()?));
            booted.push(Booted { session: judged.number, at, what, firmware, outcome });
            continue;
        }
        let outcome = rebuild(&judged.session, at, &disk).and_then(|()| start(firmware, &disk));
        eprintln!("{}, session {}, entry {at} ({what}), {firmware:?}: {outcome:?}", kind.name, judged.number);
        if let Ok((name, seconds)) = &outcome {
            let mut kept = File::options().create(true).append(true).open(&kept)?;
            writeln!(kept, "{key}{seconds} {name}")?;
        }
        booted.push(Booted { session: judged.number, at, what, firmware, outcome });
    }
    Ok(booted)
}

/// States on both sides of deletions, spread over all of them; if those are fewer than `sample`, others beside other changes of names.
fn places(all: &[Judged], sample: usize) -> Vec<Place<'_>> {
    let turns = all.iter().flat_map(|judged| judged.verdicts.turns.iter().map(move |turn| (judged, turn)));
    let (gone, others): (Vec<_>, Vec<_>) = turns.partition(|(_, turn)| turn.gone);
    let mut places = spread(sides(gone), sample);
    let more = sample - places.len();
    places.extend(spread(sides(others), more));
    places
}

/// So many of them, from everywhere; all where there are no more.
fn spread<T>(all: Vec<T>, count: usize) -> Vec<T> {
    let total = all.len();
    let chosen = |n: usize| total <= count || n * count / total != (n + 1) * count / total;
    all.into_iter().enumerate().filter(|(n, _)| chosen(*n)).map(|(_, one)| one).collect()
}

fn sides<'a>(turns: Vec<(&'a Judged, &'a Turn)>) -> Vec<Place<'a>> {
    let sides = turns.into_iter().flat_map(|(judged, turn)| {
        [(judged, turn.before, format!("before {}", turn.what)), (judged, turn.after, format!("after {}", turn.what))]
    });
    sides.collect()
}
