//! What can be typed: the one table behind parsing, `--help`, the man pages and the completions.
//!
//! Parsing here looks at nothing but the words themselves; files are opened by the commands.

mod computer;
mod guest;
mod install;
mod medium;
mod run;
mod values;

use std::path::PathBuf;

use cairn_disk::image::Format;
use cairn_observe::Location;
use clap::{Args, Parser, Subcommand};

pub use self::computer::{CaptureArgs, DisksArgs, HardwareArgs};
pub use self::guest::{Controller, DiskWord, FirmwareKind, GuestArgs};
pub use self::install::{InstallArgs, Into, RehearseArgs, ShareArgs, Then};
pub use self::medium::{FirmwareSet, MediumAction, MediumAddArgs, MediumArgs};
pub use self::run::RunArgs;
use self::values::{formats, parse_age, parse_generation, parse_keep};

/// Makes one machine file into a system: in a disk image, in QEMU, and on the
/// machine itself, generation by generation.
#[derive(Debug, Parser)]
#[command(
    name = "cairn",
    bin_name = "cairn",
    version,
    propagate_version = true,
    max_term_width = 80,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    after_help = "Start with `cairn init`, then `cairn build machine.yaml` and `cairn run machine.yaml`."
)]
pub struct Cli {
    /// Say nothing but errors.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented machine file to start from.
    ///
    /// The file checks clean as it is; its comments say what else there is.
    Init(InitArgs),
    /// Say everything that is wrong with machine files.
    ///
    /// Each problem is told with its file, line and column. The hardware file that
    /// a machine file includes is checked with it. Nothing is built or downloaded.
    Check(CheckArgs),
    /// Pin the exact packages behind a machine file.
    ///
    /// Asks the mirror which versions there are, checks the archive's signatures,
    /// and writes names, versions and hashes into the lock file beside the machine
    /// file. Commit it: the same lock file gives the same system. A lock file that
    /// still fits its machine file is left as it is, unless --update is given.
    Lock(LockArgs),
    /// Build disk images.
    ///
    /// Needs neither root nor a loop device nor a virtual machine, and the network
    /// only for packages that are not in the cache. The same files in give the same
    /// bytes out. A machine file without a lock file gets one first.
    ///
    /// An image of this machine that nobody has touched since it was built is replaced.
    /// One that a machine has run from with --persist, or that was written to by any
    /// other means, stays (exit code 3), and so does what is no image of this machine.
    /// Nothing is written onto disks: the output is always a file in a folder.
    Build(BuildArgs),
    /// Run a machine in QEMU, on this terminal.
    ///
    /// What the machine writes is thrown away at the end, unless --persist is
    /// given. Ctrl-A X ends the machine at once.
    ///
    /// Where a computer was recorded (--hardware), the machine is one like it, as far
    /// as QEMU has such things: its disks, each with its size, sectors, serial number
    /// and controller, of which the one with the root holds the machine, newly
    /// installed, and the others are empty; its firmware, Secure Boot and TPM; its
    /// memory and processors, but no more than this computer can spare. What is not as
    /// recorded is said, and every other option goes first.
    Run(RunArgs),
    /// Boot a machine unattended and check it from the inside.
    ///
    /// The machine is booted twice and asked what the machine file promises: host
    /// name, users, services, mounts, packages, files, and the machine file's own
    /// tests. What asks is brought in from outside; the image is not touched.
    Verify(VerifyArgs),
    /// Show what is in an image.
    ///
    /// Partitions, file systems, loader entries, generations, closure, packages.
    /// Reads only.
    Inspect(InspectArgs),
    /// List a machine's generations.
    ///
    /// Number, date, kernel, what each one changed against the one before (packages
    /// added, removed and changed, settings), its own size; which is booted, the
    /// default, the last that booted well, in the menu. Reads only.
    ///
    /// A generation's own size is what would be free on the disk if it alone went: the
    /// blocks of the files that no other generation has, under whatever name.
    Generations(GenerationsArgs),
    /// Compare two generations.
    ///
    /// Packages, settings of the machine file, files of /etc, kernel, sizes. Reads
    /// only.
    Diff(DiffArgs),
    /// Give back the files that a machine was made from.
    ///
    /// The machine file, its lock, its hardware file and all that they name, of the
    /// generation that runs: `cairn build` makes the same system of them anywhere. As
    /// root the accounts' present passwords are among them, as hashes. Of the running
    /// machine, `computer.yaml` records the computer: `cairn run FOLDER` plays it.
    ///
    /// Of a system that Cairn has not made (Debian, Ubuntu, Fedora, Arch, NixOS, another
    /// Linux) it writes the best machine file that it can, on the running system with a
    /// hardware file, and a list of what has no place there: not-carried-over.txt. Nothing
    /// is run there, and no secret is copied but the hashes of passwords and NixOS' own
    /// files, which only their owner may read.
    Capture(CaptureArgs),
    /// Make a new generation of this machine.
    ///
    /// From its machine file, which was edited, or from a system that was made
    /// elsewhere (--from). With the same packages as an earlier generation it needs no
    /// network. The new generation is tried at the next boot; if it does not boot well,
    /// the machine comes back by itself in the one that did.
    Upgrade(UpgradeArgs),
    /// Boot another generation from now on.
    ///
    /// One that has booted well boots from the next time on; any other is tried first.
    /// Nothing else changes: files in /var and /home are of the machine.
    Rollback(RollbackArgs),
    /// Remove what nothing refers to.
    ///
    /// Generations stay unless --keep, --older-than or --drop says otherwise; what
    /// runs, what boots when nothing is chosen, what is tried next and what has booted
    /// well last stay in any case. What then nothing refers to leaves the menu, the
    /// store and Nix's database.
    Gc(GcArgs),
    /// Look after the boot partition.
    Boot(BootArgs),
    /// Find out what this computer is and which drivers it needs.
    ///
    /// Reads /sys and /proc and prints a hardware file, as YAML; needs no privilege,
    /// and as root it sees what is in the disks too. A machine file includes the
    /// result by `hardware: hardware.yaml`.
    Hardware(HardwareArgs),
    /// List this computer's disks: what they are, what is on them, what uses it.
    ///
    /// Reads only. As root it looks into the disks themselves; for others it tells
    /// what udev has noted of them. With a selector it shows which disk that means.
    Disks(DisksArgs),
    /// Install a machine onto a disk.
    ///
    /// The same machine as in an image, from the same machine file, on a disk that
    /// exists: all of it, its free space, or partitions that are there. What becomes of
    /// each partition is shown first; what is not named stays as it is, unless the whole
    /// disk is taken. Contents go only when somebody types what the disk calls itself,
    /// or gives it by --yes-erase.
    ///
    /// With --plan nothing is written but the plan, which --apply carries out later if
    /// the disk is then still what it was. What is overwritten before the contents
    /// are (table, headers, signatures, boot code, the firmware's entries) is kept in a
    /// receipt, with which --undo brings it back.
    Install(InstallArgs),
    /// Try an installation on a twin of the disk, in QEMU.
    ///
    /// A sparse file gets the disk's size and sectors, its partition table and the ends
    /// of its partitions; the machine is installed there as it would be on the disk,
    /// started alone, checked from the inside, and started once more beside another
    /// disk. The disk is only read.
    ///
    /// With --hardware the disk need not be here: its size, sectors, table and signatures
    /// are those that the file has recorded, and so are the kind of its controller and
    /// the firmware. What of it cannot be made here is said. An empty disk can be given
    /// by its size.
    Rehearse(RehearseArgs),
    /// Make a medium from which systems are installed.
    ///
    /// One file that starts as a CD, a stick and a disk, under UEFI, with Secure Boot and
    /// by a BIOS. It holds the systems of these machine files, with all packages that an
    /// answer or a computer may ask for, so that installing needs no network. Needs
    /// neither root nor a virtual machine; the same files and locks give the same bytes.
    ///
    /// The machine files as they are on the medium, and their locks, are kept beside it in
    /// a folder ending in `.medium`: without it, the next one has the newest packages.
    Medium(MediumArgs),
    /// Print the JSON Schema of machine files, for editors.
    Schema(SchemaArgs),
    /// Write man pages, completions, the schema and the command reference.
    #[command(hide = true)]
    GenerateDocs(GenerateDocsArgs),
}

