//! How long work tells what it does: phases, steps done, notes. What is shown is the command's business.

/// Receives what long work has to say. All methods may be called from any thread.
pub trait Report: Sync {
    /// A phase begins; `total` is the number of steps (bytes, files, packages) where it is known.
    fn phase(&self, name: &str, total: Option<u64>);
    /// `steps` more of the current phase are done.
    fn advance(&self, steps: u64);
    /// Something worth a line, such as "the base is in the cache".
    fn note(&self, text: &str);
    /// The current phase is over, and the terminal is somebody else's from here on: data, or another program.
    fn finish(&self) {}
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Report for Quiet {
    fn phase(&self, _name: &str, _total: Option<u64>) {}
    fn advance(&self, _steps: u64) {}
    fn note(&self, _text: &str) {}
}
