//! The file name of a menu entry: which generation, a hash of what the entry says, and systemd-boot's count of attempts.
//!
//! `cairn-MARK-NUMBER-HASH[+LEFT[-DONE]].conf`, with the counter as the Boot Loader Specification, "Boot counting", has
//! it. An entry without a counter stands for a generation that has booted well; it is written once and never renamed.
//! Because the name follows from the text, an entry that must say something else is another file beside it.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::installation::Installation;

/// Where systemd-boot looks for entries.
pub const ENTRIES: &str = "loader/entries";

/// How often an entry may still be tried, and how often it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter {
    /// Attempts left; with none left the loader takes the entry only when there is no other.
    pub left: u32,
    /// Attempts made.
    pub done: u32,
}

/// An entry's name, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryName {
    /// The installation's mark.
    pub mark: String,
    /// The generation.
    pub number: u64,
    /// The start of the hash of its text.
    pub hash: String,
    /// The counter, if the generation is being tried.
    pub counter: Option<Counter>,
}

impl EntryName {
    /// Reads a file name; nothing when it is not one of this installation's.
    pub fn parse(installation: Installation, name: &str) -> Option<EntryName> {
        EntryName::parse_any(name).filter(|found| found.mark == installation.mark())
    }

    /// Reads a file name, whichever installation's it is; nothing when it is none of ours.
    pub fn parse_any(name: &str) -> Option<EntryName> {
        let (mark, rest) = name.strip_prefix("cairn-")?.strip_suffix(".conf")?.split_once('-')?;
        let mark =
            Some(mark.to_string()).filter(|mark| mark.len() == 8 && mark.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let (id, counter) = match rest.split_once('+') {
            Some((id, counter)) => (id, Some(Counter::parse(counter)?)),
            None => (rest, None),
        };
        let (number, hash) = id.split_once('-')?;
        let number: u64 = number.parse().ok().filter(|n: &u64| n.to_string() == number)?;
        let plain = !hash.is_empty() && hash.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase());
        plain.then(|| EntryName { mark, number, hash: hash.into(), counter })
    }

    /// The name of an entry with this text.
    pub fn of(installation: Installation, number: u64, text: &str, counter: Option<Counter>) -> EntryName {
        let hash = crate::generation::hex(&Sha256::digest(text)[..4]);
        EntryName { mark: installation.mark(), number, hash, counter }
    }

    /// The path on the partition.
    pub fn path(&self) -> String {
        format!("{ENTRIES}/{self}")
    }

    /// Whether two names are of the same entry, whatever their counters say.
    pub fn same_entry(&self, other: &EntryName) -> bool {
        (self.number, &self.hash, &self.mark) == (other.number, &other.hash, &other.mark)
    }
}

impl Counter {
    fn parse(text: &str) -> Option<Counter> {
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        Some(match text.split_once('-') {
            Some((left, done)) => Counter { left: number(left)?, done: number(done)? },
            None => Counter { left: number(text)?, done: 0 },
        })
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cairn-{}-{}-{}", self.mark, self.number, self.hash)?;
        match self.counter {
            None => {}
            Some(Counter { left, done: 0 }) => write!(f, "+{left}")?,
            Some(Counter { left, done }) => write!(f, "+{left}-{done}")?,
        }
        f.write_str(".conf")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_any_installation_s_entry_is_read() {
        let counter = |name: &str| EntryName::parse_any(name).map(|found| found.counter);
        assert_eq!(counter("cairn-01234567-12-abcdefgh.conf"), Some(None));
        assert_eq!(counter("cairn-01234567-12-abcdefgh+3.conf"), Some(Some(Counter { left: 3, done: 0 })));
        assert_eq!(counter("cairn-01234567-12-abcdefgh+0-3.conf"), Some(Some(Counter { left: 0, done: 3 })));
        for other in ["debian.conf", "cairn-01234567-1-abcdefgh.bak", "cairn-01234567-2-a+x.conf", "cairn-1-2-a.conf"] {
            assert_eq!(counter(other), None, "{other}");
        }
    }
    use uuid::Uuid;

    #[test]
    fn names_come_back_and_others_are_left_alone() {
        let ours = Installation::of_seed(Uuid::from_bytes([9; 16]));
        let mark = ours.mark();
        for (counter, ending) in
            [(None, ""), (Some(Counter { left: 3, done: 0 }), "+3"), (Some(Counter { left: 0, done: 3 }), "+0-3")]
        {
            let text = format!("cairn-{mark}-12-abcd0123{ending}.conf");
            let name = EntryName::parse(ours, &text).unwrap();
            assert_eq!((name.number, name.counter, name.to_string()), (12, counter, text));
        }
        for bad in ["012-abc", "x-abc", "12-", "12", "12-ABC", "12-a+x", "12-a+1-", "12-a+-1", "12-a/b"] {
            assert_eq!(EntryName::parse(ours, &format!("cairn-{mark}-{bad}.conf")), None, "{bad}");
        }
        assert_eq!(EntryName::parse(ours, "cairn-00000000-12-abc.conf"), None);
        assert_eq!(EntryName::parse(ours, "debian.conf"), None);
    }
}
