//! The figures, crate by crate, and what no test noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::campaign::{VerdictKind, read, verdicts};
use crate::viable::{CONSTANT, Numbered, WOVEN};

#[derive(Default)]
struct Row {
    all: usize,
    does_not_compile: usize,
    in_constants: usize,
    equivalent: usize,
    caught: usize,
    late: usize,
    survived: usize,
    unreached: usize,
    untried: usize,
}

/// The names of those that change nothing that anybody could see.
pub fn equivalent(list: &Path) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string(list).with_context(|| format!("reading {}", list.display()))?;
    let names = text.lines().filter(|line| !line.starts_with([' ', '#']) && !line.is_empty());
    Ok(names.map(str::to_string).collect())
}

/// Prints the table, and the list of what survived.
pub fn print(tree: &Path, folder: &Path, equivalent: &Path) -> Result<()> {
    let equivalent = self::equivalent(equivalent)?;
    let all: Vec<Numbered> = read(&tree.with_file_name(WOVEN))?;
    let verdicts = verdicts(folder)?;
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let (mut open, mut wrong) = (Vec::new(), Vec::new());
    for Numbered { number, left_out, mutant } in &all {
        let row = rows.entry(&mutant.package).or_default();
        row.all += 1;
        let verdict = verdicts.get(number).map(|verdict| verdict.kind);
        let in_constant = left_out.as_deref() == Some(CONSTANT);
        if left_out.is_some() && !in_constant || verdict == Some(VerdictKind::DoesNotCompile) {
            row.does_not_compile += 1;
            continue;
        }
        row.in_constants += usize::from(in_constant);
        let judged = equivalent.contains(&mutant.key);
        match verdict {
            Some(VerdictKind::Caught) if judged => wrong.push(&mutant.key),
            Some(VerdictKind::Caught) => row.caught += 1,
            Some(VerdictKind::Late) => row.late += 1,
            _ if judged => row.equivalent += 1,
            Some(VerdictKind::Unreached) => {
                row.unreached += 1;
                open.push(format!("{} (no test reaches it)", mutant.key));
            }
            Some(VerdictKind::Survived) => {
                row.survived += 1;
                open.push(mutant.key.clone());
            }
            None | Some(VerdictKind::DoesNotCompile) => {
                row.untried += 1;
                open.push(format!("{} (not tried)", mutant.key));
            }
        }
    }
    println!(
        "| crate | mutants | do not compile | by cargo-mutants itself | equivalent | caught | endless | survived | reached by no test | not tried | caught of those that are not equivalent |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (name, row) in &rows {
        let caught = row.caught + row.late;
        let of = caught + row.survived + row.unreached + row.untried;
        let percent = if of == 0 { 0.0 } else { 100.0 * caught as f64 / of as f64 };
        let Row { all, does_not_compile, in_constants, equivalent, caught, late, survived, unreached, untried } = row;
        println!(
            "| {name} | {all} | {does_not_compile} | {in_constants} | {equivalent} | {caught} | {late} | {survived} | {unreached} | {untried} | \
             {percent:.1} % |"
        );
    }
    println!("\nWhat no test noticed:\n");
    open.iter().for_each(|line| println!("- `{line}`"));
    ensure!(wrong.is_empty(), "not equivalent, a test fails: {wrong:#?}");
    Ok(())
}
