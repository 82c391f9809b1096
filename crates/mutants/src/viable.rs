//! Weaving until the compiler takes it: what does not compile is left out.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::list::{self, Mutant};
use crate::spots::{Source, Spot};
use crate::switch;
use crate::weave::{Woven, weave};

/// What became of the list, beside the tree.
pub const WOVEN: &str = "woven.json";

/// A mutant with its number, and what the compiler has against it in the tree.
#[derive(Debug, Deserialize, Serialize)]
pub struct Numbered {
    pub number: usize,
    pub mutant: Mutant,
    /// It is not in the tree, for this reason.
    pub left_out: Option<String>,
}

/// Where nothing can be chosen at run time: the compiler's number for a call in a constant that is none.
const IN_A_CONSTANT: &str = "E0015";
/// The reason for those.
pub const CONSTANT: &str = "in a constant";

/// Weaves the mutants of a list into a tree, which is changed, and writes what came of each beside it.
pub fn weave_until_it_builds(list: &Path, tree: &Path, packages: &[String]) -> Result<()> {
    let mutants = list::read(list)?;
    let mut sources = BTreeMap::new();
    for mutant in &mutants {
        for file in [mutant.file.clone(), crate_root(&mutant.file)?] {
            if let Entry::Vacant(place) = sources.entry(file) {
                let file = tree.join(place.key());
                let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
                place.insert(Source::new(text).with_context(|| format!("parsing {}", file.display()))?);
            }
        }
    }
    let mut dropped = BTreeMap::new();
    for (number, mutant) in (1..).zip(&mutants) {
        if sources[&mutant.file].spot(number, mutant).with_context(|| mutant.name.clone())?.is_none() {
            dropped.insert(number, "has a `let`".to_string());
        }
    }
    loop {
        let woven = write(tree, &sources, &mutants, &dropped)?;
        let faults = check(tree, packages)?;
        if faults.is_empty() {
            break;
        }
        let before = dropped.len();
        for fault in &faults {
            let of_file = woven.get(&fault.file).with_context(|| format!("{}: {}", fault.file, fault.message))?;
            let found = culprits(of_file, fault.at);
            ensure!(!found.is_empty(), "{}:{}: no mutant is here: {}", fault.file, fault.line, fault.message);
            let reason = if fault.code == IN_A_CONSTANT { CONSTANT } else { &fault.message };
            for number in found {
                dropped.entry(number).or_insert_with(|| reason.to_string());
            }
        }
        eprintln!("{} errors, {} mutants left out", faults.len(), dropped.len());
        ensure!(dropped.len() > before, "the same errors again: {}", faults[0].message);
    }
    let all: Vec<Numbered> = (1..)
        .zip(mutants)
        .map(|(number, mutant)| Numbered { number, mutant, left_out: dropped.get(&number).cloned() })
        .collect();
    let path = tree.with_file_name(WOVEN);
    fs::write(&path, serde_json::to_vec_pretty(&all)?).with_context(|| format!("writing {}", path.display()))
}

fn crate_root(file: &str) -> Result<String> {
    let (package, _) = file.split_once("src/").with_context(|| format!("{file} is in no crate"))?;
    Ok(format!("{package}src/lib.rs"))
}

fn write(
    tree: &Path,
    sources: &BTreeMap<String, Source>,
    mutants: &[Mutant],
    dropped: &BTreeMap<usize, String>,
) -> Result<BTreeMap<String, Woven>> {
    let mut spots: BTreeMap<&str, Vec<(usize, Spot)>> = BTreeMap::new();
    for (number, mutant) in (1..).zip(mutants).filter(|(number, _)| !dropped.contains_key(number)) {
        if let Some(spot) = sources[&mutant.file].spot(number, mutant)? {
            spots.entry(&mutant.file).or_default().push((number, spot));
        }
    }
    let mut all = BTreeMap::new();
    for (file, source) in sources {
        let mut woven = weave(source.text(), spots.get(file.as_str()).map_or(&[], Vec::as_slice));
        if file.ends_with("src/lib.rs") {
            woven.text.push_str(&switch::module(mutants.len()));
        }
        let path = tree.join(file);
        if fs::read_to_string(&path)? != woven.text {
            fs::write(&path, &woven.text).with_context(|| format!("writing {file}"))?;
        }
        all.insert(file.clone(), woven);
    }
    Ok(all)
}

/// Whose text a place in a file is: the innermost one's. Where it is nobody's, the choice's around it; where there is none, it is
/// due to what came in last before it, for that is what another return has to agree with.
fn culprits(woven: &Woven, at: usize) -> Vec<usize> {
    let own = woven.places.iter().filter(|(_, place)| place.contains(&at)).min_by_key(|(_, place)| place.len());
    if let Some((number, _)) = own {
        return vec![*number];
    }
    let around = woven.choices.iter().filter(|(_, place)| place.contains(&at)).min_by_key(|(_, place)| place.len());
    match around {
        Some((numbers, _)) => numbers.clone(),
        None => woven.ends.range(..=at).next_back().map(|(_, numbers)| numbers.clone()).unwrap_or_default(),
    }
}

struct Fault {
    file: String,
    line: u64,
    at: usize,
    code: String,
    message: String,
}

/// What the compiler says against the tree.
fn check(tree: &Path, packages: &[String]) -> Result<Vec<Fault>> {
    let mut cargo = cargo(tree);
    cargo.args(["check", "--locked", "--keep-going", "--message-format=json"]);
    for package in packages {
        cargo.args(["-p", package]);
    }
    let output = cargo.stderr(Stdio::inherit()).output().context("running cargo check")?;
    let mut faults = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        if message["message"]["level"] != "error" {
            continue;
        }
        let spans = message["message"]["spans"].as_array().context("no spans")?;
        if let Some(span) = spans.iter().find(|span| span["is_primary"] == true) {
            faults.push(Fault {
                file: span["file_name"].as_str().unwrap_or_default().to_string(),
                line: span["line_start"].as_u64().unwrap_or_default(),
                at: span["byte_start"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or_default(),
                code: message["message"]["code"]["code"].as_str().unwrap_or_default().to_string(),
                message: message["message"]["message"].as_str().unwrap_or_default().to_string(),
            });
        }
    }
    if faults.is_empty() && !output.status.success() {
        bail!("cargo check failed without an error that has a place");
    }
    Ok(faults)
}

/// Cargo in the tree; what it only warns of is no matter there.
pub fn cargo(tree: &Path) -> Command {
    #[expect(clippy::disallowed_methods, reason = "no child of the product; cargo has the terminal")]
    let mut cargo = Command::new("cargo");
    cargo.current_dir(tree).env("RUSTFLAGS", "--cap-lints=allow").env("CARGO_INCREMENTAL", "0");
    cargo
}
