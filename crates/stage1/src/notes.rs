//! What a person should know and what does not stop the boot: a line each, on the console and in the journal, of which
//! there are never so many that they hide each other.

use std::fmt::Display;

/// How many lines there are at most, and how long each is.
const MOST: usize = 25;
const LONGEST: usize = 400;

/// The lines so far.
#[derive(Debug, Default)]
pub struct Notes {
    count: usize,
    silent: bool,
}

impl Notes {
    /// Notes that nobody hears.
    pub fn silent() -> Notes {
        Notes { silent: true, ..Notes::default() }
    }

    /// Says it.
    pub fn say(&mut self, text: impl Display) {
        self.count += 1;
        if self.count <= MOST && !self.silent {
            eprintln!("cairn-stage1: {}", clean(&text.to_string()));
        }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        if let Some(more @ 1..) = self.count.checked_sub(MOST).filter(|_| !self.silent) {
            eprintln!("cairn-stage1: and {more} more");
        }
    }
}

/// The beginning of a text, for a terminal: names and files may have anything in them.
pub fn clean(text: &str) -> String {
    text.chars().take(LONGEST).flat_map(plain).collect()
}

fn plain(c: char) -> impl Iterator<Item = char> {
    let odd =
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let escaped = if odd { c.escape_unicode().collect() } else { vec![c] };
    escaped.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_nothing_to_the_terminal_and_is_not_longer_than_a_few_lines() {
        assert_eq!(clean("a\u{1b}[31m\nb\u{202e}ü"), "a\\u{1b}[31m\\u{a}b\\u{202e}ü");
        assert!(clean(&"x".repeat(1 << 20)).len() <= LONGEST);
    }
}
