//! Rules about single source files.

use crate::{files, nothing_wrong, read, rust_files};

/// The crates that do no I/O, read no clock and no environment, and draw no random numbers.
pub const PURE: [&str; 4] = ["crates/machine", "crates/layout", "crates/boot", "bootloader-templates"];

/// The thin layer of the boot crate that touches the system, and what works on the partition that somebody brings.
const EFFECTS: [&str; 4] = [
    "crates/boot/src/effects/",
    "crates/boot/src/survey.rs",
    "crates/boot/src/transaction.rs",
    "crates/boot/src/volume.rs",
];

#[test]
fn every_file_says_what_it_is_about() {
    let wrong: Vec<String> = rust_files().filter(|(_, text)| !text.starts_with("//! ")).map(|(file, _)| file).collect();
    nothing_wrong("a source file begins with a line `//! …`", &wrong);
}

#[test]
fn no_file_is_too_long_to_read() {
    let wrong: Vec<String> = rust_files()
        .filter(|(_, text)| text.lines().count() > 600)
        .map(|(file, text)| format!("{file}: {} lines", text.lines().count()))
        .collect();
    nothing_wrong("a source file has at most 600 lines", &wrong);
}

#[test]
fn the_pure_crates_are_pure() {
    let mut wrong = Vec::new();
    for (file, text) in rust_files() {
        if !PURE.iter().any(|folder| file.starts_with(&format!("{folder}/src/"))) {
            continue;
        }
        if EFFECTS.iter().any(|folder| file.starts_with(folder)) {
            continue;
        }
        // What stands behind the tests' mark is not in the library.
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            if let Some(found) = impure(code) {
                wrong.push(format!("{file}:{}: {found}", number + 1));
            }
        }
    }
    nothing_wrong("a pure crate does no I/O and reads no clock, no environment and no random numbers", &wrong);
}

fn impure(code: &str) -> Option<&str> {
    let modules = ["fs", "process", "env", "time", "net", "thread", "io", "os"];
    // `std::net` has the addresses too, and `std::io` has nothing that is pure but its traits.
    let allowed = ["std::net::Ip", "std::net::{Ip"];
    let named = modules.iter().find(|m| {
        let path = format!("std::{m}");
        code.find(&path).is_some_and(|at| {
            let after = code[at + path.len()..].chars().next();
            !after.is_some_and(|c| c.is_alphanumeric() || c == '_')
                && !allowed.iter().any(|a| code[at..].starts_with(a))
        })
    });
    let grouped = code.split_once("std::{").and_then(|(_, group)| {
        modules
            .iter()
            .find(|m| group.split(['{', '}', ',', ' ', ';']).any(|w| w == **m || w.starts_with(&format!("{m}::"))))
    });
    let words = ["SystemTime", "Instant::", "new_v4", "new_v7", "println!", "eprintln!", "unsafe "];
    named.or(grouped).copied().or_else(|| words.into_iter().find(|w| code.contains(w)))
}

#[test]
fn every_template_is_named_by_a_test() {
    let tests: String = files("bootloader-templates")
        .iter()
        .filter(|f| f.ends_with(".rs"))
        .map(|f| match f.contains("/tests/") {
            true => read(f),
            false => read(f).split_once("#[cfg(test)]").map(|(_, tests)| tests.to_string()).unwrap_or_default(),
        })
        .collect();
    let wrong: Vec<String> = files("bootloader-templates")
        .into_iter()
        .filter(|f| f.contains("/templates/"))
        .filter(|f| !tests.contains(f.rsplit('/').next().unwrap()))
        .collect();
    nothing_wrong("every template is named by a test of its crate", &wrong);
}

#[test]
fn children_are_started_through_one_door() {
    // Clippy holds the crates to it; this catches a crate that would allow itself out.
    let wrong: Vec<String> = rust_files()
        .filter(|(file, text)| {
            text.contains("Command::new(")
                && file.contains("/src/")
                && !["crates/process/", "crates/mutants/", "qemu-tests/"].iter().any(|f| file.starts_with(f))
        })
        .map(|(file, _)| file)
        .collect();
    nothing_wrong("only crates/process starts children, and tools of the tests", &wrong);
}

