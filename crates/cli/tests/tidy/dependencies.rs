//! The direction of dependencies, the shape of the manifests, and a reason for each dependency.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{nothing_wrong, read, root};

/// Which crates of ours a crate may use. What is missing here may not be used.
const MAY_USE: [(&str, &[&str]); 20] = [
    ("cairn-machine", &[]),
    ("cairn-process", &[]),
    ("cairn-root", &[]),
    ("cairn-stage1", &["cairn-process"]),
    ("cairn-layout", &["cairn-machine"]),
    ("bootloader-templates", &[]),
    ("cairn-boot", &["cairn-machine", "cairn-layout", "bootloader-templates", "cairn-root"]),
    ("cairn-disk", &["cairn-machine", "cairn-layout", "cairn-process"]),
    ("cairn-store", &["cairn-process", "cairn-root"]),
    ("cairn-system", &["cairn-boot", "cairn-machine", "cairn-process", "cairn-root", "cairn-store"]),
    (
        "cairn-observe",
        &[
            "bootloader-templates",
            "cairn-boot",
            "cairn-disk",
            "cairn-layout",
            "cairn-machine",
            "cairn-process",
            "cairn-root",
            "cairn-store",
        ],
    ),
    (
        "cairn-make",
        &[
            "bootloader-templates",
            "cairn-boot",
            "cairn-disk",
            "cairn-layout",
            "cairn-machine",
            "cairn-process",
            "cairn-root",
            "cairn-store",
            "cairn-system",
        ],
    ),
    // These three use `make` and `observe`, and never each other.
    (
        "cairn-update",
        &[
            "cairn-boot",
            "cairn-disk",
            "cairn-layout",
            "cairn-machine",
            "cairn-make",
            "cairn-observe",
            "cairn-process",
            "cairn-root",
            "cairn-store",
            "cairn-system",
        ],
    ),
    (
        "image-builder",
        &[
            "bootloader-templates",
            "cairn-boot",
            "cairn-disk",
            "cairn-layout",
            "cairn-machine",
            "cairn-make",
            "cairn-observe",
            "cairn-process",
            "cairn-store",
            "cairn-system",
        ],
    ),
    (
        "cairn-installer",
        &[
            "cairn-boot",
            "cairn-disk",
            "cairn-layout",
            "cairn-machine",
            "cairn-make",
            "cairn-observe",
            "cairn-process",
            "cairn-root",
            "cairn-system",
        ],
    ),
    (
        "cairn",
        &[
            "bootloader-templates",
            "cairn-boot",
            "cairn-disk",
            "cairn-installer",
            "cairn-layout",
            "cairn-machine",
            "cairn-make",
            "cairn-observe",
            "cairn-process",
            "cairn-root",
            "cairn-store",
            "cairn-system",
            "cairn-update",
            "image-builder",
        ],
    ),
    // Reads with all readers.
    (
        "cairn-fuzz",
        &[
            "bootloader-templates",
            "cairn-boot",
            "cairn-disk",
            "cairn-installer",
            "cairn-layout",
            "cairn-machine",
            "cairn-observe",
            "cairn-process",
            "cairn-stage1",
            "cairn-store",
            "cairn-system",
        ],
    ),
    // Works on the text of the others.
    ("cairn-mutants", &[]),
    ("cairn-testkit", &[]),
    // It runs the built command and links no crate of the product.
    ("qemu-tests", &[]),
];

/// What the tests of each crate may use.
const TESTKIT: &str = "cairn-testkit";

/// Which crates of ours the tests of a crate may use besides.
const MAY_USE_IN_TESTS: [(&str, &str); 1] = [
    // The system calls that were proved there are compared with those that are made.
    ("cairn-boot", "qemu-tests"),
];

/// What the pure crates may use of other people's: nothing here does I/O by itself.
const PURE_MAY_USE: [&str; 12] = [
    "base64",
    "bootspec",
    "minijinja",
    // Arithmetic on the names of store paths.
    "nix-derivation",
    "saphyr-parser",
    "schemars",
    "serde",
    "serde_json",
    "serde_norway",
    "sha2",
    "thiserror",
    "uuid",
];

struct Member {
    folder: String,
    manifest: String,
    /// By the package's own name; without those that only tests use.
    uses: BTreeSet<String>,
    uses_in_tests: BTreeSet<String>,
}

#[expect(clippy::disallowed_methods, reason = "cargo is this test's own tool")]
fn members() -> BTreeMap<String, Member> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |v: &Value| v.as_str().unwrap().to_string();
    let prefix = format!("{}/", root().display());
    let member = |package: &Value| {
        let used = |tests: bool| {
            let of_kind = move |d: &&Value| (d["kind"].as_str() == Some("dev")) == tests;
            package["dependencies"].as_array().unwrap().iter().filter(of_kind).map(|d| text(&d["name"])).collect()
        };
        let manifest = text(&package["manifest_path"]).strip_prefix(&prefix).unwrap().to_string();
        let folder = manifest.trim_end_matches("/Cargo.toml").to_string();
        (text(&package["name"]), Member { folder, manifest, uses: used(false), uses_in_tests: used(true) })
    };
    metadata["packages"].as_array().unwrap().iter().map(member).collect()
}

