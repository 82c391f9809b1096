//! Small sequences of system calls on a boot partition, and what a power cut can make of each.
//!
//! A case says what the partition holds at first, what is done, and what may be found afterwards. Each is recorded with
//! every habit that the kernel may have ([`Hasty`]), and every state is judged, file by file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::record::Recording;
use super::script::{Content, Hasty};
use super::states::{Count, Moment, Thorough, walk};
use crate::judge::fat::Fat;
use crate::judge::volume::{Hash, Hashes, Survey, survey};

/// A case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// A short name, for files.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// What the partition holds at first, besides what every one of them holds ([`SETUP`]).
    pub setup: &'static str,
    /// What is done.
    pub steps: &'static str,
    /// What must hold at every moment.
    pub rule: fn(&Seen) -> Result<(), String>,
    /// The kernel's habits that it is recorded with.
    pub habits: &'static [Hasty],
}

/// Every case begins with this: a good entry, its kernel and its initrd, which nobody touches.
pub const SETUP: &str = "\
mkdir loader\nmkdir loader/entries\nmkdir cairn\nmkdir cairn/m\n
create g loader/entries/good-1.conf @1:600\nfsync g\nclose g
create g cairn/m/k1-linux @2:20000\nfsync g\nclose g
create g cairn/m/k1-initrd @3:30000\nfsync g\nclose g\n";

/// What puts all that was done on the disk.
pub const BARRIER: &str = "syncfs\nfsyncdir .";

/// The names of the contents in scripts, by their seeds.
const CONTENTS: [(&str, Content); 10] = [
    ("good", Content::Random(1, 600)),
    ("kernel", Content::Random(2, 20_000)),
    ("initrd", Content::Random(3, 30_000)),
    ("old", Content::Random(10, 700)),
    ("new", Content::Random(11, 900)),
    ("old512", Content::Random(12, 512)),
    ("new512", Content::Random(13, 512)),
    ("old-big", Content::Random(14, 90_000)),
    ("new-big", Content::Random(15, 100_000)),
    ("wiped", Content::Random(16, 700)),
];

/// What one state holds: for each path what stands there.
#[derive(Debug)]
pub struct Seen {
    /// Paths (without a slash in front) and one of: a name of `CONTENTS`, `empty`, `folder`, `other` (contents that
    /// nobody wrote there), or what is wrong with it.
    pub files: BTreeMap<String, String>,
    /// Two paths that own the same clusters.
    pub shared: Option<(String, String)>,
    /// Whether the last step has returned.
    pub returned: bool,
}

impl Seen {
    /// What stands there; `absent` if nothing does.
    pub fn at(&self, path: &str) -> &str {
        self.files.get(path).map_or("absent", String::as_str)
    }

    /// No two names own the same clusters: whoever tidies up afterwards would give back those of the other.
    pub fn apart(&self) -> Result<(), String> {
        match &self.shared {
            Some((a, b)) if a != b => Err(format!("{a} and {b} own the same clusters")),
            _ => Ok(()),
        }
    }

    /// What stands there must be one of these, and one of those once the last step has returned.
    pub fn holds(&self, path: &str, during: &[&str], after: &[&str]) -> Result<(), String> {
        let (found, allowed) = (self.at(path), if self.returned { after } else { during });
        if allowed.contains(&found) {
            return Ok(());
        }
        Err(format!("{path} is {found}{}", if self.returned { ", after all had returned" } else { "" }))
    }
}

/// What came out of a case.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many states.
    pub count: Count,
    /// Bad states in order, and bad ones when the drive reorders.
    pub bad: (usize, usize),
    /// The first bad ones, described.
    pub examples: Vec<String>,
    /// What was found at each path that changed.
    pub found: BTreeMap<String, BTreeSet<String>>,
    /// States in which two names own the same clusters, and an example.
    pub shared: (usize, String),
    /// States in which clusters are lost; harmless.
    pub lost: usize,
}

/// The whole script of a case.
pub fn script(case: &Case, hasty: Hasty) -> String {
    let (setup, steps) = (case.setup, case.steps);
    format!(
        "{SETUP}{setup}\n{BARRIER}\nmark begin\nhasty {hasty}\n{steps}\nhasty never\nmark returned\nsyncfs\nmark end\n"
    )
}

/// Forgets what comes after a mark.
fn until(recording: &mut Recording, mark: &str) -> Result<()> {
    let end = recording.log.entries.iter().position(|e| e.mark.as_deref() == Some(mark));
    recording.log.entries.truncate(end.with_context(|| format!("no mark '{mark}'"))?);
    Ok(())
}

fn contents() -> BTreeMap<Hash, &'static str> {
    CONTENTS.iter().map(|(name, content)| (Sha256::digest(content.bytes()).into(), *name)).collect()
}

