//! What can be typed after `cairn install`.

use std::path::PathBuf;

use cairn_installer::disks::Selector;
use cairn_machine::size::Size;
use clap::{Args, ValueEnum};

use super::Controller;
use super::values::{parse_use, sector_size};

/// `cairn install`.
#[derive(Debug, Args)]
#[command(
    override_usage = "cairn install [OPTIONS] [FILE|--unattended|--apply PLAN|--undo RECEIPT]",
    group(clap::ArgGroup::new("what").args(["file", "unattended", "apply", "undo"]))
)]
pub struct InstallArgs {
    /// The machine file, or an install file that names one. Without it somebody at the
    /// terminal is asked for all that it would say.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// The disk, as for `cairn disks`: `/dev/disk/by-id/…`, `serial=…`, `only`, …
    /// Without it, what the file says under `install` is done.
    #[arg(long, value_name = "SELECTOR", requires = "file")]
    pub disk: Option<Selector>,
    /// Ask nobody: find the instructions in a credential (cairn.install), on the
    /// kernel's command line (cairn.install=PATH or URL), or on a stick with the label
    /// CAIRN, and stop at anything that they leave open.
    #[arg(long, conflicts_with_all = ["plan", "yes_erase"])]
    pub unattended: bool,
    /// Ask on another computer, at this terminal: it runs the medium, or any Linux with
    /// cairn: `--over ssh root@HOST`.
    #[arg(long, num_args = 2, value_names = ["ssh", "HOST"], exclusive = true)]
    pub over: Option<Vec<String>>,
    /// What becomes of the disk.
    #[command(flatten)]
    pub share: ShareArgs,
    /// The disk will be started in another computer: hold nothing against this one's
    /// hardware and firmware, and leave its firmware's menu alone.
    #[arg(long, conflicts_with_all = ["apply", "undo"])]
    pub elsewhere: bool,
    /// Write the plan into this file, and do nothing else.
    #[arg(long, value_name = "PLAN", value_hint = clap::ValueHint::FilePath, requires = "file")]
    pub plan: Option<PathBuf>,
    /// Carry out the plan in this file, if the disk and the machine file are what they were.
    #[arg(long, value_name = "PLAN", value_hint = clap::ValueHint::FilePath)]
    pub apply: Option<PathBuf>,
    /// Bring back what the installation with this receipt has overwritten.
    #[arg(long, value_name = "RECEIPT", value_hint = clap::ValueHint::FilePath)]
    pub undo: Option<PathBuf>,
    /// Contents of the disk may go: its serial number, or another name of its own.
    #[arg(long, value_name = "SERIAL", conflicts_with_all = ["plan", "undo"])]
    pub yes_erase: Option<String>,
    /// Where to keep what is overwritten [default: a new file in /var/lib/cairn/receipts].
    #[arg(long, value_name = "RECEIPT", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["plan", "undo"])]
    pub receipt: Option<PathBuf>,
    /// What to do when the machine is installed [default: what `install` says, or nothing].
    #[arg(long, value_name = "WHAT", value_enum, conflicts_with_all = ["plan", "undo"])]
    pub then: Option<Then>,
    /// Write what happens as JSON lines to this file or serial line, too.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub progress: Option<PathBuf>,
    /// Ask in numbered lines, without moving the cursor: for speech, braille and logs. So
    /// does the word cairn.plain on the kernel's command line, and a serial line.
    #[arg(long, conflicts_with = "rich")]
    pub plain: bool,
    /// Ask with lists on the whole screen, even over a serial line.
    #[arg(long, conflicts_with = "what")]
    pub rich: bool,
    /// Print one JSON object: the plan, and what was done.
    #[arg(long)]
    pub json: bool,
}

impl InstallArgs {
    /// Whether somebody has said that it is to be a screen, or lines.
    pub fn manner(&self) -> Option<bool> {
        (self.rich || self.plain).then_some(self.rich)
    }
}

/// What becomes of a disk.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// What the machine gets of the disk.
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Into::Whole)]
    pub into: Into,
    /// Put a partition of the machine in the place of one that is there, whose contents
    /// go: `root=3`. May be given more than once.
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse_use)]
    pub replace: Vec<(String, u32)>,
    /// Use a partition that is there as it is: `home=5`; `esp=1` shares the EFI system
    /// partition of other systems, whose files stay. May be given more than once.
    #[arg(long, value_name = "NAME=NUMBER", value_parser = parse_use)]
    pub keep: Vec<(String, u32)>,
    /// Leave a partition of somebody else's where it is when all others go. May be given
    /// more than once.
    #[arg(long, value_name = "NUMBER")]
    pub spare: Vec<u32>,
}

/// `cairn rehearse`.
#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// The machine file, or an install file that names one.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
    /// The disk whose twin is installed on, as for `cairn disks`; it is only read.
    /// Without it, the one that the file says under `install` [default with --hardware:
    /// only].
    #[arg(long, value_name = "SELECTOR")]
    pub disk: Option<Selector>,
    /// The disks are those of another computer, as `cairn hardware -o` has recorded them
    /// in this file; so are its firmware, and its hardware for a machine that names none.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub hardware: Option<PathBuf>,
    /// The size of an empty disk that is not here, such as 480G.
    #[arg(long, value_name = "SIZE", conflicts_with_all = ["disk", "hardware"])]
    pub size: Option<Size>,
    /// The size of its sectors.
    #[arg(long, value_name = "BYTES", default_value_t = 512, value_parser = sector_size, requires = "size")]
    pub sector_size: u32,
    /// What becomes of the disk.
    #[command(flatten)]
    pub share: ShareArgs,
    /// What the disk hangs on [default: what was recorded, or what the initrd has a driver
    /// for].
    #[arg(long, value_enum)]
    pub controller: Option<Controller>,
    /// Keep the twin in this file.
    #[arg(short, long, value_name = "IMAGE", value_hint = clap::ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Print one JSON object: `ok`, the plan, and the list `checks`.
    #[arg(long)]
    pub json: bool,
}

/// What a machine gets of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Into {
    /// All of it; what is on it goes.
    Whole,
    /// Its free space, and what --replace and --keep name.
    Free,
    /// The places that it had before: what it boots from, its root and swap are made
    /// anew; /home and other data of its own stay.
    Again,
    /// As `again`, but the root's file system stays, and with it /home, /var and all
    /// that is in it; only the system in it is made anew.
    Renew,
}

/// What happens when a machine is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// The computer is restarted.
    Reboot,
    /// The computer is switched off.
    PowerOff,
}
