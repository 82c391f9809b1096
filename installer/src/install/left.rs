//! What is left of a disk when an installation ends before its end, in words.

use std::path::Path;

use cairn_layout::onto::Onto;
use cairn_process::{AfterWrite, Asked};

/// A failure, whose cause is told as what is left. What has led to it is kept, for whoever wants to know which program it was.
#[derive(Debug)]
pub struct Broken {
    why: anyhow::Error,
    left: anyhow::Error,
}

impl Broken {
    /// A failure, and what is left.
    pub(super) fn new(why: anyhow::Error, left: anyhow::Error) -> Broken {
        Broken { why, left }
    }

    /// What has led to it.
    pub fn why(&self) -> &anyhow::Error {
        &self.why
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.why)
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.left)
    }
}

/// What went wrong, and then what is left: a failure after the first write. Of a command that was asked to end, whoever ends it says so.
pub fn after(error: anyhow::Error, left: String) -> anyhow::Error {
    if error.is::<Asked>() {
        return error;
    }
    Broken::new(error, AfterWrite(left).into()).into()
}

/// What is left once contents are being written.
pub fn unfinished(onto: &Onto, node: &Path) -> String {
    let node = node.display();
    if onto.new_table {
        return format!("{node} is unfinished: it has no partition table and starts nothing. Install again");
    }
    let replaced: Vec<String> = onto.losses().iter().map(|one| one.number.to_string()).collect();
    if replaced.is_empty() {
        return format!("{node} has its partitions as before; what was written lies in free space. Install again");
    }
    let which = replaced.join(", ");
    format!("{node} is unfinished: the contents of partition {which} are gone, the others are as before. Install again")
}

/// What is left once the table is being written.
pub fn unchecked(onto: &Onto, node: &Path, receipt: &Path) -> String {
    let (node, receipt) = (node.display(), receipt.display());
    if onto.loses() {
        return format!("{node} may be unfinished: it was not looked at to the end. Install again");
    }
    format!(
        "{node} has its partitions as before, and new ones, which were not looked at to the end: `cairn install --undo {receipt}` removes \
         them"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_error_is_told_first_and_the_command_knows_how_it_ends() {
        let error = anyhow::anyhow!("no space").context("writing to /dev/sda");
        let error = after(error, "/dev/sda is unfinished".into());
        assert_eq!(format!("{error:#}"), "writing to /dev/sda: no space: /dev/sda is unfinished");
        assert!(error.chain().any(|cause| cause.is::<AfterWrite>()));
        assert_eq!(error.downcast_ref::<Broken>().unwrap().why().chain().count(), 2);
    }
}
