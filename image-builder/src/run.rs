//! `cairn run`: a machine on this terminal.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Stdio;

use cairn_process::Report;
use nix::sys::termios::{self, SetArg, Termios};

use crate::probe;
use crate::qemu::{
    Accel, Controller, Display, Drive, FirmwareKind, Guest, MadeFor, Network, Own, QemuError, Serial, check_tools,
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
    /// Sizes of empty disks that the machine has besides, in bytes; the firmware tries them first. They are gone at the end.
    pub empty: Vec<u64>,
    /// What runs the guest. Without one, KVM where a probe guest has run in it, else emulation.
    pub accel: Option<Accel>,
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
            empty: Vec::new(),
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
    let overlay = if reads { None } else { Some(Scratch::overlay(image.size)?) };
    let empty = options.empty.iter().map(|bytes| Scratch::overlay(*bytes)).collect::<Result<Vec<_>, _>>()?;
    let mut disks = vec![Drive {
        path: image.path_for_children(),
        format: image.format,
        device: image.device,
        overlay: overlay.as_ref().map(Scratch::path),
        controller: options.controller,
        sector_size: made_for.sector_size,
        boot: empty.len(),
        unsafe_cache: overlay.is_some(),
    }];
    disks.extend(empty.iter().enumerate().map(|(number, disk)| Drive {
        path: disk.path(),
        format: Format::Qcow2,
        device: false,
        overlay: None,
        controller: Controller::VirtioBlk,
        sector_size: 512,
        boot: number,
        unsafe_cache: true,
    }));
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
