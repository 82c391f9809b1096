//! The lock file: the same text for the same lock, and clear words for a damaged one.

use std::collections::BTreeSet;

use cairn_machine::SourceFile;
use cairn_machine::lock::{Lock, LockedDebian, LockedPackage};

fn package(name: &str) -> LockedPackage {
    LockedPackage {
        name: name.into(),
        version: "1:2.0~rc1-3+deb13u1".into(),
        architecture: "amd64".into(),
        filename: format!("pool/main/{name}/{name}_2.0.deb"),
        size: 1234,
        sha256: "0123456789abcdef".repeat(4),
    }
}

fn lock() -> Lock {
    let debian = LockedDebian {
        recommends: false,
        debconf: Vec::new(),
        suite: "trixie".into(),
        components: vec!["main".into()],
        architecture: "amd64".into(),
        requested: vec!["sudo".into(), "bash".into()],
        date: 1_750_000_000,
        packages: vec![package("sudo"), package("bash")],
    };
    Lock::Debian(debian)
}

fn parse(text: &str) -> Result<Lock, String> {
    Lock::parse(&SourceFile::new("machine.lock", text)).map_err(|problems| problems.to_string())
}

#[test]
fn a_lock_is_written_sorted_and_read_back() {
    let text = lock().to_yaml();
    assert!(text.starts_with("# Written by `cairn lock`."));
    let read = parse(&text).unwrap();
    assert_eq!(read.debian().requested, ["bash", "sudo"]);
    assert_eq!(read.debian().packages[0], package("bash"));
    assert_eq!(read.to_yaml(), text);
}

#[test]
fn texts_that_yaml_could_take_for_something_else_stay_texts() {
    let mut lock = lock();
    lock.debian_mut().packages[0].version = "1.0".into();
    lock.debian_mut().packages[1].version = "20250101".into();
    lock.debian_mut().packages[0].sha256 = "1".repeat(64);
    lock.debian_mut().packages[1].sha256 = format!("{}e{}", "1".repeat(31), "1".repeat(32));
    let mut sorted = lock.clone();
    sorted.debian_mut().packages.reverse();
    sorted.debian_mut().requested.reverse();
    assert_eq!(parse(&lock.to_yaml()), Ok(sorted));
}

#[test]
fn a_line_ends_where_an_editor_ends_it() {
    // YAML 1.1 has more ends of lines; a problem in a line that nobody finds helps nobody.
    for text in ["#\u{2028}#' 345", "#\u{2029}\u{85}# x"] {
        let found = parse(text).unwrap_err();
        assert!(found.starts_with("machine.lock:1:"), "{found}");
    }
    let damaged = format!("# \u{e4}\u{2028}\n{}", lock().to_yaml().replace("size: 1234", "size: x"));
    let found = parse(&damaged).unwrap_err();
    let line = damaged.lines().position(|line| line.contains("size: ")).unwrap() + 1;
    assert!(found.starts_with(&format!("machine.lock:{line}:")), "{line}: {found}");
}

#[test]
fn damage_is_told_with_its_place() {
    let text = lock().to_yaml();
    for (damaged, words) in [
        (String::new(), "damaged"),
        (text[..text.len() - 30].to_owned(), "SHA-256"),
        (text.replace("sha256: ", "sha265: "), "sha265"),
        (text.replace("size: 1234", "size: x"), "invalid type"),
        (text.replace("version: 1\n", "version: 2\n"), "version 2; this Cairn knows version 1"),
        (
            text.replace("pool/main/bash", "../../bash"),
            "machine.lock:13:5: the lock file is damaged: the package `bash` has a malformed file name",
        ),
        (text.replace("name: sudo", "name: bash"), "listed twice"),
        (format!("<<<<<<< HEAD\n{text}"), "machine.lock:1:1: the lock file has a merge conflict"),
        ("\tx".into(), "damaged"),
    ] {
        let found = parse(&damaged).unwrap_err();
        assert!(found.contains(words) && found.contains("cairn lock"), "{words}: {found}");
    }
    assert!(Lock::parse(&SourceFile::new("l", &b"\xff"[..])).unwrap_err().to_string().contains("not UTF-8"));
}

#[test]
fn a_stale_lock_says_what_differs() {
    let machine = crate::common::check(crate::common::LEAST).unwrap().machine;
    let requested = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert!(lock().matches(&machine, &requested(&["bash", "sudo"])));
    let mut other = lock();
    other.debian_mut().suite = "bookworm".into();
    let differences: Vec<String> =
        other.differences(&machine, &requested(&["bash", "vim"])).iter().map(ToString::to_string).collect();
    assert_eq!(
        differences,
        ["the suite is trixie, and was bookworm", "the package vim is new", "the package sudo is no longer asked for"]
    );
}
