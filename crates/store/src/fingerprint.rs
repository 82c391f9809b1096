//! What `lstat` says about the files of a tree on this machine, so that a changed one is found without reading any.
//!
//! Whoever writes to a file changes its change time, and no program can put that back. The one hole is a write within
//! the same tick of the file system's clock as the last change that we know of; as Git does, an entry that was changed
//! so shortly before it was looked at is marked unsure, and is read the next time.
//!
//! An image cannot know what `lstat` will say where it is used, so it brings [`AS_LISTED`] instead: whoever checks the
//! path first looks at every entry (kind, size, mode, time, the names in each folder) without reading any, and stamps
//! what is as the listing says.

use std::fmt::Write;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use nix::sys::stat::{FileStat, SFlag};

const HEADER: &str = "cairn-fingerprint 1\n";

/// The fingerprint of a tree that was written by somebody whom we trust and that nobody here has looked at yet.
pub(crate) const AS_LISTED: &str = "cairn-fingerprint 1\nas listed\n";

/// What a fingerprint file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fingerprint {
    /// One stamp for each entry of the listing.
    Stamps(Vec<Stamp>),
    /// Nobody has looked yet.
    AsListed,
}

/// What is known of the contents behind a stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// They were read, and nobody has changed them since.
    Read,
    /// They may have been changed after they were read.
    Unsure,
    /// Nobody has changed them since they were first looked at; they were not read then.
    Listed,
}

/// What `lstat` says, in the words of the standard library or of the system.
pub(crate) trait Looked {
    fn number(&self) -> u64;
    fn length(&self) -> u64;
    fn is_folder(&self) -> bool;
    /// Seconds and nanoseconds since 1970.
    fn modified(&self) -> (i64, i64);
    /// As [`Looked::modified`].
    fn changed(&self) -> (i64, i64);
}

impl Looked for Metadata {
    fn number(&self) -> u64 {
        self.ino()
    }

    fn length(&self) -> u64 {
        self.size()
    }

    fn is_folder(&self) -> bool {
        self.is_dir()
    }

    fn modified(&self) -> (i64, i64) {
        (self.mtime(), self.mtime_nsec())
    }

    fn changed(&self) -> (i64, i64) {
        (self.ctime(), self.ctime_nsec())
    }
}

impl Looked for FileStat {
    fn number(&self) -> u64 {
        self.st_ino
    }

    fn length(&self) -> u64 {
        self.st_size.cast_unsigned()
    }

    fn is_folder(&self) -> bool {
        SFlag::from_bits_truncate(self.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
    }

    fn modified(&self) -> (i64, i64) {
        (self.st_mtime, self.st_mtime_nsec)
    }

    fn changed(&self) -> (i64, i64) {
        (self.st_ctime, self.st_ctime_nsec)
    }
}

/// The stamp of one entry of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) ino: u64,
    size: u64,
    mtime: i128,
    ctime: i128,
    pub(crate) trust: Trust,
}

impl Stamp {
    /// Holds for nothing.
    pub(crate) const NONE: Stamp = Stamp { ino: 0, size: 0, mtime: 0, ctime: 0, trust: Trust::Unsure };

    /// `before` is the file system's time ([`crate::Scratch::now`]) before the contents were read.
    pub(crate) fn new(meta: &impl Looked, before: i128) -> Stamp {
        let nanoseconds = |(s, ns): (i64, i64)| i128::from(s) * 1_000_000_000 + i128::from(ns);
        let ctime = nanoseconds(meta.changed());
        Stamp {
            ino: meta.number(),
            // A folder's size depends on what was in it before, and its times say when names came and went.
            size: if meta.is_folder() { 0 } else { meta.length() },
            mtime: nanoseconds(meta.modified()),
            ctime,
            trust: if ctime >= before { Trust::Unsure } else { Trust::Read },
        }
    }

    /// The stamp of something whose contents were not read.
    pub(crate) fn listed(meta: &Metadata, before: i128) -> Stamp {
        let stamp = Stamp::new(meta, before);
        Stamp { trust: if stamp.trust == Trust::Read { Trust::Listed } else { stamp.trust }, ..stamp }
    }

    /// This stamp after something that we did to the file ourselves, if it held before. What is known of the contents stays.
    pub(crate) fn renewed(&self, before: &Stamp, after: &Stamp) -> Option<Stamp> {
        (Stamp { trust: self.trust, ..*before } == *self).then_some(Stamp { trust: self.trust, ..*after })
    }

