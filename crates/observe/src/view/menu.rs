//! Which generations are in the boot menu: by the loader's entries, or by GRUB's configuration.

use std::collections::BTreeMap;

use bootloader_templates::grub::{EnvBlock, Pointer};
use cairn_boot::EntryName;

use super::{BootVolume, ViewError};

/// An entry of systemd-boot's, or a small file of GRUB's, that is larger is not one.
const MOST_TEXT: u64 = 64 << 10;
/// GRUB's menu has all generations in it, twice.
const MOST_MENU: u64 = 4 << 20;

/// What the menu has for a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The system that it starts.
    pub system: String,
    /// Tries left; `None` for an entry that is not counted.
    pub tries_left: Option<u32>,
}

/// The entries by the generation's number and system. One number can be there with several systems: of another
/// installation, or because it was used again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Menu(BTreeMap<u64, BTreeMap<String, Entry>>);

impl Menu {
    /// Reads the boot partitions. `None` when there is none that can be read.
    ///
    /// # Errors
    /// What reading meets, and [`ViewError::Endless`].
    pub fn read(volumes: &[BootVolume<'_>]) -> Result<Option<Menu>, ViewError> {
        if volumes.is_empty() {
            return Ok(None);
        }
        let mut menu = Menu::default();
        for BootVolume { files, .. } in volumes {
            let budget = files.budget();
            let text_of = |path: String, most: u64| -> Result<Option<String>, ViewError> {
                let Some(bytes) = files.read(&path, most)? else { return Ok(None) };
                // Many files can have the same clusters.
                budget.keep(bytes.len()).map_err(|why| ViewError::Endless { path, why })?;
                Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
            };
            for name in files.list("/loader/entries")?.unwrap_or_default() {
                let Some(entry) = EntryName::parse_any(&name) else { continue };
                let tries_left = entry.counter.map(|counter| counter.left);
                let Some(text) = text_of(format!("/loader/entries/{name}"), MOST_TEXT)? else { continue };
                menu.add(&text, |_| tries_left);
            }
            for mark in files.list("/cairn")?.unwrap_or_default() {
                let grub = format!("/cairn/{mark}/grub");
                let read = |name: &str| text_of(format!("{grub}/{name}"), MOST_TEXT);
                // GRUB's own file only says which menu counts.
                let Some(Pointer { menu: name }) = read("grub.cfg")?.as_deref().and_then(Pointer::parse) else {
                    continue;
                };
                let Some(text) = text_of(format!("{grub}/{name}.cfg"), MOST_MENU)? else { continue };
                let tried = read("grubenv")?.and_then(|text| tried(&text));
                menu.add(&text, |number| tried.filter(|(n, _)| *n == number).map(|(_, left)| left));
            }
        }
        Ok(Some(menu))
    }

    /// The entry of a generation with this system.
    pub fn of(&self, number: u64, system: &str) -> Option<&Entry> {
        self.0.get(&number)?.get(system)
    }

    /// Takes the command lines that name a generation out of a loader's file.
    fn add(&mut self, text: &str, tries_left: impl Fn(u64) -> Option<u32>) {
        for line in text.lines() {
            let words = || line.split_ascii_whitespace().map(|w| w.trim_matches(['\'', ';']));
            let number = words().find_map(|w| w.strip_prefix("cairn.generation=")?.parse::<u64>().ok());
            let system = words().find_map(|w| w.strip_prefix("init=")?.strip_suffix("/init"));
            let (Some(number), Some(system)) = (number, system) else { continue };
            let entry = Entry { system: system.to_string(), tries_left: tries_left(number) };
            let entries = self.0.entry(number).or_default();
            match entries.get_mut(system) {
                // While an entry is blessed it is there twice; the one without a counter is what counts.
                Some(known) if entry.tries_left.is_none() => *known = entry,
                Some(_) => {}
                None => drop(entries.insert(system.to_string(), entry)),
            }
        }
    }
}

/// What GRUB's environment says: the generation that is tried (`NUMBER-HASH`), and how often still.
fn tried(environment: &str) -> Option<(u64, u32)> {
    let block = EnvBlock::parse(environment.as_bytes()).ok()?;
    let (key, left) = block.trial()?;
    Some((key.split('-').next()?.parse().ok()?, u32::from(left)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "/nix/store/abcdefgh0-s";

    fn entry(system: &str, tries_left: Option<u32>) -> Entry {
        Entry { system: system.into(), tries_left }
    }

    #[test]
    fn an_entry_without_a_counter_wins_over_its_twin() {
        let mut menu = Menu::default();
        let text = format!("title x\noptions init={A}/init quiet cairn.generation=2\n");
        for left in [Some(2), None, Some(1)] {
            menu.add(&text, |_| left);
        }
        assert_eq!(menu.of(2, A), Some(&entry(A, None)));
        assert_eq!(menu.of(2, "/nix/store/other"), None);
    }

    #[test]
    fn grub_counts_in_its_environment() {
        let mut menu = Menu::default();
        let text = format!(
            "menuentry 'x' {{\n  if linux '/cairn/a/b-linux' 'init={A}/init' 'quiet' 'cairn.generation=1'; then boot; fi\n}}\n\
             menuentry 'y' {{\n  if linux '/c' 'init=/nix/store/b-s/init' 'cairn.generation=2' 'cairn.trial'; then boot; fi\n}}\n"
        );
        let tried = tried("# GRUB Environment Block\ncairn_try=2-b0123456\ncairn_left=3\n####");
        assert_eq!(tried, Some((2, 3)));
        menu.add(&text, |n| tried.filter(|(m, _)| *m == n).map(|(_, left)| left));
        assert_eq!(menu.of(1, A), Some(&entry(A, None)));
        assert_eq!(menu.of(2, "/nix/store/b-s"), Some(&entry("/nix/store/b-s", Some(3))));
    }
}