#[test]
fn who_looks_changes_nothing() {
    let writes = [
        "fs::write",
        "fs::create",
        "fs::remove",
        "fs::rename",
        "fs::copy",
        "fs::set_",
        "File::create",
        "OpenOptions",
        "symlink(",
        "set_len",
        ".rename(",
        "create_new",
        "write_durably",
        "own_or_new",
        "remove_file",
        "remove_tree",
        "Command",
        "Tool::new",
        "DiskDevice::open(path, true)",
        "MachineStore",
        "Store::open",
    ];
    let mut wrong = Vec::new();
    for (file, text) in rust_files().filter(|(file, _)| file.starts_with("crates/observe/src/")) {
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            wrong.extend(writes.iter().filter(|w| code.contains(**w)).map(|w| format!("{file}:{}: {w}", number + 1)));
        }
    }
    nothing_wrong("crates/observe writes nothing, starts nothing and opens nothing to be changed", &wrong);
}

#[test]
fn every_ignored_test_is_started_by_another() {
    let all: Vec<(String, String)> = rust_files().collect();
    let mut wrong = Vec::new();
    for (file, text) in &all {
        for (at, _) in text.match_indices("\n#[ignore") {
            let name = text[at..].split_once("\nfn ").and_then(|(_, rest)| rest.split('(').next()).unwrap_or_default();
            let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
            let started = |(other, text): &(String, String)| {
                other.starts_with(folder)
                    && ["\"", "::"].iter().any(|before| text.contains(&format!("{before}{name}\"")))
            };
            if name.is_empty() || !all.iter().any(started) {
                wrong.push(format!("{file}: {name}"));
            }
        }
    }
    nothing_wrong("a test that is ignored is a child that another test names", &wrong);
}

#[test]
fn a_skip_is_a_failure_in_ci() {
    const ONE_PLACE: &str = "crates/testkit/src/lib.rs";
    let mut wrong = Vec::new();
    for (file, text) in rust_files().filter(|(file, _)| file != ONE_PLACE) {
        for (at, line) in text.lines().enumerate() {
            if line.contains("eprintln!(\"") && line.to_lowercase().contains("println!(\"skipped") {
                wrong.push(format!("{file}:{}", at + 1));
            }
        }
    }
    nothing_wrong("what skips a test says so through cairn-testkit, which fails in CI", &wrong);
}

#[test]
fn the_command_talks_through_one_door() {
    // Elsewhere a stranger's text would reach a terminal as it is. The bars, and what a signal leaves behind, are our own sequences.
    const DOORS: [&str; 5] = ["ui", "terminal", "progress", "screen", "signals"];
    // The helper of the initrd speaks to the machine's own console; these are tests and their tools.
    const OTHERS: [&str; 4] = ["crates/stage1/", "crates/mutants/", "crates/testkit/", "qemu-tests/"];
    let mut wrong = Vec::new();
    for (file, text) in rust_files() {
        let begins = |folders: &[&str]| folders.iter().any(|folder| file.starts_with(folder));
        if !file.contains("/src/")
            || DOORS.iter().any(|door| file == format!("crates/cli/src/{door}.rs"))
            || begins(&OTHERS)
            || file.ends_with("tests.rs")
        {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            let words = [
                "print!(",
                "println!(",
                "eprint!(",
                "eprintln!(",
                "dbg!(",
                "io::stderr()",
                "io::stdout()",
                "Term::",
                "dialoguer::theme",
            ];
            if let Some(found) = words.into_iter().find(|word| code.contains(word)) {
                wrong.push(format!("{file}:{}: {found}", number + 1));
            }
        }
    }
    nothing_wrong("what the command says goes through `Ui`, which cleans it", &wrong);
}