    /// Whether two stamps differ by the change time only.
    pub(crate) fn same_but_for_names(&self, other: &Stamp) -> bool {
        Stamp { ctime: other.ctime, ..*self } == *other
    }

    /// Whether the entry is certainly the one that was stamped, unchanged.
    pub(crate) fn still_holds(&self, meta: &impl Looked) -> bool {
        self.trust != Trust::Unsure && Stamp { trust: self.trust, ..Stamp::new(meta, i128::MAX) } == *self
    }
}

/// The stamps of a tree, in the order of its listing.
pub(crate) fn to_text(stamps: &[Stamp]) -> String {
    let mut text = String::with_capacity(HEADER.len() + stamps.len() * 48);
    text.push_str(HEADER);
    for s in stamps {
        // Writing to a string cannot fail.
        let trust = match s.trust {
            Trust::Read => 0,
            Trust::Unsure => 1,
            Trust::Listed => 2,
        };
        let _ = writeln!(text, "{} {} {} {} {trust}", s.ino, s.size, s.mtime, s.ctime);
    }
    text
}

/// Reads what [`to_text`] wrote; nothing when it is anything else, which costs no more than reading the tree.
pub(crate) fn parse(text: &str) -> Option<Fingerprint> {
    if text == AS_LISTED {
        return Some(Fingerprint::AsListed);
    }
    let stamps: Option<_> = text.strip_prefix(HEADER)?.split_terminator('\n').map(parse_line).collect();
    stamps.map(Fingerprint::Stamps)
}

fn parse_line(line: &str) -> Option<Stamp> {
    let mut words = line.split(' ');
    let stamp = Stamp {
        ino: words.next()?.parse().ok()?,
        size: words.next()?.parse().ok()?,
        mtime: time(words.next()?)?,
        ctime: time(words.next()?)?,
        trust: match words.next()? {
            "0" => Trust::Read,
            "1" => Trust::Unsure,
            "2" => Trust::Listed,
            _ => return None,
        },
    };
    words.next().is_none().then_some(stamp)
}

/// A number of nanoseconds. Nearly all fit a register, and are read several times as fast then.
fn time(word: &str) -> Option<i128> {
    word.parse::<i64>().map(i128::from).or_else(|_| word.parse()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_come_back_and_damage_does_not() {
        let ctime = 1_700_000_000_123_456_789;
        let stamps = [Trust::Read, Trust::Unsure, Trust::Listed].map(|trust| Stamp {
            ino: u64::MAX,
            size: 3,
            mtime: if trust == Trust::Read { -1 } else { i128::from(i64::MAX) + 1 },
            ctime,
            trust,
        });
        let text = to_text(&stamps);
        assert_eq!(parse(&text), Some(Fingerprint::Stamps(stamps.to_vec())));
        assert_eq!(parse(AS_LISTED), Some(Fingerprint::AsListed));
        assert_eq!(parse(&text.replace(" 1\n", " 3\n")), None);
        assert_eq!(parse(&text.replace("fingerprint 1", "fingerprint 2")), None);
    }

    #[test]
    fn an_entry_changed_in_the_same_tick_is_unsure() {
        let meta = std::fs::metadata("/").unwrap();
        let ctime = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
        assert!(!Stamp::new(&meta, ctime).still_holds(&meta));
        assert!(Stamp::new(&meta, ctime + 1).still_holds(&meta));
        let listed = Stamp::listed(&meta, ctime + 1);
        assert!(listed.trust == Trust::Listed && listed.still_holds(&meta));
        assert_eq!(Stamp::listed(&meta, ctime).trust, Trust::Unsure);
        assert!(!Stamp { ino: listed.ino + 1, ..listed }.still_holds(&meta));
    }

    #[test]
    fn what_we_do_to_a_file_changes_nothing_of_what_is_known_of_it() {
        let stamp = |ctime, trust| Stamp { ino: 1, size: 2, mtime: 3, ctime, trust };
        let (before, after) = (stamp(4, Trust::Read), stamp(5, Trust::Read));
        for trust in [Trust::Read, Trust::Unsure, Trust::Listed] {
            assert_eq!(stamp(4, trust).renewed(&before, &after), Some(stamp(5, trust)));
            assert_eq!(stamp(3, trust).renewed(&before, &after), None, "it did not hold before");
        }
        assert!(before.same_but_for_names(&after));
        assert!(!before.same_but_for_names(&Stamp { size: 9, ..after }));
    }
}
