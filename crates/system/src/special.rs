//! The list of files whose owner or permissions a store path cannot carry, as the base has it in its file `modes`.
//!
//! One line each, `MODE UID GID PATH [CAPABILITY]`; see `debian::modes`, which writes it, and the initrd's helper,
//! which carries it out.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::SystemError;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Special {
    /// The permissions.
    pub mode: u32,
    /// The owning user's number.
    pub uid: u32,
    /// The owning group's number.
    pub gid: u32,
    /// The whole line, as it stands.
    pub line: String,
}

/// Reads a base's list, by path.
///
/// # Errors
/// When the file is missing, or a line is not of the form.
pub fn read(base: &Path) -> Result<BTreeMap<String, Special>, SystemError> {
    let path = base.join("modes");
    let text = std::fs::read_to_string(&path).map_err(SystemError::io("reading", &path))?;
    parse(&text).ok_or(SystemError::Malformed { path, what: "a list of `MODE UID GID PATH` lines" })
}

/// Reads a list's text, by path; `None` when a line is not of the form.
pub fn parse(text: &str) -> Option<BTreeMap<String, Special>> {
    let mut list = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [mode, uid, gid, path, ..] = fields[..] else { return None };
        let special = Special {
            mode: u32::from_str_radix(mode, 8).ok()?,
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            line: line.to_string(),
        };
        list.insert(unescape(path)?, special);
    }
    Some(list)
}

/// Writes a path as the list has it: blanks, control characters, backslashes and `#` as in fstab(5).
pub(crate) fn escape(path: &str) -> String {
    path.chars()
        .map(|c| match c {
            ' ' | '\\' | '#' => format!("\\{:03o}", u32::from(c)),
            c if c.is_ascii_control() => format!("\\{:03o}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

fn unescape(path: &str) -> Option<String> {
    let mut pieces = path.split('\\');
    let mut text = pieces.next()?.to_string();
    for piece in pieces {
        let code = piece.get(..3)?;
        text.push(char::from(u8::from_str_radix(code, 8).ok()?));
        text.push_str(&piece[3..]);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_by_path() {
        let list = parse("4755 0 0 usr/bin/sudo\n0640 0 42 etc/a\\040b 01ff\n").unwrap();
        assert_eq!(list["usr/bin/sudo"].mode, 0o4755);
        assert_eq!(list["etc/a b"].line, "0640 0 42 etc/a\\040b 01ff");
        assert_eq!(escape("etc/a b"), "etc/a\\040b");
        assert!(parse("4755 0\n").is_none() && parse("x 0 0 a\n").is_none());
    }
}
