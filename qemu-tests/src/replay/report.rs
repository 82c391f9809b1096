//! The figures of `scripts/torture`, in Markdown.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use super::campaign::{Booted, Judged, Kind};
use super::primitive::{Case, Outcome};
use super::script::Hasty;
use crate::machine::Firmware;

fn firmware(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Uefi => "UEFI",
        Firmware::Bios => "BIOS",
        Firmware::SecureBoot => "Secure Boot",
    }
}

/// The head of the table of sequences, one row for each with [`sequence`].
pub const SEQUENCES: &str = "\
| sequence | what it is | the kernel writes by itself | epochs | states | that differ | bad in order | bad reordered |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |
";

/// A row.
pub fn sequence(case: &Case, hasty: Hasty, outcome: &Outcome) -> String {
    let Outcome { count, bad, .. } = outcome;
    let hasty = match hasty {
        Hasty::Never => "nothing",
        Hasty::Metadata => "FAT and folders",
        Hasty::All => "everything",
    };
    format!(
        "| `{}` | {} | {hasty} | {} | {} | {} | {} | {} |\n",
        case.name, case.about, count.epochs, count.states, count.distinct, bad.0, bad.1
    )
}

/// The head of the table of sessions.
pub const SESSIONS: &str = "\
| machine | what was done | writes | epochs | prefixes | states | that differ | bad in order | bad reordered | bad while the \
firmware writes | shared | damaged | lost |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
";

/// Its rows for a kind of machine.
pub fn sessions(kind: &Kind, all: &[Judged]) -> String {
    let mut told = String::new();
    for Judged { firmware: with, session, verdicts, .. } in all {
        let done: Vec<String> = session.done.iter().map(|(what, _)| format!("`{what}`")).collect();
        let count = verdicts.count;
        let _ = writeln!(
            told,
            "| {}, {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            kind.name,
            with.map_or("no firmware", firmware),
            done.join(", "),
            verdicts.requests,
            count.epochs,
            count.prefixes,
            count.states,
            count.distinct,
            verdicts.bad.0,
            verdicts.bad.1,
            verdicts.firmware,
            verdicts.untidy.0,
            verdicts.untidy.1,
            verdicts.untidy.2
        );
    }
    told
}

/// What was bad.
pub fn examples(all: &[Judged]) -> String {
    all.iter().flat_map(|judged| &judged.verdicts.examples).map(|example| format!("- BAD {example}\n")).collect()
}

/// The figures of one kind of machine, to be put together with those of others.
#[derive(Debug, Default)]
pub struct Figures {
    /// How many states were judged.
    pub states: u64,
    /// Rows of [`SESSIONS`].
    pub sessions: String,
    /// What was bad.
    pub bad: String,
    /// Rows of [`BOOTS`].
    pub boots: String,
}

impl Figures {
    /// As a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> Result<()> {
        let Figures { states, sessions, bad, boots } = self;
        let all = serde_json::json!({ "states": states, "sessions": sessions, "bad": bad, "boots": boots });
        Ok(std::fs::write(file, all.to_string())?)
    }

    /// From a file.
    ///
    /// # Errors
    /// When it is none of [`Figures::write`]'s.
    pub fn read(file: &Path) -> Result<Figures> {
        let text = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let all: serde_json::Value = serde_json::from_slice(&text)?;
        let text = |name: &str| Ok::<_, anyhow::Error>(all[name].as_str().context("no text")?.to_string());
        let states = all["states"].as_u64().context("no states")?;
        Ok(Figures { states, sessions: text("sessions")?, bad: text("bad")?, boots: text("boots")? })
    }

    /// The page of all of them.
    pub fn page(all: &[Figures]) -> String {
        let states: u64 = all.iter().map(|one| one.states).sum();
        let together = |what: fn(&Figures) -> &str| all.iter().map(what).collect::<String>();
        let (sessions, bad, boots) = (together(|f| &f.sessions), together(|f| &f.bad), together(|f| &f.boots));
        let (times, booted) = (sessions.lines().count(), boots.lines().count());
        format!(
            "## Real upgrades, rollbacks and collections: {states} states of {times} sessions\n\n{SESSIONS}{sessions}{bad}\n\
             ## Really booted: {booted} of these states\n\n{BOOTS}{boots}"
        )
    }
}

/// The head of the table of boots.
pub const BOOTS: &str = "\
| machine | session | entries of the log | which are | came up | seconds |
| --- | ---: | ---: | --- | --- | ---: |
";

/// Its rows for a kind of machine.
pub fn boots(kind: &Kind, all: &[Booted]) -> String {
    let mut told = String::new();
    for Booted { session, at, what, firmware: with, outcome } in all {
        let outcome = match outcome {
            Ok((name, seconds)) => format!("{name} | {seconds}"),
            Err(error) => format!("**nothing**: {error:#} | ").replace('\n', " / "),
        };
        let _ = writeln!(told, "| {}, {} | {session} | {at} | {what} | {outcome} |", kind.name, firmware(*with));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_parts_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("figures");
        for (states, row) in [(3, "| one |\n"), (4, "| two |\n| three |\n")] {
            Figures { states, sessions: row.into(), bad: "- BAD\n".into(), boots: row.into() }.write(&file).unwrap();
            assert_eq!(Figures::read(&file).unwrap().states, states);
        }
        let two = || Figures::read(&file).unwrap();
        let page = Figures::page(&[two(), two()]);
        assert!(page.contains(": 8 states of 4 sessions\n") && page.contains("booted: 4 of"), "{page}");
        assert_eq!(page.matches("- BAD").count(), 2);
    }
}
