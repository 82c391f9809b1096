//! The links of generations and the power: whatever a cut leaves, one generation is current, each link is whole or not there,
//! and no number comes again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::cut::{self, State, in_memory};
use crate::common::{add_system, child_root, skip};
use cairn_store::{Generations, Store, StorePath, profile};

/// The machine's disk, and beside it what the child has got done.
fn machine(dir: &Path) -> PathBuf {
    dir.join("machine")
}

/// Three generations, the first of which is current, and a system that has none.
fn prepare() -> tempfile::TempDir {
    let dir = in_memory();
    fs::create_dir(dir.path().join("done")).unwrap();
    let root = machine(dir.path());
    let store = Store::open(&root).unwrap();
    let generations = Generations::at(&root);
    for number in 1..=3 {
        generations.add(&add_system(&store, number, &[]).path, 1, 0).unwrap();
    }
    generations.switch(1).unwrap();
    add_system(&store, 4, &[]);
    dir
}

fn system(number: u32) -> StorePath {
    let none: [StorePath; 0] = [];
    Store::input_addressed_path("system", format!("{number} {none:?}").as_bytes()).unwrap()
}

#[test]
#[ignore = "run by another test, to lose its power"]
fn child_that_changes_generations() {
    let Some(dir) = child_root() else { return };
    let generations = Generations::at(&machine(&dir));
    let done = |step: &str| drop(fs::File::create(dir.join("done").join(step)).unwrap());
    assert_eq!(generations.add(&system(4), 1, 0).unwrap(), 4);
    done("1");
    generations.switch(4).unwrap();
    done("2");
    generations.switch(2).unwrap();
    done("3");
    generations.remove(4).unwrap();
    done("4");
}

/// What must hold after so many steps, whatever was under way.
fn judge(root: &Path, steps: usize) {
    let generations = Generations::at(root);
    let current = generations.current().unwrap();
    let allowed: &[u64] = [&[1][..], &[1, 4], &[4, 2], &[2], &[2]][steps];
    assert!(current.is_some_and(|n| allowed.contains(&n)), "{current:?} after {steps} steps");
    let there: Vec<u64> = generations.list().unwrap().iter().filter(|g| g.exists).map(|g| g.number).collect();
    let expected: &[&[u64]] = match steps {
        0 | 3 => &[&[1, 2, 3], &[1, 2, 3, 4]],
        4 => &[&[1, 2, 3]],
        _ => &[&[1, 2, 3, 4]],
    };
    assert!(expected.contains(&there.as_slice()), "{there:?} after {steps} steps");
    assert!(there.contains(&current.unwrap()), "{current:?} is not there");
    for name in crate::common::names(root.join(profile::PROFILES_DIR)) {
        let meta = root.join(profile::PROFILES_DIR).join(&name).symlink_metadata().unwrap();
        assert!(meta.is_symlink() || !name.starts_with("system") || name.ends_with(".lock"), "{name}");
    }
    let next = generations.next_number(0).unwrap();
    assert!(next >= if steps == 0 { 4 } else { 5 }, "number {next} after {steps} steps");
    // Another try gets on.
    let new = generations.add(&system(4), 1, 0).unwrap();
    assert!(new >= next);
    generations.switch(new).unwrap();
    assert_eq!(generations.current().unwrap(), Some(new));
}

fn steps(dir: &Path) -> usize {
    crate::common::names(dir.join("done")).len()
}

#[test]
fn the_power_may_fail_before_and_after_any_sync_of_a_generation_s_link() {
    if !cut::can_trace() {
        return skip("needs strace, to end a process at a chosen system call");
    }
    let whole = prepare();
    let calls = cut::syncs("generation_cuts::child_that_changes_generations", whole.path());
    // Three links are made (the file system, the folder), one goes (the number, its folder, the folder).
    assert_eq!(calls.len(), 3 * 2 + 3, "{calls:?}");
    let mut random = cut::Random(5);
    let mut durable = State::read(&machine(prepare().path()));
    for at in 0..=calls.len() {
        let dir = prepare();
        match calls.get(at) {
            Some(call) => {
                let nth = calls[..=at].iter().filter(|other| other.name == call.name).count();
                assert!(!cut::killed("generation_cuts::child_that_changes_generations", dir.path(), &call.name, nth));
            }
            None => crate::common::child("generation_cuts::child_that_changes_generations", dir.path()).run().unwrap(),
        }
        let reached = State::read(&machine(dir.path()));
        for _ in 0..60 {
            let cut = in_memory();
            State::torn(&durable, &reached, &mut random).write(cut.path());
            judge(cut.path(), steps(dir.path()));
        }
        let Some(call) = calls.get(at) else { break };
        // What this sync, when it comes back, has put on the disk.
        match call.path.strip_prefix(machine(whole.path())) {
            Ok(path) if call.name == "fsync" => durable.take(&reached, path),
            _ => durable = reached,
        }
    }
}

#[test]
fn a_change_of_generations_may_be_killed_anywhere() {
    if !cut::can_trace() {
        return skip("needs strace, to end a process at a chosen system call");
    }
    let ends = cut::at_each_change("generation_cuts::child_that_changes_generations", prepare, |dir| {
        judge(&machine(dir), steps(dir));
    });
    assert!(ends > 20, "{ends}");
}
