//! Generations on a disk: made, chosen, removed; and what `nix-env` says to them.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use crate::common::cut::in_memory;
use crate::common::{Nix, add_leaf, add_system, names};
use cairn_store::{Generations, Store, StoreError, StorePath, database, profile};

/// A store in a folder whose syncs cost nothing, for each change makes some.
fn store() -> (Store, tempfile::TempDir) {
    let dir = in_memory();
    (Store::open(dir.path()).unwrap(), dir)
}

fn profiles(root: &Path) -> std::path::PathBuf {
    root.join(profile::PROFILES_DIR)
}

fn systems(store: &Store, count: u32) -> Vec<StorePath> {
    let leaf = add_leaf(store).path;
    (1..=count).map(|n| add_system(store, n, std::slice::from_ref(&leaf)).path).collect()
}

fn numbers(generations: &Generations) -> Vec<u64> {
    generations.list().unwrap().iter().map(|g| g.number).collect()
}

#[test]
fn generations_are_made_chosen_and_removed_and_nix_agrees() {
    let (store, dir) = store();
    let systems = systems(&store, 3);
    let infos = store.closure(&systems).unwrap();
    database::write(&dir.path().join(database::DATABASE_DIR), &infos).unwrap();
    let generations = Generations::at(dir.path());
    assert_eq!((generations.list().unwrap(), generations.current().unwrap()), (Vec::new(), None));
    for (n, system) in (1..).zip(&systems) {
        // The clock runs backwards.
        assert_eq!(generations.add(system, 1_700_000_000 - n * 86_400, 0).unwrap(), u64::try_from(n).unwrap());
    }
    generations.switch(3).unwrap();
    generations.switch(2).unwrap();
    assert_eq!(generations.current().unwrap(), Some(2));
    assert_eq!(fs::read_link(profiles(dir.path()).join("system")).unwrap(), Path::new("system-2-link"));
    let found = generations.list().unwrap();
    assert_eq!(found.iter().map(|g| g.time).collect::<Vec<_>>(), [1_699_913_600, 1_699_827_200, 1_699_740_800]);
    assert!(found.iter().zip(&systems).all(|(g, s)| g.exists && g.system.as_ref() == Some(s)));
    assert_eq!(names(profiles(dir.path())), ["system", "system-1-link", "system-2-link", "system-3-link"]);

    if let Some(nix) = Nix::new(dir.path()) {
        let profile = profiles(dir.path()).join("system");
        let list = nix.run("nix-env", &["--list-generations", "-p", profile.to_str().unwrap()]);
        let lines: Vec<&str> = list.lines().collect();
        assert!(lines.len() == 3 && lines[1].contains("(current)") && lines[0].contains("2023-11-1"), "{list}");
    }
    generations.remove(3).unwrap();
    generations.remove(3).unwrap();
    assert_eq!(numbers(&generations), [1, 2]);
}

#[test]
fn a_number_is_never_used_twice() {
    let (store, dir) = store();
    let [system] = systems(&store, 1).try_into().unwrap();
    let generations = Generations::at(dir.path());
    let add = |seen| generations.add(&system, 1, seen).unwrap();
    assert_eq!((add(0), add(0), add(7)), (1, 2, 8));
    generations.remove(8).unwrap();
    generations.remove(2).unwrap();
    assert_eq!(numbers(&generations), [1]);
    assert_eq!(add(0), 9);
    // The current one counts even when its link is gone; so does what only looks like a generation.
    fs::remove_file(profiles(dir.path()).join("system-9-link")).unwrap();
    symlink("system-20-link", profiles(dir.path()).join("system")).unwrap();
    assert_eq!(add(0), 21);
    fs::create_dir(profiles(dir.path()).join("system-30-link")).unwrap();
    assert_eq!(add(0), 31);
    assert_eq!(numbers(&generations), [1, 21, 31]);
    let error = generations.add(&system, 1, u64::MAX).unwrap_err();
    assert!(matches!(error, StoreError::Generation { .. }), "{error}");
}

