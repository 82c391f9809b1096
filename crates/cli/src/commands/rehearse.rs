//! `cairn rehearse`: an installation onto a twin of a disk, started in QEMU.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_disk::output::NewFile;
use cairn_disk::{BlockTarget, Source};
use cairn_installer::disks::{Device, Obstacle, Selector, Unselected, devices_of, look, name_of};
use cairn_installer::install::instructions::{self, Instructions};
use cairn_installer::install::{
    DiskIdentity, OfTwin, Planned, Request, open_to_look, plan_for, recorded, rehearse, seen, twin,
};
use cairn_layout::SectorSize;
use cairn_layout::onto::{DiskThere, TableThere};
use cairn_machine::model::{FirmwareKind, Hardware, Install, RecordedDisk};
use cairn_machine::size::Size;
use cairn_machine::{SourceFile, check_hardware};
use cairn_make::machine_file::load;
use cairn_make::{Kit, plain_file};
use cairn_process::{Refusal, Usage};
use image_builder::qemu::{self, Controller};
use image_builder::verify::{Expected, VerifyOptions, verify};
use serde_json::json;

use super::run::controller;
use super::said::Said;
use crate::args::RehearseArgs;
use crate::exit::Exit;
use crate::kit;
use crate::ui::Ui;
use crate::words::disks::candidates;
use crate::words::install::shown;
use crate::words::rehearsal;

/// What an installation is rehearsed on.
struct Stage<'a> {
    args: &'a RehearseArgs,
    /// The machine file, and what it or an install file says of the disk.
    machine: PathBuf,
    install: Option<Install>,
    /// The twin.
    file: File,
    path: &'a Path,
    kit: Kit,
    ui: &'a Ui,
}

/// An installation that is planned onto a twin.
struct Rehearsal {
    planned: Planned,
    twin: BlockTarget,
    /// The disk as it was recorded.
    disk: Option<RecordedDisk>,
    /// What starts that computer.
    firmware: Option<FirmwareKind>,
}

pub fn run(args: RehearseArgs, ui: &Ui) -> anyhow::Result<Exit> {
    let folder = tempfile::tempdir().context("making a folder for the twin")?;
    let Instructions { machine, install } = instructions::read(&args.file, folder.path())?;
    let can = load(&machine)?.machine.firmware();
    let kit = kit::kit(None)?;
    // A file that is kept gets its name when it is whole.
    let kept = args.output.as_deref().map(NewFile::create).transpose()?;
    let path = folder.path().join("twin.raw");
    let file = match &kept {
        Some(new) => new.file().try_clone().context("opening the twin")?,
        None => File::options().read(true).write(true).create_new(true).open(&path).context("making the twin")?,
    };
    let stage = Stage { args: &args, machine, install, file, path: &path, kit, ui };
    let Rehearsal { planned, twin, disk, firmware } = match (args.size, &args.hardware) {
        (Some(size), _) => stage.empty(size)?,
        (None, Some(hardware)) => stage.recorded(hardware)?,
        (None, None) => stage.here()?,
    };
    ui.talk(shown(&planned.plan));
    let sector_size = planned.plan.onto.there.sector.bytes();
    let plan = planned.plan.clone();
    let modules = planned.initrd_modules();
    // What cannot be started need not be installed first.
    let bios = rehearsal::starts_by_bios(can, firmware);
    let chosen = args.controller.map(controller);
    let hangs = rehearsal::hangs_on(disk.as_ref(), modules.as_deref(), (sector_size, bios), chosen)?;
    hangs.note.iter().for_each(|note| ui.report().note(note));
    let (machine, ticks) = rehearse(planned, &twin, ui.report())?;
    let size = twin.len();
    drop(twin);
    let image: PathBuf = match kept {
        Some(new) => new.commit().map(|_| args.output.clone().unwrap_or_default())?,
        None => path,
    };
    let options = VerifyOptions {
        controller: hangs.controller,
        firmware: Some(if bios { qemu::FirmwareKind::Bios } else { qemu::FirmwareKind::Uefi }),
        another_disk: true,
        disk_size: (hangs.controller == Controller::Sd).then(|| size.next_power_of_two()),
        ..VerifyOptions::default()
    };
    let mut expected = Expected::of(&machine);
    if options.disk_size.is_some_and(|larger| larger != size) {
        // A root that is not the last partition cannot follow.
        expected.root_grows = false;
    }
    let result = verify(&image, &expected, &options, ui.report())?;
    if ui.json() {
        let (firmware, controller) = (if bios { "bios" } else { "uefi" }, hangs.controller.name());
        ui.object(&json!({
            "ok": result.ok, "plan": plan, "firmware": firmware, "controller": controller,
            "rehearsal": ticks, "checks": result.checks,
        }))?;
    } else {
        for tick in &ticks {
            ui.line(format_args!("ok    {}: {}", tick.name, tick.found))?;
        }
        ui.text(result.table())?;
    }
    Ok(if result.ok { Exit::Done } else { Exit::Failed })
}

