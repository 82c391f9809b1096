//! `cairn run`: a machine in QEMU, on this terminal.

use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::image::{Format, ImageFile};
use cairn_make::machine_file::{is_machine_file, load};
use cairn_make::{Prepared, prepare};
use cairn_process::{Refusal, Usage};
use image_builder::outputs::standing::CACHE;
use image_builder::outputs::{Places, write_images};
use image_builder::qemu::{self, MadeFor};
use image_builder::run::{Empty, RunOptions};

use super::recorded;
use super::rehearse::hardware_file;
use crate::args::{Controller, DiskWord, FirmwareKind, RunArgs};
use crate::exit::Exit;
use crate::kit;
use crate::ui::Ui;
use crate::words::computer::{Asked, Computer, Machine};

/// The machine file of a folder.
const IN_FOLDER: &str = "machine.yaml";

pub fn run(args: RunArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let what = if args.what.is_dir() { args.what.join(IN_FOLDER) } else { args.what.clone() };
    let built = is_machine_file(&what);
    if built && args.persist {
        // The image that is built for a run is the cache's: the next build would replace what was kept.
        let file = what.display();
        return Err(Usage(format!(
            "--persist keeps changes in an image, and {file} is a machine file: `cairn build {file}`, then run the image"
        ))
        .into());
    }
    let options = options(&args);
    if !built {
        let options = of_image(&what, &args, options, ui)?;
        image_builder::run::run(&what, &options, ui.report())?;
        return Ok(Exit::Done);
    }
    if !args.generic {
        let checked = load(&what)?;
        if let Some(hardware) = recorded::of_machine(&what, &checked, args.hardware.as_deref())? {
            let computer = Computer::of(&hardware, &Machine::of(&checked), asked(&args), recorded::host())?;
            recorded::run(&what, &computer, options, ui)?;
            return Ok(Exit::Done);
        }
    }
    let image = image_of(&what, ui)?.0;
    image_builder::run::run(&image, &options, ui.report())?;
    Ok(Exit::Done)
}

fn options(args: &RunArgs) -> RunOptions {
    let empty = |word: &DiskWord| if let DiskWord::Empty(bytes) = word { Some(Empty::of(*bytes)) } else { None };
    RunOptions {
        persist: args.persist,
        graphics: args.graphics,
        ssh_port: args.ssh_port,
        memory: args.guest.memory(),
        cpus: args.guest.cpus(),
        controller: controller(attached(args).unwrap_or(Controller::VirtioBlk)),
        firmware: if args.bios { Some(qemu::FirmwareKind::Bios) } else { args.guest.firmware.map(firmware) },
        secure_boot: args.secure_boot,
        empty: args.disk.iter().filter_map(empty).collect(),
        tpm: args.tpm.then_some(2),
        ..RunOptions::default()
    }
}

/// What goes before what was recorded.
fn asked(args: &RunArgs) -> Asked {
    let said = args.guest.firmware.map(|kind| kind == FirmwareKind::Bios);
    Asked {
        controller: attached(args).map(controller),
        bios: if args.bios { Some(true) } else { said.or(args.secure_boot.then_some(false)) },
        secure_boot: args.secure_boot,
        tpm: args.tpm,
        memory: args.guest.memory,
        cpus: args.guest.cpus,
    }
}

/// An image that is on the disk of a computer that was recorded, where one is named: it stays what it is.
fn of_image(image: &Path, args: &RunArgs, options: RunOptions, ui: &Ui) -> anyhow::Result<RunOptions> {
    let Some(path) = &args.hardware else { return Ok(options) };
    let (_, hardware) = hardware_file(path)?;
    let made_for = MadeFor::of(&*ImageFile::open(image)?.source()?);
    // Nobody has looked into it: it is taken for one that starts wherever its table says.
    let bios = made_for.firmware == qemu::FirmwareKind::Bios;
    let machine =
        Machine { can: cairn_machine::model::Firmware { uefi: !bios, bios }, by_shim: true, modules: None, disk: None };
    let computer = Computer::of(&hardware, &machine, asked(args), recorded::host())?;
    let (has, had) = (made_for.sector_size, u64::from(computer.disk.sector_size));
    if has != had {
        let (image, name) = (image.display(), &computer.disk.name);
        return Err(Refusal(format!(
            "{image} has a partition table for sectors of {has} bytes, and {name} had sectors of {had}: run the machine file, which is \
             installed onto such a disk first"
        ))
        .into());
    }
    for note in &computer.notes {
        ui.report().note(note);
    }
    Ok(recorded::options(&computer, options))
}

/// What the image hangs on, where that is said: the last word counts.
fn attached(args: &RunArgs) -> Option<Controller> {
    if args.cdrom {
        return Some(Controller::Cdrom);
    }
    if args.usb {
        return Some(Controller::Usb);
    }
    args.disk.iter().rev().find_map(|word| if let DiskWord::On(one) = word { Some(*one) } else { None })
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
