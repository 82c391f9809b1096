//! One error type: what was being done, and why it did not work. It is printed once, into the journal.

use std::fmt;

/// What was being done when what went wrong.
#[derive(Debug)]
pub struct Error(String);

impl Error {
    /// An error that is its own explanation.
    pub fn new(text: impl Into<String>) -> Error {
        Error(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was being done when something fails.
pub trait Context<T> {
    /// Puts `doing` (a gerund phrase) before the error.
    fn context(self, doing: &str) -> Result<T, Error>;
    /// The same with a phrase that is only made when it is needed.
    fn with_context(self, doing: impl FnOnce() -> String) -> Result<T, Error>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, doing: &str) -> Result<T, Error> {
        self.map_err(|e| Error(format!("{doing}: {e}")))
    }

    fn with_context(self, doing: impl FnOnce() -> String) -> Result<T, Error> {
        self.map_err(|e| Error(format!("{}: {e}", doing())))
    }
}
