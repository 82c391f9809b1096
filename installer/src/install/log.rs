//! What an installation says, passed on and kept: the machine gets it.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use cairn_process::Report;

/// A report that remembers.
pub struct Log<'r> {
    report: &'r dyn Report,
    text: Mutex<String>,
}

impl<'r> Log<'r> {
    /// Passes on to a report.
    pub fn new(report: &'r dyn Report) -> Log<'r> {
        Log { report, text: Mutex::default() }
    }

    /// All that was said, a line for each thing.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn line(&self, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text.lock().unwrap_or_else(PoisonError::into_inner), "{text}");
    }
}

impl Report for Log<'_> {
    fn phase(&self, name: &str, total: Option<u64>) {
        self.line(&match total {
            Some(total) => format!("{name} ({total})"),
            None => name.to_string(),
        });
        self.report.phase(name, total);
    }

    fn advance(&self, steps: u64) {
        self.report.advance(steps);
    }

    fn note(&self, text: &str) {
        self.line(text);
        self.report.note(text);
    }

    fn finish(&self) {
        self.report.finish();
    }
}
