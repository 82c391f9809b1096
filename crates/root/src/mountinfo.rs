//! What is mounted where, as the kernel tells a thread (`mountinfo`, proc(5)).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: u64,
    /// That of the mount that it is mounted on.
    pub parent: u64,
    /// `MAJOR:MINOR`, the same for all mounts of one file system.
    pub device: String,
    /// Which folder of its file system it shows.
    pub root: PathBuf,
    /// Where.
    pub point: PathBuf,
    /// What was asked of this mount: `rw,noatime`.
    pub options: String,
    /// The type of its file system.
    pub kind: String,
    /// What was mounted: a device's name, or any word.
    pub source: PathBuf,
    /// What was asked of the file system itself: `rw,subvol=/root`.
    pub super_options: String,
}

impl Mount {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Option<Mount> {
        let mut words = line.split(|byte| *byte == b' ');
        let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
        let (id, parent) = (number()?, number()?);
        let device = text(words.next()?);
        let (root, point) = (unescape(words.next()?), unescape(words.next()?));
        let options = text(words.next()?);
        let mut last = words.skip_while(|word| *word != b"-").skip(1);
        let kind = text(last.next()?);
        let source = unescape(last.next()?);
        let super_options = last.next().map(text).unwrap_or_default();
        Some(Mount { id, parent, device, root, point, options, kind, source, super_options })
    }

    /// All that this thread sees, which may not be what its process sees.
    ///
    /// # Errors
    /// The system's.
    pub fn all() -> io::Result<Vec<Mount>> {
        Ok(std::fs::read(Mount::file())?.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect())
    }

    /// The file that [`Mount::all`] reads, for messages.
    pub fn file() -> &'static Path {
        Path::new("/proc/thread-self/mountinfo")
    }
}

fn text(word: &[u8]) -> String {
    unescape(word).to_string_lossy().into_owned()
}

/// Undoes the kernel's `\040` for a blank, and so on.
fn unescape(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let number = || u8::from_str_radix(OsStr::from_bytes(after.get(..3)?).to_str()?, 8).ok();
        match (*first == b'\\').then(number).flatten() {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = r"36 35 98:0 /sub /mnt/my\040disk rw,noatime master:1 - btrfs /dev/vda2 rw,errors=continue";
        let mount = Mount::parse(line.as_bytes()).unwrap();
        assert_eq!((mount.id, mount.parent, mount.device.as_str()), (36, 35, "98:0"));
        assert_eq!((mount.root.as_path(), mount.point.as_path()), (Path::new("/sub"), Path::new("/mnt/my disk")));
        assert_eq!((mount.kind.as_str(), mount.source.as_path()), ("btrfs", Path::new("/dev/vda2")));
        assert_eq!((mount.options.as_str(), mount.super_options.as_str()), ("rw,noatime", "rw,errors=continue"));
        assert!(Mount::parse(b"").is_none() && Mount::parse(b"1 2 3").is_none());
        assert_eq!(unescape(br"a\134b\"), Path::new(r"a\b\"));
        assert_eq!(unescape(b"a101"), Path::new("a101"));
        assert!(Mount::all().unwrap().iter().any(|mount| mount.point == Path::new("/")));
    }
}
