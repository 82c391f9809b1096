//! The exit codes that scripts rely on, and the errors that choose one.

use std::process::ExitCode;

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
