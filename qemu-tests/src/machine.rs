//! A machine of the harness's own: a disk, a console on a socket, deadlines. There are two kinds.
//!
//! QEMU emulates a whole one: what is about firmware, loaders, controllers and Debian's own kernel is tried there. It shares
//! nothing with `cairn run`, so that a mistake there cannot hide one here. Always emulated: a test's result must not depend on
//! the host's KVM.
//!
//! User-mode Linux is a kernel that runs as an ordinary process, without an emulator: what happens after a kernel has started is
//! tried there, in a fraction of the time. It gets what the loader would have started, read from the disk's own menu at each
//! start; what a loader counts and falls back to is not imitated.

mod disk;
mod modules;
mod qemu;
mod recorder;
mod uml;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::command::{Cmd, Started};
use crate::qmp::Qmp;

pub use disk::Disk;
pub(crate) use qemu::{EMULATED, RECORDED_DISK};
pub(crate) use recorder::MARK;

/// What a disk hangs on: QEMU's devices, the disk itself last.
pub type Controller = &'static [&'static str];
/// A paravirtual disk.
pub const VIRTIO: Controller = &["virtio-blk-pci"];
/// NVMe.
pub const NVME: Controller = &["nvme,serial=one"];
/// SATA, which q35 has built in.
pub const SATA: Controller = &["ide-hd,bus=ide.0"];
/// USB 3, with a keyboard on it too.
pub const USB: Controller = &["qemu-xhci,id=x", "usb-kbd,bus=x.0", "usb-storage,bus=x.0"];
/// A paravirtual SCSI bus.
pub const SCSI: Controller = &["virtio-scsi-pci,id=s", "scsi-hd,bus=s.0"];
/// A card in its slot. Its size is a power of two, and it always says that its serial number is 0xdeadbeef.
pub const SD: Controller = &["sdhci-pci", "sd-card"];

/// A CD in a SATA drive; it is only read.
pub const CD: Controller = &["ide-cd,bus=ide.1"];

/// What starts the machine. A kernel alone needs none: then it says for which one the menu is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// OVMF.
    Uefi,
    /// SeaBIOS.
    Bios,
}

/// What network a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// No device for one.
    None,
    /// A device, behind which nobody is.
    Alone,
    /// The host's.
    Hosts,
}

/// Whose keys a firmware has that knows Secure Boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Microsoft's: it enforces it.
    Microsoft,
    /// Nobody's: it would take the first that it is given.
    Nobody,
}

/// A machine that is not running yet: how it is to boot an image.
#[derive(Debug, Clone)]
pub struct Setup {
    disk: Disk,
    more: Vec<Disk>,
    emulated: bool,
    firmware: Firmware,
    secure_boot: Option<Known>,
    variables: Option<PathBuf>,
    processors: usize,
    reboots: bool,
    watchdog: bool,
    network: Network,
    log: Option<PathBuf>,
}

impl Setup {
    /// An emulated machine: OVMF, a virtio disk; what is written is thrown away.
    pub fn new(image: &Path) -> Setup {
        Setup::of(Disk::new(image))
    }

    /// The same with this disk.
    pub fn of(disk: Disk) -> Setup {
        Setup {
            disk,
            more: Vec::new(),
            emulated: true,
            firmware: Firmware::Uefi,
            secure_boot: None,
            variables: None,
            processors: 1,
            reboots: false,
            watchdog: false,
            network: Network::Alone,
            log: None,
        }
    }

    /// A kernel as a process, started from the menu that is on the disk; what is written is thrown away.
    pub fn uml(image: &Path) -> Setup {
        Setup { emulated: false, ..Setup::new(image) }
    }

    /// Another firmware.
    #[must_use]
    pub fn firmware(mut self, firmware: Firmware) -> Setup {
        self.firmware = firmware;
        self
    }

    /// OVMF starts only what is signed: it has Microsoft's keys.
    #[must_use]
    pub fn secure_boot(mut self) -> Setup {
        self.secure_boot = Some(Known::Microsoft);
        self
    }

    /// OVMF could start only what is signed, and has no keys yet (setup mode): whoever is first gives it his own.
    #[must_use]
    pub fn setup_mode(mut self) -> Setup {
        self.secure_boot = Some(Known::Nobody);
        self
    }

    /// Another disk controller.
    #[must_use]
    pub fn controller(mut self, controller: Controller) -> Setup {
        self.disk = self.disk.on(controller);
        self
    }

    /// One more disk. The firmware tries it after those that were there before.
    #[must_use]
    pub fn with(mut self, disk: Disk) -> Setup {
        self.more.push(disk);
        self
    }

    /// The firmware keeps its variables in this file, which is made if it is not there. What it starts is its own affair then: nobody
    /// tells it an order of the disks.
    #[must_use]
    pub fn remembers(mut self, variables: &Path) -> Setup {
        self.variables = Some(variables.into());
        self
    }

