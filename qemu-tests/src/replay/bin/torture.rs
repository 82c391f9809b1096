//! The long forms of the power cut tests; `scripts/torture` calls it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use qemu_tests::Cairn;
use qemu_tests::replay::campaign::{self, Judged, KINDS, Kind, SESSIONS};
use qemu_tests::replay::record::{Kernel, Task, record};
use qemu_tests::replay::report::Figures;
use qemu_tests::replay::script::Hasty;
use qemu_tests::replay::states::{Thorough, walk};
use qemu_tests::replay::{cases, primitive, report};

const USAGE: &str = "usage: torture sequences STORE [CASE...] | machines FOLDER SAMPLE [KIND...] | page FOLDER | requests STORE CASE HABIT | \
aftermath STORE CASE HABIT STEP...";

/// The file of a kind's figures, in its folder.
const FIGURES: &str = "figures.json";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["sequences", store, ref names @ ..] => sequences(Path::new(store), names),
        ["machines", folder, sample, ref names @ ..] => machines(Path::new(folder), sample.parse()?, names),
        ["page", folder] => page(Path::new(folder)),
        ["requests", store, case, hasty] => requests(Path::new(store), case, hasty),
        ["aftermath", store, case, hasty, ref lines @ ..] => {
            aftermath(Path::new(store), case, hasty, &lines.join("\n"))
        }
        _ => bail!(USAGE),
    }
}

/// Records and judges the sequences of system calls; prints their table.
fn sequences(store: &Path, names: &[&str]) -> Result<()> {
    let kernel = Kernel::in_store(store)?;
    let all = cases::all().filter(|case| names.is_empty() || names.contains(&case.name));
    let all: Vec<_> = all.flat_map(|case| case.habits.iter().map(move |habit| (case, *habit))).collect();
    let name = |case: &primitive::Case, hasty: Hasty| format!("{}.{:.1}", case.name, hasty.to_string());
    println!("## Sequences of system calls\n\n{}", report::SEQUENCES.trim_end());
    for some in all.chunks(60) {
        let folder = tempfile::tempdir()?;
        let tasks: BTreeMap<String, Task> =
            some.iter().map(|(case, hasty)| (name(case, *hasty), primitive::script(case, *hasty).into())).collect();
        let mut recordings = record(&kernel, &tasks, folder.path())?;
        for (case, hasty) in some {
            let recording = recordings.get_mut(&name(case, *hasty)).context("not recorded")?;
            let how = Thorough { subsets: 400, seed: 3, torn: 16 };
            let outcome = primitive::judge(case, recording, how)?;
            print!("{}", report::sequence(case, *hasty, &outcome));
            eprint!("{}", primitive::report(case, *hasty, &outcome));
        }
    }
    Ok(())
}

/// Records, judges and boots whole machines; their figures stay in their folders.
fn machines(folder: &Path, sample: usize, names: &[&str]) -> Result<()> {
    let cairn = Cairn::find()?;
    // Every request may be cut between any two of its sectors.
    let how = Thorough { subsets: 200, seed: 3, torn: u64::MAX };
    let mut well = true;
    for kind in kinds(names)? {
        let folder = folder.join(kind.name);
        let disk = campaign::image(&cairn, kind, &folder)?;
        let all = campaign::torture(kind, &disk, &SESSIONS, how, &folder)?;
        let (sessions, bad) = (report::sessions(kind, &all), report::examples(&all));
        eprintln!("{sessions}{bad}");
        well &= all.iter().all(|Judged { verdicts, .. }| verdicts.bad == (0, 0));
        let states = all.iter().map(|Judged { verdicts, .. }| verdicts.count.states as u64).sum();
        let booted = campaign::boot(kind, &all, sample, &folder)?;
        well &= booted.iter().all(|state| state.outcome.is_ok());
        Figures { states, sessions, bad, boots: report::boots(kind, &booted) }.write(&folder.join(FIGURES))?;
    }
    ensure!(well, "not all is well");
    Ok(())
}

