//! The figures of `scripts/torture`, in Markdown.

use std::fmt::Write;

use super::campaign::{Booted, Judged, Kind};
use super::primitive::{Case, Outcome};
use super::script::Hasty;
use crate::machine::Firmware;

fn firmware(firmware: Firmware) -> &'static str {
    match firmware {
        Firmware::Uefi => "UEFI",
        Firmware::Bios => "BIOS",
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
            firmware(*with),
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
