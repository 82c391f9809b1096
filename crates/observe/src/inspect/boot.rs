//! What the boot loader finds: its settings, the entries of the menu, kernels and initrds.

use std::collections::BTreeSet;

use bootloader_templates::grub::Pointer;
use cairn_disk::{DiskError, Spent, fat};
use serde::Serialize;

/// Text files that a boot loader reads are small.
const MOST_TEXT: u64 = 64 << 10;
/// GRUB's menu has all generations in it, twice.
const MOST_MENU: u64 = 4 << 20;

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
    /// The device tree's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_tree: Option<String>,
    /// The kernel's command line.
    pub options: String,
    /// Paths that the entry names and that are not there.
    pub missing: Vec<String>,
}

impl LoaderEntry {
    /// The paths of all that the entry loads.
    pub(crate) fn loads(&self) -> impl Iterator<Item = &String> {
        self.linux.iter().chain(&self.initrd).chain(&self.device_tree)
    }
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
    let budget = volume.budget();
    let endless = |why: Spent| DiskError::Endless { what: "FAT", why };
    let mut boot = Boot::default();
    let mut waiting = vec![(0, String::new())];
    while let Some((depth, directory)) = waiting.pop() {
        // Damaged directories can contain themselves.
        budget.depth(depth).map_err(endless)?;
        for entry in volume.list(&directory)?.unwrap_or_default() {
            let path = if directory.is_empty() { entry.name } else { format!("{directory}/{}", entry.name) };
            budget.keep(path.len()).map_err(endless)?;
            if entry.is_dir {
                waiting.push((depth + 1, path));
            } else {
                boot.files.push(BootFile { partition: partition.to_string(), path, size: entry.len });
            }
        }
    }
    boot.files.sort_by(|a, b| a.path.cmp(&b.path));
    // What is read is kept, in one form or another; many files can have the same clusters.
    let read = |path: &str, most: u64| -> Result<Option<Vec<u8>>, DiskError> {
        let text = volume.read(path, most)?;
        budget.keep(text.as_ref().map_or(0, Vec::len)).map_err(endless)?;
        Ok(text)
    };
    boot.read_menu(read)?;
    Ok(boot)
}

impl Boot {
    /// Reads what the loaders read of the files that were found: settings and entries. `read` gives the contents of a file
    /// that has at most so many bytes.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn read_menu<E>(&mut self, read: impl Fn(&str, u64) -> Result<Option<Vec<u8>>, E>) -> Result<(), E> {
        let there = there(&self.files);
        if let Some(text) = read("loader/loader.conf", MOST_TEXT)? {
            self.loader = settings(&text).collect();
        }
        for file in &self.files {
            let Some(name) = file.path.strip_prefix("loader/entries/").filter(|name| name.ends_with(".conf")) else {
                continue;
            };
            if let Some(text) = read(&file.path, MOST_TEXT)? {
                self.entries.push(entry(name, &text, &there));
            }
        }
        // GRUB's own file only says which menu counts.
        for pointer in self.files.iter().filter(|f| f.path.starts_with("cairn/") && f.path.ends_with("/grub/grub.cfg"))
        {
            let folder = pointer.path.trim_end_matches("grub.cfg");
            let text = read(&pointer.path, MOST_TEXT)?.unwrap_or_default();
            let Some(named) = Pointer::parse(&String::from_utf8_lossy(&text)) else { continue };
            let path = format!("{folder}{}.cfg", named.menu);
            if let Some(text) = read(&path, MOST_MENU)? {
                self.entries.extend(grub_entries(&String::from_utf8_lossy(&text), &there));
            }
        }
        Ok(())
    }
}

/// The paths of files as they are compared: FAT does not tell capitals.
fn there(files: &[BootFile]) -> BTreeSet<String> {
    files.iter().map(|file| file.path.to_ascii_lowercase()).collect()
}

