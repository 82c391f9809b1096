//! What a BIOS starts from a machine's disk, compared with what the base's GRUB makes, and brought up to date.

use std::path::PathBuf;

use anyhow::Context;
use cairn_boot::effects::Mounted;
use cairn_disk::{BootCode, CodeProblem, CodeUpdate, Compared, DiskDevice};
use cairn_layout::{SectorSize, human};
use cairn_machine::Checked;
use cairn_observe::disk::{self, BootDisk};
use cairn_observe::view;

/// What a BIOS should start, and where it is.
#[derive(Debug)]
pub struct Bios<'a> {
    code: BootCode,
    place: Place<'a>,
}

/// Where a machine's disk is.
#[derive(Debug)]
enum Place<'a> {
    Device {
        path: PathBuf,
        area: (u64, u64),
    },
    Image {
        disk: &'a view::Disk,
        area: (u64, u64),
    },
    /// Nowhere that could be looked at, and why.
    Nowhere(String),
}

impl<'a> Bios<'a> {
    /// On the disk of a partition that is mounted. `None` where that has sectors of 4096 bytes, from which no
    /// BIOS starts anything.
    pub fn of_mounted(code: BootCode, checked: &Checked, mounted: &Mounted) -> Option<Bios<'a>> {
        let device = mounted.device().map_err(|error| error.to_string());
        let disk = device.and_then(|device| BootDisk::of_device(device, mounted.root()));
        if disk.as_ref().is_ok_and(|disk| disk.table.sector_size != SectorSize::B512) {
            return None;
        }
        let found = disk.and_then(|disk| Ok((disk::core_image_area(checked, &disk.table)?, disk.device)));
        let place = match found {
            Ok((area, path)) => Place::Device { path, area },
            Err(why) => Place::Nowhere(why),
        };
        Some(Bios { code, place })
    }

    /// In an image.
    pub fn of_image(code: BootCode, checked: &Checked, disk: &'a view::Disk) -> Bios<'a> {
        let place = match disk::core_image_area(checked, disk.table()) {
            Ok(area) => Place::Image { disk, area },
            Err(why) => Place::Nowhere(why),
        };
        Bios { code, place }
    }

    /// What is to be written, if anything; or why nothing is although it should be, or nobody can tell.
    pub fn plan(&self) -> Result<Option<Box<CodeUpdate>>, String> {
        let compared = match &self.place {
            Place::Nowhere(why) => Err(why.clone()),
            Place::Device { path, area } => disk::open(path)
                .and_then(|disk| self.code.compare(&disk, *area).map_err(|e| format!("{}: {e}", path.display()))),
            Place::Image { disk, area } => self.code.compare(disk.source(), *area).map_err(|e| e.to_string()),
        };
        match compared.map_err(|why| format!("what a BIOS starts cannot be looked at: {why}"))? {
            Compared::Right => Ok(None),
            Compared::Update(update) => Ok(Some(update)),
            Compared::NoRoom { problem, needed, area } => Err(format!(
                "{}, and stays so: beside the one that is in use there is no room for the new core image ({} of {}), and that \
                 one is not overwritten. A bios-boot partition of 1M, or as much in front of an MBR's first partition, has \
                 room for two",
                word(problem),
                human(needed),
                human(area)
            )),
        }
    }

    /// Writes what was planned.
    pub fn apply(&self, update: &CodeUpdate) -> anyhow::Result<()> {
        let Place::Device { path, .. } = &self.place else { return Ok(()) };
        let device = DiskDevice::open(path, true).with_context(|| format!("opening {}", path.display()))?;
        Ok(update.apply(&device)?)
    }
}

/// What is wrong, in words.
pub fn word(problem: CodeProblem) -> &'static str {
    match problem {
        CodeProblem::Foreign => "the boot sector is not the one that starts this machine's GRUB under a BIOS",
        CodeProblem::Sector => "the boot sector is another than it should be",
        CodeProblem::Core => "GRUB's core image, which a BIOS starts, is another version or damaged",
    }
}
