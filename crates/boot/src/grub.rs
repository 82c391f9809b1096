//! The boot set for GRUB, under UEFI and BIOS.
//!
//! The menu is a file named by its contents, and there twice; `grub.cfg` is one sector that says which menu counts, and so is
//! `grub.old`, the same again. Tries are counted in the environment block, one sector that GRUB overwrites in place. Nothing
//! that is ever changed is longer than a sector, and everything else is only ever new or gone.

use bootloader_templates::grub::{
    self as template, Boots, Config, EnvBlock, Extra, Kernel, Memtest, MenuStyle, Password, Pointer, Serial, Trial,
};
use cairn_machine::model::{Boot, BootEntry, Menu, Parity};
use sha2::{Digest, Sha256};

use crate::choice::Choice;
use crate::generation::{Artifact, Generation, hex};
use crate::installation::Installation;
use crate::present::Present;
use crate::set::{BootFile, BootSet, Content, Place, Role, SetError, one_sector};
use crate::shared;

/// The name that GRUB asks for with a password.
const SUPERUSER: &str = "root";

/// Where GRUB's environment has what was chosen last, and which word of ours that came after.
const SAVED: &str = "saved_entry";
const SAID: &str = "cairn_said";

/// What the set is made of.
#[derive(Debug, Clone, Copy)]
pub struct Grub<'a> {
    /// Whose files they are.
    pub installation: Installation,
    /// The menu.
    pub boot: &'a Boot,
    /// All generations; those that the choice keeps get an entry.
    pub generations: &'a [Generation],
    /// What boots.
    pub choice: &'a Choice,
    /// What is there already: a counter that has begun goes on.
    pub present: &'a Present,
    /// How often somebody has said what is to boot ([`crate::Record::said`]).
    pub said: u64,
    /// What is to boot at the next start, and only then.
    pub once: Option<u64>,
    /// The memory test's programs, if there is to be an entry for them.
    pub memtest: Option<&'a MemtestPrograms>,
}

/// The memory test's programs.
#[derive(Debug, Clone, Default)]
pub struct MemtestPrograms {
    /// For BIOS.
    pub bios: Option<Artifact>,
    /// For UEFI.
    pub efi: Option<Artifact>,
}