/// The entries of GRUB's menu that start a kernel, as our template writes them.
fn grub_entries(text: &str, files: &BTreeSet<String>) -> Vec<LoaderEntry> {
    let mut entries: Vec<LoaderEntry> = Vec::new();
    let mut open: Option<LoaderEntry> = None;
    for line in text.lines() {
        let words = words(line);
        let word = |n: usize| words.get(n).map(String::as_str).unwrap_or_default();
        let after = |name: &str| words.iter().skip_while(|w| *w != name).nth(1).cloned();
        match (word(0), word(1)) {
            ("menuentry", title) => {
                let file = format!("grub: {}", after("--id").unwrap_or_default());
                open = Some(LoaderEntry { file, title: Some(title.to_string()), ..LoaderEntry::default() });
            }
            ("if", "linux") => {
                if let Some(entry) = &mut open {
                    entry.linux = Some(word(2).to_string());
                    let options = words.iter().skip(3).take_while(|w| *w != "then");
                    entry.options = options.cloned().collect::<Vec<_>>().join(" ");
                }
            }
            ("if", "initrd") => {
                if let Some(entry) = &mut open {
                    entry.initrd.push(word(2).to_string());
                }
            }
            ("}", _) => entries.extend(open.take().filter(|entry| entry.linux.is_some())),
            _ => {}
        }
    }
    for entry in &mut entries {
        entry.missing = missing(entry, files);
    }
    entries
}

/// The words of a line of GRUB's, single quotes and the semicolons behind them taken off.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut escaped) = (String::new(), false, false);
    for c in line.trim().chars() {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' if !quoted => escaped = true,
            '\'' => quoted = !quoted,
            ' ' | ';' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Keys and values of the Boot Loader Specification: a word, blanks, the rest of the line.
fn settings(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    let lines: Vec<_> = String::from_utf8_lossy(text).lines().map(|line| line.trim().to_string()).collect();
    lines.into_iter().filter(|line| !line.is_empty() && !line.starts_with('#')).map(|line| {
        let (key, value) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
        (key.to_string(), value.trim().to_string())
    })
}

fn entry(file: &str, text: &[u8], files: &BTreeSet<String>) -> LoaderEntry {
    let mut entry = LoaderEntry { file: file.to_string(), ..LoaderEntry::default() };
    for (key, value) in settings(text) {
        match key.as_str() {
            "title" => entry.title = Some(value),
            "version" => entry.version = Some(value),
            "sort-key" => entry.sort_key = Some(value),
            "linux" => entry.linux = Some(value),
            "initrd" => entry.initrd.push(value),
            "devicetree" => entry.device_tree = Some(value),
            // Several lines are one command line.
            "options" if entry.options.is_empty() => entry.options = value,
            "options" => {
                entry.options.push(' ');
                entry.options.push_str(&value);
            }
            _ => {}
        }
    }
    entry.missing = missing(&entry, files);
    entry
}

/// Paths that an entry names and that are not there.
fn missing(entry: &LoaderEntry, files: &BTreeSet<String>) -> Vec<String> {
    let there = |path: &str| {
        // The path is one of the partition's own, with slashes of either kind.
        let path = path.replace('\\', "/").to_ascii_lowercase();
        files.contains(path.trim_start_matches('/'))
    };
    entry.loads().filter(|path| !there(path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grub_s_entries_are_read_from_its_menu() {
        let text = "menuentry 'it'\\''s, generation 2' --id '2-abc' --class cairn {\n  if linux '/c/x-linux' 'init=/s/init' 'quiet'; then\n    if initrd '/c/gone'; then boot; fi\n  fi\n  cairn_failed\n}\nmenuentry 'Windows' --id 'w' {\n  if chainloader x; then boot; fi\n}\n";
        let files = [BootFile { partition: "esp".into(), path: "c/x-linux".into(), size: 1 }];
        let entries = grub_entries(text, &there(&files));
        assert_eq!(entries.len(), 1);
        let entry = &entries[0];
        assert_eq!((entry.file.as_str(), entry.title.as_deref()), ("grub: 2-abc", Some("it's, generation 2")));
        assert_eq!((entry.linux.as_deref(), entry.options.as_str()), (Some("/c/x-linux"), "init=/s/init quiet"));
        assert_eq!(entry.missing, ["/c/gone"]);
    }

    #[test]
    fn an_entry_is_read_and_what_it_names_is_looked_for() {
        let text = b"# made by cairn\ntitle Cairn\nversion\t 7\ninitrd /EFI/a-initrd\noptions root=UUID=1 quiet\noptions x\nlinux \\efi\\b.efi\n";
        let files = [BootFile { partition: "esp".into(), path: "EFI/b.efi".into(), size: 1 }];
        let entry = entry("cairn-7+3.conf", text, &there(&files));
        assert_eq!((entry.title.as_deref(), entry.version.as_deref()), (Some("Cairn"), Some("7")));
        assert_eq!(entry.options, "root=UUID=1 quiet x");
        assert_eq!(entry.missing, ["/EFI/a-initrd"]);
    }
}
