//! The verdict: does the machine come up, and is there something to come up with that has done so before?
//!
//! A generation on trial is taken to fail whenever it is started: what must follow is that its tries are used up and the
//! good one boots by itself.

use super::fat::{Fat, Node};
use super::volume::{Hash, Hashes};

/// What an entry starts, exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Start {
    /// The kernel's contents.
    pub kernel: Hash,
    /// The initrds' contents.
    pub initrds: Vec<Hash>,
    /// The kernel's command line.
    pub options: String,
}

/// What may be started.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What has booted before: one of these must be there at every moment, in an entry without a counter.
    pub booted: Vec<Start>,
    /// What else is right to start without a counter: what the update makes good.
    pub good: Vec<Start>,
    /// What may be tried, with a counter.
    pub trials: Vec<Start>,
}

impl Known {
    /// Whether an entry without a counter may start this.
    pub fn is_good(&self, start: &Start) -> bool {
        self.booted.contains(start) || self.good.contains(start)
    }
}

/// A file as a loader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    /// Nothing stands there.
    Missing,
    /// It is there and whole; its hash.
    Whole(Hash),
    /// It is there and damaged, and how.
    Damaged(String),
}

/// Fetches a file.
pub fn get(fat: &Fat<'_>, hashes: &mut Hashes, path: &str) -> Got {
    match fat.find(path) {
        None => Got::Missing,
        Some(Node { folder: true, .. }) => Got::Damaged("it is a folder".into()),
        Some(node) => match hashes.of(fat, &node) {
            Ok(hash) => Got::Whole(hash),
            Err(flaw) => Got::Damaged(flaw.to_string()),
        },
    }
}
