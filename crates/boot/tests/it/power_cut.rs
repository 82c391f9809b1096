//! The power goes before every single write of an update, every write meets a full partition, every call an I/O error: the
//! machine boots a generation that booted before, and another run completes the update.

use crate::common::changes::{CHANGES, start};
use crate::common::*;
use cairn_boot::*;

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
    machine.volume.wholes = 0;
    machine.volume.read_back.set(0);
    machine.volume.barriers = 0;
}

fn disturbed(stop: impl Fn(usize) -> Stop, count: impl Fn(usize, usize) -> usize) {
    for (name, change, good) in CHANGES {
        let (mut whole, writes, calls) = undisturbed(name, change);
        forget(&mut whole);
        let count = count(writes, calls);
        assert!(count > 0, "{name} changes nothing");
        let mut changed = start(name);
        change(&mut changed);
        forget(&mut changed);
        for at in 1..=count {
            let mut machine = changed.clone();
            machine.volume.stop = stop(at);
            let _ = machine.update();
            assert!(is_safe(&machine, good), "{name}, {:?}: {:?}", stop(at), machine.menu());
            assert_eq!(broken_entries(&machine), [""; 0], "{name}, {:?}: every entry that is shown starts", stop(at));
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
fn a_disk_that_is_dead_from_any_call_on_leaves_a_machine_that_boots() {
    disturbed(Stop::Dead, |_, calls| calls);
}

#[test]
fn a_file_that_cannot_be_read_to_its_end_leaves_a_machine_that_boots() {
    disturbed(Stop::Torn, |_, calls| calls);
}

#[test]
fn the_judge_of_these_tests_sees_what_is_broken() {
    let mut machine = start("");
    assert!(is_safe(&machine, &[1, 2, 3]));
    assert!(!is_safe(&machine, &[4]));
    assert_eq!(broken_entries(&machine), [""; 0]);
    machine.volume.files.retain(|path, _| !path.ends_with("-initrd"));
    assert!(!is_safe(&machine, &[1, 2, 3]));
    assert_eq!(broken_entries(&machine).len(), 3);
    let mut machine = start("");
    for (_, bytes) in machine.volume.files.iter_mut().filter(|(path, _)| path.ends_with(".conf")) {
        bytes.truncate(60);
    }
    assert!(!is_safe(&machine, &[1, 2, 3]));
}
