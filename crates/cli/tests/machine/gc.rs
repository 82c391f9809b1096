//! `cairn gc`: generations that go, and what nothing refers to.

use std::collections::BTreeSet;
use std::fs;

use cairn_boot::Record;
use cairn_machine::lock::{Lock, LockedDebian, LockedPackage};
use cairn_store::{NixDb, StorePath};
use serde_json::json;

use crate::made::{FIRST, Made, SystemOf};

/// Five generations, each with a kernel of its own; the third is the last good one and boots.
fn five() -> Option<Made> {
    let systems: Vec<SystemOf> = ["6.1", "6.2", "6.3", "6.4", "6.5"]
        .into_iter()
        .enumerate()
        .map(|(i, kernel)| SystemOf { kernel, ..SystemOf::named(["a", "b", "c", "d", "e"][i]) })
        .collect();
    let made = Made::mounted(&systems)?;
    let mut record = Record::first(1);
    (2..=5).for_each(|n| record.booted_well(n));
    record.booted_well(3);
    record.want(3);
    made.record(&record);
    made.generations().switch(3).unwrap();
    made.run(&["boot", "repair"]).done();
    assert_eq!(made.entries(), ["1", "2", "3", "4", "5"]);
    Some(made)
}

fn there(made: &Made) -> Vec<u64> {
    made.generations().list().unwrap().into_iter().map(|g| g.number).collect()
}

fn paths(made: &Made) -> BTreeSet<StorePath> {
    made.store.paths().unwrap().into_iter().collect()
}

#[test]
fn old_generations_leave_menu_profile_store_and_database() {
    let Some(made) = five() else { return };
    let (before, listed) = (paths(&made), made.fingerprint());
    let would = made.run(&["gc", "--keep", "1", "--dry-run", "--json"]).json();
    assert_eq!((&would["removed"], &would["kept"]), (&json!([1, 2, 4]), &json!([3, 5])));
    assert_eq!(would["dry_run"], true);
    assert_eq!(made.fingerprint(), listed, "a dry run changes nothing");

    let ran = made.run(&["gc", "--keep", "1", "--json"]).json();
    assert_eq!((&ran["removed"], &ran["paths"], &ran["bytes"]), (&would["removed"], &would["paths"], &would["bytes"]));
    assert_eq!(there(&made), [3, 5]);
    assert_eq!(made.entries(), ["3", "5"]);
    assert_eq!(made.boot_files().iter().filter(|f| f.ends_with("-linux")).count(), 2);
    assert_eq!(made.recorded().good, [3, 5].into());
    let after = paths(&made);
    let kept: BTreeSet<StorePath> = {
        let systems = [made.systems[2].clone(), made.systems[4].clone()];
        made.store.closure(&systems).unwrap().into_iter().map(|i| i.path).collect()
    };
    assert_eq!(after, kept);
    assert_eq!(ran["paths"].as_u64().unwrap() as usize, before.len() - after.len());
    let db = NixDb::read(made.root()).unwrap().unwrap();
    assert_eq!(db.references().unwrap().paths.keys().cloned().collect::<BTreeSet<_>>(), kept);
    made.run(&["boot", "check"]).done();

    let again = made.run(&["gc", "--keep", "1"]).done();
    assert_eq!(again.out, "there is nothing to remove\n");
    // Numbers are not used again.
    assert_eq!(made.generations().next_number(0).unwrap(), 6);
}

#[test]
fn without_a_wish_every_generation_stays_and_the_rest_goes() {
    let Some(made) = five() else { return };
    let scratch = made.store.scratch().unwrap();
    fs::write(scratch.path().join("x"), "nobody needs this").unwrap();
    let lost = made.store.add("lost", scratch, &[]).unwrap().path;
    nix::mount::umount(&made.root().join("boot")).unwrap();
    let ran = made.run(&["gc"]).done();
    assert!(ran.out.starts_with("1 store path, "), "{}", ran.out);
    assert_eq!(there(&made), [1, 2, 3, 4, 5]);
    assert!(!paths(&made).contains(&lost));
}

#[test]
fn age_is_taken_from_the_links_and_a_clock_that_runs_behind_removes_nothing_young() {
    let Some(made) = five() else { return };
    // The links are of 2025 and rise by a day; what is younger than a century stays.
    let ran = made.run(&["gc", "--older-than", "5200w", "--json"]).json();
    assert_eq!(ran["removed"], json!([]));
    let days = (std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 - FIRST) / 86_400 - 1;
    let ran = made.run(&["gc", "--older-than", &format!("{days}d"), "--dry-run", "--json"]).json();
    assert_eq!(ran["removed"], json!([1, 2]));
    // Everything but what is needed.
    let ran = made.run(&["gc", "--older-than", "0h", "--dry-run", "--json"]).json();
    assert_eq!(ran["removed"], json!([1, 2, 4, 5]));
}

