//! What the machine has been given of the bases that it booted: the text `/var/lib/cairn/given`. Pure.
//!
//! ```text
//! base /nix/store/HASH-debian-trixie-base
//! have var/lib/pam
//! away var/lib/redis
//! lack var/lib/new
//! end 3
//! ```
//!
//! Whatever a base has below `/var` and `/usr/local` a machine gets once. `have` is what it was given, or had already: if
//! it is gone now, somebody removed it, and it does not come back. `away` was given too, but the base that booted last
//! has no such thing: its package has been taken out. `lack` could not be made, and is tried again. Who wants something
//! again that was removed deletes its line. The first line is the base that all this was last compared with, `part` in
//! the place of `base` if something is lacking. All words have the same length: a full disk has room to change one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was given, or the machine had it already.
    Have,
    /// It was given, and the base that booted last has no such thing.
    Away,
    /// It could not be made.
    Lack,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Have => "have",
            State::Away => "away",
            State::Lack => "lack",
        }
    }
}

/// The record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The base that it was last compared with.
    pub base: String,
    /// Nothing of that base is lacking.
    pub complete: bool,
    /// By path, as [`key`] writes it.
    pub paths: BTreeMap<String, State>,
}

/// What a record is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// It is as it was written.
    Whole,
    /// Somebody took lines out of it.
    Edited,
    /// It is not there, or a part of it.
    Damaged,
}

impl Given {
    /// From the file's text. What can be read counts, whatever the whole is worth.
    pub fn parse(text: &str) -> (Given, Worth) {
        let mut given = Given::default();
        let (mut plain, mut end) = (true, None);
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            // Nothing comes after the end.
            plain &= end.is_none();
            let state = match word {
                "base" | "part" => {
                    given.complete = word == "base";
                    given.base = rest.into();
                    continue;
                }
                "have" => State::Have,
                "away" => State::Away,
                "lack" => State::Lack,
                "end" => {
                    end = rest.parse::<usize>().ok();
                    continue;
                }
                _ => {
                    plain = false;
                    continue;
                }
            };
            given.paths.insert(rest.into(), state);
        }
        let worth = match end.filter(|_| plain && !given.base.is_empty()) {
            Some(count) if count == given.paths.len() => Worth::Whole,
            Some(_) => Worth::Edited,
            None => Worth::Damaged,
        };
        (given, worth)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let mut text =
            "# What this machine was given of its bases' /var and /usr/local. What is removed does not come back;\n\
                        # delete its line, and it is there again after the next restart.\n"
                .to_string();
        // A line that was deleted makes the number at the end wrong: then all is compared again.
        let _ = writeln!(text, "{} {}", if self.complete { "base" } else { "part" }, self.base);
        for (path, state) in &self.paths {
            let _ = writeln!(text, "{} {path}", state.word());
        }
        let _ = writeln!(text, "end {}", self.paths.len());
        text
    }

    /// What is known of a path.
    pub fn state(&self, key: &str) -> Option<State> {
        self.paths.get(key).copied()
    }
}

/// A path as the record writes it: what is not plain ASCII, blanks and backslashes as in fstab(5).
pub fn key(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'!'..=b'~' if *byte != b'\\' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let paths = [("var/a", State::Have), ("var/b", State::Away), ("var/c\\040d", State::Lack)];
        let paths = paths.map(|(path, state)| (path.to_string(), state)).into();
        let given = Given { base: "/nix/store/x-base".into(), complete: true, paths };
        assert_eq!(Given::parse(&given.text()), (given.clone(), Worth::Whole));
        let part = Given { complete: false, ..given.clone() };
        assert_eq!(Given::parse(&part.text()), (part.clone(), Worth::Whole));
        assert_eq!(part.text().len(), given.text().len(), "it can be written over the other");
        assert_eq!(key(Path::new("var/c d\u{e4}\\")), "var/c\\040d\\303\\244\\134");
    }

    #[test]
    fn what_is_left_of_a_damaged_record_counts_and_is_known_to_be_a_part() {
        let whole = "base /nix/store/x-base\nhave var/a\nhave var/b\nend 2\n";
        assert_eq!(Given::parse(whole).1, Worth::Whole);
        assert_eq!(Given::parse(&whole.replace("have var/b\n", "")).1, Worth::Edited);
        for damaged in
            ["", "have var/a", &whole[..34], &whole[22..], "base x\nhave var/a\n\0\0\0\0", &format!("{whole}x")]
        {
            let (given, worth) = Given::parse(damaged);
            assert_eq!(worth, Worth::Damaged, "{damaged:?}");
            assert_eq!(given.state("var/a").is_some(), damaged.contains("var/a"), "{damaged:?}");
        }
    }
}
