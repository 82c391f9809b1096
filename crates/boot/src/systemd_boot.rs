//! The boot set for systemd-boot.
//!
//! Which entry is taken follows from their order alone, and no `default` is ever set: an exact default would be booted
//! even when it has no tries left. Entries are ordered by sort key, and by version, newest first, among those of one key;
//! entries without tries left come last (systemd-boot 257, measured).

use bootloader_templates::systemd_boot::{Entry, LoaderConf};
use cairn_machine::model::Boot;

use crate::choice::Choice;
use crate::entry_name::{Counter, EntryName};
use crate::generation::{Artifact, Generation};
use crate::installation::Installation;
use crate::present::Present;
use crate::set::{BootFile, BootSet, Content, Place, Role, SetError, one_sector};

/// The path that firmware looks for on its own.
pub const REMOVABLE: &str = "EFI/BOOT/BOOTX64.EFI";
/// The path that systemd's own tools use.
pub const OWN: &str = "EFI/systemd/systemd-bootx64.efi";
/// The loader's settings.
pub const LOADER_CONF: &str = "loader/loader.conf";
/// What `bootctl` writes to say that the entries are of type #1.
pub const ENTRIES_SREL: &str = "loader/entries.srel";

/// What the set is made of.
#[derive(Debug, Clone, Copy)]
pub struct SystemdBoot<'a> {
    /// Whose files they are.
    pub installation: Installation,
    /// What the machine file says about the menu.
    pub boot: &'a Boot,
    /// All generations; those that the choice keeps get an entry.
    pub generations: &'a [Generation],
    /// What boots.
    pub choice: &'a Choice,
    /// What is there already: a counter that has begun goes on.
    pub present: &'a Present,
    /// The loader's program.
    pub program: &'a Artifact,
}

impl SystemdBoot<'_> {
    /// The files.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn boot_set(&self) -> Result<BootSet, SetError> {
        if self.choice.kept.is_empty() {
            return Err(SetError::Empty);
        }
        let mut files = Vec::new();
        let mut put = |place, path: &str, content, role| {
            files.push(BootFile { place, path: path.into(), content, role });
        };
        put(Place::Esp, OWN, Content::Store(self.program.clone()), Role::Program);
        put(Place::Esp, REMOVABLE, Content::Store(self.program.clone()), Role::Program);
        let conf = LoaderConf { timeout: self.boot.timeout }.render().map_err(SetError::Loader)?;
        put(Place::Esp, LOADER_CONF, Content::Bytes(one_sector(LOADER_CONF, &conf)?), Role::Sector);
        put(Place::Boot, ENTRIES_SREL, Content::Bytes(b"type1\n".into()), Role::Plain);

        let mut seen = Vec::new();
        for generation in self.generations.iter().filter(|g| self.choice.kept.contains(&g.number)) {
            let number = generation.number;
            if seen.contains(&number) {
                return Err(SetError::Twice(number));
            }
            seen.push(number);
            let kernel = self.installation.kernel(&generation.kernel);
            put(Place::Boot, &kernel, Content::Store(generation.kernel.clone()), Role::Artifact);
            let initrd = generation.initrd.as_ref().map(|initrd| {
                let path = self.installation.initrd(initrd);
                put(Place::Boot, &path, Content::Store(initrd.clone()), Role::Artifact);
                path
            });
            let text = self
                .entry(generation, &kernel, initrd)
                .render()
                .map_err(|source| SetError::Entry { number, source })?;
            let name = self.name(number, &text);
            put(Place::Boot, &name.path(), Content::Bytes(text.into_bytes()), Role::Entry(Some(name)));
        }
        Ok(BootSet::new(files))
    }

    /// The entry's name, with the counter that the same entry has already.
    fn name(&self, number: u64, text: &str) -> EntryName {
        let plain = EntryName::of(self.installation, number, text, None);
        if self.choice.good.contains(&number) {
            return plain;
        }
        let begun = self.present.entries.iter().filter(|e| e.same_entry(&plain)).filter_map(|e| e.counter);
        let tries = self.boot.tries.max(1);
        let fresh = match self.choice.failed.contains(&number) {
            true => Counter { left: 0, done: tries },
            false => Counter { left: tries, done: 0 },
        };
        // Of two the one that has fewer tries left: a power cut in the middle of the loader's own renaming. One that is
        // used up belongs to an earlier trial.
        let counter = begun.min().filter(|c| c.left > 0 || self.choice.trial != Some(number));
        EntryName { counter: Some(counter.unwrap_or(fresh)), ..plain }
    }

    fn entry(&self, generation: &Generation, kernel: &str, initrd: Option<String>) -> Entry {
        Entry {
            title: generation.title(),
            version: generation.number.to_string(),
            sort_key: self.sort_key(generation.number).into(),
            linux: format!("/{kernel}"),
            initrd: initrd.map(|path| format!("/{path}")),
            options: generation.command_line(!self.choice.good.contains(&generation.number)),
        }
    }

    /// First what is tried, then what somebody chose over newer ones, then the good ones, then the others.
    fn sort_key(&self, number: u64) -> &'static str {
        if self.choice.trial == Some(number) {
            "cairn-a"
        } else if self.choice.pinned && self.choice.ground == number {
            "cairn-b"
        } else if self.choice.good.contains(&number) {
            "cairn-c"
        } else {
            "cairn-d"
        }
    }
}