impl Stage<'_> {
    fn request(&self, said: Said) -> Request {
        Request { file: self.machine.clone(), asked: said.asked, elsewhere: self.args.size.is_some() }
    }

    /// What is said of the disk: on the command line, in the file, or nowhere.
    fn said(&self) -> anyhow::Result<Option<Said>> {
        match (&self.args.disk, &self.install) {
            (Some(selector), _) => Said::of_arguments(&self.args.share, selector).map(Some),
            (None, Some(install)) => Said::of_instructions(install, &self.args.file).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The twin of a disk of this computer.
    fn here(self) -> anyhow::Result<Rehearsal> {
        let devices = look(Path::new("/")).context("looking at the disks")?;
        let said = self.said()?.ok_or_else(|| {
            let file = self.args.file.display();
            let why = format!(
                "say which disk: by --disk, as `install: {{disk: …}}` in {file}, or by --size or --hardware one that is not here"
            );
            Usage(format!("{why}\n{}", candidates(&devices).trim_end()))
        })?;
        let disk = selected(&said.selector, &devices, &|node| name_of(Path::new("/"), node))?;
        let source = open_to_look(disk)?;
        let there = seen(&devices, disk, &source)?;
        let of = OfTwin {
            identity: DiskIdentity::of(disk),
            there,
            source: &source,
            around: None,
            hardware: None,
            as_it_is: false,
            firmware: None,
            notes: Vec::new(),
        };
        let planned = plan_for(&self.request(said), of, &self.kit, self.ui.report())?;
        let twin = twin(self.file, self.path, &planned.plan.onto.there, Some(&source as &dyn Source))?;
        let uefi = Path::new("/sys/firmware/efi").exists();
        let firmware = Some(if uefi { FirmwareKind::Uefi } else { FirmwareKind::Bios });
        Ok(Rehearsal { planned, twin, disk: None, firmware })
    }

    /// The twin of a disk that a hardware file has.
    fn recorded(self, path: &Path) -> anyhow::Result<Rehearsal> {
        let (text, hardware) = hardware_file(path)?;
        if hardware.disks.is_empty() {
            let file = path.display();
            return Err(Refusal(format!(
                "{file} has no disks: run `cairn hardware -o hardware.yaml` as root on the computer that is meant, and give that file"
            ))
            .into());
        }
        let devices = devices_of(&hardware.disks);
        let said = self.said()?.map_or_else(|| Said::of_arguments(&self.args.share, &Selector::Only), Ok)?;
        let disk = selected(&said.selector, &devices, &|node| rehearsal::recorded_name(&devices, node))?;
        let recorded_disk = hardware.disks.iter().find(|one| one.name == disk.name).context("it is not in the file")?;
        // What used it then will not when it is installed on.
        let mut unused = devices.clone();
        unused.iter_mut().for_each(|one| one.uses.clear());
        let disk = unused.iter().find(|one| one.name == disk.name).context("it is not in the file")?;
        let file = self.file.try_clone().context("opening the twin")?;
        let made = recorded(file, self.path, recorded_disk, (&unused, disk))?;
        let of = OfTwin {
            identity: DiskIdentity::of(disk),
            there: made.there,
            source: &made.twin,
            around: Some((&unused, disk)),
            hardware: Some(text),
            as_it_is: false,
            firmware: hardware.firmware,
            notes: made.notes,
        };
        let planned = plan_for(&self.request(said), of, &self.kit, self.ui.report())?;
        Ok(Rehearsal { planned, twin: made.twin, disk: Some(recorded_disk.clone()), firmware: hardware.firmware })
    }

    /// An empty disk that is not here.
    fn empty(self, size: Size) -> anyhow::Result<Rehearsal> {
        let sector = SectorSize::try_from(self.args.sector_size).map_err(Refusal)?;
        let bytes = size.bytes() / sector.bytes() * sector.bytes();
        let there = DiskThere { bytes, sector, table: TableThere::None, whole: None, partitions: Vec::new() };
        let file = self.file.try_clone().context("opening the twin")?;
        let twin = twin(file, self.path, &there, None)?;
        let identity = DiskIdentity::elsewhere(bytes, sector.bytes());
        let said = Said::of_arguments(&self.args.share, &Selector::Only)?;
        let of = OfTwin {
            identity,
            there,
            source: &twin,
            around: None,
            hardware: None,
            as_it_is: false,
            firmware: None,
            notes: Vec::new(),
        };
        let planned = plan_for(&self.request(said), of, &self.kit, self.ui.report())?;
        Ok(Rehearsal { planned, twin, disk: None, firmware: None })
    }
}

/// The disk that is meant. One that is in use can be looked at.
fn selected<'d>(
    selector: &Selector,
    devices: &'d [Device],
    real: &dyn Fn(&Path) -> Option<String>,
) -> anyhow::Result<&'d Device> {
    let disk = match selector.select(devices, real) {
        Err(Unselected::Obstacle { name, obstacle: Obstacle::System(_) | Obstacle::Swap | Obstacle::ReadOnly }) => {
            devices.iter().find(|one| one.name == name).ok_or(Unselected::Nothing)
        }
        other => other,
    };
    disk.map_err(|why| Refusal(format!("{why}\n{}", candidates(devices).trim_end())).into())
}

pub(super) fn hardware_file(path: &Path) -> anyhow::Result<(String, Hardware)> {
    let bytes = plain_file::read(path, plain_file::TEXT).with_context(|| format!("reading {}", path.display()))?;
    let hardware = check_hardware(&SourceFile::new(path.display().to_string(), bytes.clone()))?;
    Ok((String::from_utf8(bytes).with_context(|| format!("reading {}", path.display()))?, hardware))
}
