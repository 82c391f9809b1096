//! All states that a machine's boot partition can be left in while it does what a session did, judged.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::image::{Base, Image};
use super::log::{Log, SECTOR};
use super::session::Session;
use super::states::{Count, Moment, Thorough, walk};
use crate::judge::fat::Fat;
use crate::judge::systemd_boot::Partitions;
use crate::judge::verdict::{Got, Known, get};
use crate::judge::volume::{Hash, Hashes, Survey, survey};
use crate::judge::{grub, systemd_boot};

/// How the machine boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boots {
    /// systemd-boot; everything is on the EFI system partition.
    SystemdBoot,
    /// GRUB: the folder of its menu, and with which firmware.
    Grub(String, Vec<grub::Platform>),
}

/// The program that UEFI starts.
const PROGRAM: &str = "EFI/BOOT/BOOTX64.EFI";

/// What came out.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// How many states.
    pub count: Count,
    /// How many are bad, in order and reordered.
    pub bad: (usize, usize),
    /// How many are bad while the firmware writes, before the system does: a loader that counts by renaming.
    pub firmware: usize,
    /// How many are bad, by what was being done.
    pub during: BTreeMap<String, usize>,
    /// The first bad ones, described.
    pub examples: Vec<String>,
    /// States in which two names own the same clusters; in which a name leads to free clusters; in which clusters are
    /// lost.
    pub untidy: (usize, usize, usize),
    /// Places where the names on the partition change.
    pub turns: Vec<Turn>,
    /// States in order in which something is untidy: after so many entries of the whole log, and what.
    pub odd: Vec<(u64, String)>,
    /// Entries of the log that touch the partition.
    pub requests: usize,
}

/// A place in the log where a name comes or goes.
#[derive(Debug, Clone)]
pub struct Turn {
    /// So many entries of the whole log had been done just before.
    pub before: u64,
    /// And just after.
    pub after: u64,
    /// The names that come (`+`), go (`-`), and get or lose contents (`~`).
    pub what: String,
    /// Whether a name goes.
    pub gone: bool,
}

/// What a state starts with, gathered at places where all was on the disk.
fn gather(known: &mut Known, image: &Image, boots: &Boots, hashes: &mut Hashes, first: bool) -> Result<Vec<Hash>> {
    let fat = Fat::open(image).map_err(anyhow::Error::msg)?;
    let starts: Vec<(bool, _)> = match boots {
        Boots::SystemdBoot => systemd_boot::starts(Partitions { esp: &fat, boot: None }, hashes),
        Boots::Grub(folder, platforms) => platforms
            .iter()
            .flat_map(|platform| grub::starts(&fat, folder, *platform, hashes))
            .map(|(_, start)| (start.options.split(' ').any(|word| word == "cairn.trial"), start))
            .collect(),
    };
    for (trial, start) in starts {
        let list = match (trial, first) {
            (true, _) => &mut known.trials,
            (false, true) => &mut known.booted,
            (false, false) => &mut known.good,
        };
        if !list.contains(&start) {
            list.push(start);
        }
    }
    Ok(match get(&fat, hashes, PROGRAM) {
        Got::Whole(hash) => vec![hash],
        _ => Vec::new(),
    })
}

/// Judges every state of a session from entry `from` of its log on.
///
/// # Errors
/// When the log or the disk cannot be read, or the first state is bad: then there is nothing to judge by.
pub fn judge(session: &Session, partition: Range<u64>, boots: &Boots, how: Thorough) -> Result<Verdicts> {
    let log = Log::read(&session.log, partition.clone())?;
    let first = Image::new(Base::read(&session.before, partition.clone())?, partition.start, &log);
    let mut hashes = Hashes::default();
    let mut known = Known::default();
    let mut programs = gather(&mut known, &first, boots, &mut hashes, true)?;
    ensure!(!known.booted.is_empty(), "there is nothing good to begin with");
    let mut image = first.clone();
    let mut at = 0;
    for (_, cut) in &session.done {
        while let Some(entry) = log.entries.get(at).filter(|entry| entry.number < *cut) {
            image.apply(entry, |_| true);
            at += 1;
        }
        programs.extend(gather(&mut known, &image, boots, &mut hashes, false)?);
    }
    let mut verdicts =
        Verdicts { requests: log.entries.iter().filter(|e| e.data.is_some()).count(), ..Verdicts::default() };
    verdicts.turns = turns(&log, first.clone());
    let mut told: HashMap<u64, Result<(), String>> = HashMap::new();
    let mut image = first;
    let mut show = |image: &Image, moment: &Moment| {
        let number = moment.cut.checked_sub(1).map_or(0, |n| log.entries[n].number + 1);
        let judged = Fat::open(image).and_then(|fat| {
            let survey = survey(&fat);
            if let Some(odd) = tidy(&survey, &mut verdicts.untidy).filter(|_| moment.lost.is_empty()) {
                verdicts.odd.push((number, odd));
            }
            // A loader sees names and contents only, and most states differ in what no name leads to.
            let told = told.entry(seen(&fat, &survey));
            told.or_insert_with(|| one(&fat, boots, &known, &programs, &mut hashes)).clone()
        });
        if let Err(why) = judged {
            let by_firmware = log.outside.is_none_or(|outside| number <= outside);
            let place = if by_firmware { "the firmware's write" } else { "" };
            match (by_firmware, moment.lost.is_empty()) {
                (true, _) => verdicts.firmware += 1,
                (false, true) => verdicts.bad.0 += 1,
                (false, false) => verdicts.bad.1 += 1,
            }
            let step = session.done.iter().find(|(_, far)| number <= *far).map_or("afterwards", |(what, _)| what);
            *verdicts.during.entry(step.to_string()).or_default() += 1;
            if verdicts.examples.len() < 20 {
                verdicts.examples.push(format!("{place} {why}: {moment}, {number} entries of the whole log"));
            }
        }
    };
    let count = walk(&log, &mut image, 0, how, &mut show);
    verdicts.count = count;
    Ok(verdicts)
}

