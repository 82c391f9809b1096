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
}

impl Notes {
    /// Says it, without what a terminal would take for more than text.
    pub fn say(&mut self, text: impl Display) {
        self.count += 1;
        if self.count <= MOST {
            let text = text.to_string();
            let clean: String = text.chars().take(LONGEST).flat_map(plain).collect();
            eprintln!("cairn-stage1: {clean}");
        }
    }
}

impl Drop for Notes {
    fn drop(&mut self) {
        if let Some(more @ 1..) = self.count.checked_sub(MOST) {
            eprintln!("cairn-stage1: and {more} more");
        }
    }
}

fn plain(c: char) -> impl Iterator<Item = char> {
    let odd =
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let escaped = if odd { c.escape_unicode().collect() } else { vec![c] };
    escaped.into_iter()
}
