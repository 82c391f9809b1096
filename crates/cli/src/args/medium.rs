//! The medium from which systems are installed.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `cairn medium`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct MediumArgs {
    /// What to do with a medium that is there.
    #[command(subcommand)]
    pub action: Option<MediumAction>,
    /// The machine files of the systems that it can install, each called as its file.
    /// None: a small Debian.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Where the medium goes.
    #[arg(short, long, value_name = "OUT", default_value = "cairn.iso", value_hint = clap::ValueHint::FilePath)]
    pub output: PathBuf,
    /// Firmware for what computers have, on the medium and on what it installs.
    #[arg(long, value_enum, value_name = "SET", default_value_t = FirmwareSet::Network)]
    pub firmware: FirmwareSet,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Something to be done with a medium.
#[derive(Debug, Subcommand)]
pub enum MediumAction {
    /// Put answers and keys onto a medium that is there, in a file or on a stick.
    Add(MediumAddArgs),
}

/// `cairn medium add`.
#[derive(Debug, Args)]
pub struct MediumAddArgs {
    /// The medium: a file, or the disk that it was written to.
    #[arg(value_name = "MEDIUM", value_hint = clap::ValueHint::FilePath)]
    pub medium: PathBuf,
    /// A machine file with `install:`, which is then installed without a question.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// A public SSH key, or a file of them: with it one logs in as root while the
    /// medium runs.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// The name of a wireless network, which the medium joins when it starts. Its
    /// passphrase is asked for, unless it is in a file.
    #[arg(long, value_name = "NAME")]
    pub wifi: Option<String>,
    /// A file with one line, the passphrase of that network; an empty one for a network
    /// that anybody may join.
    #[arg(long, value_name = "FILE", requires = "wifi", value_hint = clap::ValueHint::FilePath)]
    pub passphrase_file: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Firmware packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FirmwareSet {
    /// None.
    None,
    /// Processors, and network cards with and without wires.
    Network,
    /// Graphics as well.
    All,
}
