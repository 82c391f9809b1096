//! Names out of a text: what can be the name of one file, and a path of such names, which leads nowhere but down.
//!
//! Whoever makes a file under a name that stood in somebody's text takes it through [`RelPath`]: a tree of files, an
//! archive, a cache. The rule is in the type, so that no place can forget it.

use std::fmt;

/// The longest name that file systems have room for, in bytes.
pub const LONGEST_NAME: usize = 255;

/// The longest path that the kernel takes, in bytes, with room for the folder that it is below.
pub const LONGEST_PATH: usize = 3072;

/// Why a text cannot be a name, or a path of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing, or nothing between two slashes, or a slash at the end.
    #[error("it has an empty name in it")]
    Empty,
    /// `.` or `..`.
    #[error("it has `.` or `..` in it")]
    Dots,
    /// A slash in front.
    #[error("it begins with `/`")]
    Absolute,
    /// A slash in what is to be one name.
    #[error("it has a `/` in it")]
    Slash,
    /// NUL, a line break, an escape or the like.
    #[error("it has a control character in it")]
    Control,
    /// Longer than a file system or the kernel allows.
    #[error("it is too long: a name has room for 255 bytes, a path for 3072")]
    TooLong,
}

/// Whether a text can be the name of one file.
///
/// # Errors
/// [`NameError`] says why not.
pub fn plain_name(name: &str) -> Result<(), NameError> {
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots),
        _ if name.contains('/') => Err(NameError::Slash),
        _ if name.len() > LONGEST_NAME => Err(NameError::TooLong),
        _ if name.contains(char::is_control) => Err(NameError::Control),
        _ => Ok(()),
    }
}

/// A path below some folder: names with `/` between them, none of them empty, `.` or `..`, no `/` in front or at the
/// end. What it leads to is below the folder as long as no link is on the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(String);

impl RelPath {
    /// Checks a path.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(path: impl Into<String>) -> Result<RelPath, NameError> {
        let path = path.into();
        if path.starts_with('/') {
            return Err(NameError::Absolute);
        }
        if path.len() > LONGEST_PATH {
            return Err(NameError::TooLong);
        }
        path.split('/').try_for_each(plain_name)?;
        Ok(RelPath(path))
    }

    /// A name that stands in a machine file, of something that lies beside that, without detours (`./a//b` is `a/b`).
    ///
    /// # Errors
    /// [`NameError`]: it is absolute, or leads out of the folder.
    pub fn beside(name: &str) -> Result<RelPath, NameError> {
        if name.starts_with('/') {
            return Err(NameError::Absolute);
        }
        let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        RelPath::new(parts.join("/"))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as text, owned.
    pub fn into_string(self) -> String {
        self.0
    }

    /// The folders on the way to it, the outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }
}

impl AsRef<std::path::Path> for RelPath {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text as part of a message: one line, without control characters, not too long.
pub fn shown(text: &str) -> String {
    let clean: String = text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.len() < text.len() { format!("{clean}...") } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_nowhere_but_down() {
        for good in ["a", "a/b", "..a", "a..", ".a/...", "a b/ä\\c", &format!("{0}/{0}", "x".repeat(255))] {
            assert_eq!(RelPath::new(good).map(RelPath::into_string), Ok(good.to_owned()));
        }
        for (bad, why) in [
            ("", NameError::Empty),
            ("a/", NameError::Empty),
            ("a//b", NameError::Empty),
            ("/", NameError::Absolute),
            ("/a", NameError::Absolute),
            (".", NameError::Dots),
            ("..", NameError::Dots),
            ("a/..", NameError::Dots),
            ("a/./b", NameError::Dots),
            ("../a", NameError::Dots),
            ("a\0", NameError::Control),
            ("a\nb", NameError::Control),
            ("a\u{1b}[2J", NameError::Control),
            ("a\u{7f}", NameError::Control),
            ("a\u{9b}", NameError::Control),
            (&"x".repeat(256), NameError::TooLong),
            (&"x/".repeat(2000), NameError::TooLong),
        ] {
            assert_eq!(RelPath::new(bad), Err(why), "{bad:?}");
        }
        assert_eq!(plain_name("a/b"), Err(NameError::Slash));
        assert_eq!(RelPath::new("a/b/c").unwrap().folders().collect::<Vec<_>>(), ["a", "a/b"]);
    }
}
