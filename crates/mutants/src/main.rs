//! Do the tests notice a fault? `scripts/mutants` makes hundreds of them, one at a time, and this counts those that no test saw.
//!
//! Which faults, says `cargo mutants --list`: it is the tool that people know, and each of its mutants can be tried with it.
//! It builds each anew, though, and thousands of builds take days. So all of them are compiled in at once (`weave`), each
//! behind a number that an environment variable chooses; a first run finds out which test reaches which mutant, and each mutant
//! then meets only the tests that reach it, the quickest first, until one fails (`campaign`). In a constant nothing can be
//! chosen: those few are left to cargo-mutants (`constants`).

mod campaign;
mod constants;
mod list;
mod report;
mod spots;
mod suite;
mod switch;
mod viable;
mod weave;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

const USAGE: &str = "usage: mutants weave LIST TREE PACKAGE...
       mutants list TREE FOLDER
       mutants run TREE FOLDER JOBS SECONDS EQUIVALENT
       mutants constants TREE FOLDER
       mutants take TREE FOLDER OUTCOMES
       mutants report TREE FOLDER EQUIVALENT";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["weave", list, tree, ref packages @ ..] => {
            let packages: Vec<String> = packages.iter().map(ToString::to_string).collect();
            viable::weave_until_it_builds(Path::new(list), Path::new(tree), &packages)
        }
        ["list", tree, folder] => campaign::list(Path::new(tree), Path::new(folder)),
        ["run", tree, folder, jobs, seconds, equivalent] => campaign::run(
            Path::new(tree),
            &PathBuf::from(folder),
            jobs.parse().context("how many jobs")?,
            seconds.parse().context("how many seconds")?,
            Path::new(equivalent),
        ),
        ["constants", tree, folder] => constants::print(Path::new(tree), Path::new(folder)),
        ["take", tree, folder, outcomes] => constants::take(Path::new(tree), Path::new(folder), Path::new(outcomes)),
        ["report", tree, folder, equivalent] => {
            report::print(Path::new(tree), Path::new(folder), Path::new(equivalent))
        }
        _ => bail!("{USAGE}"),
    }
}
