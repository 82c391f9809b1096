//! `cairn run`: a machine in QEMU, on this terminal.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::image::Format;
use cairn_make::machine_file::{is_machine_file, load};
use cairn_make::{Prepared, prepare};
use cairn_process::Usage;
use image_builder::outputs::standing::CACHE;
use image_builder::outputs::{Places, write_images};
use image_builder::qemu;
use image_builder::run::RunOptions;

use crate::args::{Controller, DiskWord, FirmwareKind, RunArgs};
use crate::exit::Exit;
use crate::kit;
use crate::ui::Ui;

pub fn run(args: RunArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let built = is_machine_file(&args.what);
    if built && args.persist {
        // The image that is built for a run is the cache's: the next build would replace what was kept.
        let file = args.what.display();
        return Err(Usage(format!(
            "--persist keeps changes in an image, and {file} is a machine file: `cairn build {file}`, then run the image"
        ))
        .into());
    }
    let options = RunOptions {
        persist: args.persist,
        graphics: args.graphics,
        ssh_port: args.ssh_port,
        memory: args.guest.memory,
        cpus: args.guest.cpus,
        controller: controller(attached(&args)),
        firmware: if args.bios { Some(qemu::FirmwareKind::Bios) } else { args.guest.firmware.map(firmware) },
        secure_boot: args.secure_boot,
        empty: args
            .disk
            .iter()
            .filter_map(|word| if let DiskWord::Empty(bytes) = word { Some(*bytes) } else { None })
            .collect(),
        accel: None,
    };
    let image = if built { image_of(&args.what, ui)?.0 } else { args.what };
    image_builder::run::run(&image, &options, ui.report())?;
    Ok(Exit::Done)
}

/// What the image hangs on: the last that was said.
fn attached(args: &RunArgs) -> Controller {
    if args.cdrom {
        return Controller::Cdrom;
    }
    if args.usb {
        return Controller::Usb;
    }
    let said = args.disk.iter().rev().find_map(|word| if let DiskWord::On(one) = word { Some(*one) } else { None });
    said.unwrap_or(Controller::VirtioBlk)
}

/// The image of a machine that was not asked for by name: it is made for one run, in the cache, and kept so that the next
/// run starts at once.
pub fn image_of(file: &Path, ui: &Ui) -> anyhow::Result<(PathBuf, Prepared)> {
    let kit = kit::kit(None)?;
    let cache = &kit.cache;
    let folder = cache.join("images");
    let (formats, rules) = ([Format::Raw], CACHE);
    let checked = load(file)?;
    let name = &checked.machine.hostname;
    Places { folder: &folder, name, formats: &formats, seed: checked.seed(), rules, cache }.check()?;
    let machine = prepare(&[file.into()], &kit, ui.report())?;
    let image = write_images(&machine, &folder, &formats, rules, cache, ui.report())?.pop();
    Ok((image.context("a build for one format gives one image")?, machine))
}

pub fn firmware(chosen: FirmwareKind) -> qemu::FirmwareKind {
    match chosen {
        FirmwareKind::Uefi => qemu::FirmwareKind::Uefi,
        FirmwareKind::Bios => qemu::FirmwareKind::Bios,
    }
}

pub fn controller(chosen: Controller) -> qemu::Controller {
    match chosen {
        Controller::VirtioBlk => qemu::Controller::VirtioBlk,
        Controller::VirtioScsi => qemu::Controller::VirtioScsi,
        Controller::Nvme => qemu::Controller::Nvme,
        Controller::Ahci => qemu::Controller::Ahci,
        Controller::Usb => qemu::Controller::Usb,
        Controller::Sd => qemu::Controller::Sd,
        Controller::Cdrom => qemu::Controller::Cdrom,
    }
}
