//! The menu on a disk, as its loader would read it: what would be started now. The loaders' ways are those of [`crate::judge`],
//! which were measured on real ones.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use crate::disk::table;
use crate::judge::fat::Fat;
use crate::judge::grub::Platform;
use crate::judge::systemd_boot::Partitions;
use crate::judge::{grub, systemd_boot};
use crate::machine::Firmware;
use crate::replay::image::{Base, Image};
use crate::replay::log::{Log, SECTOR};

/// What a loader would start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// The kernel's path on the boot partition.
    pub kernel: String,
    /// The initrds' contents.
    pub initrds: Vec<Vec<u8>>,
    /// The kernel's command line.
    pub options: String,
}

/// What the menu on this disk starts by itself.
pub fn picked(image: &Path, firmware: Firmware) -> Result<Picked> {
    for partition in table(image)?.1 {
        let start = partition.start / SECTOR as u64;
        let sectors = start..start + partition.size / SECTOR as u64;
        if !boot_sector(image, partition.start)? {
            continue;
        }
        let image = Image::new(Base::read(image, sectors)?, start, &Log::default());
        let Ok(fat) = Fat::open(&image) else { continue };
        let (kernel, initrds, options) = if !fat.list("loader/entries").is_empty() {
            systemd_boot::picked(Partitions { esp: &fat, boot: None }).context("no entry of systemd-boot's menu")?
        } else if let Some(folder) = menu_folder(&fat) {
            let platform = if firmware == Firmware::Uefi { Platform::Uefi } else { Platform::Bios };
            grub::picked(&fat, &folder, platform).map_err(|why| anyhow!("GRUB's menu: {why}"))?
        } else {
            continue;
        };
        let whole = |path: &String| {
            let node = fat.find(path).with_context(|| format!("{path} is missing"))?;
            fat.contents(&node).map_err(|flaw| anyhow!("{path}: {flaw}"))
        };
        whole(&kernel)?;
        return Ok(Picked { initrds: initrds.iter().map(whole).collect::<Result<_>>()?, kernel, options });
    }
    bail!("no partition of {} has a menu", image.display())
}

/// The folder of GRUB's menu: each machine has one of its own.
fn menu_folder(fat: &Fat<'_>) -> Option<String> {
    let folders = fat.list("cairn").into_iter().filter(|node| node.folder);
    let mut menus = folders.map(|node| format!("/cairn/{}/grub", node.name));
    menus.find(|folder| fat.find(&format!("{folder}/grub.cfg")).is_some())
}

/// Whether a boot sector is there: a root, of which there is more, has none.
fn boot_sector(image: &Path, at: u64) -> Result<bool> {
    let mut sector = [0; SECTOR];
    File::open(image)?.read_exact_at(&mut sector, at)?;
    Ok(matches!(sector[0], 0xeb | 0xe9) && sector[510..] == [0x55, 0xaa])
}