/// What a command prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Output {
    /// JSON.
    pub json: bool,
    /// And what it does meanwhile, as JSON events.
    pub events: bool,
    /// Lines only: nothing is drawn anew.
    pub plain: bool,
}

impl Command {
    /// What is asked for.
    pub fn output(&self) -> Output {
        let of = |json| Output { json, ..Output::default() };
        match self {
            Command::Init(_) | Command::Run(_) => Output::default(),
            Command::Schema(_) | Command::GenerateDocs(_) => Output::default(),
            Command::Build(args) => Output { json: args.json, events: args.json, plain: false },
            Command::Check(args) => of(args.json),
            Command::Lock(args) => of(args.json),
            Command::Verify(args) => of(args.json),
            Command::Inspect(args) => of(args.json),
            Command::Generations(args) => of(args.json),
            Command::Disks(args) => of(args.json),
            Command::Install(args) => Output { plain: args.plain, ..of(args.json) },
            Command::Rehearse(args) => of(args.json),
            Command::Medium(args) => of(args.json),
            Command::Hardware(args) => of(args.json),
            Command::Diff(args) => of(args.json),
            Command::Capture(args) => of(args.json),
            Command::Upgrade(args) => of(args.json),
            Command::Rollback(args) => of(args.json),
            Command::Gc(args) => of(args.json),
            Command::Boot(args) => match &args.action {
                BootAction::Check(args) => of(args.json),
                BootAction::Repair(args) => of(args.json),
                BootAction::Good(args) => of(args.json),
            },
        }
    }
}

