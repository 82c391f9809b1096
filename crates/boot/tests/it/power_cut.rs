//! The power goes before every single write of an update, every write meets a full partition, every call an I/O error: the
//! machine boots a generation that booted before, and another run completes the update.

use crate::common::changes::{CHAINS, CHANGES, OWN_KEYS, start};
use crate::common::programs::{OWN_GRUB, chain, starts};
use crate::common::*;
use cairn_boot::systemd_boot::{OWN, REMOVABLE};
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

/// Whatever the firmware starts, from its menu or by itself, is a loader that finds what it needs. `before` is the machine before the
/// change: of its programs each may be what an entry in the firmware's menu names.
fn firmware_starts(machine: &Machine, before: &Machine, when: &str) {
    let grub = machine.loader.as_ref().is_some_and(LoaderProgram::is_grub);
    starts(&machine.volume, REMOVABLE, grub).unwrap_or_else(|why| panic!("{when}: {why}"));
    let own = [OWN.to_string(), installation().shim_program(), installation().grub_program()];
    let empty = |volume: &Memory, path: &String| volume.files.get(path).is_none_or(Vec::is_empty);
    for path in own {
        // What is new may be empty, and what goes may be gone: the firmware goes on to what it finds by itself.
        if !empty(&machine.volume, &path) {
            starts(&machine.volume, &path, grub).unwrap_or_else(|why| panic!("{when}, /{path}: {why}"));
        } else {
            let has_shim = machine.volume.files.contains_key(&installation().shim_program());
            assert!(empty(&before.volume, &path) || !has_shim || path != OWN, "{when}: /{path} is gone");
        }
    }
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
    for (name, change, good) in CHANGES.into_iter().chain(CHAINS).chain(OWN_KEYS) {
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
            firmware_starts(&machine, &changed, &format!("{name}, {:?}", stop(at)));
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

/// GRUB's own program and the signed one read the same menu, and each needs something else to find it.
#[test]
fn grub_with_shim_and_without_boots_whenever_the_power_goes() {
    let own = || Some(LoaderProgram::Grub { efi: Some(OWN_GRUB.to_vec()) });
    let signed = |version| Some(chain(version, true));
    let changes = [(own(), signed(1)), (signed(1), signed(2)), (signed(1), own()), (signed(1), Some(chain(1, false)))];
    for (number, (from, to)) in changes.into_iter().enumerate() {
        for room in [None, Some(35_000)] {
            let mut before = Machine { loader: from.clone(), ..start("") };
            before.volume = Memory::new(10 << 20);
            before.update().unwrap();
            before.loader = to.clone();
            if let Some(room) = room {
                before.boot.generations = 1;
                before.volume.capacity = before.volume.used() + room;
            }
            forget(&mut before);
            let mut whole = before.clone();
            match whole.update() {
                // To shim there is more to write than comes free.
                Err(_) if room.is_some() && number == 0 => continue,
                done => done.unwrap(),
            };
            let (writes, calls) = (whole.volume.writes, whole.volume.calls.get());
            let cuts = (1..=writes).flat_map(|at| [Stop::Cut(at), Stop::Full(at)]);
            for stop in cuts.chain((1..=calls).flat_map(|at| [Stop::Broken(at), Stop::Dead(at), Stop::Torn(at)])) {
                let mut machine = before.clone();
                machine.volume.stop = stop;
                let _ = machine.update();
                let grub = to.as_ref().is_some_and(LoaderProgram::is_grub);
                let when = format!("change {number}, {room:?}, {stop:?}");
                if grub {
                    firmware_starts(&machine, &before, &when);
                } else {
                    let is_new = |volume: &Memory| {
                        volume.files.get(REMOVABLE_SECOND) == whole.volume.files.get(REMOVABLE_SECOND)
                    };
                    assert!(is_new(&machine.volume), "{when}: the same bytes stand for both signed loaders");
                }
                forget(&mut machine);
                machine.update().unwrap_or_else(|why| panic!("{when}, again: {why}"));
                let aside = |m: &Machine| {
                    let mut files = m.volume.files.clone();
                    files.retain(|path, _| !path.ends_with(".new") && !path.ends_with("/previous.efi"));
                    files
                };
                assert_eq!(aside(&machine), aside(&whole), "{when}: another run completes it");
            }
        }
    }
}
