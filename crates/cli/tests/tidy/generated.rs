//! Generated files are what the code generates today, and help fits on a terminal.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::{nothing_wrong, root};

#[expect(clippy::disallowed_methods, reason = "what is tested is the command itself")]
fn cairn(args: &[&str]) -> String {
    // A wide terminal must not make wide help.
    let output = Command::new(env!("CARGO_BIN_EXE_cairn")).args(args).env("COLUMNS", "200").output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

#[test]
fn generated_files_are_up_to_date() {
    let fresh = tempfile::tempdir().unwrap();
    cairn(&["generate-docs", fresh.path().to_str().unwrap()]);
    let (new, old) = (contents(fresh.path()), contents(&root().join("docs")));
    let mut wrong: Vec<String> =
        new.iter().filter(|(f, text)| old.get(*f) != Some(text)).map(|(f, _)| f.clone()).collect();
    let generated = ["man/", "completions/"];
    wrong.extend(old.keys().filter(|f| generated.iter().any(|g| f.starts_with(g)) && !new.contains_key(*f)).cloned());
    nothing_wrong("docs/ is behind the code; run scripts/generate and commit", &wrong);
}

/// What `cairn --help` lists.
const COMMANDS: [&str; 20] = [
    "init",
    "check",
    "lock",
    "build",
    "run",
    "verify",
    "inspect",
    "generations",
    "diff",
    "capture",
    "upgrade",
    "rollback",
    "gc",
    "boot",
    "hardware",
    "disks",
    "install",
    "rehearse",
    "medium",
    "schema",
];

#[test]
fn help_fits_on_a_terminal() {
    let mut wrong = Vec::new();
    let hidden = ["", "boot check", "boot repair", "boot good", "medium add", "generate-docs"];
    for command in COMMANDS.into_iter().chain(hidden) {
        for flag in ["-h", "--help"] {
            let args: Vec<&str> = command.split_ascii_whitespace().chain([flag]).collect();
            let help = cairn(&args);
            wrong.extend(help.lines().filter(|l| l.chars().count() > 80).map(|l| format!("{args:?}: {l}")));
        }
    }
    nothing_wrong("a line of help has at most 80 columns", &wrong);
}

#[test]
fn every_command_is_known_to_the_test_above() {
    let listed: Vec<String> = cairn(&["--help"])
        .lines()
        .skip_while(|l| *l != "Commands:")
        .skip(1)
        .take_while(|l| !l.is_empty())
        .filter_map(|l| l.strip_prefix("  ")?.split(' ').next().map(str::to_string))
        .filter(|c| !c.is_empty())
        .collect();
    assert_eq!(listed, COMMANDS, "mend the list in this file too");
}
