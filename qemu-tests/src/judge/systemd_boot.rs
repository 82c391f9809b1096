//! systemd-boot: which entries it lists, in which order, which one it picks, and what follows when what it picks fails.
//!
//! As measured on version 257: an entry without a program or whose program is missing is not listed; tries left 0 comes
//! last; then the sort key, the machine's id, the version (newest first), the file's name.

use std::cmp::{Ordering, Reverse};

use super::fat::Fat;
use super::verdict::{Got, Known, Start, get};
use super::volume::Hashes;

/// An entry of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file's name, in lower case.
    pub file: String,
    /// The same without the counter.
    pub id: String,
    /// Tries left and made.
    pub counter: Option<(u32, u32)>,
    version: String,
    sort_key: Option<String>,
    machine_id: String,
    linux: String,
    initrds: Vec<String>,
    /// The kernel's command line.
    pub options: String,
    /// Whether it is on the second partition.
    second: bool,
}

/// The boot partitions of a machine: the EFI system partition, and the one with the kernels if that is another.
#[derive(Debug, Clone, Copy)]
pub struct Partitions<'a> {
    /// The EFI system partition.
    pub esp: &'a Fat<'a>,
    /// XBOOTLDR.
    pub boot: Option<&'a Fat<'a>>,
}

impl Entry {
    fn read(file: &str, text: &str, second: bool) -> Option<Entry> {
        let file = file.to_lowercase();
        let stem = file.strip_suffix(".conf")?;
        let (stem, counter) = match stem.rsplit_once('+') {
            Some((stem, counter)) => match counter_of(counter) {
                Some(counter) => (stem, Some(counter)),
                None => (file.strip_suffix(".conf")?, None),
            },
            None => (stem, None),
        };
        let mut entry = Entry {
            id: format!("{stem}.conf"),
            counter,
            version: String::new(),
            sort_key: None,
            machine_id: String::new(),
            linux: String::new(),
            initrds: Vec::new(),
            options: String::new(),
            second,
            file,
        };
        for (key, value) in lines(text) {
            match key {
                "linux" | "efi" => entry.linux = value,
                "initrd" => entry.initrds.push(value),
                "options" if entry.options.is_empty() => entry.options = value,
                "options" => entry.options = format!("{} {value}", entry.options),
                "version" => entry.version = value,
                "sort-key" => entry.sort_key = Some(value),
                "machine-id" => entry.machine_id = value,
                "architecture" if value != "x64" => return None,
                _ => {}
            }
        }
        (!entry.linux.is_empty()).then_some(entry)
    }

    fn order(&self, other: &Entry) -> Ordering {
        let spent = |entry: &Entry| entry.counter.is_some_and(|(left, _)| left == 0);
        let by_keys = match (&self.sort_key, &other.sort_key) {
            (Some(a), Some(b)) => a
                .cmp(b)
                .then_with(|| self.machine_id.cmp(&other.machine_id))
                .then_with(|| compare_versions(&other.version, &self.version)),
            (a, b) => a.is_none().cmp(&b.is_none()),
        };
        let tries = match (self.counter, other.counter) {
            (Some(a), Some(b)) => (Reverse(a.0), a.1).cmp(&(Reverse(b.0), b.1)),
            _ => Ordering::Equal,
        };
        spent(self).cmp(&spent(other)).then(by_keys).then_with(|| compare_versions(&other.file, &self.file)).then(tries)
    }
}

fn counter_of(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    match text.split_once('-') {
        None => Some((number(text)?, 0)),
        Some((left, done)) => Some((number(left)?, number(done)?)),
    }
}

/// The lines of a file as the loader reads them: a key, blanks, a value, of which an outer pair of quotes is taken away.
fn lines(text: &str) -> impl Iterator<Item = (&str, String)> {
    text.split(['\n', '\r']).filter_map(|line| {
        let line = line.trim_matches([' ', '\t']);
        let (key, value) = line.split_once([' ', '\t'])?;
        let value = value.trim_start_matches([' ', '\t']);
        let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        (!key.starts_with('#') && !bare.contains('\0') && !key.contains('\0')).then(|| (key, bare.to_string()))
    })
}

