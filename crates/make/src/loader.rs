//! What of the boot loader goes onto a machine's disk: its program for UEFI, and what a BIOS starts.

use std::path::Path;

use anyhow::Context;
use bootloader_templates::grub::{EMBEDDED, Early, SCRIPT};
use cairn_boot::{Artifact, Installation, LoaderProgram, MemtestPrograms, ShimChain};
use cairn_disk::BootCode;
use cairn_layout::{disk_seed, identifiers};
use cairn_machine::Checked;
use cairn_machine::model::{Loader, PartitionKind};
use cairn_root::{Root, read_plain};
use cairn_store::{Store, StorePath, put_in_cache, to_hex};
use cairn_system::grub::{EarlyScript, Platform, boot_sector, core_image};
use sha2::{Digest, Sha256};

/// Where the loader's parts come from.
#[allow(missing_debug_implementations, reason = "functions have nothing to show")]
pub struct Parts<'a> {
    /// The base's store path.
    pub base: &'a StorePath,
    /// The artifact of a file in the store.
    pub artifact: &'a dyn Fn(&Path) -> anyhow::Result<Artifact>,
    /// Where GRUB's own parts come from; nothing where nobody is to be trusted with making them.
    pub grub: Option<Grub<'a>>,
}

/// Reads a file by its name.
pub type Read<'a> = &'a dyn Fn(&str) -> anyhow::Result<Vec<u8>>;

/// Where GRUB's own parts come from.
#[allow(missing_debug_implementations, reason = "functions have nothing to show")]
pub enum Grub<'a> {
    /// They were made with the system: this reads the files by their names.
    Made(Read<'a>),
    /// The base's own GRUB makes them. It is run, so the base must be one that was made here.
    Base {
        /// Where the base really is.
        folder: &'a Path,
        /// A folder for what is remembered.
        cache: &'a Path,
        /// Whether what is made is written down there.
        remember: bool,
    },
}

/// Longer core images no machine starts.
pub const MOST: u64 = 64 << 20;

/// What of GRUB is made for one machine, by the names that it has in its store path.
const EFI: &str = "grubx64.efi";
const CORE: &str = "core.img";
const SECTOR: &str = "boot.img";

/// Debian's signed programs, in a base.
const SHIM: &str = "usr/lib/shim/shimx64.efi.signed";
const KEYS: &str = "usr/lib/shim/mmx64.efi.signed";
/// systemd-boot as it is, and the stub of images that start by themselves, in a base.
pub const SYSTEMD_BOOT: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";
/// The stub.
pub const STUB: &str = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const SIGNED_SYSTEMD_BOOT: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed";
const SIGNED_GRUB: &str = "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed";

impl<'a> Parts<'a> {
    fn in_base(&self, inside: &str) -> anyhow::Result<Artifact> {
        (self.artifact)(&Path::new(&self.base.to_string()).join(inside))
    }

    /// The loader's program.
    ///
    /// # Errors
    /// When the base, or what was made of it, lacks it.
    pub fn program(&self, checked: &Checked) -> anyhow::Result<LoaderProgram> {
        let boot = &checked.machine.boot;
        if boot.by_shim() && checked.machine.firmware().uefi {
            let grub = boot.loader == Loader::Grub;
            let loader = if grub { SIGNED_GRUB } else { SIGNED_SYSTEMD_BOOT };
            let script = || early(checked)?.render_stub().context("writing GRUB's first script");
            return Ok(LoaderProgram::Shim(ShimChain {
                shim: self.in_base(SHIM)?,
                loader: self.in_base(loader)?,
                keys: self.in_base(KEYS)?,
                grub: grub.then(script).transpose()?,
            }));
        }
        Ok(match checked.machine.boot.loader {
            Loader::SystemdBoot => LoaderProgram::SystemdBoot(self.in_base(SYSTEMD_BOOT)?),
            Loader::Grub => {
                let uefi = checked.machine.firmware().uefi;
                LoaderProgram::Grub { efi: uefi.then(|| self.image(checked, Platform::Efi)).transpose()? }
            }
        })
    }

    /// What a BIOS starts, where the machine boots under one.
    ///
    /// # Errors
    /// When GRUB's parts cannot be had.
    pub fn boot_code(&self, checked: &Checked) -> anyhow::Result<Option<BootCode>> {
        if !checked.machine.firmware().bios {
            return Ok(None);
        }
        let sector = match self.grub()? {
            Grub::Made(made) => {
                let not = |_| anyhow::anyhow!("{SECTOR}, which was made with the system, is no boot sector");
                <[u8; 512]>::try_from(made(SECTOR)?).map_err(not)?
            }
            Grub::Base { folder, .. } => boot_sector(folder)?,
        };
        Ok(Some(BootCode { sector, core: self.image(checked, Platform::Bios)? }))
    }

