//! The machine in QEMU that an image is run in.

use clap::{Args, ValueEnum};

use super::values::parse_memory;

/// The machine that QEMU plays; for `run` and `verify`.
#[derive(Debug, Args)]
pub struct GuestArgs {
    /// Memory of the machine, such as 512M or 2G.
    // In MiB.
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_memory)]
    pub memory: u64,
    /// Processors of the machine. Emulated ones take turns on one of this computer's.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=255))]
    pub cpus: u32,
    /// How the disk is attached.
    #[arg(long, value_enum, value_name = "CONTROLLER", default_value_t = Controller::VirtioBlk)]
    pub disk: Controller,
    /// What starts the machine. Without it UEFI, but a BIOS for an image
    /// without an EFI system partition.
    #[arg(long, value_enum, value_name = "KIND")]
    pub firmware: Option<FirmwareKind>,
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
}