fn kinds(names: &[&str]) -> Result<Vec<&'static Kind>> {
    let unknown = names.iter().find(|name| !KINDS.iter().any(|kind| kind.name == **name));
    ensure!(unknown.is_none(), "there is no kind of machine {unknown:?}");
    Ok(KINDS.iter().filter(|kind| names.is_empty() || names.contains(&kind.name)).collect())
}

/// Prints the tables of all kinds of machines, out of what [`machines`] has left.
fn page(folder: &Path) -> Result<()> {
    let figures = KINDS.iter().map(|kind| Figures::read(&folder.join(kind.name).join(FIGURES)));
    print!("{}", Figures::page(&figures.collect::<Result<Vec<_>>>()?));
    Ok(())
}

/// Every state of a case is mounted again and these steps are run on it; tells what comes of it.
fn aftermath(store: &Path, name: &str, hasty: &str, steps: &str) -> Result<()> {
    let kernel = Kernel::in_store(store)?;
    let case = cases::all().find(|case| case.name == name).context("no such case")?;
    let hasty = if hasty == "never" { Hasty::Never } else { Hasty::Metadata };
    let folder = tempfile::tempdir()?;
    let first: BTreeMap<String, Task> = [("a".into(), primitive::script(case, hasty).into())].into();
    let mut recording = record(&kernel, &first, folder.path())?.remove("a").context("not recorded")?;
    let end = recording.log.entries.iter().position(|e| e.mark.as_deref() == Some("end")).context("no end")?;
    recording.log.entries.truncate(end);
    let mut tasks = BTreeMap::new();
    let mut told = BTreeMap::new();
    let mut image = recording.first.clone();
    let how = Thorough { subsets: 400, seed: 3, torn: 16 };
    walk(&recording.log, &mut image, 1, how, &mut |image, moment| {
        let n = format!("s{:03}", tasks.len());
        told.insert(n.clone(), (primitive::files(image), moment.to_string()));
        tasks.insert(n, Task { script: format!("{steps}\nmark end\n"), disk: Some(image.clone()) });
    });
    let tasks: Vec<_> = tasks.into_iter().collect();
    for some in tasks.chunks(100) {
        let folder = tempfile::tempdir()?;
        for (n, recording) in record(&kernel, &some.iter().cloned().collect(), folder.path())? {
            let (files, moment) = &told[&n];
            let mut last = recording.first.clone();
            recording.log.entries.iter().for_each(|entry| last.apply(entry, |_| true));
            let said: Vec<&str> = recording.said.lines().filter(|line| line.contains("FAT-fs")).collect();
            println!("{n} {moment}\n  before {files:?}\n  after  {:?}", primitive::files(&last));
            println!("  {} {said:?}", recording.failed.as_deref().unwrap_or("went well"));
        }
    }
    Ok(())
}

/// Prints a case's requests.
fn requests(store: &Path, name: &str, hasty: &str) -> Result<()> {
    let kernel = Kernel::in_store(store)?;
    let case = cases::all().find(|case| case.name == name).context("no such case")?;
    let hasty = if hasty == "never" { Hasty::Never } else { Hasty::Metadata };
    let folder = tempfile::tempdir()?;
    let script = primitive::script(case, hasty);
    let mut n = 0;
    let script: Vec<String> = script
        .lines()
        .flat_map(|line| {
            n += 1;
            [line.to_string(), format!("mark {n}:{}", line.replace(' ', "_").split("_@").next().unwrap_or_default())]
        })
        .collect();
    let first: BTreeMap<String, Task> = [("a".into(), script.join("\n").into())].into();
    let recording = record(&kernel, &first, folder.path())?.remove("a").context("not recorded")?;
    for (n, entry) in recording.log.entries.iter().enumerate() {
        match &entry.mark {
            Some(mark) => println!("{n:4} {mark}"),
            None if entry.flush => println!("{n:4}        flush"),
            None => println!("{n:4}        write {} +{}", entry.sector, entry.sectors),
        }
    }
    Ok(())
}