#[test]
fn odd_names_are_ignored_and_broken_generations_are_told() {
    let (store, dir) = store();
    let [system] = systems(&store, 1).try_into().unwrap();
    let generations = Generations::at(dir.path());
    generations.add(&system, 1, 0).unwrap();
    let profiles = profiles(dir.path());
    for name in ["system-x-link", "system-01-link", "other-1-link", ".cairn-new", "per-user"] {
        symlink("/nowhere", profiles.join(name)).unwrap();
    }
    symlink("/nix/store/gggggggggggggggggggggggggggggggg-gone", profiles.join("system-2-link")).unwrap();
    symlink("/somewhere/else", profiles.join("system-3-link")).unwrap();
    let found = generations.list().unwrap();
    let told: Vec<_> = found.iter().map(|g| (g.number, g.exists, g.system.is_some())).collect();
    assert_eq!(told, [(1, true, true), (2, false, true), (3, false, false)]);
    for (number, why) in [(2, "is not in the store"), (3, "/somewhere/else is not in the store"), (4, "there is none")]
    {
        let error = generations.switch(number).unwrap_err().to_string();
        assert!(error.starts_with(&format!("generation {number}: ")) && error.contains(why), "{error}");
    }
    let gone = StorePath::from_basename("gggggggggggggggggggggggggggggggg-gone").unwrap();
    generations.add(&gone, 1, 0).unwrap_err();
    generations.switch(1).unwrap();
    let error = generations.remove(1).unwrap_err().to_string();
    assert!(error.contains("it is the current one"), "{error}");
    assert_eq!(numbers(&generations), [1, 2, 3]);
}

#[test]
fn two_at_once_get_two_numbers() {
    let (store, dir) = store();
    let [system] = systems(&store, 1).try_into().unwrap();
    let add = || Generations::at(dir.path()).add(&system, 1, 0).unwrap();
    let mut got = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(add)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    got.sort_unstable();
    assert_eq!(got, [1, 2, 3, 4, 5, 6, 7, 8]);
}

/// Whether somebody waits for the lock on a file, as the kernel lists them.
fn is_waited_for(lock: &fs::File) -> bool {
    let inode = format!(":{} ", lock.metadata().unwrap().ino());
    fs::read_to_string("/proc/locks").unwrap().lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
}

/// Holds Nix's lock on the profile until somebody else waits for it who does `work`, changes the profile, and lets go; what
/// came of the work.
fn while_it_waits<T: Send>(root: &Path, work: impl FnOnce() -> T + Send, change: impl FnOnce()) -> T {
    let lock = fs::File::create(profiles(root).join("system.lock")).unwrap();
    lock.lock().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        while !is_waited_for(&lock) {
            assert!(!other.is_finished(), "it did not wait");
            std::thread::yield_now();
        }
        change();
        lock.unlock().unwrap();
        other.join().unwrap()
    })
}

#[test]
fn whoever_changes_the_profile_waits_for_nix_and_looks_afterwards() {
    let (store, dir) = store();
    let [system] = systems(&store, 1).try_into().unwrap();
    let (root, profiles) = (dir.path(), profiles(dir.path()));
    let generations = Generations::at(root);
    for number in 1..=4 {
        assert_eq!(generations.add(&system, 1, 0).unwrap(), number);
    }
    generations.switch(1).unwrap();

    let make_current = |number: u64| {
        fs::remove_file(profiles.join("system")).unwrap();
        symlink(profile::link_name(number), profiles.join("system")).unwrap();
    };
    let error = while_it_waits(root, || generations.remove(2), || make_current(2)).unwrap_err().to_string();
    assert!(error.contains("it is the current one"), "{error}");

    let remove = |number: u64| fs::remove_file(profiles.join(profile::link_name(number))).unwrap();
    let error = while_it_waits(root, || generations.switch(3), || remove(3)).unwrap_err().to_string();
    assert!(error.contains("there is none"), "{error}");
    assert_eq!(generations.current().unwrap(), Some(2));

    let add = || symlink(system.to_string(), profiles.join(profile::link_name(5))).unwrap();
    assert_eq!(while_it_waits(root, || generations.add(&system, 1, 0), add).unwrap(), 6);
    assert_eq!(numbers(&generations), [1, 2, 4, 5, 6]);
}
