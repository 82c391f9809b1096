//! Power cuts, the short form: one guest does each sequence of system calls on a disk of its own, every write is
//! recorded, and every state that a cut can leave is judged. Of the boot transaction's own sequences, states are mounted
//! again and the same is done once more. Then the same of a machine that upgrades itself. `scripts/torture` is the long form.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::replay::campaign::{self, Kind, SESSIONS, SPOILS, SYSTEMD_BOOT, USER_MODE};
use qemu_tests::replay::primitive::{Outcome, judge, report, script};
use qemu_tests::replay::record::{Kernel, Task, record};
use qemu_tests::replay::script::Hasty;
use qemu_tests::replay::states::Thorough;
use qemu_tests::replay::whole::Verdicts;
use qemu_tests::replay::{again, cases, primitive::Case, report};
use qemu_tests::{Cairn, Scenario};

const SEQUENCES: Scenario = Scenario {
    name: "every sequence that breaks is caught, and every one that a boot update is made of holds",
    needs: &["qemu-system-x86_64", "mmdebstrap", "mkfs.fat", "xz", "cp"],
    run: sequences,
};
const UPGRADE: Scenario = Scenario {
    name: "a real upgrade leaves a machine that boots, wherever the power goes",
    needs: &["qemu-system-x86_64", "mmdebstrap", "sfdisk", "cp"],
    run: upgrade,
};
const USER_MODE_UPGRADE: Scenario = Scenario {
    name: "an upgrade that its own kernel logs leaves a machine that boots, wherever the power goes",
    needs: &["linux.uml", "cc", "dmsetup", "losetup", "partx", "ldd", "cpio", "mmdebstrap", "sfdisk", "cp"],
    run: upgrade_in_user_mode,
};

/// States of each sequence that another run begins with: one guest takes those of all.
const AGAIN_STATES: usize = 20;

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    libtest_mimic::run(&arguments, vec![SEQUENCES.trial(), UPGRADE.trial(), USER_MODE_UPGRADE.trial()]).exit();
}

fn sequences(cairn: &Cairn) -> Result<()> {
    Hello::get(cairn)?;
    let kernel = Kernel::in_store(&cairn.cache().join("cairn/nix/store"))?;
    let folder = tempfile::tempdir()?;
    let name = |case: &Case, habit: Hasty| format!("{}.{:.1}", case.name, habit.to_string());
    let each = || cases::all().flat_map(|case| case.habits.iter().map(move |habit| (case, *habit)));
    let tasks: BTreeMap<String, Task> =
        each().map(|(case, habit)| (name(case, habit), script(case, habit).into())).collect();
    let mut recordings = record(&kernel, &tasks, folder.path())?;
    let how = Thorough { subsets: 200, seed: 3, torn: 16 };
    let mut bad: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut told, mut states) = (String::new(), 0);
    for (case, habit) in each() {
        let recording = recordings.get_mut(&name(case, habit)).context("not recorded")?;
        ensure!(recording.failed.is_none(), "{}: {:?}\n{}", case.name, recording.failed, recording.said);
        let outcome: Outcome = judge(case, recording, how)?;
        *bad.entry(case.name).or_default() += outcome.bad.0 + outcome.bad.1;
        states += outcome.count.states;
        write!(told, "{}", report(case, habit, &outcome))?;
    }
    println!("{told}{states} states");
    let mut runs = Vec::new();
    for run in cases::AGAIN {
        let case = cases::all().find(|case| case.name == run.case).context("no such case")?;
        let names: Vec<String> = case.habits.iter().map(|habit| name(case, *habit)).collect();
        let of_case = recordings.iter().filter(|(name, _)| names.contains(name)).map(|(_, recording)| recording);
        let found = again::states(of_case, how, AGAIN_STATES);
        runs.extend(found.into_iter().map(|(image, moment)| (run, image, moment)));
    }
    let worse = again::again(&kernel, &runs)?;
    println!("{} of {} states came to the right end by another run", runs.len() - worse.len(), runs.len());
    ensure!(worse.is_empty(), "another run does not come to the right end:\n{}", worse.join("\n"));
    for (list, breaks) in [(cases::BREAKS, true), (cases::HOLDS, false)] {
        for case in list {
            ensure!(
                (bad[case.name] > 0) == breaks,
                "{} ({}) was thought to behave otherwise:\n{told}",
                case.name,
                case.about
            );
        }
    }
    Ok(())
}

fn upgrade(cairn: &Cairn) -> Result<()> {
    let verdicts = session(cairn, &SYSTEMD_BOOT, SESSIONS[0])?;
    ensure!(verdicts.bad == (0, 0), "{:?}", verdicts.examples);
    Ok(())
}

/// Bad states there are too, made on purpose: a log that hides them would tell nothing of the upgrade.
fn upgrade_in_user_mode(cairn: &Cairn) -> Result<()> {
    let verdicts = session(cairn, &USER_MODE, &[SESSIONS[0], &[SPOILS]].concat())?;
    let during: Vec<&str> = verdicts.during.keys().map(String::as_str).collect();
    ensure!(during == [SPOILS], "bad during {:?}: {:?}", verdicts.during, verdicts.examples);
    Ok(())
}

/// Records and judges one session of a machine that nobody has changed.
fn session(cairn: &Cairn, kind: &Kind, commands: &[&str]) -> Result<Verdicts> {
    let folder = tempfile::Builder::new().prefix("replay-").tempdir_in(&cairn.work)?;
    let disk = folder.path().join("disk.raw");
    Hello::get(cairn)?.copy(&disk)?;
    let how = Thorough { subsets: 200, seed: 3, torn: 16 };
    let all = campaign::torture(kind, &disk, &[commands], how, folder.path())?;
    print!("{}{}{}", report::SESSIONS, report::sessions(kind, &all), report::examples(&all));
    let judged = all.into_iter().next().context("nothing was judged")?;
    ensure!(judged.verdicts.count.states > 2000, "{:?}: few states", judged.verdicts.count);
    Ok(judged.verdicts)
}
