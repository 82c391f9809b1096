//! The exit codes that scripts rely on, and the errors that choose one.

use std::io::ErrorKind;
use std::process::ExitCode;

use cairn_disk::output::OutputError as FileError;
use cairn_machine::{Problem, Problems};
use cairn_observe::ObserveError;
use cairn_observe::view::ViewError;
use cairn_process::{AfterWrite, Refusal, Usage};
use cairn_store::StoreError;
use image_builder::qemu::QemuError;

/// How the command ends. The numbers are a promise; README.md lists them, and a test holds it to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed; nothing on the target was changed.
    Failed = 1,
    /// Wrong usage; clap ends the command with this number by itself.
    Usage = 2,
    /// Refused: busy, too small, not confirmed, would overwrite.
    Refused = 3,
    /// Failed after the first write to a target.
    FailedAfterWrite = 4,
    /// Ended by SIGHUP, as when the terminal is closed (128 + SIGHUP).
    HungUp = 129,
    /// Interrupted by Ctrl-C (128 + SIGINT).
    Interrupted = 130,
    /// Ended by SIGTERM (128 + SIGTERM).
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Standard output could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing to standard output")]
pub struct OutputError(#[from] pub std::io::Error);

/// A failure for which there is a page of its own, which is said instead of the error.
#[derive(Debug, thiserror::Error)]
#[error("the installation has failed")]
pub struct Told(pub String);

/// Somebody who was asked wants no more, or is gone: a refusal that is nobody's fault.
#[derive(Debug, thiserror::Error)]
#[error("{0}: nothing was written to any disk")]
pub struct Stopped(pub &'static str);

/// How the command ends with this error: by what the libraries say of it, wherever in the chain of causes that is.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(OutputError(e)) = cause.downcast_ref() {
            // Whoever reads has read enough: `cairn inspect IMAGE | head` is no failure.
            return if e.kind() == ErrorKind::BrokenPipe { Exit::Done } else { Exit::Failed };
        }
        if is_refusal(cause) {
            return Exit::Refused;
        }
        if cause.is::<AfterWrite>() {
            return Exit::FailedAfterWrite;
        }
        if cause.is::<Usage>() {
            return Exit::Usage;
        }
    }
    Exit::Failed
}

/// Whether nothing is broken, and somebody can do something about it.
fn is_refusal(cause: &(dyn std::error::Error + 'static)) -> bool {
    let of = |refuses: Option<bool>| refuses.unwrap_or_default();
    cause.is::<Refusal>()
        || cause.is::<Stopped>()
        || of(cause.downcast_ref().map(ObserveError::is_refusal))
        || of(cause.downcast_ref().map(ViewError::is_refusal))
        || of(cause.downcast_ref().map(StoreError::is_refusal))
        || of(cause.downcast_ref().map(FileError::is_refusal))
        || of(cause.downcast_ref().map(QemuError::is_refusal))
}

/// What the error says about machine files: such an error needs no name of the command and no chain of causes.
pub fn problems_in(error: &anyhow::Error) -> Vec<Problem> {
    let found = error.chain().find_map(|cause| {
        let one = cause.downcast_ref::<Problem>().map(|p| vec![p.clone()]);
        let all = || match cause.downcast_ref::<ObserveError>() {
            Some(observed) => observed.problems(),
            None => cause.downcast_ref::<Problems>(),
        };
        one.or_else(|| all().map(|all| all.iter().cloned().collect()))
    });
    found.unwrap_or_default()
}
