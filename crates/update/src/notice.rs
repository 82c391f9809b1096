//! What is said at every login while the machine does not run its newest generation because that did not boot well.
//!
//! The initrd's helper writes down why a trial failed, before it restarts the machine; here it is read, and removed when
//! it is no longer of interest.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use cairn_boot::Record;
use cairn_observe::words::numbers;
use cairn_process::Tool;
use cairn_process::text::is_deceptive;

/// What is shown; see the system's tmpfiles.d.
const NOTICE: &str = "/run/cairn/notice";
/// `generation N`, then a line for each reason.
const WHY: &str = "/var/lib/cairn/boot-failed";

/// Why a generation did not come up.
#[derive(Debug, PartialEq, Eq)]
struct Why {
    number: Option<u64>,
    reasons: Vec<String>,
}

/// Writes the notice, or takes it away. `failed` are the generations newer than `booted` that did not boot well.
pub fn tell(booted: u64, failed: &[u64], record: &Record) -> anyhow::Result<()> {
    let why = match std::fs::read_to_string(WHY) {
        Ok(text) => parse(&text),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => return Err(e).with_context(|| format!("reading {WHY}")),
    };
    // Tried again and good, or gone: nobody asks any more.
    let of_interest = |n: u64| record.failed.contains(&n) || record.trial == Some(n);
    if why.as_ref().is_some_and(|why| !why.number.is_some_and(of_interest)) {
        remove(Path::new(WHY))?;
    }
    let path = Path::new(NOTICE);
    let changed = match text(booted, failed, why.as_ref()) {
        None => remove(path)?,
        Some(text) => {
            let folder = path.parent().unwrap_or(Path::new("/"));
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text)).context("writing the notice")?;
            true
        }
    };
    if changed {
        show_again();
    }
    Ok(())
}

/// The login prompts are there already, and what stands above them has changed. A machine without prompts is none the worse.
fn show_again() {
    let _ = Tool::new("agetty", "util-linux", "show the notice above the login prompts").arg("--reload").run();
}

/// Whether it was there.
fn remove(path: &Path) -> anyhow::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e).with_context(|| format!("removing {}", path.display())),
    }
}

fn parse(text: &str) -> Option<Why> {
    let mut lines = text.lines();
    let number = lines.next()?.strip_prefix("generation ")?.parse().ok();
    Some(Why { number, reasons: lines.map(plain).filter(|line| !line.is_empty()).collect() })
}

/// A backslash means something to agetty, and control characters to a terminal.
fn plain(line: &str) -> String {
    line.chars().filter(|c| !is_deceptive(*c) && *c != '\\').collect()
}

fn text(booted: u64, failed: &[u64], why: Option<&Why>) -> Option<String> {
    let last = *failed.last()?;
    let mut text =
        format!("\nThis machine runs generation {booted}: {} did not boot well.\n", numbers(failed.iter().copied()));
    for reason in why.filter(|why| why.number == Some(last)).iter().flat_map(|why| &why.reasons) {
        text += &format!("  {reason}\n");
    }
    text +=
        &format!("`journalctl -b -1` and `cairn generations` tell more; `cairn rollback {last}` tries it again.\n\n");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_of_the_newest_failure_are_told() {
        let why = parse("generation 4\nBoot Check: never failed\n\u{1b}[31mbad \\4 line\n\n").unwrap();
        assert_eq!(why.reasons, ["Boot Check: never failed", "[31mbad 4 line"]);
        let told = text(2, &[3, 4], Some(&why)).unwrap();
        assert!(
            told.starts_with("\nThis machine runs generation 2: generations 3 and 4 did not boot well.\n  Boot Check")
        );
        assert!(told.contains("`cairn rollback 4`") && !told.contains('\\'), "{told}");
        let other = Why { number: Some(3), reasons: vec!["x".into()] };
        assert!(!text(2, &[3, 4], Some(&other)).unwrap().contains("  x"));
        assert_eq!(text(2, &[], Some(&why)), None);
    }

    #[test]
    fn a_record_without_a_number_is_nobody_s() {
        assert_eq!(parse("generation -\nx\n").unwrap().number, None);
        assert_eq!(parse(""), None);
        assert_eq!(parse("something else"), None);
    }
}
