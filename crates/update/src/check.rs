//! What is not as it should be on a machine's boot partitions, and what starts from them. Changes nothing.

use std::path::Path;

use cairn_observe::{ObserveError, Observed};

use crate::menu::BootMenu;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What is not as it should be.
    pub problems: Vec<String>,
    /// What somebody should know.
    pub notes: Vec<String>,
    /// Whether a repair would change something.
    pub mends: bool,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The machine cannot be looked at.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// Its boot partitions.
    #[error(transparent)]
    Menu(#[from] anyhow::Error),
}

/// Compares the boot partitions of a machine with what they should be; `cache` is where this user keeps what was made, if anywhere.
///
/// # Errors
/// A machine whose boot partitions cannot be read.
pub fn check(observed: &Observed<'_>, cache: Option<&Path>) -> anyhow::Result<Checked> {
    let menu = BootMenu::open(observed, &[], cache)?;
    let mut record = observed.record_or_new();
    let failed = menu.settle(&mut record)?;
    let planned = menu.plan(&record)?;
    let mut problems: Vec<String> = observed.record_problem.iter().map(ToString::to_string).collect();
    let broken = observed.broken.iter();
    problems.extend(broken.map(|(number, broken)| format!("generation {number} cannot be booted: {}", broken.why)));
    problems.extend(failed.map(|number| format!("generation {number} has used up its tries")));
    problems.extend(planned.words());
    problems.extend(planned.doubts().iter().cloned());
    let notes = planned.notes().into_iter().cloned().collect();
    Ok(Checked { problems, notes, mends: !planned.is_empty() && observed.folder().is_some() })
}
