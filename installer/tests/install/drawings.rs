//! Each disk of each probe, planned onto in each way: the drawing, or the refusal. `CAIRN_GOLDENS=write` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cairn_installer::disks::{Device, candidates};
use cairn_installer::install::{DiskIdentity, describe, judge};
use cairn_layout::onto::{AgainRoot, Mode, Wish, onto};
use cairn_layout::{Needs, identifiers};
use cairn_machine::model::{Disk, NamedLayout, Partition, PartitionKind};
use uuid::Uuid;

use crate::probe::Probe;

/// The seed of the machine's disk.
const SEED: Uuid = Uuid::from_u128(7);

/// A machine of 1 GiB with a boot partition of 300 MiB.
pub fn needs() -> Needs {
    Needs { esp: 300 << 20, root: 1 << 30, ..Needs::default() }
}

/// One with a home of its own.
fn with_home() -> Disk {
    let of = Partition::of_kind;
    Disk::of_partitions(vec![of(PartitionKind::Esp), of(PartitionKind::Root), of(PartitionKind::Home)])
}

/// The wishes that a probe is tried with: those that its text names, and always the same two.
fn wishes(text: &str) -> Vec<(String, Disk, Result<Wish, AgainRoot>)> {
    let free = Wish { mode: Mode::Free, ..Wish::default() };
    let uefi = || Disk::of_layout(NamedLayout::Uefi);
    let mut all = vec![
        ("the whole disk".to_string(), uefi(), Ok(Wish::default())),
        ("its free space".to_string(), uefi(), Ok(free)),
    ];
    for line in text.lines().filter_map(|line| line.strip_prefix("#: ")) {
        let mut wish = Wish { mode: Mode::Free, ..Wish::default() };
        let mut again = None;
        for word in line.split(' ') {
            let number = |text: &str| text.parse::<u32>().unwrap();
            match word.split_once(' ').unwrap_or((word, "")).0.split(['=', ':']).collect::<Vec<_>>()[..] {
                ["again"] => again = Some(AgainRoot::New),
                ["renew"] => again = Some(AgainRoot::Kept),
                ["whole"] => wish.mode = Mode::Whole,
                ["free"] => {}
                ["spare", n] => drop(wish.spare.insert(number(n))),
                ["keep", name, n] => drop(wish.keep.insert(name.into(), number(n))),
                ["replace", name, n] => drop(wish.replace.insert(name.into(), number(n))),
                _ => panic!("{word}?"),
            }
        }
        all.push((line.to_string(), with_home(), again.map_or(Ok(wish), Err)));
    }
    all
}

fn plan(probe: &Probe, disk: &Device, layout: &Disk, wish: Result<&Wish, AgainRoot>) -> Result<String, String> {
    DiskIdentity::of(disk).find(&probe.devices)?;
    let there = describe(&probe.devices, disk, probe.table(disk))?;
    let ids = identifiers(layout, SEED).unwrap();
    let again;
    let wish = match wish {
        Ok(wish) => wish,
        Err(root) => {
            again = Wish::again(&ids, &there, root).map_err(|e| e.to_string())?;
            &again
        }
    };
    let onto = onto(layout, SEED, &needs(), &there, wish).map_err(|e| e.to_string())?;
    let releases = judge(&probe.devices, disk, &onto).map_err(|e| e.to_string())?;
    let mut text = onto.to_string();
    for release in releases {
        let _ = writeln!(text, "taken apart first: {}", release.shown);
    }
    if let Some(what) = onto.lost_besides() {
        let _ = writeln!(text, "lost: {what}");
    }
    for loss in onto.losses() {
        let _ = writeln!(text, "lost: {} ({})", loss.number, loss.what);
    }
    Ok(text)
}

fn drawn(text: &str) -> String {
    let probe = Probe::parse(text);
    let mut all = String::new();
    for candidate in candidates(&probe.devices) {
        let _ = writeln!(all, "== {}", DiskIdentity::of(candidate.device));
        if let Some(obstacle) = &candidate.obstacle {
            let _ = writeln!(all, "no: {obstacle}\n");
            continue;
        }
        for (name, layout, wish) in wishes(text) {
            let _ = writeln!(all, "-- {name}");
            match plan(&probe, candidate.device, &layout, wish.as_ref().map_err(|root| *root)) {
                Ok(drawing) => all.push_str(&drawing),
                Err(why) => drop(writeln!(all, "no: {why}")),
            }
            all.push('\n');
        }
    }
    format!("{}\n", all.trim_end())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/install/probes")
}

#[test]
fn every_disk_of_every_probe_has_the_plan_that_it_had() {
    let mut names: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|it| it == "probe"));
    names.sort();
    assert!(names.len() >= 40, "{} probes", names.len());
    let mut wrong = Vec::new();
    for path in names {
        let drawn = drawn(&fs::read_to_string(&path).unwrap());
        let golden = path.with_extension("plan");
        if std::env::var_os("CAIRN_GOLDENS").is_some_and(|it| it == "write") {
            fs::write(&golden, &drawn).unwrap();
        } else if fs::read_to_string(&golden).ok().as_deref() != Some(&drawn) {
            wrong.push(format!("{}:\n{drawn}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}\nCAIRN_GOLDENS=write writes them anew; read the difference", wrong.join("\n"));
}
