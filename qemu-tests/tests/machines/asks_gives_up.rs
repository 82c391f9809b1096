//! Whoever gives up, at whatever question, in either manner, leaves each disk as it was, and a terminal that works.

use std::fmt::Write;

use anyhow::{Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Cmd, Scenario, workbench};

use crate::asks_rich::PERSON;

pub const SCENARIO: Scenario =
    Scenario { name: "who gives up at a question, whichever it is, leaves every disk as it was", needs: UML, run };

/// What a step shows, and what is pressed at it to come to the next one: by keys, and in lines.
const STEPS: &[(&str, &str, &str)] = &[
    ("1 of 10", r"\r", r"\n"),
    ("2 of 10", r"\r", r"\n"),
    ("3 of 10", r"utc\r", r"UTC\n"),
    ("4 of 10", r"\033[B\r", r"2\n"),
    ("5 of 10", r"\r", r"\n"),
    ("6 of 10", r"\r", r"\n"),
    ("7 of 10", r"web-1\r", r"web-1\n"),
    ("8 of 10", r"anna\r", r"anna\n"),
    ("9 of 10", r"secret\r", r"secret\n"),
    ("once more", r"secret\r", r"secret\n"),
    ("10 of 10", r"\r", r"\n"),
    ("What now?", r"\r", r"\n"),
    ("type its name", "", ""),
];

/// What stands before the cursor at a step.
fn prompt(title: &str, lines: bool) -> &'static str {
    match title {
        "once more" => ": ",
        "7 of 10" | "8 of 10" | "9 of 10" | "10 of 10" | "type its name" => "> ",
        _ if lines => "> ",
        _ => "find:",
    }
}

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let path = |name: &str| folder.path().join(name);
    for name in ["first", "second"] {
        workbench::disk(&path(name), 2 << 30)?;
        Cmd::new("mkfs.ext4").args(["-q", "-F", "-L", name]).arg(path(name)).ok()?;
    }
    let hash = |name: &str| Cmd::new("sha256sum").arg(path(name)).ok();
    let before = (hash("first")?, hash("second")?);
    let system = path("system");
    let file = hello.small(&system)?;
    std::fs::rename(&file, system.join("machine.yaml"))?;
    if system.join("hello.lock").exists() {
        std::fs::rename(system.join("hello.lock"), system.join("machine.lock"))?;
    }
    let mut text = String::new();
    for lines in [false, true] {
        for at in 0..STEPS.len() {
            writeln!(text, "begin 24 80 '' {}", if lines { "--plain" } else { "" })?;
            for (title, keys, line) in &STEPS[..at] {
                writeln!(text, "comes '{title}' '{}' '{}'", prompt(title, lines), if lines { line } else { keys })?;
            }
            let (title, ..) = STEPS[at];
            writeln!(text, r"comes '{title}' '{}' '\003'; types 'Stop?' ''", prompt(title, lines))?;
            // Both ways to say that it is meant.
            writeln!(text, r"{}; ends 3", if lines { r"types '[no] > ' 'yes\n'" } else { r"types '  Stop' '\003'" })?;
        }
    }
    let script = format!(
        "mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
         mkdir -p $XDG_CACHE_HOME/cairn/systems; cp -r {system} $XDG_CACHE_HOME/cairn/systems/hello
         mount -t tmpfs tmp /sys/firmware; mkdir /sys/firmware/efi
         cd {folder}
         {PERSON}
         comes() {{
             local tries=0
             # The pages before the last question are turned.
             until since >seen; grep -qaF -- \"$1\" seen; do
                 if grep -qaF 'Enter shows more' seen; then types 'Enter shows more' '\\r'; fi
                 tries=$((tries + 1)); [ $tries -lt 300 ] || {{ echo \"no: $1\"; since | cat -v; exit 1; }}
                 sleep 0.1
             done
             types \"$1\" ''; types \"$2\" \"$3\"
         }}
         {text}",
        system = system.display(),
        folder = folder.path().display(),
    );
    let said = workbench::script_with("1G", cairn, &[&path("first"), &path("second")], &script)?;
    ensure!((hash("first")?, hash("second")?) == before, "a disk has changed:\n{said}");
    Ok(())
}