#[test]
fn nothing_here_depends_on_the_place_where_it_was_written() {
    // Put together from pieces, so that this file does not find itself.
    let places = ["/wo|rk/", "/ho|me/", "/tmp/e|xp", "artifac|tory", "/ro|ot/."].map(|p| p.replace('|', ""));
    let mut wrong = Vec::new();
    for file in files("") {
        let Ok(text) = std::fs::read_to_string(crate::root().join(&file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for place in &places {
                for (at, _) in line.match_indices(place.as_str()) {
                    // Only where a path begins: `$folder/work/` is somebody's own folder.
                    let begins =
                        line[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "\"'=(:`".contains(c));
                    // /home is also a folder of the machines that are built.
                    let meant = !place.starts_with("/ho") || line[at..].starts_with(&format!("{place}user/"));
                    if begins && meant {
                        wrong.push(format!("{file}:{}: {place}", number + 1));
                    }
                }
            }
        }
    }
    nothing_wrong("no path of a workplace", &wrong);
}

#[test]
fn links_lead_to_documents_and_not_to_mirrors_or_registries() {
    const KNOWN: [&str; 15] = [
        "cyclonedx.org",
        "docs.kernel.org",
        "github.com",
        "json-schema.org",
        "keepachangelog.com",
        "manpages.debian.org",
        "nixos.org",
        "packages.debian.org",
        "semver.org",
        "spdx.org",
        "systemd.io",
        "uapi-group.org",
        "www.apache.org",
        "www.freedesktop.org",
        "www.rust-lang.org",
    ];
    let mut wrong = Vec::new();
    for file in files("").iter().filter(|f| !f.contains("/fixtures/")) {
        let Ok(text) = std::fs::read_to_string(crate::root().join(file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for part in line.split("://").skip(1) {
                let host: String =
                    part.chars().take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).collect();
                let host = host.trim_end_matches('.');
                let made_up = host.is_empty()
                    || !host.contains('.')
                    || host.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                    || ["example", "invalid", "test", "localhost", "example.org", "example.com", "example.net"]
                        .iter()
                        .any(|end| host == *end || host.ends_with(&format!(".{end}")));
                if !made_up && !KNOWN.contains(&host) {
                    wrong.push(format!("{file}:{}: {host}", number + 1));
                }
            }
        }
    }
    nothing_wrong("a link leads to a document (add its host to the list), not to a mirror or registry", &wrong);
}

/// Files that join a root with a path, and why that is no way out.
const JOINS: [(&str, &str); 4] = [
    ("crates/root/", "it is the door"),
    ("crates/store/src/machine.rs", "lines of mountinfo are compared, nothing is opened"),
    ("crates/store/src/roots.rs", "names of generations are compared, nothing is opened"),
    ("image-builder/src/qemu/firmware.rs", "the root is this computer's, or one that a test makes"),
];

#[test]
fn roots_are_entered_through_one_door() {
    // Whoever joins a machine's root with a path and opens that, follows the links of whoever made the disk.
    let ways = [
        "root.join(",
        "root().join(",
        "root.path().join(",
        ".strip_prefix(\"/\")",
        "below(root",
        "below(&root",
        "below(self.root",
    ];
    let folders =
        ["cli", "boot", "system", "store", "observe", "make", "update"].map(|name| format!("crates/{name}/src/"));
    let mut wrong = Vec::new();
    for (file, text) in rust_files() {
        let product = folders.iter().any(|folder| file.starts_with(folder))
            || ["image-builder/src/", "installer/src/"].iter().any(|folder| file.starts_with(folder));
        if !product || JOINS.iter().any(|(allowed, _)| file.starts_with(allowed)) {
            continue;
        }
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            if let Some(way) = ways.iter().find(|way| code.contains(**way)) {
                wrong.push(format!("{file}:{}: {way}", number + 1));
            }
        }
    }
    nothing_wrong("a machine's files are opened by `cairn_root`, and its root is not joined with a path", &wrong);
}
