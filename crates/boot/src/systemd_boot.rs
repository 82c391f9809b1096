//! The boot set for systemd-boot.
//!
//! Which entry is taken follows from their order alone, and no `default` is ever set: an exact default would be booted
//! even when it has no tries left. Entries are ordered by sort key, and by version, newest first, among those of one key;
//! entries without tries left come last (systemd-boot 257, measured).

use bootloader_templates::TemplateError;
use bootloader_templates::systemd_boot::{self as template, Entry, LoaderConf, Program};
use cairn_machine::model::{Boot, BootEntry, ConsoleMode, Menu};
use sha2::{Digest, Sha256};

use crate::choice::Choice;
use crate::entry_name::{Counter, ENTRIES, EntryName};
use crate::generation::{Artifact, Generation, Variant};
use crate::image::{Images, ON_TRIAL, Signed};
use crate::installation::Installation;
use crate::present::Present;
use crate::set::{BootFile, BootSet, Content, Place, Role, SetError, one_sector};
use crate::shared;

/// The path that firmware looks for on its own.
pub const REMOVABLE: &str = "EFI/BOOT/BOOTX64.EFI";
/// The path that systemd's own tools use.
pub const OWN: &str = "EFI/systemd/systemd-bootx64.efi";
/// The loader's settings.
pub const LOADER_CONF: &str = "loader/loader.conf";
/// What systemd-boot gives to a firmware that has no keys: who may change the keys, who may change what is known, and who is known.
pub const ENROLLED: [&str; 3] = ["loader/keys/auto/PK.auth", "loader/keys/auto/KEK.auth", "loader/keys/auto/db.auth"];
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
    /// The memory test's program, if there is to be an entry for it.
    pub memtest: Option<&'a Artifact>,
    /// The machine's own images, where it signs by keys of its own.
    pub images: Option<&'a Images>,
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
        let conf = self.loader_conf().render().map_err(SetError::Loader)?;
        put(Place::Esp, LOADER_CONF, Content::Bytes(one_sector(LOADER_CONF, &conf)?), Role::Sector);
        put(Place::Boot, ENTRIES_SREL, Content::Bytes(b"type1\n".into()), Role::Plain);
        for (path, bytes) in self.images.iter().flat_map(|images| &images.enrolled) {
            put(Place::Esp, path, Content::Bytes(bytes.clone()), Role::Own);
        }

        let mut seen = Vec::new();
        for generation in self.generations.iter().filter(|g| self.choice.kept.contains(&g.number)) {
            let number = generation.number;
            if seen.contains(&number) {
                return Err(SetError::Twice(number));
            }
            seen.push(number);
            if let Some(images) = self.images {
                files.extend(self.signed(generation, images)?);
                continue;
            }
            let mut put = |place, path: &str, content, role| {
                files.push(BootFile { place, path: path.into(), content, role });
            };
            let mut artifact = |path: String, artifact: &Artifact| {
                put(Place::Boot, &path, Content::Store(artifact.clone()), Role::Artifact);
                format!("/{path}")
            };
            // The files that an entry starts, and an entry that names them.
            let mut started = |kernel: &Artifact, initrd: Option<&Artifact>, device_tree: Option<&Artifact>| Entry {
                linux: artifact(self.installation.kernel(kernel), kernel),
                initrd: initrd.map(|initrd| artifact(self.installation.initrd(initrd), initrd)).into_iter().collect(),
                devicetree: device_tree.map(|tree| artifact(self.installation.device_tree(tree), tree)),
                ..Entry::default()
            };
            let entry = started(&generation.kernel, generation.initrd.as_ref(), generation.device_tree.as_ref());
            let variants = generation.variants.iter().map(|variant| {
                (variant, started(&variant.kernel, variant.initrd.as_ref(), variant.device_tree.as_ref()))
            });
            let variants: Vec<(&Variant, Entry)> = variants.collect();
            let text = self.entry(generation, entry).render().map_err(|source| SetError::Entry { number, source })?;
            let name = self.name(number, &text);
            put(Place::Boot, &name.path(), Content::Bytes(text.into_bytes()), Role::Entry(Some(name)));
            for (variant, entry) in variants {
                let entry = self.variant(generation, variant, entry);
                let text = entry.render().map_err(|source| SetError::Entry { number, source })?;
                let file = self.extra_file(&format!("{number}-{}", variant.id().to_lowercase()), text);
                put(file.place, &file.path, file.content, file.role);
            }
        }
        for (name, entry) in &self.boot.entries {
            let text = extra(name, entry).map_err(|source| SetError::Extra { name: name.clone(), source })?;
            files.push(self.extra_file(name, text));
        }
        let others = if self.boot.other_systems { shared::others(self.present) } else { Vec::new() };
        for other in others {
            let efi = format!("/{}", other.program());
            let (title, sort_key) = (other.title.to_string(), "cairn-x".into());
            let text = Program { title, sort_key, efi, ..Program::default() }.render().map_err(SetError::Loader)?;
            // Beside the program: the loader looks for it on the entry's own partition.
            let file = self.extra_file(&format!("other-{}", other.folder), text);
            files.push(BootFile { place: Place::Esp, ..file });
        }
        if let Some(memtest) = self.memtest {
            let path = self.installation.memtest(memtest, "efi");
            let program = Program {
                title: "Memory test".into(),
                sort_key: "cairn-y".into(),
                efi: format!("/{path}"),
                ..Program::default()
            };
            let text = program.render().map_err(SetError::Loader)?;
            files.push(BootFile {
                place: Place::Boot,
                path,
                content: Content::Store(memtest.clone()),
                role: Role::Artifact,
            });
            files.push(self.extra_file("memtest", text));
        }
        Ok(BootSet::new(files))
    }

    /// The images of a generation and of its variants, and their entries.
    fn signed(&self, generation: &Generation, images: &Images) -> Result<Vec<BootFile>, SetError> {
        let number = generation.number;
        let images = images.generations.get(&number).ok_or(SetError::NotSigned(number))?;
        let (image, variants) = images.split_first().ok_or(SetError::NotSigned(number))?;
        if variants.len() != generation.variants.len() {
            return Err(SetError::NotSigned(number));
        }
        let mut files = Vec::new();
        // What an entry of a kernel says of title and order, for a program. Its command line is in the program.
        let mut entry = |image: &Signed, like: Entry| {
            let path = self.installation.image(image);
            let program = Program {
                title: like.title,
                version: Some(like.version),
                sort_key: like.sort_key,
                efi: format!("/{path}"),
                options: if self.choice.good.contains(&number) { Vec::new() } else { vec![ON_TRIAL.into()] },
                ..Program::default()
            };
            files.push(BootFile {
                place: Place::Boot,
                path,
                content: Content::Signed(image.clone()),
                role: Role::Artifact,
            });
            program.render().map_err(|source| SetError::Entry { number, source })
        };
        let text = entry(image, self.entry(generation, Entry::default()))?;
        let mut texts = Vec::new();
        for (variant, image) in generation.variants.iter().zip(variants) {
            let text = entry(image, self.variant(generation, variant, Entry::default()))?;
            texts.push(self.extra_file(&format!("{number}-{}", variant.id().to_lowercase()), text));
        }
        files.extend(texts);
        let name = self.name(number, &text);
        files.push(BootFile {
            place: Place::Boot,
            path: name.path(),
            content: Content::Bytes(text.into_bytes()),
            role: Role::Entry(Some(name)),
        });
        Ok(files)
    }

    /// An entry that is no generation's. Its name follows from its text too, so it is never overwritten.
    fn extra_file(&self, name: &str, text: String) -> BootFile {
        let hash = crate::generation::hex(&Sha256::digest(&text)[..4]);
        let path = format!("{ENTRIES}/cairn-{}-x-{name}-{hash}.conf", self.installation.mark());
        BootFile { place: Place::Boot, path, content: Content::Bytes(text.into_bytes()), role: Role::Entry(None) }
    }

    fn loader_conf(&self) -> LoaderConf {
        LoaderConf {
            timeout: self.boot.timeout,
            menu: match self.boot.menu {
                Menu::Shown => template::Menu::Shown,
                Menu::Hidden => template::Menu::Hidden,
                Menu::Wait => template::Menu::Wait,
            },
            console_mode: self.boot.console_mode.map(|mode| match mode {
                ConsoleMode::Keep => template::ConsoleMode::Keep,
                ConsoleMode::Auto => template::ConsoleMode::Auto,
                ConsoleMode::Max => template::ConsoleMode::Max,
                ConsoleMode::Mode0 => template::ConsoleMode::Standard,
                ConsoleMode::Mode1 => template::ConsoleMode::Lines50,
                ConsoleMode::Mode2 => template::ConsoleMode::Firmware,
            }),
            editor: self.boot.editor,
            auto_entries: self.boot.other_systems,
            auto_firmware: self.boot.firmware_setup,
            enrolls: self.images.is_some(),
            ..LoaderConf::default()
        }
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

    /// The entry of a generation, given what it starts.
    fn entry(&self, generation: &Generation, started: Entry) -> Entry {
        Entry {
            title: generation.title(),
            version: generation.number.to_string(),
            sort_key: self.sort_key(generation.number).into(),
            options: generation.command_line(!self.choice.good.contains(&generation.number)),
            ..started
        }
    }

    /// A variant stands behind its generation, and is never what boots by itself while there is one that has booted well:
    /// nobody knows whether it does.
    fn variant(&self, generation: &Generation, variant: &Variant, started: Entry) -> Entry {
        let good = self.choice.good.contains(&generation.number);
        Entry {
            title: format!("{} ({})", generation.title(), variant.name),
            // A tilde sorts before the end of a text.
            version: format!("{}~{}", generation.number, variant.id()),
            sort_key: if good { self.sort_key(generation.number) } else { "cairn-d" }.into(),
            options: generation.variant_line(variant, !good),
            ..self.entry(generation, started)
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

/// The text of an entry of the machine file's own.
fn extra(name: &str, entry: &BootEntry) -> Result<String, TemplateError> {
    let (title, sort_key) = (entry.title(name).to_string(), "cairn-x".to_string());
    let path = |path: &String| format!("/{path}");
    let options = entry.options.clone();
    match (&entry.efi, &entry.linux) {
        (Some(efi), _) => Program { title, sort_key, efi: path(efi), options, ..Program::default() }.render(),
        (None, linux) => {
            let linux = linux.as_ref().map(path).unwrap_or_default();
            let initrd = entry.initrd.iter().map(path).collect();
            // Entries of one key are ordered by version, and these have none to speak of.
            let version = name.to_string();
            Entry { title, version, sort_key, linux, initrd, options, ..Entry::default() }.render()
        }
    }
}