    /// More than one processor. All of them are emulated by one thread: none of this makes it faster.
    #[must_use]
    pub fn processors(mut self, processors: usize) -> Setup {
        self.processors = processors;
        self
    }

    /// Whether what it writes goes into the image.
    #[must_use]
    pub fn persist(mut self, persist: bool) -> Setup {
        self.disk.persist = persist;
        self
    }

    /// What it writes goes into the image, and when it restarts it runs on; else a restart ends it.
    #[must_use]
    pub fn reboots(self) -> Setup {
        self.persist(true).restarts()
    }

    /// When it restarts it runs on.
    #[must_use]
    pub fn restarts(mut self) -> Setup {
        self.reboots = true;
        self
    }

    /// With a hardware watchdog that resets it.
    #[must_use]
    pub fn watchdog(mut self) -> Setup {
        self.watchdog = true;
        self
    }

    /// With a way out into the network; else it meets nobody.
    #[must_use]
    pub fn network(mut self) -> Setup {
        self.network = Network::Hosts;
        self
    }

    /// Without any device for a network.
    #[must_use]
    pub fn without_network(mut self) -> Setup {
        self.network = Network::None;
        self
    }

    /// Writes go into the image, and each one into this log; see [`crate::replay`]. Two emulated processors have them in flight.
    #[must_use]
    pub fn recorded(mut self, log: &Path) -> Setup {
        (self.disk.persist, self.log) = (true, Some(log.into()));
        if self.emulated {
            self.processors = 2;
            self.disk.devices = vec![RECORDED_DISK.into()];
        }
        self
    }

    /// Its disk.
    pub fn image(&self) -> &Path {
        &self.disk.image
    }

    /// Whether it is a whole machine, with firmware and a loader.
    pub fn emulated(&self) -> bool {
        self.emulated
    }

    /// Starts it.
    pub fn boot(&self) -> Result<Machine> {
        Machine::start(self)
    }
}

/// A machine that runs; killed when it is dropped.
#[derive(Debug)]
pub struct Machine {
    setup: Setup,
    runs: Runs,
    console: UnixStream,
    /// All that the console said.
    pub said: String,
    /// What [`Machine::wait_for`] has already passed.
    seen: usize,
    /// Where in `said` the words of the last start begin.
    began: usize,
    folder: TempDir,
    transcript: Option<Transcript>,
}

/// All that is said, each line with the second at which it began: a file in the folder that `CAIRN_CONSOLES` names.
#[derive(Debug)]
struct Transcript {
    file: File,
    began: Instant,
}

impl Transcript {
    fn begin() -> Result<Option<Transcript>> {
        let Some(folder) = std::env::var_os("CAIRN_CONSOLES") else { return Ok(None) };
        let (file, path) = tempfile::Builder::new().prefix("console-").suffix(".txt").tempfile_in(folder)?.keep()?;
        println!("the console is in {}", path.display());
        Ok(Some(Transcript { file, began: Instant::now() }))
    }

    fn write(&mut self, words: &str) -> Result<()> {
        let second = self.began.elapsed().as_secs_f64();
        Ok(self.file.write_all(words.replace('\n', &format!("\n[{second:.1}] ")).as_bytes())?)
    }
}

#[derive(Debug)]
enum Runs {
    Qemu { process: Started, qmp: Qmp },
    Uml(uml::Process),
    Command(Started),
}

/// A key, by QEMU's name for it, and what the serial console shows of its effect: nothing in the menu of systemd-boot, which the firmware
/// does not draw there again.
pub type Pick = (&'static str, &'static str);

impl Machine {
    /// Emulates a machine with a raw image, throwing away what it writes unless `persist`.
    pub fn boot(image: &Path, controller: Controller, persist: bool) -> Result<Machine> {
        Setup::new(image).controller(controller).persist(persist).boot()
    }

    /// A machine that the command runs which is tried: its console is what that reads and writes. What the command says besides goes into
    /// the file.
    pub fn of_command(command: &Cmd, says: &Path) -> Result<Machine> {
        let folder = tempfile::Builder::new().prefix("qemu-tests-").tempdir()?;
        let (console, theirs) = UnixStream::pair()?;
        let theirs = OwnedFd::from(theirs);
        let process = command.start_on(theirs.try_clone()?.into(), theirs.into(), File::create(says)?.into())?;
        Machine::talks(Setup::new(Path::new("")), Runs::Command(process), console, folder)
    }

