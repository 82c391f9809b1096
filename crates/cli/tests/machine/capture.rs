//! `cairn capture`: what a machine file names may be a stranger's word, and becomes the name of a file here.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::made::{Made, SystemOf, cairn};

const USERS: &str = "\
users:
  anna: {hashed_password_file: anna.password}
  bob: {hashed_password_file: ../outside}
  carl: {hashed_password_file: /outside}
  dora: {hashed_password_file: machine.yaml}
  eve: {hashed_password_file: ./keys//eve}
  finn: {hashed_password_file: finn.password}
";

fn hash(user: &str) -> String {
    format!("$6$salt${user}{}\n", "x".repeat(86))
}

#[test]
fn nothing_is_written_outside_of_the_folder_and_only_hashes_are_taken_for_passwords() {
    let mut system = SystemOf::named("one");
    system.machine += USERS;
    system.etc.insert("cairn/machine.yaml", system.machine.clone());
    let made = Made::with(&[system]);
    let passwords = made.root().join("var/lib/cairn/passwords");
    fs::create_dir_all(&passwords).unwrap();
    for user in ["anna", "bob", "carl", "dora", "eve"] {
        fs::write(passwords.join(user), hash(user)).unwrap();
    }
    fs::write(passwords.join("finn"), "ssh-ed25519 AAAA a key\n").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("in");
    let ran = made.run(&["capture", "-o", into.to_str().unwrap()]).done();
    for name in ["../outside", "/outside", "finn.password"] {
        assert!(ran.err.contains(&format!("not there: {name}")), "{name}: {}", ran.err);
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["in"]);
    assert!(fs::read_to_string(into.join("machine.yaml")).unwrap().starts_with("version: 1\n"));
    for (name, hash) in [("anna.password", hash("anna")), ("keys/eve", hash("eve"))] {
        assert_eq!(fs::read_to_string(into.join(name)).unwrap(), hash);
        assert_eq!(fs::metadata(into.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(!into.join("finn.password").exists());
}

#[test]
fn what_is_there_stays_and_what_is_no_machine_is_refused() {
    let mut system = SystemOf::named("one");
    system.etc.insert("cairn/machine.yaml", system.machine.clone());
    let made = Made::with(&[system]);
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("machine.yaml")).unwrap();
    made.run(&["capture", "-o", folder.path().to_str().unwrap()]).refused("is there already");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    cairn(&["capture", "--root", folder.path().to_str().unwrap()]).refused("is not a machine that Cairn has made");
}