/// Judges all states of a recorded case.
pub fn judge(case: &Case, recording: &mut Recording, how: Thorough) -> Result<Outcome> {
    until(recording, "end")?;
    let known = contents();
    let mut outcome = Outcome::default();
    let mut hashes = Hashes::default();
    let mut image = recording.first.clone();
    let mut show = |image: &super::image::Image, moment: &Moment| {
        let seen = look(image, moment, &known, &mut hashes, &mut outcome);
        let verdict = seen.and_then(|seen| {
            ["loader/entries/good-1.conf", "cairn/m/k1-linux", "cairn/m/k1-initrd"]
                .iter()
                .zip(["good", "kernel", "initrd"])
                .try_for_each(|(path, what)| seen.holds(path, &[what], &[what]))?;
            (case.rule)(&seen)
        });
        if let Err(why) = verdict {
            *(if moment.lost.is_empty() { &mut outcome.bad.0 } else { &mut outcome.bad.1 }) += 1;
            if outcome.examples.len() < 3 {
                outcome.examples.push(format!("{why}: {moment}"));
            }
        }
    };
    outcome.count = walk(&recording.log, &mut image, 1, how, &mut show);
    Ok(outcome)
}

/// What one state holds.
///
/// # Errors
/// When it is no file system.
pub fn look_at(image: &super::image::Image, returned: bool) -> Result<Seen, String> {
    see(&survey(&Fat::open(image)?), &Fat::open(image)?, returned, &contents(), &mut Hashes::default())
}

fn see(
    survey: &Survey,
    fat: &Fat<'_>,
    returned: bool,
    known: &BTreeMap<Hash, &str>,
    hashes: &mut Hashes,
) -> Result<Seen, String> {
    let mut seen = Seen { files: BTreeMap::new(), shared: survey.shared.first().cloned(), returned };
    for (path, (node, flaw)) in &survey.nodes {
        let what = match (flaw, node.folder) {
            (Some(flaw), _) => flaw.to_string().split(" cluster").next().unwrap_or_default().to_string(),
            (None, true) => "folder".into(),
            (None, false) if node.size == 0 => "empty".into(),
            (None, false) => {
                let hash = hashes.of(fat, node).map_err(|flaw| flaw.to_string())?;
                known.get(&hash).map_or("other", |name| *name).to_string()
            }
        };
        seen.files.insert(path.trim_start_matches('/').to_string(), what);
    }
    Ok(seen)
}

fn look(
    image: &super::image::Image,
    moment: &Moment,
    known: &BTreeMap<Hash, &str>,
    hashes: &mut Hashes,
    outcome: &mut Outcome,
) -> Result<Seen, String> {
    let fat = Fat::open(image)?;
    let survey = survey(&fat);
    let seen = see(&survey, &fat, moment.phase >= 2, known, hashes)?;
    // A path that comes and goes has been absent.
    for path in seen.files.keys() {
        let first = outcome.count.distinct > 0 && !outcome.found.contains_key(path);
        let found = outcome.found.entry(path.clone()).or_default();
        if first {
            found.insert("absent".into());
        }
        found.insert(seen.at(path).to_string());
    }
    for (path, found) in &mut outcome.found {
        if !seen.files.contains_key(path) {
            found.insert("absent".into());
        }
    }
    outcome.count.distinct += 1;
    if let Some((a, b)) = survey.shared.first() {
        outcome.shared.0 += 1;
        if outcome.shared.1.is_empty() {
            outcome.shared.1 = format!("{a} and {b}");
        }
    }
    outcome.lost += usize::from(survey.lost > 0);
    Ok(seen)
}

/// The outcome in a few lines.
pub fn report(case: &Case, hasty: Hasty, outcome: &Outcome) -> String {
    let Outcome { count, bad, shared, lost, .. } = outcome;
    let mut text = format!(
        "{:16} kernel hasty with {hasty}: {} states ({} distinct, {} epochs), bad in order {}, bad reordered {}, shared {}, lost clusters {}\n",
        case.name, count.states, count.distinct, count.epochs, bad.0, bad.1, shared.0, lost
    );
    for (path, found) in outcome.found.iter().filter(|(_, found)| found.len() > 1) {
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let _ = writeln!(text, "    {path}: {}", found.join(", "));
    }
    for example in &outcome.examples {
        let _ = writeln!(text, "    BAD {example}");
    }
    if !shared.1.is_empty() {
        let _ = writeln!(text, "    shared: {}", shared.1);
    }
    text
}

/// What stands on a volume, by path, and what is shared; without what every case begins with.
pub fn files(image: &super::image::Image) -> Vec<String> {
    let Ok(fat) = Fat::open(image) else { return vec!["no volume".into()] };
    let survey = survey(&fat);
    let known = contents();
    let mut told: Vec<String> = Vec::new();
    for (path, (node, flaw)) in survey.nodes.iter().filter(|(_, (node, _))| !node.folder) {
        let what = match flaw {
            Some(flaw) => flaw.to_string(),
            None if node.size == 0 => "empty".into(),
            None => Hashes::default()
                .of(&fat, node)
                .map_or("?".into(), |hash| known.get(&hash).map_or("other", |name| *name).to_string()),
        };
        told.push(format!("{path}: {what}"));
    }
    told.extend(survey.shared.iter().map(|(a, b)| format!("shared: {a} {b}")));
    told
}