    fn start(setup: &Setup) -> Result<Machine> {
        let folder = tempfile::Builder::new().prefix("qemu-tests-").tempdir()?;
        let (runs, console) = if setup.emulated {
            let (process, console, qmp) = qemu::start(setup, folder.path())?;
            (Runs::Qemu { process, qmp }, console)
        } else {
            let (process, console) = uml::start(setup, folder.path())?;
            (Runs::Uml(process), console)
        };
        Machine::talks(setup.clone(), runs, console, folder)
    }

    /// One that runs, and has said nothing yet.
    fn talks(setup: Setup, runs: Runs, console: UnixStream, folder: TempDir) -> Result<Machine> {
        let transcript = Transcript::begin()?;
        let mut machine = Machine { setup, runs, console, said: String::new(), seen: 0, began: 0, folder, transcript };
        machine.listen_with_patience()?;
        Ok(machine)
    }

    fn listen_with_patience(&mut self) -> Result<()> {
        Ok(self.console.set_read_timeout(Some(Duration::from_millis(200)))?)
    }

    /// Screen and keyboard, which an emulated machine has.
    pub fn qmp(&mut self) -> Result<&mut Qmp> {
        match &mut self.runs {
            Runs::Qemu { qmp, .. } => Ok(qmp),
            Runs::Uml(_) | Runs::Command(_) => bail!("this machine has neither screen nor keyboard"),
        }
    }

    /// Waits until the console says this, after what was waited for before.
    pub fn wait_for(&mut self, words: &str, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            if let Some(at) = self.said[self.seen..].find(words) {
                self.seen += at + words.len();
                return Ok(());
            }
            if Instant::now() > end {
                bail!("'{words}' did not come within {patience:?}; the console's end:\n{}", self.tail());
            }
            let on = self.listen()?;
            if !on && !self.said[self.seen..].contains(words) {
                bail!("the machine ended, and '{words}' had not come; the console's end:\n{}", self.tail());
            }
        }
    }

    /// Presses keys of a menu on the screen, each once what the one before has done is seen.
    pub fn pick(&mut self, keys: &[Pick]) -> Result<()> {
        for (key, shows) in keys {
            // A menu that has just been drawn listens a moment later.
            std::thread::sleep(Duration::from_millis(500));
            self.qmp()?.press(key)?;
            if !shows.is_empty() {
                self.wait_for(shows, Duration::from_secs(60)).with_context(|| format!("after {key} was pressed"))?;
            }
        }
        Ok(())
    }

    /// Types on the serial console.
    pub fn type_line(&mut self, line: &str) -> Result<()> {
        self.console.write_all(line.as_bytes())?;
        self.console.write_all(b"\r")?;
        Ok(())
    }

    /// Waits until the machine has switched itself off.
    pub fn wait_for_end(&mut self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        while self.listen()? {
            if Instant::now() > end {
                bail!("the machine still runs after {patience:?}; the console's end:\n{}", self.tail());
            }
        }
        let status = match &mut self.runs {
            Runs::Qemu { process, .. } | Runs::Command(process) => process.wait(Duration::from_secs(30))?,
            Runs::Uml(process) => {
                let off = self.said[self.began..].contains(uml::SWITCHES_OFF);
                ensure!(off, "the kernel ended without switching off; the console's end:\n{}", self.tail());
                process.wait(Duration::from_secs(30))?
            }
        };
        match status {
            Some(status) if status.success() => Ok(()),
            other => bail!("the machine's process ended with {other:?}"),
        }
    }

    /// A folder that goes away with the machine.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Takes what the console says; false when the machine has ended.
    fn listen(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        match self.console.read(&mut buffer) {
            Ok(0) => self.goes_on(),
            Ok(n) => {
                let words = String::from_utf8_lossy(&buffer[..n]);
                self.said.push_str(&words);
                self.transcript.as_mut().map_or(Ok(()), |transcript| transcript.write(&words))?;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // Of a kernel that crashed others may be left, which have the console still.
                let Runs::Uml(process) = &mut self.runs else { return Ok(true) };
                if process.wait(Duration::ZERO)?.is_some() { self.goes_on() } else { Ok(true) }
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.goes_on(),
            Err(error) => Err(error).context("reading the console"),
        }
    }

    /// The console is closed. A kernel that restarts ends as a process, and starts with what is in the menu now.
    fn goes_on(&mut self) -> Result<bool> {
        let Runs::Uml(process) = &mut self.runs else { return Ok(false) };
        process.wait(Duration::from_secs(30))?.context("the kernel has closed its console and runs on")?;
        if !self.setup.reboots || !self.said[self.began..].contains(uml::RESTARTS) {
            return Ok(false);
        }
        self.began = self.said.len();
        let (process, console) = uml::start(&self.setup, self.folder.path()).context("restarting")?;
        (self.runs, self.console) = (Runs::Uml(process), console);
        self.listen_with_patience()?;
        Ok(true)
    }

    fn tail(&self) -> String {
        let lines: Vec<&str> = self.said.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}