/// The order of the UAPI group's version format, as far as names and numbers go: numbers by value, letters by letter.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let skip = |s: &[u8]| s.iter().take_while(|c| !c.is_ascii_alphanumeric() && !b"~-^.".contains(c)).count();
        (a, b) = (&a[skip(a)..], &b[skip(b)..]);
        for mark in b"~-^." {
            let starts = |s: &[u8]| s.first() == Some(mark);
            match (starts(a), starts(b), mark) {
                (true, true, _) => (a, b) = (&a[1..], &b[1..]),
                // `~` is less than the end; the end is less than the others.
                (true, false, b'~') => return Ordering::Less,
                (false, true, b'~') => return Ordering::Greater,
                (true, false, _) => return if b.is_empty() { Ordering::Greater } else { Ordering::Less },
                (false, true, _) => return if a.is_empty() { Ordering::Less } else { Ordering::Greater },
                (false, false, _) => {}
            }
        }
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let digits = a[0].is_ascii_digit() || b[0].is_ascii_digit();
        let run = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_alphanumeric() && c.is_ascii_digit() == digits).count();
        let (x, y) = (&a[..run(a)], &b[..run(b)]);
        let bare = |s: &[u8]| if digits { s.iter().skip_while(|c| **c == b'0').copied().collect() } else { s.to_vec() };
        let order = if digits { bare(x).len().cmp(&bare(y).len()) } else { Ordering::Equal };
        match order.then_with(|| bare(x).cmp(&bare(y))) {
            Ordering::Equal => (a, b) = (&a[x.len()..], &b[y.len()..]),
            other => return other,
        }
    }
}

/// The menu.
pub fn menu(partitions: Partitions<'_>) -> Vec<Entry> {
    let mut menu = Vec::new();
    for (fat, second) in [(Some(partitions.esp), false), (partitions.boot, true)] {
        let Some(fat) = fat else { continue };
        for node in fat.list("loader/entries").into_iter().filter(|n| !n.folder) {
            let hidden = node.name.starts_with('.') || node.name.starts_with("auto-");
            let Ok(bytes) = fat.contents(&node) else { continue };
            let entry = Entry::read(&node.name, &String::from_utf8_lossy(&bytes), second);
            menu.extend(entry.filter(|e| !hidden && fat.find(&e.linux).is_some_and(|n| !n.folder)));
        }
    }
    menu.sort_by(Entry::order);
    menu
}

impl Partitions<'_> {
    fn of(&self, entry: &Entry) -> &Fat<'_> {
        match self.boot {
            Some(boot) if entry.second => boot,
            _ => self.esp,
        }
    }

    /// What an entry starts, if all of it is whole; else what is wrong, and whether the machine stops there for ever.
    fn start(&self, entry: &Entry, hashes: &mut Hashes) -> Result<Start, (String, bool)> {
        let fat = self.of(entry);
        let kernel = match get(fat, hashes, &entry.linux) {
            Got::Whole(hash) => hash,
            Got::Missing => return Err((format!("{}: its kernel {} is missing", entry.file, entry.linux), true)),
            Got::Damaged(why) => return Err((format!("{}: its kernel {}: {why}", entry.file, entry.linux), true)),
        };
        let mut initrds = Vec::new();
        for path in &entry.initrds {
            match get(fat, hashes, path) {
                Got::Whole(hash) => initrds.push(hash),
                Got::Missing => return Err((format!("{}: its initrd {path} is missing", entry.file), true)),
                // Measured: a cut initrd makes the kernel panic, which is counted.
                Got::Damaged(why) => return Err((format!("{}: its initrd {path}: {why}", entry.file), false)),
            }
        }
        Ok(Start { kernel, initrds, options: entry.options.clone() })
    }
}

