//! What can be typed after `cairn run`.

use std::path::PathBuf;

use clap::Args;

use super::guest::parse_disk;
use super::{DiskWord, GuestArgs};

/// `cairn run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A machine file (.yaml), which is built first, a folder with one (machine.yaml),
    /// or an image.
    #[arg(value_name = "FILE|FOLDER|IMAGE", value_hint = clap::ValueHint::AnyPath)]
    pub what: PathBuf,
    /// Keep what the machine writes, in the image itself. Needs an image.
    #[arg(long)]
    pub persist: bool,
    /// Open a window with the machine's screen.
    #[arg(long)]
    pub graphics: bool,
    /// How the image is attached (virtio-blk unless it is said), or the size of an empty
    /// disk besides, such as 20G, which the firmware tries first. It is gone at the end.
    #[arg(long, value_name = "CONTROLLER|SIZE", value_parser = parse_disk)]
    pub disk: Vec<DiskWord>,
    /// As --disk cdrom.
    #[arg(long, conflicts_with = "usb")]
    pub cdrom: bool,
    /// As --disk usb.
    #[arg(long)]
    pub usb: bool,
    /// As --firmware bios.
    #[arg(long, conflicts_with_all = ["firmware", "secure_boot"])]
    pub bios: bool,
    /// UEFI that starts only what is signed, with the keys of Microsoft.
    #[arg(long)]
    pub secure_boot: bool,
    /// With a TPM 2.0 (swtpm). What it holds is gone at the end; with --persist it is
    /// kept beside the image, in a folder ending in `.tpm`.
    #[arg(long)]
    pub tpm: bool,
    /// As the computer that this hardware file has recorded. Without it, that of the
    /// machine file: a `computer.yaml` beside it, or else the hardware file that it
    /// includes, where that has recorded disks.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub hardware: Option<PathBuf>,
    /// Not as a computer that was recorded.
    #[arg(long, conflicts_with = "hardware")]
    pub generic: bool,
    /// Reach the machine's SSH server at this port of 127.0.0.1.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub ssh_port: Option<u16>,
    /// The machine.
    #[command(flatten)]
    pub guest: GuestArgs,
}
