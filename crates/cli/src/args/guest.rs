//! The machine in QEMU that an image is run in.

use clap::{Args, ValueEnum};

use super::values::parse_memory;

/// The machine that QEMU plays; for `run` and `verify`.
#[derive(Debug, Args)]
pub struct GuestArgs {
    /// Memory of the machine, such as 512M or 2G; 1G unless something else is said.
    // In MiB.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    pub memory: Option<u64>,
    /// Processors of the machine, 2 unless something else is said. Emulated ones take
    /// turns on one of this computer's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    pub cpus: Option<u32>,
    /// What starts the machine. Without it UEFI, but a BIOS for an image
    /// without an EFI system partition.
    #[arg(long, value_enum, value_name = "KIND")]
    pub firmware: Option<FirmwareKind>,
}

/// Memory where nothing is said of it, in MiB.
const MEMORY: u64 = 1024;
/// Processors likewise.
const CPUS: u32 = 2;

impl GuestArgs {
    /// Memory in MiB.
    pub fn memory(&self) -> u64 {
        self.memory.unwrap_or(MEMORY)
    }

    /// Processors.
    pub fn cpus(&self) -> u32 {
        self.cpus.unwrap_or(CPUS)
    }
}

/// What starts the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FirmwareKind {
    /// UEFI (OVMF).
    Uefi,
    /// A BIOS (SeaBIOS).
    Bios,
}

/// How a disk is attached to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Controller {
    /// A virtio disk.
    VirtioBlk,
    /// A SCSI disk on a virtio controller.
    VirtioScsi,
    /// An NVMe drive.
    Nvme,
    /// A SATA drive.
    Ahci,
    /// A USB drive.
    Usb,
    /// An SD card; its size is a power of two.
    Sd,
    /// A CD in a SATA drive.
    Cdrom,
}

/// What `--disk` says: how the image is attached, or that there is another disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskWord {
    /// The image hangs on this.
    On(Controller),
    /// An empty disk of so many bytes.
    Empty(u64),
}

pub(super) fn parse_disk(text: &str) -> Result<DiskWord, String> {
    if let Ok(controller) = Controller::from_str(text, false) {
        return Ok(DiskWord::On(controller));
    }
    let size = text.parse::<cairn_machine::size::Size>().map(cairn_machine::size::Size::bytes);
    match size {
        Ok(bytes) if (1 << 20..=1 << 50).contains(&bytes) => Ok(DiskWord::Empty(bytes)),
        _ => {
            let known = Controller::value_variants().iter().filter_map(ValueEnum::to_possible_value);
            let known: Vec<String> = known.map(|value| value.get_name().to_string()).collect();
            Err(format!(
                "give what the image hangs on ({}), or the size of another disk, such as 20G",
                known.join(", ")
            ))
        }
    }
}
