//! What can be typed after `cairn hardware`, `cairn disks` and `cairn capture`: about the computer that this is.

use std::path::PathBuf;

use cairn_installer::disks::Selector;
use clap::Args;

use super::PlaceArgs;
use super::values::parse_generation;

/// `cairn hardware`.
#[derive(Debug, Args)]
pub struct HardwareArgs {
    /// Write the file instead of printing it; the seed of one that exists is
    /// kept.
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Say what this computer is, and why each line is there.
    #[arg(long, conflicts_with_all = ["output", "json", "nix", "diff"])]
    pub explain: bool,
    /// Print one JSON object: all that is known; with `--diff`, `same` and the
    /// list `differences`.
    #[arg(long, conflicts_with_all = ["output", "nix"])]
    pub json: bool,
    /// NixOS's `hardware-configuration.nix` instead, with what is mounted.
    #[arg(long, conflicts_with = "diff")]
    pub nix: bool,
    /// Say what differs from this hardware file; exits 0 if nothing does, and
    /// 1 if something does.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, conflicts_with = "output")]
    pub diff: Option<PathBuf>,
    /// Look at the `sys` and `proc` below this folder; or, where a system is
    /// mounted, at this computer with that system's kernel and file systems.
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,
}

/// `cairn disks`.
#[derive(Debug, Args)]
pub struct DisksArgs {
    /// Show the one disk that this means, and fail if it means none or several:
    /// `/dev/disk/by-id/…`, `only`, or one or more of serial, wwn, id, model,
    /// transport and size with `=` and a value, such as `model=Samsung,size=400G..600G`.
    #[arg(value_name = "SELECTOR")]
    pub selector: Option<Selector>,
    /// Print one JSON object: the lists `devices` and `notes`.
    #[arg(long)]
    pub json: bool,
    /// Look at the `sys`, `run/udev` and `proc` below this folder, and at no disk.
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,
}

/// `cairn capture`.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// The folder to write into; made when it is missing [default: the machine's host name].
    #[arg(short, long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// Another generation than the one that runs (in an image: than the newest).
    #[arg(long, value_name = "NUMBER", value_parser = parse_generation)]
    pub generation: Option<u64>,
    /// The machine.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}
