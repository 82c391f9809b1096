//! `cairn rehearse`: an installation onto a twin of a disk, started in QEMU.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::Source;
use cairn_disk::output::NewFile;
use cairn_installer::disks::{Device, Obstacle, Unselected, look, name_of};
use cairn_installer::install::{DiskIdentity, Planned, Request, open_to_look, plan_for, rehearse, seen, twin};
use cairn_layout::SectorSize;
use cairn_layout::onto::{DiskThere, TableThere};
use cairn_machine::Checked;
use cairn_machine::size::Size;
use cairn_make::Kit;
use cairn_make::machine_file::load;
use cairn_process::Refusal;
use image_builder::qemu::Controller;
use image_builder::verify::{Expected, VerifyOptions, verify};
use serde_json::json;

use super::install::asked;
use super::run::controller;
use crate::args::RehearseArgs;
use crate::exit::Exit;
use crate::kit;
use crate::ui::Ui;
use crate::words::disks::candidates;
use crate::words::install::shown;

pub fn run(args: RehearseArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let request = Request { file: args.file.clone(), asked: asked(&args.share)?, elsewhere: args.size.is_some() };
    if !load(&args.file)?.machine.firmware().uefi {
        let why =
            "only machines with UEFI are started here, and this one has none: `layout: uefi` or `hybrid` would do";
        return Err(Refusal(why.into()).into());
    }
    let kit = kit::kit(None)?;
    let devices = look(Path::new("/")).context("looking at the disks")?;
    let folder = tempfile::tempdir().context("making a folder for the twin")?;
    // A file that is kept gets its name when it is whole.
    let kept = args.output.as_deref().map(NewFile::create).transpose()?;
    let path = folder.path().join("twin.raw");
    let file = match &kept {
        Some(new) => new.file().try_clone().context("opening the twin")?,
        None => File::options().read(true).write(true).create_new(true).open(&path).context("making the twin")?,
    };
    let (planned, twin) = match args.size {
        Some(size) => elsewhere(&args, size, &request, file, &path, &kit, ui)?,
        None => here(&args, &request, &devices, file, &path, &kit, ui)?,
    };
    ui.talk(shown(&planned.plan));
    let sector_size = planned.plan.onto.there.sector.bytes();
    let plan = planned.plan.clone();
    let (machine, ticks) = rehearse(planned, &twin, ui.report())?;
    let checked = &machine.newest().checked;
    let controller = args.controller.map_or_else(|| found(checked, sector_size), |chosen| Ok(controller(chosen)))?;
    drop(twin);
    let image: PathBuf = match kept {
        Some(new) => new.commit().map(|_| args.output.clone().unwrap_or_default())?,
        None => path,
    };
    let options = VerifyOptions { controller, sector_size, ..VerifyOptions::default() };
    let result = verify(&image, &Expected::of(&machine), &options, ui.report())?;
    if ui.json() {
        ui.object(&json!({ "ok": result.ok, "plan": plan, "rehearsal": ticks, "checks": result.checks }))?;
    } else {
        for tick in &ticks {
            ui.line(format_args!("ok    {}: {}", tick.name, tick.found))?;
        }
        ui.text(result.table())?;
    }
    Ok(if result.ok { Exit::Done } else { Exit::Failed })
}

/// The twin of a disk of this computer.
fn here(
    args: &RehearseArgs,
    request: &Request,
    devices: &[Device],
    file: File,
    path: &Path,
    kit: &Kit,
    ui: &Ui,
) -> anyhow::Result<(Planned, cairn_disk::BlockTarget)> {
    let selector = args.disk.as_ref().context("no disk is named")?;
    let disk = selector.select(devices, &|node| name_of(Path::new("/"), node));
    // A disk that is in use can be looked at.
    let disk = match disk {
        Err(Unselected::Obstacle { name, obstacle: Obstacle::System(_) | Obstacle::Swap | Obstacle::ReadOnly }) => {
            devices.iter().find(|one| one.name == name).ok_or(Unselected::Nothing)
        }
        other => other,
    };
    let disk = disk.map_err(|why| Refusal(format!("{why}\n{}", candidates(devices).trim_end())))?;
    let source = open_to_look(disk)?;
    let there = seen(devices, disk, &source)?;
    let planned = plan_for(request, DiskIdentity::of(disk), there, &source, kit, ui.report())?;
    let twin = twin(file, path, &planned.plan.onto.there, Some(&source as &dyn Source))?;
    Ok((planned, twin))
}

/// An empty disk that is not here.
fn elsewhere(
    args: &RehearseArgs,
    size: Size,
    request: &Request,
    file: File,
    path: &Path,
    kit: &Kit,
    ui: &Ui,
) -> anyhow::Result<(Planned, cairn_disk::BlockTarget)> {
    let sector = SectorSize::try_from(args.sector_size).map_err(Refusal)?;
    let bytes = size.bytes() / sector.bytes() * sector.bytes();
    let there = DiskThere { bytes, sector, table: TableThere::None, whole: None, partitions: Vec::new() };
    let twin = twin(file, path, &there, None)?;
    let identity = DiskIdentity::elsewhere(bytes, sector.bytes());
    let planned = plan_for(request, identity, there, &twin, kit, ui.report())?;
    Ok((planned, twin))
}

/// A controller that the machine's initrd has a driver for, of those that can have such sectors.
fn found(checked: &Checked, sector_size: u64) -> anyhow::Result<Controller> {
    let known = [
        ("nvme", Controller::Nvme),
        ("ahci", Controller::Ahci),
        ("virtio_blk", Controller::VirtioBlk),
        ("virtio_scsi", Controller::VirtioScsi),
    ];
    let modules = checked.initrd_modules();
    let has = |module: &str| modules.as_ref().is_none_or(|modules| modules.iter().any(|one| one == module));
    // With the generic set each of them will do.
    let order = if modules.is_none() { [known[2], known[0], known[1], known[3]] } else { known };
    let fits = |controller: Controller| sector_size == 512 || controller != Controller::Ahci;
    let found = order.iter().find(|(module, controller)| has(module) && fits(*controller));
    found.map(|(_, controller)| *controller).ok_or_else(|| {
        let modules = modules.unwrap_or_default().join(", ");
        let why = "none of them is for a controller that QEMU has here (nvme, ahci, virtio_blk, virtio_scsi)";
        Refusal(format!("the twin cannot be started: the initrd has {modules}, and {why}. --controller chooses one"))
            .into()
    })
}
