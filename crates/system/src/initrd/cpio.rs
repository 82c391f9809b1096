//! The archive format of an initrd: cpio in its "newc" form (kernel, Documentation/driver-api/early-userspace).

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::names::RelPath;

use crate::error::SystemError;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A file with its contents; executable or not.
    File(Vec<u8>, bool),
    /// A link with its target.
    Link(String),
    /// A folder with its permissions.
    Folder(u32),
    /// A character device, for everybody to read and write: its major and minor number.
    Device(u32, u32),
}

/// An archive in memory. Paths are relative.
#[derive(Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

/// Everything is a second past 1970, like in the store.
const TIME: u32 = 1;

impl Archive {
    /// Puts an entry, in place of what was at its path.
    ///
    /// # Errors
    /// When the path is none below the root, or the entry has more bytes than the format has digits for.
    pub fn put(&mut self, path: impl Into<String>, entry: Entry) -> Result<(), SystemError> {
        let path = path.into();
        let path = RelPath::new(&*path).map_err(SystemError::name(&path))?.into_string();
        if matches!(&entry, Entry::File(bytes, _) if u32::try_from(bytes.len()).is_err()) {
            return Err(SystemError::Malformed { path: path.into(), what: "a file that an initrd has room for (4G)" });
        }
        self.entries.insert(path, entry);
        Ok(())
    }

    /// True if there is something at this path.
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    /// Every path with its entry, sorted.
    #[cfg(test)]
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The archive's bytes: sorted, owned by root, numbered from 1, so that the same contents are the same bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut folders: BTreeSet<&str> = BTreeSet::new();
        for path in self.entries.keys() {
            folders.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
        }
        let implied = folders.into_iter().filter(|f| !self.entries.contains_key(*f));
        let implied: Vec<(&str, Entry)> = implied.map(|f| (f, Entry::Folder(0o755))).collect();
        let mut all: BTreeMap<&str, &Entry> = self.entries.iter().map(|(p, e)| (p.as_str(), e)).collect();
        all.extend(implied.iter().map(|(p, e)| (*p, e)));

        let mut out = Vec::new();
        // A folder sorts before what is in it: its path is a prefix.
        for (number, (path, entry)) in (1..).zip(&all) {
            let (mode, device, data): (u32, _, &[u8]) = match entry {
                Entry::File(bytes, executable) => (if *executable { 0o100_755 } else { 0o100_644 }, (0, 0), bytes),
                Entry::Link(target) => (0o120_777, (0, 0), target.as_bytes()),
                Entry::Folder(mode) => (0o040_000 | mode, (0, 0), &[]),
                Entry::Device(major, minor) => (0o020_666, (*major, *minor), &[]),
            };
            record(&mut out, (number, mode, device), path, data);
        }
        record(&mut out, (0, 0, (0, 0)), "TRAILER!!!", &[]);
        // The kernel wants archives to end on a multiple of four; 512 is what cpio itself does.
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }
}

fn record(out: &mut Vec<u8>, (number, mode, device): (u32, u32, (u32, u32)), path: &str, data: &[u8]) {
    let links = if mode & 0o170_000 == 0o040_000 { 2 } else { 1 };
    // An initrd is far below 4 GiB; the format has no more than eight digits.
    let (size, name_size) = (data.len() as u32, path.len() as u32 + 1);
    let fields = [number, mode, 0, 0, links, TIME, size, 0, 0, device.0, device.1, name_size, 0];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_is_in_them_and_the_bytes_are_always_the_same() {
        let mut archive = Archive::default();
        archive.put("usr/bin/x", Entry::File(b"12345".to_vec(), true)).unwrap();
        archive.put("bin", Entry::Link("usr/bin".into())).unwrap();
        archive.put("tmp", Entry::Folder(0o1777)).unwrap();
        archive.put("zero", Entry::Device(1, 5)).unwrap();
        let bytes = archive.bytes();
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<usize> = ["bin\0", "tmp\0", "usr\0", "usr/bin\0", "usr/bin/x\0", "TRAILER!!!\0"]
            .iter()
            .map(|n| text.find(&format!("00000000{n}")).expect(n))
            .collect();
        assert!(names.is_sorted());
        assert!(text.starts_with("070701000000010000A1FF0000000000000000000000010000000100000007"));
        let zero = text.find("00000000zero\0").unwrap();
        assert!(text[..zero].ends_with("000000010000000500000005"), "numbers of the device and the length of its name");
        assert_eq!(bytes.len() % 512, 0);
        assert_eq!(bytes, archive.bytes());
    }

    #[test]
    fn an_entry_lies_below_the_root() {
        let mut archive = Archive::default();
        for path in
            ["", "/etc/x", "..", "../x", "usr/../../x", "usr/./x", "usr//x", "usr/", "a\0", "a\nb", &"x".repeat(300)]
        {
            assert!(archive.put(path, Entry::Link("x".into())).is_err(), "{path:?}");
        }
        assert!(archive.entries.is_empty());
    }
}
