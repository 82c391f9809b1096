//! What the boot loader finds: its settings, the entries of the menu, kernels and initrds.

use cairn_disk::{DiskError, fat};
use serde::Serialize;

/// Text files that a boot loader reads are small.
const MOST_TEXT: u64 = 64 << 10;

/// The boot partitions together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// The settings of `loader/loader.conf`, in its order.
    pub loader: Vec<(String, String)>,
    /// The entries of the menu, by file name.
    pub entries: Vec<LoaderEntry>,
    /// All files, by partition and path.
    pub files: Vec<BootFile>,
}

/// An entry of the menu (Boot Loader Specification, type 1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LoaderEntry {
    /// The file's name, boot counter included.
    pub file: String,
    /// What the menu shows.
    pub title: Option<String>,
    /// The version, by which entries are ordered.
    pub version: Option<String>,
    /// Entries with the same key are ordered among themselves.
    pub sort_key: Option<String>,
    /// The kernel's path on the partition.
    pub linux: Option<String>,
    /// The initrds' paths.
    pub initrd: Vec<String>,
    /// The kernel's command line.
    pub options: String,
    /// Paths that the entry names and that are not there.
    pub missing: Vec<String>,
}

/// A file on a boot partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootFile {
    /// `esp` or `xbootldr`.
    pub partition: String,
    /// Its path.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Boot {
    /// Adds what was found on another partition.
    pub(super) fn merge(&mut self, other: Boot) {
        if self.loader.is_empty() {
            self.loader = other.loader;
        }
        self.entries.extend(other.entries);
        self.files.extend(other.files);
    }
}

/// Looks through a boot partition.
pub(super) fn look(volume: &fat::Reader<'_>, partition: &str) -> Result<Boot, DiskError> {
    let mut boot = Boot::default();
    let mut waiting = vec![String::new()];
    while let Some(directory) = waiting.pop() {
        // Damaged directories can contain themselves.
        if directory.matches('/').count() > 16 {
            continue;
        }
        for entry in volume.list(&directory)?.unwrap_or_default() {
            let path = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
            if entry.is_dir {
                waiting.push(path);
            } else {
                boot.files.push(BootFile { partition: partition.to_string(), path, size: entry.len });
            }
        }
    }
    boot.files.sort_by(|a, b| a.path.cmp(&b.path));
    if let Some(text) = volume.read("loader/loader.conf", MOST_TEXT)? {
        boot.loader = settings(&text).collect();
    }
    for file in &boot.files {
        let Some(name) = file.path.strip_prefix("loader/entries/").filter(|name| name.ends_with(".conf")) else {
            continue;
        };
        if let Some(text) = volume.read(&file.path, MOST_TEXT)? {
            boot.entries.push(entry(name, &text, &boot.files));
        }
    }
    Ok(boot)
}

/// Keys and values of the Boot Loader Specification: a word, blanks, the rest of the line.
fn settings(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    let lines: Vec<_> = String::from_utf8_lossy(text).lines().map(|line| line.trim().to_string()).collect();
    lines.into_iter().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let (key, value) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
        (key.to_string(), value.trim().to_string())
    })
}

fn entry(file: &str, text: &[u8], files: &[BootFile]) -> LoaderEntry {
    let mut entry = LoaderEntry { file: file.to_string(), ..LoaderEntry::default() };
    for (key, value) in settings(text) {
        match key.as_str() {
            "title" => entry.title = Some(value),
            "version" => entry.version = Some(value),
            "sort-key" => entry.sort_key = Some(value),
            "linux" => entry.linux = Some(value),
            "initrd" => entry.initrd.push(value),
            // Several lines are one command line.
            "options" if entry.options.is_empty() => entry.options = value,
            "options" => entry.options = format!("{} {value}", entry.options),
            _ => {}
        }
    }
    let there = |path: &str| {
        // The path is one of the partition's own, with slashes of either kind; FAT does not tell capitals.
        let path = path.replace('\\', "/");
        files.iter().any(|f| f.path.eq_ignore_ascii_case(path.trim_start_matches('/')))
    };
    entry.missing = entry.linux.iter().chain(&entry.initrd).filter(|path| !there(path)).cloned().collect();
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_and_what_it_names_is_looked_for() {
        let text = b"# made by cairn\ntitle Cairn\nversion\t 7\ninitrd /EFI/a-initrd\noptions root=UUID=1 quiet\noptions x\nlinux \\efi\\b.efi\n";
        let files = [BootFile { partition: "esp".into(), path: "EFI/b.efi".into(), size: 1 }];
        let entry = entry("cairn-7+3.conf", text, &files);
        assert_eq!((entry.title.as_deref(), entry.version.as_deref()), (Some("Cairn"), Some("7")));
        assert_eq!(entry.options, "root=UUID=1 quiet x");
        assert_eq!(entry.missing, ["/EFI/a-initrd"]);
    }
}
