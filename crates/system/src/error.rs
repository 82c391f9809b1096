//! Why a system could not be made.

use std::io;
use std::path::{Path, PathBuf};

use cairn_machine::names::{NameError, shown};

/// What goes wrong when a base is made into a system. Errors of the base itself are [`crate::debian::Error`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// The machine file asks for something that the base does not have, or that contradicts itself.
    #[error("{message}")]
    Refused {
        /// The place in the machine file, as a JSON pointer.
        pointer: String,
        /// What is wrong.
        message: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// The base lacks a file that every system needs.
    #[error("the base {} has no {path}, which {reason}", base.display())]
    BaseLacks {
        /// The base.
        base: PathBuf,
        /// What is missing, relative to the base.
        path: String,
        /// What needs it.
        reason: &'static str,
    },
    /// The machine could not run the program that makes its next generation.
    #[error("{} {why}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do about it.
        help: Option<String>,
    },
    /// A file of the base is not what it should be.
    #[error("{} is not {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// The bootspec of a system.
    #[error(transparent)]
    Bootspec(#[from] cairn_boot::bootspec::BootspecError),
    /// A name for a file, out of some text, is none.
    #[error("a file would have to be called `{path}`")]
    Name {
        /// The beginning of the path.
        path: String,
        /// Why it cannot be.
        source: NameError,
    },
    /// A link without a target that it can have.
    #[error("the link {path} would lead nowhere: a target has 1 to 4095 bytes, and no NUL")]
    Target {
        /// The link.
        path: String,
    },
    /// A program of the base that is run here is missing or failed.
    #[error(transparent)]
    Tool(#[from] cairn_process::ToolError),
    /// The file system.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done, as a gerund phrase.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it did not work.
        source: io::Error,
    },
    /// The store.
    #[error("adding to the store")]
    Store(#[from] cairn_store::StoreError),
}

impl SystemError {
    pub(crate) fn name(path: &str) -> impl FnOnce(NameError) -> SystemError {
        let path = shown(path);
        move |source| SystemError::Name { path, source }
    }

    /// The place in the machine file that the error is about, if it is about one.
    #[must_use]
    pub fn pointer(&self) -> Option<&str> {
        match self {
            SystemError::Refused { pointer, .. } => Some(pointer),
            _ => None,
        }
    }

    /// What to do about it, if that is known.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        match self {
            SystemError::Refused { help, .. } | SystemError::Program { help, .. } => help.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn refused(pointer: impl Into<String>, message: impl Into<String>) -> SystemError {
        SystemError::Refused { pointer: pointer.into(), message: message.into(), help: None }
    }

    pub(crate) fn refused_with(
        pointer: impl Into<String>,
        message: impl Into<String>,
        help: Option<String>,
    ) -> SystemError {
        SystemError::Refused { pointer: pointer.into(), message: message.into(), help }
    }

    pub(crate) fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> SystemError {
        let path = path.as_ref().to_path_buf();
        move |source| SystemError::Io { doing, path, source }
    }
}
