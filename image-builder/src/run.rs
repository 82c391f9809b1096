//! `cairn run`: a machine on this terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cairn_process::Report;
use nix::sys::termios::{self, SetArg, Termios};

use crate::probe;
use crate::qemu::{
    Accel, Controller, Display, Drive, FirmwareKind, Guest, MadeFor, Network, Own, QemuError, Says, Serial, Swtpm,
    check_tools,
};
use crate::scratch::Scratch;
use cairn_disk::image::{Format, ImageFile};

/// How the machine is made.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Write into the image. Otherwise what the machine changes is gone when it ends.
    pub persist: bool,
    /// Open a window for the screen, besides the serial console here.
    pub graphics: bool,
    /// A port of this computer, on 127.0.0.1, that leads to the machine's port 22.
    pub ssh_port: Option<u16>,
    /// Memory in MiB.
    pub memory: u64,
    /// Processors.
    pub cpus: u32,
    /// What the disk hangs on.
    pub controller: Controller,
    /// What starts it. Without one, what the image is made for.
    pub firmware: Option<FirmwareKind>,
    /// Whether the firmware starts only what is signed.
    pub secure_boot: bool,
    /// What the disk says of itself.
    pub says: Says,
    /// Bytes that the machine is to see of it, where these are more than it has.
    pub bytes: Option<u64>,
    /// Empty disks that the machine has besides. They are gone at the end.
    pub empty: Vec<Empty>,
    /// The major version of a TPM that the machine has. What it holds is beside the image where the machine's changes are kept, in a folder
    /// that ends in `.tpm`, and gone at the end otherwise.
    pub tpm: Option<u32>,
    /// What runs the guest. Without one, KVM where a probe guest has run in it, else emulation.
    pub accel: Option<Accel>,
}

/// An empty disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Empty {
    /// Its size.
    pub bytes: u64,
    /// What it hangs on.
    pub controller: Controller,
    /// Bytes in its sectors.
    pub sector_size: u64,
    /// What it says of itself.
    pub says: Says,
    /// Whether the firmware tries it before the image.
    pub tried_first: bool,
    /// Whether the kernel meets it before the image.
    pub in_front: bool,
}

impl Empty {
    /// A disk of this size, as somebody has who installs onto it: paravirtual, and the firmware tries it first.
    pub fn of(bytes: u64) -> Empty {
        let controller = Controller::VirtioBlk;
        Empty { bytes, controller, sector_size: 512, says: Says::default(), tried_first: true, in_front: false }
    }
}

impl Default for RunOptions {
    fn default() -> RunOptions {
        RunOptions {
            persist: false,
            graphics: false,
            ssh_port: None,
            memory: 1024,
            cpus: 2,
            controller: Controller::default(),
            firmware: None,
            secure_boot: false,
            says: Says::default(),
            bytes: None,
            empty: Vec::new(),
            tpm: None,
            accel: None,
        }
    }
}

/// Runs an image until the machine is switched off. Its serial console is this process's standard input and output.
///
/// # Errors
/// See [`QemuError`]. What can be known before the machine runs (no image, no QEMU, no firmware) is known before.
pub fn run(image: &Path, options: &RunOptions, report: &dyn Report) -> Result<(), QemuError> {
    let image = ImageFile::open(image)?;
    if options.persist {
        image.check_writable()?;
    }
    check_tools()?;
    let made_for = MadeFor::of(&*image.source()?);
    let own = Own::of(options.firmware.unwrap_or(made_for.firmware), options.secure_boot)?;
    let accel = options.accel.unwrap_or_else(|| probe::accel(report));
    // A CD is only read.
    let reads = options.persist || options.controller == Controller::Cdrom;
    let size = options.bytes.unwrap_or(0).max(image.size);
    let overlay = if reads { None } else { Some(Scratch::overlay(size)?) };
    let empty = options.empty.iter().map(|disk| Scratch::overlay(disk.bytes)).collect::<Result<Vec<_>, _>>()?;
    let first = options.empty.iter().filter(|disk| disk.tried_first).count();
    let own_drive = Drive {
        path: image.path_for_children(),
        format: image.format,
        device: image.device,
        overlay: overlay.as_ref().map(Scratch::path),
        controller: options.controller,
        sector_size: made_for.sector_size,
        says: options.says.clone(),
        boot: first,
        unsafe_cache: overlay.is_some(),
    };
    let (mut in_front, mut behind) = (Vec::new(), Vec::new());
    let (mut tried_before, mut tried_after) = (0..first, first + 1..);
    for (disk, file) in options.empty.iter().zip(&empty) {
        let tried = if disk.tried_first { tried_before.next() } else { tried_after.next() };
        let drive = Drive {
            path: file.path(),
            format: Format::Qcow2,
            device: false,
            overlay: None,
            controller: disk.controller,
            sector_size: disk.sector_size,
            says: disk.says.clone(),
            boot: tried.unwrap_or_default(),
            unsafe_cache: true,
        };
        if disk.in_front { in_front.push(drive) } else { behind.push(drive) }
    }
    let disks = in_front.into_iter().chain([own_drive]).chain(behind).collect();
    let kept = options.persist.then(|| {
        let mut name = image.path.clone().into_os_string();
        name.push(".tpm");
        PathBuf::from(name)
    });
    let tpm = options.tpm.map(|version| Swtpm::start(version, kept.as_deref())).transpose()?;
    let machine = Guest {
        accel,
        firmware: own.firmware.clone(),
        memory: options.memory,
        cpus: options.cpus,
        disks,
        network: Network::User { ssh_port: options.ssh_port },
        cards: Vec::new(),
        display: if options.graphics { Display::Window } else { Display::None },
        serial: Serial::Terminal,
        smbios: Vec::new(),
        port: None,
        tpm: tpm.as_ref().map(Swtpm::tpm),
        control: false,
        reboots: true,
    };
    if std::io::stdin().is_terminal() {
        report.note("Ctrl-A X ends the machine, Ctrl-A C opens QEMU's monitor");
    }
    if let Some(port) = options.ssh_port {
        report.note(&format!("ssh -p {port} USER@127.0.0.1 leads into it"));
    }
    report.finish();
    let _terminal = Terminal::keep();
    // Standard error is kept back: what a user can do something about is said in our words.
    let running = machine.tool().on_the_terminal().start(Stdio::inherit(), Stdio::inherit())?;
    running.wait().map_err(|error| QemuError::from_exit(error, &image.path, options.ssh_port))
}

/// The terminal's settings, put back at the end: QEMU makes it raw, and does not always live to undo that.
struct Terminal(Option<Termios>);

impl Terminal {
    fn keep() -> Terminal {
        Terminal(termios::tcgetattr(std::io::stdin()).ok())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, settings);
        }
    }
}