/// `cairn init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The file to write; one that exists is left alone.
    #[arg(default_value = "machine.yaml", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
    /// The machine's host name [default: the file's name, or `machine`].
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
}

/// `cairn check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Machine files.
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object: `ok`, and the lists `problems` and `warnings`.
    #[arg(long)]
    pub json: bool,
}

/// `cairn lock`.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// The machine file; its lock file stands beside it, ending in `.lock`.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
    /// Take the newest versions even when the lock file is still good.
    #[arg(long)]
    pub update: bool,
    /// Print one JSON object: the lock file's path, and what has changed.
    #[arg(long)]
    pub json: bool,
}

/// `cairn build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Machine files.
    #[arg(required = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Where the images go, as NAME.FORMAT; made when it is missing.
    #[arg(short, long, value_name = "DIR", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub output: PathBuf,
    /// The formats of the images.
    #[arg(long, value_name = "FORMAT", value_parser = formats(), value_delimiter = ',', default_value = "raw,qcow2")]
    pub format: Vec<Format>,
    /// Replace images that have changed since they were built, those of other
    /// machines, and whatever else has their names; not one that is in use. A folder
    /// that was copied or restored, as in CI, needs it: what was built is remembered in
    /// the cache, by the times of the files.
    #[arg(long)]
    pub force: bool,
    /// Make the image as that of a machine that was upgraded: OLD.yaml is an older
    /// generation of it. Given several times, the oldest first.
    #[arg(long, value_name = "OLD.yaml", value_hint = clap::ValueHint::FilePath)]
    pub after: Vec<PathBuf>,
    /// Sign the system with this Nix signing key.
    #[arg(long, value_name = "KEYFILE", value_hint = clap::ValueHint::FilePath)]
    pub key: Option<PathBuf>,
    /// Print JSON events, one per line, instead of the images' paths.
    #[arg(long)]
    pub json: bool,
}

/// `cairn verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A machine file (.yaml), which is built first, or an image.
    #[arg(value_name = "FILE|IMAGE", value_hint = clap::ValueHint::FilePath)]
    pub what: PathBuf,
    /// Hold the image against this machine file instead of its own.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub against: Option<PathBuf>,
    /// Print one JSON object: `ok`, and the list `checks`.
    #[arg(long)]
    pub json: bool,
    /// Write the result as JUnit XML.
    #[arg(long, value_name = "OUT", value_hint = clap::ValueHint::FilePath)]
    pub junit: Option<PathBuf>,
    /// Write a picture (PNG) of the machine's screen at its login prompt.
    #[arg(long, value_name = "OUT", value_hint = clap::ValueHint::FilePath)]
    pub screenshot: Option<PathBuf>,
    /// Write what the serial console said, in both boots.
    #[arg(long, value_name = "OUT", value_hint = clap::ValueHint::FilePath)]
    pub console: Option<PathBuf>,
    /// How long a boot may take until its last answer. A machine with many services,
    /// emulated, needs more.
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
    /// How the disk is attached.
    #[arg(long, value_enum, value_name = "CONTROLLER", default_value_t = Controller::VirtioBlk)]
    pub disk: Controller,
    /// The machine.
    #[command(flatten)]
    pub guest: GuestArgs,
}

/// `cairn inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A raw or qcow2 image.
    #[arg(value_name = "IMAGE", value_hint = clap::ValueHint::FilePath)]
    pub image: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Where the machine is that is looked at.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The machine whose root is mounted here, instead of this one.
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,
    /// The machine in this raw or qcow2 image.
    #[arg(long, value_name = "FILE", conflicts_with = "root", value_hint = clap::ValueHint::FilePath)]
    pub image: Option<PathBuf>,
}

impl PlaceArgs {
    /// The place.
    pub fn location(&self) -> Location {
        match &self.image {
            Some(image) => Location::Image(image.clone()),
            None => Location::Root(self.root.clone()),
        }
    }
}

/// `cairn upgrade`.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// The machine file [default: the machine's own, /etc/cairn/machine.yaml].
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Take a system that was made elsewhere: the current one of the store below
    /// this folder (a mounted disk or image, a folder). Every byte is checked.
    #[arg(long, value_name = "DIR", conflicts_with = "file", value_hint = clap::ValueHint::DirPath)]
    pub from: Option<PathBuf>,
    /// Take this store path instead of the current system; with --from.
    #[arg(long, value_name = "PATH", requires = "from")]
    pub system: Option<String>,
    /// The machine's root: where its disk is mounted, boot partition and all.
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,
    /// Say what would be done. The system is made all the same, or copied, for its
    /// contents decide that; no generation is made of it.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object: the generation, its system, whether it is new.
    #[arg(long)]
    pub json: bool,
}

