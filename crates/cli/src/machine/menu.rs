//! Which generations are in the boot menu: by the names of the loader's entries, or by GRUB's configuration.

use std::collections::BTreeMap;

use image_builder::view::{BootVolume, ViewError};

/// A file of the loader's that is larger is not one.
const MOST: u64 = 4 << 20;

/// What the menu has for a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The first eight characters of the system's hash.
    pub system: String,
    /// Tries left; `None` for an entry that is not counted.
    pub tries_left: Option<u32>,
}

/// The entries by the generation's number. One number can be there with two systems, if it was used again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Menu(BTreeMap<u64, Vec<Entry>>);

impl Menu {
    /// Reads the boot partitions. `None` when there is none that can be read.
    pub fn read(volumes: &[BootVolume<'_>]) -> Result<Option<Menu>, ViewError> {
        if volumes.is_empty() {
            return Ok(None);
        }
        let mut menu = Menu::default();
        for BootVolume { files, .. } in volumes {
            for name in files.list("/loader/entries")?.unwrap_or_default() {
                if let Some((number, entry)) = of_name(&name) {
                    menu.add(number, entry);
                }
            }
            for mark in files.list("/cairn")?.unwrap_or_default() {
                let path = format!("/cairn/{mark}/grub/grub.cfg");
                let Some(text) = files.read(&path, MOST)? else { continue };
                let environment = files.read(&format!("/cairn/{mark}/grub/grubenv"), 1 << 20)?.unwrap_or_default();
                menu.add_grub(&String::from_utf8_lossy(&text), &String::from_utf8_lossy(&environment));
            }
        }
        Ok(Some(menu))
    }

    /// The entry of a generation with this system.
    pub fn of(&self, number: u64, system: &str) -> Option<&Entry> {
        let hash = system.rsplit('/').next().unwrap_or_default();
        self.0.get(&number)?.iter().find(|entry| hash.starts_with(&entry.system))
    }

    fn add(&mut self, number: u64, entry: Entry) {
        let entries = self.0.entry(number).or_default();
        match entries.iter_mut().find(|e| e.system == entry.system) {
            // While an entry is blessed it is there twice; the one without a counter is what counts.
            Some(known) if entry.tries_left.is_none() => *known = entry,
            Some(_) => {}
            None => entries.push(entry),
        }
    }

    fn add_grub(&mut self, text: &str, environment: &str) {
        let variable = |name: &str| {
            let value = environment.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix('='));
            value.and_then(|v| v.trim().parse::<u64>().ok())
        };
        let tried = variable("cairn_try").zip(variable("cairn_left").and_then(|n| u32::try_from(n).ok()));
        for line in text.lines() {
            let words = || line.split_ascii_whitespace().map(|w| w.trim_matches(['\'', '"']));
            let number = words().find_map(|w| w.strip_prefix("cairn.generation=")?.parse::<u64>().ok());
            let init = words().find_map(|w| w.strip_prefix("init=/nix/store/"));
            if let (Some(number), Some(init)) = (number, init) {
                let left = tried.filter(|(n, _)| *n == number).map(|(_, left)| left);
                self.add(number, Entry { system: init.chars().take(8).collect(), tries_left: left });
            }
        }
    }
}

/// `cairn-MARK-N-HASH[+LEFT[-DONE]].conf`.
fn of_name(name: &str) -> Option<(u64, Entry)> {
    let stem = name.strip_prefix("cairn-")?.strip_suffix(".conf")?;
    let (stem, counter) = match stem.split_once('+') {
        Some((stem, counter)) => (stem, Some(counter)),
        None => (stem, None),
    };
    let mut parts = stem.split('-');
    let (mark, number, system) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || mark.len() != 8 || system.len() != 8 {
        return None;
    }
    let tries_left = counter.map(|c| c.split('-').next().unwrap_or_default().parse()).transpose().ok()?;
    Some((number.parse().ok()?, Entry { system: system.to_string(), tries_left }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(system: &str, tries_left: Option<u32>) -> Entry {
        Entry { system: system.into(), tries_left }
    }

    #[test]
    fn entry_names_are_read_and_others_are_not_ours() {
        assert_eq!(of_name("cairn-01234567-12-abcdefgh.conf"), Some((12, entry("abcdefgh", None))));
        assert_eq!(of_name("cairn-01234567-12-abcdefgh+3.conf"), Some((12, entry("abcdefgh", Some(3)))));
        assert_eq!(of_name("cairn-01234567-12-abcdefgh+0-3.conf"), Some((12, entry("abcdefgh", Some(0)))));
        for other in
            ["debian.conf", "cairn-1-2.conf", "cairn-01234567-x-abcdefgh.conf", "cairn-01234567-1-abcdefgh.bak"]
        {
            assert_eq!(of_name(other), None, "{other}");
        }
    }

    #[test]
    fn an_entry_without_a_counter_wins_over_its_twin() {
        let mut menu = Menu::default();
        menu.add(2, entry("abcdefgh", Some(2)));
        menu.add(2, entry("abcdefgh", None));
        menu.add(2, entry("abcdefgh", Some(1)));
        assert_eq!(menu.of(2, "/nix/store/abcdefghijkl-system"), Some(&entry("abcdefgh", None)));
        assert_eq!(menu.of(2, "/nix/store/zzzzzzzzzzzz-system"), None);
    }

    #[test]
    fn grub_counts_in_its_environment() {
        let mut menu = Menu::default();
        let text = "menuentry 'x' {\n  linux /cairn/a/b-linux init=/nix/store/abcdefgh0-s/init quiet cairn.generation=1\n}\n\
                    menuentry 'y' {\n  linux /cairn/a/c-linux 'init=/nix/store/bbbbbbbb0-s/init' cairn.generation=2 cairn.trial\n}\n";
        menu.add_grub(text, "# GRUB Environment Block\ncairn_try=2\ncairn_left=3\n####");
        assert_eq!(menu.of(1, "abcdefgh0-s"), Some(&entry("abcdefgh", None)));
        assert_eq!(menu.of(2, "bbbbbbbb0-s"), Some(&entry("bbbbbbbb", Some(3))));
    }
}
