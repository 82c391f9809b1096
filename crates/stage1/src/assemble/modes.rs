//! The list of files whose owner or permissions a store path cannot carry: `SYSTEM/modes`.
//!
//! One line each, `MODE UID GID PATH [CAPABILITY]`: the mode in octal, the path relative to the root, the capability
//! (the value of `security.capability`) in hex. In a path, blanks, control characters, backslashes and `#` are written
//! as in fstab(5): a backslash and three octal digits.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::error::Error;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Special {
    /// The permissions.
    pub mode: u32,
    /// The owner, as the generation numbers users.
    pub uid: u32,
    /// The group, likewise.
    pub gid: u32,
    /// Where it is, from the root on; without a slash before it, and leading nowhere else.
    pub path: PathBuf,
    /// The value of `security.capability`.
    pub capability: Option<Vec<u8>>,
}

/// Reads the whole list.
///
/// # Errors
/// Names the line that is not of the form.
pub fn parse(text: &str) -> Result<Vec<Special>, Error> {
    let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
    lines.map(|l| line(l).ok_or_else(|| Error::new(format!("reading the system's modes: `{l}` is no entry")))).collect()
}

/// The list, as [`parse`] reads it.
pub fn text(list: &[Special]) -> String {
    let mut text = String::new();
    for Special { mode, uid, gid, path, capability } in list {
        let _ = write!(text, "{mode:04o} {uid} {gid} ");
        for c in path.to_string_lossy().chars() {
            let escaped = c.is_ascii() && (c.is_whitespace() || c.is_control() || matches!(c, '\\' | '#'));
            let _ = if escaped { write!(text, "\\{:03o}", u32::from(c)) } else { write!(text, "{c}") };
        }
        let bytes = capability.iter().flatten().enumerate();
        for (at, byte) in bytes {
            let _ = write!(text, "{}{byte:02x}", if at == 0 { " " } else { "" });
        }
        text.push('\n');
    }
    text
}

fn line(line: &str) -> Option<Special> {
    let f: Vec<&str> = line.split_ascii_whitespace().collect();
    let (mode, uid, gid, path, capability) = match f[..] {
        [mode, uid, gid, path] => (mode, uid, gid, path, None),
        [mode, uid, gid, path, capability] => (mode, uid, gid, path, Some(hex(capability)?)),
        _ => return None,
    };
    let path = unescape(path)?;
    // A path that leaves the tree would be written to with our rights.
    if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return None;
    }
    Some(Special {
        mode: u32::from_str_radix(mode, 8).ok()?,
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        path: path.into(),
        capability,
    })
}

pub(super) fn unescape(path: &str) -> Option<String> {
    let mut pieces = path.split('\\');
    let mut text = pieces.next()?.to_string();
    for piece in pieces {
        text.push(char::from(u8::from_str_radix(piece.get(..3)?, 8).ok()?));
        text.push_str(&piece[3..]);
    }
    Some(text)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.len().is_multiple_of(2) && text.is_ascii();
    pairs.then_some(())?;
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_owners_and_capabilities_are_read() {
        let list = parse("4755 0 0 usr/bin/sudo\n0640 0 42 etc/shadow\n0755 0 0 usr/bin/ping 01ff\n").unwrap();
        assert_eq!((list[0].mode, list[0].path.to_str()), (0o4755, Some("usr/bin/sudo")));
        assert_eq!((list[1].mode, list[1].gid), (0o640, 42));
        assert_eq!(list[2].capability, Some(vec![1, 255]));
        assert_eq!(parse("0600 0 0 etc/a\\040b\\134\n").unwrap()[0].path.to_str(), Some("etc/a b\\"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let list = "4755 1 2 usr/a\\040b\\134\\043 01ff\n0640 0 42 var/lib/\u{e4}\u{2028}x\n";
        let read = parse(list).unwrap();
        assert_eq!((text(&read), parse(&text(&read)).unwrap()), (list.to_string(), read));
    }

    #[test]
    fn what_is_no_entry_is_named() {
        for bad in [
            "4755 0 0",
            "9999 0 0 usr/x",
            "0755 0 0 /usr/x",
            "0755 0 0 usr/../x",
            "0755 0 0 usr/x 1",
            "0755 0 0 usr/\\9",
        ] {
            assert!(parse(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_list_of_any_contents_is_read_or_refused_and_leads_nowhere_else() {
        let good =
            "4755 0 0 usr/bin/sudo\n0640 0 42 etc/shadow\n0600 0 0 etc/a\\040b\\134\n0755 0 0 usr/bin/ping 01ff\n";
        let odd = ["/", "..", "\\056\\056", "\\057", "\\", "\\777", "ü", "\0", " ", "\n", "4294967296", "0x1"];
        let mut seed = 0x1234_5678_u32;
        let mut below = |limit: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % limit
        };
        for _ in 0..20_000 {
            let mut text = good.to_string();
            for _ in 0..=below(3) {
                let at = text.floor_char_boundary(below(text.len() + 1));
                if below(3) == 0 { text.truncate(at) } else { text.insert_str(at, odd[below(odd.len())]) }
            }
            for entry in parse(&text).unwrap_or_default() {
                let plain = |part| matches!(part, std::path::Component::Normal(_));
                assert!(entry.path.components().all(plain) && entry.path != PathBuf::new(), "{text:?}");
            }
        }
    }
}