    /// Makes what of the loader is for this machine alone a store path, for the system to refer to: whoever has the system
    /// then has it, without running anything.
    ///
    /// # Errors
    /// What GRUB and the store say.
    pub fn make(&self, checked: &Checked, store: &Store) -> anyhow::Result<Option<StorePath>> {
        if !makes_grub(checked) {
            return Ok(None);
        }
        let mut files = Vec::new();
        if let LoaderProgram::Grub { efi: Some(efi) } = self.program(checked)? {
            files.push((EFI, efi));
        }
        if let Some(code) = self.boot_code(checked)? {
            files.extend([(SECTOR, code.sector.to_vec()), (CORE, code.core)]);
        }
        let scratch = store.scratch()?;
        for (name, bytes) in files {
            let path = scratch.path().join(name);
            std::fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
        }
        Ok(Some(store.add("grub", scratch, &[])?.path))
    }

    /// The memory test's programs, where the machine file wants them.
    pub fn memtest(&self, checked: &Checked) -> Option<MemtestPrograms> {
        checked.machine.boot.memtest.then(|| MemtestPrograms {
            bios: self.in_base("boot/memtest86+x64.bin").ok(),
            efi: self.in_base("boot/memtest86+x64.efi").ok(),
        })
    }

    fn grub(&self) -> anyhow::Result<&Grub<'a>> {
        self.grub.as_ref().with_context(|| format!("nothing here can make the GRUB of {}", self.base))
    }

    fn image(&self, checked: &Checked, platform: Platform) -> anyhow::Result<Vec<u8>> {
        match *self.grub()? {
            Grub::Made(made) => made(if platform == Platform::Efi { EFI } else { CORE }),
            Grub::Base { folder, cache, remember } => self.core(checked, platform, (folder, cache, remember)),
        }
    }

    /// GRUB's image, from the base's own GRUB; made once for each base and script.
    fn core(
        &self,
        checked: &Checked,
        platform: Platform,
        (base, cache, remembers): (&Path, &Path, bool),
    ) -> anyhow::Result<Vec<u8>> {
        let early = early(checked)?;
        let text = early.render().context("writing GRUB's first script")?;
        let script = EarlyScript { embedded: EMBEDDED, name: SCRIPT, text: &text, prefix: &early.folder };
        let key = format!("{} {platform:?}\n{EMBEDDED}\n{text}\n{}", self.base, env!("CARGO_PKG_VERSION"));
        let name: String = to_hex(&Sha256::digest(key));
        let folder = cache.join("grub");
        let remembered = folder.join(name);
        if let Some(image) = read_plain(&remembered, MOST).ok().and_then(whole) {
            return Ok(image);
        }
        let image = core_image(base, platform, &script)?;
        if !remembers {
            return Ok(image);
        }
        let hashed = [Sha256::digest(&image).as_slice(), &image].concat();
        put_in_cache(&remembered, &hashed).with_context(|| format!("writing {}", remembered.display()))?;
        Ok(image)
    }
}

/// Whether something of GRUB is made for a machine alone: its program for UEFI, if that is not the signed one, and what a BIOS starts.
pub fn makes_grub(checked: &Checked) -> bool {
    let (boot, firmware) = (&checked.machine.boot, checked.machine.firmware());
    boot.loader == Loader::Grub && (firmware.bios || !boot.by_shim())
}

/// Reads GRUB's parts that were made with a system, in the folder of their store path.
///
/// # Errors
/// When there is no such folder.
pub fn made_in(folder: &Path) -> anyhow::Result<impl Fn(&str) -> anyhow::Result<Vec<u8>> + use<>> {
    let made = Root::open(folder).with_context(|| format!("opening {}", folder.display()))?;
    Ok(move |name: &str| {
        let bytes = made.read(name, MOST).with_context(|| format!("reading {}", made.shown(name).display()))?;
        bytes.with_context(|| format!("there is no {}", made.shown(name).display()))
    })
}

/// A file at an absolute path in the store, as the boot set wants it, with its hash from the path's listing.
///
/// # Errors
/// See [`Store::file_in`].
pub fn artifact(store: &Store, path: &Path) -> anyhow::Result<Artifact> {
    let (size, sha256) = store.file_in(path)?;
    Ok(Artifact { store_path: path.display().to_string(), sha256, size })
}

/// What was remembered, if a power cut has not torn it: the hash in front tells.
fn whole(bytes: Vec<u8>) -> Option<Vec<u8>> {
    let (hash, image) = bytes.split_at_checked(32)?;
    (Sha256::digest(image).as_slice() == hash).then(|| image.to_vec())
}

/// Where GRUB finds the menu: the boot partition's volume id, and our folder on it.
fn early(checked: &Checked) -> anyhow::Result<Early> {
    let (name, disk) = checked.machine.root_disk().context("the machine has no disk")?;
    let ids =
        identifiers(disk, disk_seed(checked.seed(), name)).map_err(|e| crate::problems::of_plan(checked, name, e))?;
    let of = |kind| ids.iter().find(|p| p.kind == kind).and_then(|p| p.fs());
    let own = of(PartitionKind::Xbootldr);
    let boot = own.or_else(|| of(PartitionKind::Esp)).context("the disk has no boot partition")?;
    let folder = format!("/{}", Installation::of_seed(checked.seed()).grub_folder());
    // Of one that others made nobody here knows the volume id.
    let is_ours = own.is_some() || !disk.shares_esp();
    Ok(Early { uuid: is_ours.then(|| boot.uuid.to_string()), folder })
}
