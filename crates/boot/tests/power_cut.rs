//! The power goes before every single write of an update, every write meets a full partition, every call an I/O error: the
//! machine boots a generation that booted before, and another run completes the update.

mod common;

use cairn_boot::*;
use common::*;

const ROOMY: u64 = 10 << 20;

/// A change to a machine, and the generations that had booted well before it.
type Change = (&'static str, fn(&mut Machine), &'static [u64]);

const CHANGES: [Change; 7] = [
    ("a new generation", |m| m.add(generation(4, "k4", "i4")), &[1, 2, 3]),
    ("a new generation with the same kernel", |m| m.add(generation(4, "k3", "i3")), &[1, 2, 3]),
    ("a trial that went well", |m| m.record.booted_well(4), &[1, 2, 3]),
    ("a choice of an older one", |m| m.record.want(1), &[1, 2, 3]),
    (
        "a lower limit",
        |m| {
            m.boot.generations = 1;
            m.booted = Some(3);
        },
        &[3],
    ),
    (
        "another loader, and other settings",
        |m| {
            m.program = artifact("loader-2", 9100);
            m.boot.timeout = 9;
        },
        &[1, 2, 3],
    ),
    (
        "a failed one that is tried again, and room only after something went",
        |m| {
            m.record.want(4);
            m.boot.generations = 2;
            m.volume.capacity = m.volume.used() + 20_000;
        },
        &[3],
    ),
];

/// Three good generations, and for some changes a fourth on trial.
fn start(change: &str) -> Machine {
    let mut machine = Machine::new(ROOMY);
    for number in 2..=3 {
        machine.add(generation(number, &format!("k{number}"), &format!("i{number}")));
        machine.record.booted_well(number);
    }
    machine.update().unwrap();
    if change.contains("trial") || change.contains("failed") {
        machine.add(generation(4, "k4", "i4"));
        machine.update().unwrap();
    }
    if change.contains("failed") {
        let name = machine.menu()[0].clone();
        let bytes = machine.volume.files.remove(&format!("loader/entries/{name}")).unwrap();
        machine.volume.files.insert(format!("loader/entries/{}", name.replace("+3", "+0-3")), bytes);
        machine.record.failed(4);
        machine.update().unwrap();
    }
    machine
}

/// The update as it goes when nothing happens, and how many writes and calls it makes.
fn undisturbed(name: &str, change: fn(&mut Machine)) -> (Machine, usize, usize) {
    let mut machine = start(name);
    change(&mut machine);
    machine.volume.writes = 0;
    machine.volume.calls.set(0);
    machine.update().unwrap_or_else(|e| panic!("{name}: {e}"));
    let (writes, calls) = (machine.volume.writes, machine.volume.calls.get());
    (machine, writes, calls)
}

fn forget(machine: &mut Machine) {
    machine.volume.stop = Stop::Never;
    machine.volume.writes = 0;
    machine.volume.calls.set(0);
    machine.volume.writes_to.clear();
}

fn disturbed(stop: impl Fn(usize) -> Stop, count: impl Fn(usize, usize) -> usize) {
    for (name, change, good) in CHANGES {
        let (mut whole, writes, calls) = undisturbed(name, change);
        forget(&mut whole);
        let count = count(writes, calls);
        assert!(count > 0, "{name} changes nothing");
        for at in 1..=count {
            let mut machine = start(name);
            change(&mut machine);
            forget(&mut machine);
            machine.volume.stop = stop(at);
            let _ = machine.update();
            assert!(is_safe(&machine, good), "{name}, {:?}: {:?}", stop(at), machine.menu());
            // What is booted by default is one of these, or something that is counted down and falls back to them.
            let first = EntryName::parse(installation(), &machine.menu()[0]).unwrap();
            let counted = first.counter.is_some_and(|c| c.left > 0);
            assert!(counted || is_whole(&machine, &first), "{name}, {:?}: {first}", stop(at));

            forget(&mut machine);
            machine.update().unwrap_or_else(|e| panic!("{name}, {:?}, again: {e}", stop(at)));
            forget(&mut machine);
            // What may be a second name of a file stays; and a program that was replaced before the cut is kept as the one before.
            let aside = |m: &Machine| {
                let mut files = m.volume.files.clone();
                files.retain(|path, _| !path.ends_with(".new") && !path.ends_with("/previous.efi"));
                files
            };
            assert_eq!(aside(&machine), aside(&whole), "{name}, {:?}: another run completes it", stop(at));
        }
    }
}

#[test]
fn a_power_cut_before_any_write_leaves_a_machine_that_boots() {
    disturbed(Stop::Cut, |writes, _| writes);
}

#[test]
fn a_partition_that_is_suddenly_full_leaves_a_machine_that_boots() {
    disturbed(Stop::Full, |writes, _| writes);
}

#[test]
fn an_io_error_in_any_call_leaves_a_machine_that_boots() {
    disturbed(Stop::Broken, |_, calls| calls);
}

#[test]
fn the_judge_of_these_tests_sees_what_is_broken() {
    let mut machine = start("");
    assert!(is_safe(&machine, &[1, 2, 3]));
    assert!(!is_safe(&machine, &[4]));
    machine.volume.files.retain(|path, _| !path.ends_with("-initrd"));
    assert!(!is_safe(&machine, &[1, 2, 3]));
    let mut machine = start("");
    for (_, bytes) in machine.volume.files.iter_mut().filter(|(path, _)| path.ends_with(".conf")) {
        bytes.truncate(60);
    }
    assert!(!is_safe(&machine, &[1, 2, 3]));
}
