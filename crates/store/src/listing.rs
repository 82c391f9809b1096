//! The listing of a tree: what is in it, file by file, with the SHA-256 of each content.
//!
//! One line for each entry, in the order of a NAR (a folder before what it holds, names by their bytes):
//! `d PATH`, `f SIZE SHA256 PATH`, `x SIZE SHA256 PATH` (executable), `l PATH<tab>TARGET`. A backslash, a line feed
//! and a tab in a name are written `\\`, `\n` and `\t`. The top of the tree has the empty path.

use std::fmt::Write;

use crate::info::{from_hex, to_hex};

const HEADER: &str = "cairn-listing 1\n";

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is below the store path: `usr/bin/env`. Empty for the store path itself.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is. Nothing else can be in a store path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder, mode 0555.
    Directory,
    /// A regular file, mode 0444, or 0555 when it is executable.
    File {
        /// Length in bytes.
        size: u64,
        /// Whether it may be run.
        executable: bool,
        /// SHA-256 of the contents.
        sha256: [u8; 32],
    },
    /// A symbolic link.
    Symlink {
        /// What it says.
        target: String,
    },
}

/// Everything that is in a store path, in the order of a NAR: a folder comes before what it holds, and names are
/// sorted by their bytes. The first entry is the store path itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    entries: Vec<Entry>,
}

impl Listing {
    pub(crate) fn new(entries: Vec<Entry>) -> Listing {
        Listing { entries }
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries, one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// The entry at `path` (`usr/bin/env`), if there is one. Looks through all of them.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.path == path)
    }

    /// The bytes in all files together. A listing of somebody else's may say more than there can be: then the most.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        let size = |e: &Entry| if let EntryKind::File { size, .. } = e.kind { size } else { 0 };
        self.entries.iter().fold(0, |sum: u64, e| sum.saturating_add(size(e)))
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = String::with_capacity(HEADER.len() + self.entries.len() * 112);
        text.push_str(HEADER);
        for Entry { path, kind } in &self.entries {
            match kind {
                EntryKind::Directory => text.push_str("d "),
                EntryKind::File { size, executable, sha256 } => {
                    // Writing to a string cannot fail.
                    let _ = write!(text, "{} {size} {} ", if *executable { 'x' } else { 'f' }, to_hex(sha256));
                }
                EntryKind::Symlink { .. } => text.push_str("l "),
            }
            escape(path, &mut text);
            if let EntryKind::Symlink { target } = kind {
                text.push('\t');
                escape(target, &mut text);
            }
            text.push('\n');
        }
        text
    }

    /// The entries of a listing as the store keeps it, read as they are asked for; nothing when it is anything else, and
    /// nothing for a line that is none.
    pub fn of_text(text: &str) -> Option<impl Iterator<Item = Option<Entry>>> {
        Some(text.strip_prefix(HEADER)?.split_terminator('\n').map(parse_line))
    }

    /// Reads a listing as the store keeps it; nothing when it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Listing> {
        let entries: Option<Vec<Entry>> = Listing::of_text(text)?.collect();
        entries.filter(|entries| is_tree(entries)).map(Listing::new)
    }
}

