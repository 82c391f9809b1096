//! How much room an update needs on the boot partition, and what it does when there is less.

use crate::common::*;
use cairn_boot::*;

const ROOMY: u64 = 10 << 20;

#[test]
fn the_copy_of_a_program_needs_its_own_room() {
    let needed = |size| {
        let mut machine = Machine::new(ROOMY);
        machine.program = artifact("loader", size);
        machine.update().unwrap();
        machine.program = artifact("loader-2", 9100);
        machine.volume.capacity = machine.volume.used();
        let Err(PlanError::Full(shortage)) = machine.plan() else { panic!("it fits without any room") };
        shortage.needed
    };
    assert_eq!(needed(10 * CLUSTER) - needed(CLUSTER), 9 * CLUSTER);
    assert_eq!(needed(10 * CLUSTER + 1) - needed(10 * CLUSTER), CLUSTER);
}

#[test]
fn a_full_partition_is_refused_before_anything_is_written_and_old_ones_make_room_first() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k2", "i2"));
    let used = machine.volume.used();
    machine.volume.capacity = used + 30_000;
    let before = machine.volume.files.clone();
    let Err(PlanError::Full(shortage)) = machine.plan() else { panic!("{:?}", machine.plan()) };
    assert!(shortage.missing > 0 && shortage.needed > shortage.free, "{shortage:?}");
    assert_eq!(machine.volume.files, before);

    // With an old generation that is kept for nothing, there is room.
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k2", "i2"));
    machine.record.booted_well(2);
    machine.update().unwrap();
    machine.volume.capacity = machine.volume.used() + 30_000;
    machine.boot.generations = 1;
    machine.add(generation(3, "k3", "i3"));
    let update = machine.update().unwrap();
    assert!(matches!(update.steps.first(), Some(Step::Remove { .. })), "{:?}", update.steps);
    let number = |name: &String| EntryName::parse(installation(), name).unwrap().number;
    assert_eq!(machine.menu().iter().map(number).collect::<Vec<_>>(), [3, 2]);
}

#[test]
fn a_full_partition_is_told_with_how_many_generations_it_would_do() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    for number in 2..=5 {
        machine.add(generation(number, &format!("k{number}"), &format!("i{number}")));
        machine.record.booted_well(number);
        machine.update().unwrap();
    }
    machine.add(generation(6, "k6", "i6"));
    // A generation takes 40 KiB in clusters, and its entry 4.
    machine.volume.capacity = machine.volume.used() + 10_000;
    let message = |machine: &Machine| machine.plan().unwrap_err().to_string();
    assert_eq!(
        message(&machine),
        "the boot partition has 9.8K free and 38.3K more would be needed for what is to be written (48K); it fits with \
         `boot.generations: 5` in the machine file, or after `cairn gc --keep 4`"
    );
    machine.boot.generations = 5;
    machine.update().unwrap();

    // Too small for one more, whatever goes.
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.add(generation(2, "k2", "i2"));
    machine.volume.capacity = machine.volume.used() + 10_000;
    let told = message(&machine);
    assert!(told.ends_with("for all of them boot what must stay: free 38.3K on it, or make it larger"), "{told}");
    // And while a generation is in doubt nothing goes.
    machine.add(generation(3, "k3", "i3"));
    machine.record.booted_well(3);
    machine.may_remove = false;
    assert!(message(&machine).contains("none can go"), "{}", message(&machine));
}

/// A machine whose partition has exactly the room that an update needs, and one cluster less.
fn fits_exactly(machine: &Machine) {
    let mut there = machine.clone();
    there.volume.capacity = machine.volume.used();
    let Err(PlanError::Full(shortage)) = there.plan() else { panic!("it fits without any room") };
    assert!(shortage.needed.is_multiple_of(CLUSTER) && shortage.free == 0);
    there.volume.capacity += shortage.needed;
    let before = there.volume.files.clone();
    there.plan().unwrap_or_else(|e| panic!("exactly enough is refused: {e}"));
    there.volume.capacity -= CLUSTER;
    assert!(matches!(there.plan(), Err(PlanError::Full(s)) if s.missing == CLUSTER), "less than enough is taken");
    assert_eq!(there.volume.files, before);
    // And it really is enough.
    there.volume.capacity += CLUSTER;
    there.update().unwrap();
}

#[test]
fn what_is_healed_or_copied_needs_room_too() {
    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    // A kernel that was cut off takes fewer clusters than the whole one.
    let kernel = machine.volume.files.keys().find(|path| path.ends_with("-linux")).unwrap().clone();
    machine.volume.files.get_mut(&kernel).unwrap().truncate(10);
    fits_exactly(&machine);

    let mut machine = Machine::new(ROOMY);
    machine.update().unwrap();
    machine.program = artifact("loader-2", 9100);
    fits_exactly(&machine);
    // The copy of the program before, 9000 bytes, and its name take room beside the two new programs.
    let mut full = machine.clone();
    full.volume.capacity = full.volume.used();
    let Err(PlanError::Full(shortage)) = full.plan() else { panic!() };
    // Each program has three clusters and its name one; the copy has three, its folder one, and there is a name in each of two.
    assert_eq!(shortage.needed, (2 * (3 + 1) + 3 + 3) * CLUSTER, "{shortage:?}");
}
