//! Whatever was written is read back from the disk and compared: a disk that keeps other bytes, or cannot give them back, ends
//! the update, and no entry ever names what is bad.

use crate::common::changes::{CHANGES, start};
use crate::common::*;
use cairn_boot::*;

/// The update of a machine whose disk does this.
fn update(name: &str, change: fn(&mut Machine), stop: Stop) -> (Machine, Result<(), ApplyError>) {
    let mut machine = start(name);
    change(&mut machine);
    machine.volume.wholes = 0;
    machine.volume.read_back.set(0);
    machine.volume.stop = stop;
    let plan = machine.plan().unwrap();
    let mut target = Target { esp: Some(&mut machine.volume), boot: None };
    let result = apply(&plan, &mut target, &open, &mut |_| ());
    (machine, result)
}

/// How many files an update writes whole, and how many of them it reads back.
fn counts(name: &str, change: fn(&mut Machine)) -> (usize, usize) {
    let (machine, result) = update(name, change, Stop::Never);
    result.unwrap();
    (machine.volume.wholes, machine.volume.read_back.get())
}

#[test]
fn a_disk_that_keeps_other_bytes_ends_the_update() {
    let mut lies = 0;
    for (name, change, good) in CHANGES {
        for at in 1..=counts(name, change).0 {
            let (machine, result) = update(name, change, Stop::Lies(at));
            let bad = machine.volume.spoiled.first().unwrap();
            assert!(matches!(&result, Err(ApplyError::Differs { path }) if path == bad), "{name}, {at}: {result:?}");
            assert!(result.unwrap_err().touched());
            assert!(is_safe(&machine, good), "{name}, {at}: {:?}", machine.menu());
            let named = machine.volume.files.iter().filter(|(path, _)| path.ends_with(".conf") && path != &bad);
            let named = named.filter(|(_, text)| String::from_utf8_lossy(text).contains(&format!(" /{bad}\n")));
            assert_eq!(
                named.map(|(path, _)| path).collect::<Vec<_>>(),
                [""; 0],
                "{name}, {at}: {bad} is bad and named"
            );
            lies += 1;
        }
    }
    assert!(lies > CHANGES.len(), "no disk has lied");
}

#[test]
fn what_cannot_be_read_back_is_not_taken_for_good() {
    for (name, change, good) in CHANGES {
        let (_, count) = counts(name, change);
        for at in 1..=count {
            let (machine, result) = update(name, change, Stop::Blind(at));
            let error = result.expect_err(name);
            assert!(matches!(&error, ApplyError::Volume { doing: "reading back", .. }), "{name}, {at}: {error:?}");
            assert!(is_safe(&machine, good), "{name}, {at}: {:?}", machine.menu());
        }
    }
}

#[test]
fn what_is_overwritten_or_replaced_is_read_back_too() {
    let mut machine = start("");
    machine.program = artifact("loader-2", 9100);
    machine.boot.timeout = 9;
    let plan = machine.plan().unwrap();
    let steps = |wanted: fn(&Step) -> bool| plan.steps.iter().filter(|step| wanted(step)).count();
    let overwrites = steps(|step| matches!(step, Step::Overwrite { .. }));
    let replaces = steps(|step| matches!(step, Step::Replace { .. }));
    let creates = steps(|step| matches!(step, Step::Create { .. }));
    let copies = steps(|step| matches!(step, Step::Keep { .. }));
    assert!(overwrites > 0 && replaces > 0 && copies > 0, "{:?}", plan.steps);
    machine.volume.read_back.set(0);
    machine.update().unwrap();
    assert_eq!(machine.volume.read_back.get(), overwrites + replaces + creates + copies);
}

#[test]
fn an_interruption_of_the_source_is_not_blamed_for_what_the_partition_does() {
    let mut machine = start("");
    machine.add(generation(4, "k4", "i4"));
    let plan = machine.plan().unwrap();
    machine.volume.stop = Stop::Full(machine.volume.writes + 1);
    let mut target = Target { esp: Some(&mut machine.volume), boot: None };
    let error = apply(&plan, &mut target, &halting, &mut |_| ()).unwrap_err();
    assert!(matches!(error, ApplyError::Volume { doing: "writing", .. }), "{error:?}");
}

#[test]
fn a_copy_of_the_program_that_cannot_be_read_is_not_taken_for_missing() {
    let mut machine = start("");
    machine.program = artifact("loader-2", 9100);
    machine.update().unwrap();
    machine.program = artifact("loader-3", 9200);
    let plan = machine.plan().unwrap();
    let keep = plan.steps.iter().position(|step| matches!(step, Step::Keep { .. })).unwrap();
    let update = Update { steps: vec![plan.steps[keep].clone()], written: 0, healed: Vec::new() };
    // The program is opened, and then the copy of the one before.
    machine.volume.stop = Stop::Broken(machine.volume.calls.get() + 2);
    let mut target = Target { esp: Some(&mut machine.volume), boot: None };
    match apply(&update, &mut target, &open, &mut |_| ()).unwrap_err() {
        ApplyError::Volume { doing: "keeping a copy of", source, .. } => assert_eq!(source.raw_os_error(), Some(5)),
        other => panic!("{other:?}"),
    }
}