impl<'a> IntoIterator for &'a Listing {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Whether each entry is in a folder that was listed before it, in the order of the names, so once, and under a name that a file can
/// have: joined to the top, none leads out of it.
fn is_tree(entries: &[Entry]) -> bool {
    let Some((top, rest)) = entries.split_first() else { return false };
    let is_folder = |entry: &Entry| entry.kind == EntryKind::Directory;
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.contains('\0');
    let target_is_well = |entry: &Entry| match &entry.kind {
        EntryKind::Symlink { target } => !target.is_empty() && !target.contains('\0'),
        EntryKind::Directory | EntryKind::File { .. } => true,
    };
    // The folders that the entry is in, and the last name in each.
    let mut within: Vec<(&str, &str)> = if is_folder(top) { vec![("", "")] } else { Vec::new() };
    top.path.is_empty()
        && target_is_well(top)
        && rest.iter().all(|entry| {
            let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
            // What holds an entry follows it without a gap.
            while within.pop_if(|(folder, _)| *folder != parent).is_some() {}
            let follows = within.last_mut().is_some_and(|(_, last)| std::mem::replace(last, name) < name);
            let fits = follows && is_name(name) && !entry.path.starts_with('/') && target_is_well(entry);
            if is_folder(entry) {
                within.push((&entry.path, ""));
            }
            fits
        })
}

fn parse_line(line: &str) -> Option<Entry> {
    let (tag, rest) = line.split_once(' ')?;
    Some(match tag {
        "d" => Entry { path: unescape(rest)?, kind: EntryKind::Directory },
        "l" => {
            let (path, target) = rest.split_once('\t')?;
            Entry { path: unescape(path)?, kind: EntryKind::Symlink { target: unescape(target)? } }
        }
        "f" | "x" => {
            let (size, rest) = rest.split_once(' ')?;
            let (sha256, path) = rest.split_once(' ')?;
            let (size, sha256) = (size.parse().ok()?, from_hex(sha256)?);
            Entry { path: unescape(path)?, kind: EntryKind::File { size, executable: tag == "x", sha256 } }
        }
        _ => return None,
    })
}

fn escape(name: &str, text: &mut String) {
    if !name.contains(['\\', '\n', '\t']) {
        return text.push_str(name);
    }
    for c in name.chars() {
        match c {
            '\\' => text.push_str(r"\\"),
            '\n' => text.push_str(r"\n"),
            '\t' => text.push_str(r"\t"),
            c => text.push(c),
        }
    }
}

pub(crate) fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_string());
    }
    let mut name = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        name.push(match c {
            '\\' => match chars.next()? {
                '\\' => '\\',
                'n' => '\n',
                't' => '\t',
                _ => return None,
            },
            c => c,
        });
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: EntryKind) -> Entry {
        Entry { path: path.to_string(), kind }
    }

    #[test]
    fn every_kind_and_every_awkward_name_comes_back() {
        let listing = Listing::new(vec![
            entry("", EntryKind::Directory),
            entry("a\nb\t\\n", EntryKind::File { size: u64::MAX, executable: true, sha256: [255; 32] }),
            entry("a b", EntryKind::File { size: 0, executable: false, sha256: [7; 32] }),
            entry("l\t", EntryKind::Symlink { target: "../x\ty\\\n".to_string() }),
            entry("ü", EntryKind::Directory),
        ]);
        let text = listing.to_text();
        assert_eq!(text.lines().count(), 6);
        assert_eq!(Listing::parse(&text), Some(listing));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "cairn-listing 1\n", "cairn-listing 2\nd \n", "cairn-listing 1\nf 1 00 a\n", "cairn-listing 1\nl a\n"]
        {
            assert_eq!(Listing::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_path_in_a_listing_leads_nowhere_but_down() {
        let file = |path: &str| format!("f 1 {} {path}\n", "0".repeat(64));
        let listing = |body: &str| Listing::parse(&format!("{HEADER}d \nd a\n{body}"));
        assert!(listing(&file("a/b")).is_some());
        for path in [
            "",
            "/a/b",
            "..",
            "../b",
            "a/..",
            "a/../b",
            "a/../../../b",
            ".",
            "a/./b",
            "a//b",
            "a/b/",
            "c/b",
            "a",
            "a/\0",
            "/b",
        ] {
            assert_eq!(listing(&file(path)), None, "{path:?}");
            assert_eq!(listing(&format!("l {path}\t/etc\n")), None, "{path:?}");
            assert_eq!(listing(&format!("d {path}\n")), None, "{path:?}");
        }
        assert_eq!(listing(&file(&"x".repeat(300))), None);
        assert!(listing(&format!("d a/b\n{}{}", file("a/b/x"), file("a/c"))).is_some());
        for (first, second) in [("a/b", "a/b"), ("a/c", "a/b"), ("b", "a/b")] {
            assert_eq!(listing(&format!("{}{}", file(first), file(second))), None, "{first}, then {second}");
        }
        assert_eq!(listing("l a/l\t/etc\nd a/l/x\n"), None, "below a link");
        assert_eq!(listing("l a/l\t\n"), None, "a link to nothing");
        assert_eq!(Listing::parse(&format!("{HEADER}d a\n")), None, "no top");
    }

    #[test]
    fn sizes_that_do_not_fit_together_are_as_many_as_there_can_be() {
        let file = |path: &str| format!("f {} {} {path}\n", u64::MAX, "0".repeat(64));
        let listing = Listing::parse(&format!("{HEADER}d \n{}{}", file("a"), file("b"))).unwrap();
        assert_eq!(listing.total_size(), u64::MAX);
    }
}
