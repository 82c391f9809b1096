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
    cairn(&["capture", "--root", folder.path().to_str().unwrap()]).refused("has no etc/os-release");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/nowhere", &link).unwrap();
    made.run(&["capture", "-o", link.to_str().unwrap()]).refused("is no folder: name another one with -o");
}

/// A Debian with one person, whose password is in files for their owner only.
fn debian(folder: &std::path::Path) -> std::path::PathBuf {
    let root = folder.join("debian");
    let status =
        "Package: openssh-server\nStatus: install ok installed\n\nPackage: curl\nStatus: install ok installed\n\n";
    for (path, text) in [
        (
            "etc/os-release",
            "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nID=debian\nVERSION_CODENAME=trixie\n".to_string(),
        ),
        ("etc/hostname", "box\n".into()),
        ("etc/passwd", "anna:x:1000:1000:Anna:/home/anna:/bin/bash\n".into()),
        ("etc/group", "anna:x:1000:\n".into()),
        ("etc/shadow", format!("anna:{}:1:::::\n", hash("anna").trim())),
        ("etc/ssh/ssh_host_rsa_key", "PRIVATE\n".into()),
        ("var/lib/dpkg/status", status.into()),
    ] {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[test]
fn another_system_becomes_a_machine_file_with_a_list_of_what_is_not_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (root, into) = (debian(folder.path()), folder.path().join("into"));
    let arguments = ["capture", "--root", root.to_str().unwrap(), "-o", into.to_str().unwrap()];
    let ran = cairn(&arguments).done();
    assert!(
        ran.out.contains("machine.yaml is what could be carried over of Debian GNU/Linux 13 (trixie)"),
        "{}",
        ran.out
    );
    for words in
        ["secrets: /etc/ssh/ssh_host_rsa_key is not read", "anna.password holds secrets", "without a hardware file"]
    {
        assert!(ran.err.contains(words), "{words}: {}", ran.err);
    }
    let mode = |name: &str| fs::metadata(into.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("anna.password"), mode("machine.yaml"), mode("not-carried-over.txt")), (0o600, 0o644, 0o644));
    assert_eq!(fs::read_to_string(into.join("anna.password")).unwrap(), hash("anna"));
    let list = fs::read_to_string(into.join("not-carried-over.txt")).unwrap();
    assert!(
        list.contains("\nsecrets\n  - /etc/ssh/ssh_host_rsa_key is not read") && !list.contains("PRIVATE"),
        "{list}"
    );
    cairn(&["check", into.join("machine.yaml").to_str().unwrap()]).done();
    cairn(&arguments).refused("is there already");
    let json = folder.path().join("json");
    let ran = cairn(&["capture", "--json", "--root", root.to_str().unwrap(), "-o", json.to_str().unwrap()]).done();
    let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["system"], "Debian GNU/Linux 13 (trixie)");
    assert_eq!((&answer["secret"][0], answer["files"].as_array().unwrap().len()), (&"anna.password".into(), 3));
    assert!(answer["left"].as_array().unwrap().iter().any(|one| one["topic"] == "secrets"));
}