/// `cairn rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// The generation [default: the one before that has booted well].
    #[arg(value_name = "N", value_parser = parse_generation)]
    pub generation: Option<u64>,
    /// At the next boot only; after that the machine boots what it would have booted.
    #[arg(long)]
    pub once: bool,
    /// Restart the machine now.
    #[arg(long)]
    pub reboot: bool,
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object: the generation, and whether it is only tried.
    #[arg(long)]
    pub json: bool,
    /// The machine's root: where its disk is mounted, boot partition and all.
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,
}

/// `cairn gc`.
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Remove all generations but the newest N.
    #[arg(long, value_name = "N", value_parser = parse_keep, conflicts_with = "older_than")]
    pub keep: Option<u32>,
    /// Remove the generations made longer ago than this: 12h, 30d, 8w.
    // In seconds.
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub older_than: Option<u64>,
    /// Remove this generation, also one that cannot be read. May be repeated.
    #[arg(long, value_name = "N", value_parser = parse_generation)]
    pub drop: Vec<u64>,
    /// Say what would be removed, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object: the generations removed and kept, paths and downloaded packages, bytes.
    #[arg(long)]
    pub json: bool,
    /// The machine's root: where its disk is mounted, boot partition and all.
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,
}

/// `cairn boot`.
#[derive(Debug, Args)]
pub struct BootArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: BootAction,
}

/// What `cairn boot` does.
#[derive(Debug, Subcommand)]
pub enum BootAction {
    /// Compare the boot partition with what it should be.
    ///
    /// With it: what a BIOS starts, and what the firmware of a running machine
    /// remembers. Changes nothing. Exits 0 when all is well, and 1 otherwise.
    Check(BootCheckArgs),
    /// Make the boot partition what it should be.
    ///
    /// With it what a BIOS starts, and variables of the firmware that get in the way.
    /// Also makes the machine's record of its generations anew when it is lost. Exits 3
    /// when something stays that must not be changed.
    Repair(BootRepairArgs),
    /// Record that the generation that runs has booted well.
    ///
    /// A unit runs this at the end of every boot; nobody else needs to.
    Good(BootGoodArgs),
}

/// `cairn boot check`.
#[derive(Debug, Args)]
pub struct BootCheckArgs {
    /// Print one JSON object: `ok`, and the lists `problems` and `notes`.
    #[arg(long)]
    pub json: bool,
    /// The machine.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `cairn boot repair`.
#[derive(Debug, Args)]
pub struct BootRepairArgs {
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object: the lists `repaired` and `not_repaired`.
    #[arg(long)]
    pub json: bool,
    /// The machine's root: where its disk is mounted, boot partition and all.
    #[arg(long, value_name = "DIR", default_value = "/", value_hint = clap::ValueHint::DirPath)]
    pub root: PathBuf,
}

/// `cairn boot good`.
#[derive(Debug, Args)]
pub struct BootGoodArgs {
    /// Say what would be done, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Print one JSON object: the generation, and whether it is recorded as good.
    #[arg(long)]
    pub json: bool,
}

/// `cairn generations`.
#[derive(Debug, Args)]
pub struct GenerationsArgs {
    /// Print one JSON object: the lists `generations` and `notes`.
    #[arg(long)]
    pub json: bool,
    /// The machine.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `cairn diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The number of one generation.
    #[arg(value_name = "A", value_parser = parse_generation)]
    pub from: u64,
    /// The number of the other.
    #[arg(value_name = "B", value_parser = parse_generation)]
    pub to: u64,
    /// Show the lines that differ in files of /etc.
    #[arg(long)]
    pub files: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
    /// The machine.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `cairn schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The schema of hardware files instead.
    #[arg(long)]
    pub hardware: bool,
    /// The schema of install files instead.
    #[arg(long, conflicts_with = "hardware")]
    pub install: bool,
}

/// `cairn generate-docs`.
#[derive(Debug, Args)]
pub struct GenerateDocsArgs {
    /// The folder that gets `man`, `completions` and the rest.
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    pub dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_table_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn formats_are_a_list() {
        let Command::Build(args) =
            Cli::try_parse_from(["cairn", "build", "a.yaml", "b.yaml", "-o", "out", "--format", "qcow2,raw"])
                .unwrap()
                .command
        else {
            panic!("not build");
        };
        assert_eq!(args.files.len(), 2);
        assert_eq!(args.format, [Format::Qcow2, Format::Raw]);
    }
}