#[test]
fn what_is_needed_is_refused_by_name_and_reason() {
    let Some(made) = five() else { return };
    made.run(&["gc", "--drop", "3"]).refused("generation 3 stays: it is");
    made.run(&["gc", "--drop", "9"]).refused("there is no generation 9; the machine has generations 1 to 5");
    made.run(&["gc", "--drop", "1", "--drop", "4"]).done();
    assert_eq!(there(&made), [2, 3, 5]);
}

#[test]
fn a_generation_in_doubt_stops_the_removal_until_it_is_dropped() {
    let Some(made) = five() else { return };
    made.damage(1, "boot.json");
    made.run(&["gc", "--keep", "1"]).refused("nothing is removed while it is there; if it can go, `cairn gc --drop 2`");
    assert_eq!(
        (there(&made), made.entries()),
        (vec![1, 2, 3, 4, 5], ["1", "2", "3", "4", "5"].map(String::from).to_vec())
    );
    made.run(&["gc", "--keep", "1", "--drop", "2"]).done();
    assert_eq!(there(&made), [3, 5]);
    assert_eq!(made.entries(), ["3", "5"]);
}

#[test]
fn a_generation_whose_system_is_gone_goes_with_the_first_removal() {
    let Some(made) = five() else { return };
    made.store.remove(&made.systems[3]).unwrap();
    made.run(&["gc"]).refused("generation 4 cannot be booted");
    made.run(&["gc", "--keep", "5"]).done();
    assert_eq!(there(&made), [1, 2, 3, 5]);
    assert_eq!(made.entries(), ["1", "2", "3", "5"]);
}

#[test]
fn wrong_usage_is_told_before_anything_is_looked_at() {
    for args in [
        &["gc", "--keep", "0"][..],
        &["gc", "--keep", "x"],
        &["gc", "--older-than", "30"],
        &["gc", "--keep", "1", "--older-than", "3d"],
        &["gc", "--drop", "-1"],
    ] {
        assert_eq!(crate::made::cairn(args).code, 2, "{args:?}");
    }
}

#[test]
fn downloaded_packages_go_when_no_generation_that_stays_has_them() {
    let package = |name: &str, digit: &str| LockedPackage {
        name: name.into(),
        version: "1".into(),
        architecture: "amd64".into(),
        filename: format!("pool/{name}.deb"),
        size: 10,
        sha256: digit.repeat(64),
    };
    let lock = |packages: Vec<LockedPackage>| {
        let (suite, components, requested) = ("trixie".into(), vec!["main".into()], Vec::new());
        let debian = LockedDebian {
            recommends: false,
            debconf: Vec::new(),
            suite,
            components,
            architecture: "amd64".into(),
            requested,
            date: 0,
            packages,
        };
        Lock::Debian(debian).to_yaml()
    };
    let system = |name: &str, packages: Vec<LockedPackage>| {
        let mut system = SystemOf::named(name);
        system.etc.insert("cairn/machine.lock", lock(packages));
        system
    };
    let (both, old, new) = (package("both", "a"), package("old", "b"), package("new", "c"));
    let Some(made) = Made::mounted(&[system("one", vec![both.clone(), old]), system("two", vec![both, new])]) else {
        return;
    };
    let mut record = Record::first(1);
    record.booted_well(2);
    made.record(&record);
    made.run(&["boot", "repair"]).done();
    let debs = made.root().join("var/cache/cairn/debs");
    fs::create_dir_all(&debs).unwrap();
    for digit in ["a", "b", "c", "d"] {
        fs::write(debs.join(format!("{}.deb", digit.repeat(64))), [b'.'; 10 << 10]).unwrap();
    }
    let left = || {
        let mut names: Vec<String> =
            fs::read_dir(&debs).unwrap().map(|e| e.unwrap().file_name().to_string_lossy()[..1].to_string()).collect();
        names.sort();
        names.concat()
    };
    let would = made.run(&["gc", "--dry-run"]).done();
    assert_eq!(would.out, "1 downloaded package, 10K would be freed\n");
    assert_eq!(left(), "abcd");
    made.run(&["gc"]).done();
    assert_eq!(left(), "abc");
    let ran = made.run(&["gc", "--keep", "1", "--json"]).json();
    assert_eq!((&ran["removed"], &ran["packages"]), (&json!([1]), &json!(1)));
    assert_eq!(left(), "ac");
}