/// Counts what is untidy, and tells the worst of it.
fn tidy(survey: &Survey, untidy: &mut (usize, usize, usize)) -> Option<String> {
    let shared = survey.shared.iter().find(|(a, b)| a != b);
    let flaw = survey.nodes.iter().find_map(|(path, (_, flaw))| Some((path, flaw.clone()?)));
    untidy.0 += usize::from(shared.is_some());
    untidy.1 += usize::from(flaw.is_some());
    untidy.2 += usize::from(survey.lost > 0);
    let shared = shared.map(|(a, b)| format!("{a} and {b} own the same clusters"));
    shared.or(flaw.map(|(path, flaw)| format!("{path}: {flaw}")))
}

/// A number that stands for all that can be seen of a volume by its names.
fn seen(fat: &Fat<'_>, survey: &Survey) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (path, (node, flaw)) in &survey.nodes {
        let contents = if node.folder { None } else { fat.contents_print(node).ok() };
        (path, node.folder, node.size, contents, flaw.as_ref().map(ToString::to_string)).hash(&mut hasher);
    }
    survey.shared.hash(&mut hasher);
    hasher.finish()
}

fn one(fat: &Fat<'_>, boots: &Boots, known: &Known, programs: &[Hash], hashes: &mut Hashes) -> Result<(), String> {
    let uefi = match boots {
        Boots::SystemdBoot => {
            systemd_boot::judge(Partitions { esp: fat, boot: None }, known, hashes)?;
            true
        }
        Boots::Grub(folder, platforms) => {
            platforms.iter().try_for_each(|platform| grub::judge(fat, folder, *platform, known, hashes))?;
            platforms.contains(&grub::Platform::Uefi)
        }
    };
    match get(fat, hashes, PROGRAM) {
        _ if !uefi => Ok(()),
        Got::Whole(hash) if programs.contains(&hash) => Ok(()),
        Got::Whole(_) => Err(format!("{PROGRAM} is neither the old one nor the new one")),
        Got::Missing => Err(format!("{PROGRAM} is missing")),
        Got::Damaged(why) => Err(format!("{PROGRAM}: {why}")),
    }
}

/// The places where names come and go, in order.
fn turns(log: &Log, mut image: Image) -> Vec<Turn> {
    let names = |image: &Image| -> BTreeMap<String, bool> {
        let Ok(fat) = Fat::open(image) else { return BTreeMap::new() };
        survey(&fat).nodes.into_iter().map(|(path, (node, _))| (path, node.size == 0)).collect()
    };
    let mut turns = Vec::new();
    let mut before = names(&image);
    for entry in log.entries.iter().filter(|entry| entry.data.is_some() || entry.discard) {
        image.apply(entry, |_| true);
        let after = names(&image);
        if after != before {
            let gone = before.iter().filter(|(path, _)| !after.contains_key(*path)).map(|(path, _)| format!("-{path}"));
            let come = after.iter().filter(|(path, _)| !before.contains_key(*path)).map(|(path, _)| format!("+{path}"));
            let filled = after.iter().filter(|(path, empty)| before.get(*path).is_some_and(|b| b != *empty));
            let filled = filled.map(|(path, _)| format!("~{path}"));
            let what = gone.chain(come).chain(filled).collect::<Vec<_>>().join(" ");
            let gone = before.keys().any(|path| !after.contains_key(path));
            turns.push(Turn { before: entry.number, after: entry.number + 1, what, gone });
            before = after;
        }
    }
    turns
}

/// Makes the whole disk as it was after so many entries of a session's log.
pub fn rebuild(session: &Session, entries: u64, to: &Path) -> Result<()> {
    crate::Cmd::new("cp").args(["--reflink=auto", "--sparse=always"]).arg(&session.before).arg(to).ok()?;
    let disk = File::options().write(true).open(to)?;
    let mut log = BufReader::with_capacity(1 << 20, File::open(&session.log)?);
    log.seek(SeekFrom::Start(SECTOR as u64))?;
    for n in 0..entries {
        let mut header = [0; SECTOR];
        log.read_exact(&mut header).with_context(|| format!("entry {n} of the log"))?;
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap_or_default());
        let (sector, sectors, flags) = (number(0), number(8), number(16));
        // What is discarded may stay as it was.
        if flags & 4 == 0 {
            let mut data = vec![0; sectors as usize * SECTOR];
            log.read_exact(&mut data)?;
            disk.write_all_at(&data, sector * SECTOR as u64)?;
        }
    }
    Ok(())
}
