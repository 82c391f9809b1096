//! Owners and modes that a store path cannot carry.
//!
//! In a store path every file is 0444 or 0555 and belongs to root. What differs from that by more than the lost write
//! permission is written down in the base's file `modes`, one line for each path, sorted:
//!
//! ```text
//! 4755 0 0 usr/bin/sudo
//! 0640 0 42 etc/shadow
//! 0755 0 0 usr/bin/ping 0100000200200000000000000000000000000000
//! ```
//!
//! The columns are the mode in octal (four digits), the numeric user and group, the path below the base, and (where
//! the file has one) the `security.capability` attribute in hex. In a path, blanks, control characters, backslashes
//! and `#` are written as in fstab(5): a backslash and three octal digits.

use std::collections::BTreeMap;
use std::fmt;

use cairn_store::to_hex;

/// What is special about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mode {
    /// The permissions, with setuid, setgid and sticky bits.
    pub mode: u32,
    /// The owning user.
    pub uid: u64,
    /// The owning group.
    pub gid: u64,
    /// The `security.capability` attribute.
    pub capability: Option<Vec<u8>>,
}

impl Mode {
    /// Whether a store path gives this to a file by itself.
    pub(super) fn is_plain_file(&self) -> bool {
        self.is_roots() && matches!(self.mode, 0o644 | 0o755 | 0o444 | 0o555)
    }

    /// Whether a store path gives this to a folder by itself.
    pub(super) fn is_plain_dir(&self) -> bool {
        self.is_roots() && matches!(self.mode, 0o755 | 0o555)
    }

    fn is_roots(&self) -> bool {
        self.uid == 0 && self.gid == 0 && self.capability.is_none()
    }
}

/// Every special path of a base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Modes(pub BTreeMap<String, Mode>);

impl fmt::Display for Modes {
    /// The text of the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, Mode { mode, uid, gid, capability }) in &self.0 {
            write!(f, "{mode:04o} {uid} {gid} {}", escape(path))?;
            if let Some(bytes) = capability {
                write!(f, " {}", to_hex(bytes))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn escape(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for c in path.chars() {
        if c.is_ascii_control() || c == ' ' || c == '\\' || c == '#' {
            text += &format!("\\{:03o}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_and_paths_escaped() {
        let mode = |mode, gid, capability| Mode { mode, uid: 0, gid, capability };
        let modes = Modes(BTreeMap::from([
            ("usr/bin/sudo".to_string(), mode(0o4755, 0, None)),
            ("etc/a b".to_string(), mode(0o640, 42, None)),
            ("usr/bin/ping".to_string(), mode(0o755, 0, Some(vec![1, 0xff]))),
        ]));
        assert_eq!(modes.to_string(), "0640 0 42 etc/a\\040b\n0755 0 0 usr/bin/ping 01ff\n4755 0 0 usr/bin/sudo\n");
    }

    #[test]
    fn only_the_lost_write_permission_is_plain() {
        let mode = |mode, uid| Mode { mode, uid, gid: 0, capability: None };
        assert!(mode(0o644, 0).is_plain_file() && mode(0o555, 0).is_plain_file() && mode(0o755, 0).is_plain_dir());
        assert!(!mode(0o600, 0).is_plain_file() && !mode(0o644, 1).is_plain_file() && !mode(0o4755, 0).is_plain_file());
        assert!(!mode(0o1777, 0).is_plain_dir() && !mode(0o700, 0).is_plain_dir());
    }
}
