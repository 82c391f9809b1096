//! `cairn upgrade --from`: a system that was made elsewhere.

use std::fs;

use cairn_store::NixDb;
use serde_json::json;

use crate::made::{Made, SystemOf};

/// A machine with one generation, and a store with a newer system for it.
fn here_and_there() -> Option<(Made, Made)> {
    let here = Made::mounted(&[SystemOf::named("one")])?;
    here.run(&["boot", "repair"]).done();
    let newer = SystemOf { kernel: "6.13", ..SystemOf::named("two") };
    Some((here, Made::with(&[SystemOf::named("zero"), newer])))
}

fn from<'a>(there: &'a Made, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["upgrade", "--from", there.root().to_str().unwrap()];
    args.extend(more);
    args
}

#[test]
fn a_system_from_elsewhere_becomes_a_generation_that_is_tried() {
    let Some((here, there)) = here_and_there() else { return };
    let untouched = there.fingerprint();
    let ran = here.run(&from(&there, &["--json"])).json();
    let system = there.systems[1].to_string();
    assert_eq!(ran, json!({ "generation": 2, "system": system, "new": true }));
    assert_eq!(there.fingerprint(), untouched);
    assert_eq!(here.entries(), ["1", "2+3"]);
    assert_eq!((here.recorded().trial, here.recorded().last_good), (Some(2), Some(1)));
    assert_eq!(here.generations().current().unwrap(), Some(2));
    let db = NixDb::read(here.root()).unwrap().unwrap();
    assert!(db.info(&there.systems[1]).unwrap().is_some());
    here.store.check_contents(&there.systems[1]).unwrap();
    here.run(&["boot", "check"]).done();
    // What is older there was not asked for.
    assert!(here.store.info(&there.systems[0]).unwrap().is_none());

    let again = here.run(&from(&there, &[])).done();
    assert_eq!(again.out, "generation 2 is this system already: nothing to do\n");
    let list = here.run(&["generations", "--json"]).json();
    assert_eq!(list["generations"][1]["trial"], true);
    let systems = [here.systems[0].clone(), there.systems[1].clone()];
    let own = here.store.own_sizes(&systems).unwrap();
    assert!(here.root().join("nix/var/cairn/own-sizes").is_file(), "written down once, for every list");
    for (n, own) in own.iter().enumerate() {
        assert_eq!(list["generations"][n]["own_size"], own.bytes);
    }
    assert_eq!(list["generations"][1]["tries_left"], 3);
}

#[test]
fn upgrading_to_what_is_there_wants_it_again_and_leaves_what_failed_alone() {
    let Some((here, there)) = here_and_there() else { return };
    here.run(&from(&there, &[])).done();
    here.run(&["rollback", "1"]).done();
    assert_eq!((here.recorded().trial, here.generations().current().unwrap()), (None, Some(1)));
    let ran = here.run(&from(&there, &[])).done();
    assert_eq!(ran.out, "generation 2 is this system already; it is tried at the next boot\n");
    assert_eq!((here.recorded().trial, here.generations().current().unwrap()), (Some(2), Some(2)));
    let mut record = here.recorded();
    record.failed(2);
    here.record(&record);
    here.run(&from(&there, &[])).refused("generation 2 is this system, and it did not boot well");
}

#[test]
fn another_system_of_that_store_can_be_named() {
    let Some((here, there)) = here_and_there() else { return };
    let named = there.systems[0].to_string();
    let ran = here.run(&from(&there, &["--system", &named, "--json"])).json();
    assert_eq!(ran["system"], named);
    here.run(&from(&there, &["--system", "/nix/store/00000000000000000000000000000000-x"]))
        .refused("has no /nix/store/0000");
    assert_eq!(here.run(&from(&there, &["--system", "x"])).code, 1);
    assert_eq!(here.run(&["upgrade", "--system", &named]).code, 2);
    assert_eq!(here.run(&from(&there, &["machine.yaml"])).code, 2);
}

#[test]
fn a_system_for_another_disk_is_refused_before_anything_is_copied() {
    let Some(here) = Made::mounted(&[SystemOf::named("one")]) else { return };
    here.run(&["boot", "repair"]).done();
    let there = Made::with(&[SystemOf { root: "UUID=2", ..SystemOf::named("two") }]);
    let before = here.store.paths().unwrap();
    here.run(&from(&there, &[])).refused("is made for the root file system UUID=2, and this machine's is UUID=1");
    assert_eq!(here.store.paths().unwrap(), before);
    let empty = tempfile::tempdir().unwrap();
    let ran = here.run(&["upgrade", "--from", empty.path().to_str().unwrap()]);
    assert_eq!(ran.code, 1, "{}", ran.err);
}

#[test]
fn an_unsigned_kernel_is_refused_where_shim_is_to_start_it() {
    let Some(here) = Made::mounted(&[SystemOf::named("one")]) else { return };
    here.run(&["boot", "repair"]).done();
    let mut signed = SystemOf::named("two");
    signed.machine += "boot: {secure_boot: shim}\n";
    let there = Made::with(&[signed]);
    let before = (here.entries(), here.boot_files());
    here.run(&from(&there, &[])).refused("nobody has signed /nix/store/");
    assert_eq!((here.entries(), here.boot_files()), before);
    assert_eq!(here.generations().current().unwrap(), Some(1));
}

#[test]
fn a_damaged_source_is_told_by_path_and_changes_nothing() {
    let Some((here, there)) = here_and_there() else { return };
    there.damage(1, "machine.yaml");
    let (before, entries) = (here.store.paths().unwrap(), here.entries());
    let ran = here.run(&from(&there, &[]));
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.err.contains(there.systems[1].base_name()), "{}", ran.err);
    assert_eq!((here.store.paths().unwrap(), here.entries()), (before, entries));
    assert_eq!(here.generations().list().unwrap().len(), 1);
}

#[test]
fn a_full_boot_partition_is_refused_with_what_to_do_and_no_generation_is_made() {
    let Some(here) = Made::mounted(&[SystemOf::named("one")]) else { return };
    here.run(&["boot", "repair"]).done();
    let kernel = Box::leak("k".repeat(4000).into_boxed_str());
    let there = Made::with(&[SystemOf { kernel, ..SystemOf::named("two") }]);
    fs::write(here.root().join("boot/full"), vec![0; 61 << 20]).unwrap();
    here.run(&from(&there, &[])).refused("the boot partition has");
    assert_eq!((here.generations().list().unwrap().len(), here.entries()), (1, vec!["1".to_string()]));
    assert_eq!(here.recorded().trial, None);
    // What was copied is garbage now, in Nix's database too.
    let known = || NixDb::read(here.root()).unwrap().unwrap().info(&there.systems[0]).unwrap().is_some();
    assert!(known());
    let ran = here.run(&["gc"]).done();
    assert!(ran.out.contains("store paths"), "{}", ran.out);
    assert!(!known());
    assert!(!fs::exists(here.store.real_path(&there.systems[0])).unwrap());
    assert!(fs::exists(here.store.real_path(&here.systems[0])).unwrap());
}

#[test]
fn a_new_user_without_a_password_is_told_of() {
    let Some(here) = Made::mounted(&[SystemOf::named("one")]) else { return };
    here.run(&["boot", "repair"]).done();
    let mut newer = SystemOf::named("two");
    newer.machine += "users: {ann: {uid: 1001, hashed_password_file: ann.password}}\n";
    let there = Made::with(&[newer]);
    let ran = here.run(&from(&there, &[])).done();
    assert!(ran.err.contains("ann is new and has no password yet"), "{}", ran.err);
}
