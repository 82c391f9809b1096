//! What is wrong with a file, where, and what to do: one problem, and all of them together.

use std::fmt;

use serde::Serialize;

use crate::names::LONGEST_PATH;

/// A place in a text. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// The very beginning of a file.
    pub const START: Position = Position { line: 1, column: 1 };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong (or, among the warnings, doubtful) in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, as its name was given.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// The longest message, in characters. What is said about a value names it in short; this holds where somebody forgot.
const LONGEST: usize = 1000;

impl Problem {
    pub(crate) fn new(file: &str, at: Position, message: impl Into<String>, help: Option<String>) -> Problem {
        let (message, help) = (clip(message.into(), LONGEST), help.map(|help| clip(help, LONGEST)));
        // A file may be named in a file.
        let file = clip(file.to_owned(), LONGEST_PATH);
        Problem { file, line: at.line, column: at.column, message, help }
    }
}

/// A text for a terminal: nothing that would move its cursor, and no more than somebody reads.
fn clip(text: String, longest: usize) -> String {
    let odd = |c: char| c.is_control() && c != '\n';
    if text.len() <= longest && !text.contains(odd) {
        return text;
    }
    let clean: String = text.chars().take(longest).map(|c| if odd(c) { ' ' } else { c }).collect();
    if text.chars().nth(longest).is_some() { format!("{clean}...") } else { clean }
}

impl fmt::Display for Problem {
    /// `machine.yaml:3:7: message`, and a second line with the help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}

/// Every problem that was found, in the order of the files and the places in them. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Sorts the problems by place and drops repetitions. `None` when there is none.
    pub fn new(mut problems: Vec<Problem>) -> Option<Problems> {
        // Stable, so that what stands at one place keeps the order in which it was found.
        problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        problems.dedup();
        (!problems.is_empty()).then_some(Problems(problems))
    }

    /// The problems, sorted by place.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// As many of a list as are worth showing, and how many are left out: whoever has mended these sees the others then.
    pub fn worth_showing(list: &[Problem]) -> (&[Problem], usize) {
        const MOST: usize = 1000;
        let (shown, left_out) = list.split_at(list.len().min(MOST));
        (shown, left_out.len())
    }

    /// The problems as a list, to add others to.
    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }

    pub(crate) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&Problem) -> K) {
        self.0.sort_by_key(key);
    }

    /// How many there are; at least one.
    #[allow(clippy::len_without_is_empty)] // It is never empty.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Problems {
        Problems(vec![problem])
    }
}

impl fmt::Display for Problems {
    /// One problem after the other, each on its own lines; no newline at the end. Of very many the first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, left_out) = Problems::worth_showing(&self.0);
        for (i, problem) in shown.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        match left_out {
            0 => Ok(()),
            more => write!(f, "\nand {more} more problems; mend these first"),
        }
    }
}

impl std::error::Error for Problems {}