/// What every listed entry starts, with whether it is counted. Entries that are not whole are left out.
pub fn starts(partitions: Partitions<'_>, hashes: &mut Hashes) -> Vec<(bool, Start)> {
    let menu = menu(partitions);
    let start = |entry: &Entry| Some((entry.counter.is_some(), partitions.start(entry, hashes).ok()?));
    menu.iter().filter_map(start).collect()
}

/// The verdict on the entries: `Err` says what is wrong.
pub fn judge(partitions: Partitions<'_>, known: &Known, hashes: &mut Hashes) -> Result<(), String> {
    let mut menu = menu(partitions);
    let good_there = menu.iter().any(|entry| {
        entry.counter.is_none() && partitions.start(entry, hashes).is_ok_and(|start| known.booted.contains(&start))
    });
    if !good_there {
        let names: Vec<String> = menu
            .iter()
            .map(|e| match partitions.start(e, hashes) {
                Ok(_) => e.file.clone(),
                Err((why, _)) => why,
            })
            .collect();
        return Err(format!("no entry is there that booted before, whole and without a counter; listed: {names:?}"));
    }
    for _ in 0..32 {
        let picked = pick(partitions, &menu);
        let Some(entry) = menu.get(picked).cloned() else { return Err("the menu is empty".into()) };
        let start = partitions.start(&entry, hashes);
        let Some((left, done)) = entry.counter else {
            return match start {
                Ok(start) if known.is_good(&start) => Ok(()),
                Ok(_) => Err(format!("{} is picked, has no counter and says what nobody wrote", entry.file)),
                Err((why, _)) => Err(format!("picked without a counter: {why}")),
            };
        };
        match start {
            Ok(start) if known.trials.contains(&start) || known.is_good(&start) => {}
            Ok(_) => return Err(format!("{} is picked and says what nobody wrote: it may hang", entry.file)),
            Err((why, true)) => return Err(format!("picked, and the machine stops there: {why}")),
            Err((_, false)) => {}
        }
        if left == 0 {
            return Err(format!("{} is picked with no tries left, for ever", entry.file));
        }
        let (id, counter) = (entry.id.trim_end_matches(".conf"), Some((left - 1, done + 1)));
        let name = format!("{id}+{}-{}.conf", left - 1, done + 1);
        if menu.iter().any(|other| other.file == name && other.second == entry.second) {
            return Err(format!("{} cannot be renamed, {name} is there: it is picked for ever", entry.file));
        }
        menu[picked] = Entry { file: name, counter, ..entry };
        menu.sort_by(Entry::order);
    }
    Err("after 32 starts no good entry was picked".into())
}

/// What the entry that is picked names: its kernel, its initrds, its command line.
pub fn picked(partitions: Partitions<'_>) -> Option<(String, Vec<String>, String)> {
    let menu = menu(partitions);
    let entry = menu.get(pick(partitions, &menu))?;
    Some((entry.linux.clone(), entry.initrds.clone(), entry.options.clone()))
}

/// Which place of the menu is picked.
fn pick(partitions: Partitions<'_>, menu: &[Entry]) -> usize {
    let default = default_of(partitions.esp);
    let named = |entry: &Entry, pattern: &str| matches(pattern, &entry.id) || matches(pattern, &entry.file);
    default.and_then(|pattern| menu.iter().position(|entry| named(entry, &pattern))).unwrap_or(0)
}

fn default_of(esp: &Fat<'_>) -> Option<String> {
    let node = esp.find("loader/loader.conf")?;
    let text = String::from_utf8_lossy(&esp.contents(&node).ok()?).into_owned();
    lines(&text).filter(|(key, _)| *key == "default").last().map(|(_, value)| value.to_lowercase())
}

/// A pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    fn go(pattern: &[char], name: &[char]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some('*'), _) => go(&pattern[1..], name) || (!name.is_empty() && go(pattern, &name[1..])),
            (Some('?'), Some(_)) => go(&pattern[1..], &name[1..]),
            (Some(a), Some(b)) => a == b && go(&pattern[1..], &name[1..]),
            _ => false,
        }
    }
    go(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
}