impl Grub<'_> {
    /// The files.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn boot_set(&self) -> Result<BootSet, SetError> {
        if self.choice.kept.is_empty() {
            return Err(SetError::Empty);
        }
        let mut files = Vec::new();
        let mut put = |place, path: String, content, role| files.push(BootFile { place, path, content, role });
        let mut generations: Vec<&Generation> =
            self.generations.iter().filter(|g| self.choice.kept.contains(&g.number)).collect();
        generations.sort_by_key(|g| std::cmp::Reverse(g.number));
        let mut lines = Vec::new();
        if let Some(pair) = generations.windows(2).find(|pair| pair[0].number == pair[1].number) {
            return Err(SetError::Twice(pair[0].number));
        }
        for generation in generations {
            let good = self.choice.good.contains(&generation.number);
            let mut starts = |linux: &Artifact, initrd: Option<&Artifact>, params| {
                let path = self.installation.kernel(linux);
                put(Place::Boot, path.clone(), Content::Store(linux.clone()), Role::Artifact);
                let initrd = initrd.map(|initrd| {
                    let path = self.installation.initrd(initrd);
                    put(Place::Boot, path.clone(), Content::Store(initrd.clone()), Role::Artifact);
                    format!("/{path}")
                });
                Kernel { linux: format!("/{path}"), initrd: initrd.into_iter().collect(), params }
            };
            let kernel = starts(&generation.kernel, generation.initrd.as_ref(), generation.command_line(!good));
            let mut variants: Vec<template::Variant> = Vec::new();
            for variant in &generation.variants {
                let (name, params) = (variant.id(), generation.variant_line(variant, !good));
                if !name.is_empty() && variants.iter().all(|other| other.name != name) {
                    let kernel = starts(&variant.kernel, variant.initrd.as_ref(), params);
                    // Nobody knows whether it boots: that its generation does says little.
                    variants.push(template::Variant { name, kernel, good: false });
                }
            }
            let id = id(generation);
            lines.push(template::Generation { id, title: generation.title(), kernel, good, variants });
        }
        let memtest = self.memtest.map(|programs| {
            let mut one = |program: &Option<Artifact>, ending| {
                let program = program.as_ref()?;
                let path = self.installation.memtest(program, ending);
                put(Place::Boot, path.clone(), Content::Store(program.clone()), Role::Artifact);
                Some(format!("/{path}"))
            };
            Memtest { bios: one(&programs.bios, "bin"), efi: one(&programs.efi, "efi") }
        });
        let config = self.config(lines, memtest)?.render().map_err(SetError::Loader)?;
        let folder = self.installation.grub_folder();
        let menu = format!("menu-{}", hex(&Sha256::digest(&config)[..8]));
        for ending in ["cfg", "old"] {
            let content = Content::Bytes(config.clone().into_bytes());
            put(Place::Boot, format!("{folder}/{menu}.{ending}"), content, Role::Entry(None));
        }
        let pointer = Pointer { menu }.render().map_err(SetError::Loader)?;
        for name in ["grub.cfg", "grub.old"] {
            let path = format!("{folder}/{name}");
            let content = Content::Bytes(one_sector(&path, &pointer)?);
            put(Place::Boot, path, content, Role::Sector);
        }
        let block = self.environment().to_bytes().map_err(SetError::Environment)?;
        put(Place::Boot, format!("{folder}/grubenv"), Content::Bytes(block.to_vec()), Role::Sector);
        Ok(BootSet::new(files))
    }

    fn trial(&self) -> Option<&Generation> {
        self.generations.iter().find(|g| self.choice.trial == Some(g.number))
    }

    /// The environment block: what is there, with the counter as it should be.
    fn environment(&self) -> EnvBlock {
        let there = self.present.environment.as_deref().and_then(|bytes| EnvBlock::parse(bytes).ok());
        let mut block = there.unwrap_or_default();
        // What was chosen in the menu counts until somebody says here what is to boot.
        let said = self.said.to_string();
        if self.boot.remember && block.get(SAID) != Some(&*said) {
            block.set(SAID, &said);
            block.unset(SAVED);
        } else if !self.boot.remember {
            block.unset(SAID);
            block.unset(SAVED);
        }
        if let Some(once) = self.generations.iter().find(|g| self.once == Some(g.number)) {
            block.once(&template::menu_path(&id(once)));
        }
        match self.trial().map(id) {
            None => block.disarm(),
            Some(key) => match block.trial() {
                // The count goes on. One that is used up belongs to an earlier trial.
                Some((counted, left)) if counted == key && left > 0 => {}
                _ => block.arm(&key, tries(self.boot)),
            },
        }
        block
    }

    fn config(&self, generations: Vec<template::Generation>, memtest: Option<Memtest>) -> Result<Config, SetError> {
        let ground = generations.iter().find(|line| number(&line.id) == Some(self.choice.ground));
        let default = ground.map(|line| line.id.clone()).ok_or(SetError::Empty)?;
        let trial = self.trial().map(|g| Trial { id: id(g), key: id(g), tries: tries(self.boot) });
        let extra = self.boot.entries.iter().map(|(name, entry)| extra(name, entry));
        let others = if self.boot.other_systems { shared::others(self.present) } else { Vec::new() };
        let extra = extra.chain(others.iter().map(|other| Extra {
            name: format!("other.{}", other.folder),
            title: other.title.to_string(),
            boots: Boots::EfiAnywhere { path: format!("/{}", other.program()) },
            restricted: false,
        }));
        Ok(Config {
            generations,
            default,
            trial,
            style: match self.boot.menu {
                Menu::Shown => MenuStyle::Shown,
                Menu::Hidden => MenuStyle::Hidden,
                Menu::Wait => MenuStyle::Wait,
            },
            timeout: self.boot.timeout,
            remember: self.boot.remember,
            password: self
                .boot
                .password_hash
                .as_ref()
                .map(|hash| Password { user: SUPERUSER.into(), hash: hash.clone() }),
            serial: self.boot.serial().map(|port| Serial {
                unit: u8::try_from(port.unit).unwrap_or_default(),
                speed: port.speed,
                word: port.word,
                parity: match port.parity {
                    Parity::None => template::Parity::No,
                    Parity::Odd => template::Parity::Odd,
                    Parity::Even => template::Parity::Even,
                },
            }),
            extra: extra.collect(),
            memtest,
            other_systems: self.boot.other_systems,
            firmware_setup: self.boot.firmware_setup,
        })
    }
}

/// What GRUB calls a generation: its number, and the start of the hash in the system's store path, so that a counter never
/// counts for another system.
fn id(generation: &Generation) -> String {
    let path = generation.bootspec.toplevel.0.display().to_string();
    let hash: String = path.rsplit('/').next().unwrap_or_default().chars().take(8).collect();
    format!("{}-{hash}", generation.number)
}

/// The generation's number in what GRUB calls it.
pub(crate) fn number(id: &str) -> Option<u64> {
    id.split_once('-').and_then(|(number, _)| number.parse().ok())
}

fn tries(boot: &Boot) -> u8 {
    u8::try_from(boot.tries).unwrap_or(9).max(1)
}

fn extra(name: &str, entry: &BootEntry) -> Extra {
    let path = |path: &String| format!("/{path}");
    let boots = match (&entry.efi, &entry.linux) {
        (Some(efi), _) => Boots::Efi { path: path(efi), options: entry.options.clone() },
        (None, linux) => Boots::Linux(Kernel {
            linux: linux.as_ref().map(path).unwrap_or_default(),
            initrd: entry.initrd.iter().map(path).collect(),
            params: entry.options.clone(),
        }),
    };
    Extra { name: name.to_string(), title: entry.title(name).to_string(), boots, restricted: false }
}
