//! `cairn run` of a computer that was recorded: the machine is installed onto a twin of the disk that it is on, as `cairn rehearse`
//! does it, and that disk and all others are attached as they were.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Context;
use cairn_installer::install::{Asked, DiskIdentity, OfTwin, Request, plan_for, rehearse, twin};
use cairn_layout::SectorSize;
use cairn_layout::onto::{DiskThere, Mode, TableThere, Wish};
use cairn_machine::Checked;
use cairn_machine::model::{Hardware, RecordedDisk};
use image_builder::qemu::{FirmwareKind, SWTPM};
use image_builder::run::RunOptions;

use super::rehearse::hardware_file;
use crate::kit;
use crate::ui::Ui;
use crate::words::computer::{Computer, Host, sized};

/// What `cairn capture` records the computer in, beside the machine file.
pub const COMPUTER: &str = "computer.yaml";

/// The computer that a machine file stands for: in the file that is named, or beside it, or in what it includes; nothing where none was
/// recorded.
pub fn of_machine(file: &Path, checked: &Checked, named: Option<&Path>) -> anyhow::Result<Option<Hardware>> {
    if let Some(named) = named {
        return Ok(Some(hardware_file(named)?.1));
    }
    let beside = file.parent().unwrap_or(Path::new("")).join(COMPUTER);
    if beside.is_file() {
        return Ok(Some(hardware_file(&beside)?.1));
    }
    Ok(checked.hardware.clone().filter(|hardware| !hardware.disks.is_empty()))
}

/// What this computer has to give.
pub fn host() -> Host {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = available.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Host {
        memory: kib.map(|kib| kib >> 10),
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
        swtpm: cairn_process::find(SWTPM).is_some(),
    }
}

/// The options for a machine in QEMU that is this computer.
pub fn options(computer: &Computer, options: RunOptions) -> RunOptions {
    let mut empty = computer.empty.clone();
    empty.extend(options.empty);
    RunOptions {
        memory: computer.memory.unwrap_or(options.memory),
        cpus: computer.cpus.unwrap_or(options.cpus),
        controller: computer.controller,
        firmware: Some(if computer.bios { FirmwareKind::Bios } else { FirmwareKind::Uefi }),
        secure_boot: computer.secure_boot,
        says: computer.says.clone(),
        bytes: Some(sized(&computer.disk, computer.controller, &mut Vec::new())),
        empty,
        tpm: computer.tpm,
        ..options
    }
}

/// Runs a machine on a twin of the disk.
pub fn run(machine: &Path, computer: &Computer, options: RunOptions, ui: &Ui) -> anyhow::Result<()> {
    for note in &computer.notes {
        ui.report().note(note);
    }
    // It holds a whole system, and /tmp is often memory.
    let folder = match std::env::var_os("TMPDIR") {
        None => tempfile::tempdir_in("/var/tmp").or_else(|_| tempfile::tempdir()),
        Some(_) => tempfile::tempdir(),
    };
    let folder = folder.context("making a folder for the disk")?;
    let path = installed(machine, &computer.disk, folder.path(), ui)?;
    image_builder::run::run(&path, &self::options(computer, options), ui.report())?;
    Ok(())
}

/// The machine on an empty disk of the same size and sectors.
fn installed(machine: &Path, disk: &RecordedDisk, folder: &Path, ui: &Ui) -> anyhow::Result<PathBuf> {
    let sector = SectorSize::try_from(disk.sector_size).map_err(cairn_process::Refusal)?;
    let bytes = disk.bytes / sector.bytes() * sector.bytes();
    let there = DiskThere { bytes, sector, table: TableThere::None, whole: None, partitions: Vec::new() };
    let path = folder.join(format!("{}.raw", disk_name(disk)));
    let file = File::options().read(true).write(true).create_new(true).open(&path).context("making the disk")?;
    let twin = twin(file, &path, &there, None)?;
    let wish = Wish { mode: Mode::Whole, ..Wish::default() };
    let request = Request { file: machine.to_path_buf(), asked: Asked::Wish(wish), elsewhere: true };
    let of = OfTwin {
        identity: DiskIdentity::elsewhere(bytes, sector.bytes()),
        there,
        source: &twin,
        around: None,
        hardware: None,
        as_it_is: true,
        firmware: None,
        notes: Vec::new(),
    };
    let kit = kit::kit(None)?;
    let planned = plan_for(&request, of, &kit, ui.report())?;
    rehearse(planned, &twin, ui.report())?;
    Ok(path)
}

/// The kernel's name of it, as far as a file can have it.
fn disk_name(disk: &RecordedDisk) -> String {
    let plain: String = disk.name.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    if plain.is_empty() { "disk".into() } else { plain }
}
