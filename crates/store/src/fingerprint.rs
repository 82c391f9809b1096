//! What `lstat` says about the files of a tree on this machine, so that a changed one is found without reading any.
//!
//! Whoever writes to a file changes its change time, and no program can put that back. The one hole is a write within
//! the same tick of the file system's clock as the last change that we know of; as Git does, an entry that was changed
//! so shortly before it was looked at is marked `unsure`, and is read the next time.

use std::fmt::Write;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

const HEADER: &str = "cairn-fingerprint 1\n";

/// The stamp of one entry of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    ino: u64,
    size: u64,
    mtime: i128,
    ctime: i128,
    pub(crate) unsure: bool,
}

impl Stamp {
    /// `before` is the file system's time ([`crate::Scratch::now`]) before the contents were read.
    pub(crate) fn new(meta: &Metadata, before: i128) -> Stamp {
        let nanoseconds = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        let ctime = nanoseconds(meta.ctime(), meta.ctime_nsec());
        Stamp {
            ino: meta.ino(),
            // A folder's size depends on what was in it before, and its times say when names came and went.
            size: if meta.is_dir() { 0 } else { meta.size() },
            mtime: nanoseconds(meta.mtime(), meta.mtime_nsec()),
            ctime,
            unsure: ctime >= before,
        }
    }

    /// Whether the entry is certainly the one that was stamped, unchanged.
    pub(crate) fn still_holds(&self, meta: &Metadata) -> bool {
        !self.unsure && Stamp::new(meta, i128::MAX) == *self
    }
}

/// The stamps of a tree, in the order of its listing.
pub(crate) fn to_text(stamps: &[Stamp]) -> String {
    let mut text = String::with_capacity(HEADER.len() + stamps.len() * 48);
    text.push_str(HEADER);
    for s in stamps {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {} {} {} {}", s.ino, s.size, s.mtime, s.ctime, u8::from(s.unsure));
    }
    text
}

/// Reads what [`to_text`] wrote; nothing when it is anything else, which costs no more than reading the tree.
pub(crate) fn parse(text: &str) -> Option<Vec<Stamp>> {
    text.strip_prefix(HEADER)?.split_terminator('\n').map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Stamp> {
    let mut words = line.split(' ');
    let stamp = Stamp {
        ino: words.next()?.parse().ok()?,
        size: words.next()?.parse().ok()?,
        mtime: words.next()?.parse().ok()?,
        ctime: words.next()?.parse().ok()?,
        unsure: match words.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        },
    };
    words.next().is_none().then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_back_and_damage_does_not() {
        let stamp = Stamp { ino: u64::MAX, size: 3, mtime: -1, ctime: 1_700_000_000_123_456_789, unsure: true };
        let text = to_text(&[stamp, Stamp { unsure: false, ..stamp }]);
        assert_eq!(parse(&text), Some(vec![stamp, Stamp { unsure: false, ..stamp }]));
        assert_eq!(parse(&text.replace(" 1\n", " 2\n")), None);
        assert_eq!(parse(&text.replace("fingerprint 1", "fingerprint 2")), None);
    }

    #[test]
    fn an_entry_changed_in_the_same_tick_is_unsure() {
        let meta = std::fs::metadata("/").unwrap();
        let ctime = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
        assert!(!Stamp::new(&meta, ctime).still_holds(&meta));
        assert!(Stamp::new(&meta, ctime + 1).still_holds(&meta));
    }
}
