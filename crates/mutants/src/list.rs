//! The list that `cargo mutants --list --json` prints.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One mutant.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct Mutant {
    /// The crate that it is in.
    pub package: String,
    /// The file, from the workspace's folder.
    pub file: String,
    /// Its kind: `FnValue`, `BinaryOperator`.
    pub genre: String,
    /// What cargo-mutants calls it, with its place.
    pub name: String,
    /// What stands there instead.
    pub replacement: String,
    /// What is replaced.
    pub span: Span,
    /// What it is called here: its place counts from the function's beginning, so that a change elsewhere leaves it.
    #[serde(default)]
    pub key: String,
}

/// From a place to a place, both counted from 1, columns in characters.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
pub struct Span {
    /// The first character.
    pub start: Place,
    /// The one behind the last.
    pub end: Place,
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
}

/// Reads the list, in its order: a mutant's number is its place in it, from 1.
pub fn read(path: &Path) -> Result<Vec<Mutant>> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut mutants: Vec<Mutant> = serde_json::from_reader(file).context("reading the list of mutants")?;
    let mut seen: HashMap<String, usize> = HashMap::new();
    for mutant in &mut mutants {
        // `file:line:column: what` without the numbers; alike ones of a function are counted.
        let what = mutant.name.split_once(": ").map_or(&*mutant.name, |(_, what)| what);
        let key = format!("{}: {what}", mutant.file);
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        mutant.key = if *count == 1 { key } else { format!("{key} #{count}") };
    }
    Ok(mutants)
}