#[test]
fn dependencies_point_in_one_direction() {
    let members = members();
    let rules: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for (name, member) in &members {
        let Some(rule) = rules.get(name.as_str()) else {
            wrong.push(format!("{name}: not in the table of crates/cli/tests/tidy/dependencies.rs"));
            continue;
        };
        let ours = |used: &&String| members.contains_key(*used);
        for used in member.uses.iter().chain(&member.uses_in_tests).filter(ours) {
            let in_tests = !member.uses.contains(used) && (used == TESTKIT || MAY_USE_IN_TESTS.contains(&(name, used)));
            if !rule.contains(&used.as_str()) && !in_tests {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    nothing_wrong("a crate uses only what the table allows it", &wrong);
}

#[test]
fn what_is_allowed_is_used() {
    let members = members();
    let mut wrong = Vec::new();
    for (name, allowed) in MAY_USE {
        let Some(member) = members.get(name) else {
            wrong.push(format!("{name}: there is no such crate"));
            continue;
        };
        let used = |allowed: &&&str| member.uses.contains(**allowed) || member.uses_in_tests.contains(**allowed);
        wrong.extend(allowed.iter().filter(|one| !used(one)).map(|one| format!("{name} does not use {one}")));
    }
    nothing_wrong("the table allows nothing that nobody needs", &wrong);
}

#[test]
fn pure_crates_use_only_pure_crates() {
    let members = members();
    let mut wrong = Vec::new();
    for (name, member) in &members {
        if !crate::sources::PURE.contains(&member.folder.as_str()) {
            continue;
        }
        for used in member.uses.iter().filter(|u| !members.contains_key(*u)) {
            // The boot crate's thin layer of effects mounts, syncs and exchanges.
            let effects = name == "cairn-boot" && used == "nix";
            if !effects && !PURE_MAY_USE.contains(&used.as_str()) {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    nothing_wrong("a pure crate uses only the listed crates", &wrong);
}

#[test]
fn versions_and_lints_live_in_the_root() {
    let mut wrong = Vec::new();
    for (name, member) in &members() {
        let text = read(&member.manifest);
        if !text.contains("[lints]\nworkspace = true\n") {
            wrong.push(format!("{name}: no `[lints] workspace = true`"));
        }
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            if !text.contains(&format!("\n{key}.workspace = true\n")) {
                wrong.push(format!("{name}: no `{key}.workspace = true`"));
            }
        }
        let mut in_dependencies = false;
        for line in text.lines() {
            if line.starts_with('[') {
                in_dependencies = line.ends_with("dependencies]");
            } else if in_dependencies
                && !line.is_empty()
                && !line.starts_with('#')
                && !line.contains(".workspace = true")
                && !line.contains("workspace = true")
            {
                wrong.push(format!("{name}: `{line}` gives a version of its own"));
            }
        }
    }
    nothing_wrong("versions and lints live in the root Cargo.toml", &wrong);
}

#[test]
fn every_dependency_has_its_reason_in_the_architecture() {
    let members = members();
    let used: BTreeSet<&String> = members
        .values()
        .flat_map(|m| m.uses.iter().chain(&m.uses_in_tests))
        .filter(|name| !members.contains_key(*name))
        .collect();
    let text = read("ARCHITECTURE.md");
    let told: BTreeSet<&str> =
        text.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
    let mut wrong: Vec<String> =
        used.iter().filter(|n| !told.contains(n.as_str())).map(|n| format!("{n}: no line")).collect();
    let section = text.split("\n## Dependencies").nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    for name in section.lines().filter_map(|l| l.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name) {
        if !used.iter().any(|u| *u == name) {
            wrong.push(format!("{name}: a line, but not used"));
        }
    }
    nothing_wrong("every dependency has a line `| `name` | …` in ARCHITECTURE.md, section Dependencies", &wrong);
}

#[test]
fn all_crates_come_from_the_one_registry() {
    let text = read("Cargo.lock");
    let sources: BTreeSet<&str> = text.lines().filter(|l| l.starts_with("source = ")).collect();
    let wrong: Vec<String> =
        sources.iter().filter(|l| !l.starts_with("source = \"registry+")).map(ToString::to_string).collect();
    nothing_wrong("dependencies come from a registry, not from a repository", &wrong);
    assert_eq!(sources.len(), 1, "more than one registry: {sources:?}");
}
