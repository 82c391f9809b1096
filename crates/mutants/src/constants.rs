//! Mutants in constants, where nothing can be chosen at run time: cargo-mutants itself builds and tries them, one by one.

use std::collections::{BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::campaign::{VERDICTS, Verdict, VerdictKind, read, verdicts};
use crate::viable::{CONSTANT, Numbered, WOVEN};

/// What cargo-mutants writes down of its run.
#[derive(Deserialize)]
struct Outcomes {
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    scenario: Scenario,
    summary: String,
}

#[derive(Deserialize)]
enum Scenario {
    Baseline,
    Mutant { name: String },
}

/// Those that nobody has tried.
fn open(tree: &Path, folder: &Path) -> Result<Vec<Numbered>> {
    let known = verdicts(folder)?;
    let all: Vec<Numbered> = read(&tree.with_file_name(WOVEN))?;
    Ok(all
        .into_iter()
        .filter(|one| one.left_out.as_deref() == Some(CONSTANT) && !known.contains_key(&one.number))
        .collect())
}

/// Prints the arguments, one a line, with which cargo-mutants tries those that nobody has tried; nothing when there are none.
pub fn print(tree: &Path, folder: &Path) -> Result<()> {
    let open = open(tree, folder)?;
    if open.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = open.iter().map(|one| escaped(&one.mutant.name)).collect();
    println!("--re\n^({})$", names.join("|"));
    // Fields of structs are on its list whatever the expression says: the files keep these few.
    let files: BTreeSet<&str> = open.iter().map(|one| one.mutant.file.as_str()).collect();
    files.iter().for_each(|file| println!("-f\n{file}"));
    Ok(())
}

fn escaped(name: &str) -> String {
    // A backslash before `<` or `>` would ask for the edge of a word.
    let means = |c: char| r"\.+*?()|[]{}^$".contains(c);
    name.chars().flat_map(|c| means(c).then_some('\\').into_iter().chain([c])).collect()
}

/// Takes over what cargo-mutants has found.
pub fn take(tree: &Path, folder: &Path, outcomes: &Path) -> Result<()> {
    let found: Outcomes = read(outcomes)?;
    let found: HashMap<String, String> = found
        .outcomes
        .into_iter()
        .filter_map(|outcome| match outcome.scenario {
            Scenario::Mutant { name } => Some((name, outcome.summary)),
            Scenario::Baseline => None,
        })
        .collect();
    let mut out =
        OpenOptions::new().create(true).append(true).open(folder.join(VERDICTS)).context("opening verdicts")?;
    for Numbered { number, mutant, .. } in open(tree, folder)? {
        let kind = match found.get(&mutant.name).map(String::as_str) {
            Some("CaughtMutant") => VerdictKind::Caught,
            Some("MissedMutant") => VerdictKind::Survived,
            Some("Timeout") => VerdictKind::Late,
            Some("Unviable") => VerdictKind::DoesNotCompile,
            _ => continue,
        };
        let verdict = Verdict { number, kind, by: None, seconds: f64::MAX };
        let mut line = serde_json::to_vec(&verdict)?;
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}
