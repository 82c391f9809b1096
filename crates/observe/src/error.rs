//! Why a machine cannot be looked at.

use cairn_disk::Spent;
use cairn_machine::Problems;
use cairn_process::Refusal;

use crate::view::ViewError;

/// What goes wrong while a machine is looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// It cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// It is no machine, or has not what was asked for.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The machine file that one of its generations was made from.
    #[error(transparent)]
    MachineFile(#[from] Problems),
    /// What its generations say together would take for ever.
    #[error("looking at the generations, at {system}")]
    Endless {
        /// The system at which it was too much.
        system: String,
        /// What ran out.
        source: Spent,
    },
    /// A file that is missing, or that says what it must not.
    #[error("{0}")]
    Unfit(String),
    /// A reader of other people's gave up.
    #[error("{0} is damaged: a reader of its file systems gave up")]
    GaveUp(String),
}

impl ObserveError {
    /// Whether it is a refusal: nothing is broken, and somebody can do something about it.
    pub fn is_refusal(&self) -> bool {
        match self {
            ObserveError::Refused(_) => true,
            ObserveError::View(error) => error.is_refusal(),
            _ => false,
        }
    }

    /// The problems of a machine file, if it is about one.
    pub fn problems(&self) -> Option<&Problems> {
        match self {
            ObserveError::MachineFile(problems) => Some(problems),
            _ => None,
        }
    }
}
