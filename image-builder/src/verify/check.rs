//! What a verification found: checks, stages, and all of it together.

use std::path::PathBuf;

use serde::Serialize;

/// One thing that should hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked; each name occurs once in a result.
    pub name: String,
    /// It holds.
    pub ok: bool,
    /// What should be.
    pub expected: String,
    /// What is.
    pub found: String,
}

impl Check {
    /// A check with its verdict.
    pub(crate) fn new(
        name: impl Into<String>,
        ok: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Check {
        Check { name: name.into(), ok, expected: expected.into(), found: found.into() }
    }

    /// Holds when both are the same.
    pub(crate) fn equal(name: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Check {
        let (expected, found) = (expected.into(), found.into());
        Check { name: name.into(), ok: expected == found, expected, found }
    }

    /// Holds when nothing is to be complained of.
    pub(crate) fn complaints(name: impl Into<String>, expected: impl Into<String>, complaints: &[String]) -> Check {
        const SHOWN: usize = 10;
        let expected = expected.into();
        let mut found = complaints.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        if complaints.len() > SHOWN {
            found += &format!("; and {} more", complaints.len() - SHOWN);
        }
        if complaints.is_empty() {
            found.clone_from(&expected);
        }
        Check { name: name.into(), ok: complaints.is_empty(), expected, found }
    }
}

/// How long a part of a boot took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The first or the second boot.
    pub boot: u32,
    /// firmware, loader (or both in one), kernel, initrd, userspace; total: from switching on to the last answer.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VerifyResult {
    /// Every check holds.
    pub ok: bool,
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
    /// How long each stage of each boot took.
    pub stages: Vec<Stage>,
    /// `kvm` or `tcg`: what the stages' times are worth.
    pub accelerator: String,
    /// The last lines of the serial console; empty when every check holds.
    pub console_tail: String,
    /// The picture of the login prompt, if one was asked for and taken.
    pub screenshot: Option<PathBuf>,
}
