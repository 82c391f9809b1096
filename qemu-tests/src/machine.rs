//! A small QEMU of the harness's own: firmware, a disk, the serial console on a socket, deadlines.
//!
//! It shares nothing with `cairn run`, so that a mistake there cannot hide one here. Always emulated: a test's result
//! must not depend on the host's KVM.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::command::{Cmd, Started};
use crate::qmp::Qmp;

/// The emulator, with which Debian's kernel does not crash: `image-builder/src/qemu/machine.rs` says why.
pub(crate) const EMULATED: [&str; 4] = ["-accel", "tcg,thread=single", "-cpu", "qemu64,-cx16"];

/// A disk before `blklogwrites`. QEMU joins requests up to the 1024 buffers that one call of the system takes; with its
/// header before them `blklogwrites` needs more, and the guest gets an I/O error.
pub(crate) const RECORDED_DISK: &str = "virtio-blk-pci,request-merging=off";

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

/// A machine that runs; killed when it is dropped.
#[derive(Debug)]
pub struct Machine {
    qemu: Started,
    console: UnixStream,
    /// All that the console said.
    pub said: String,
    /// What [`Machine::wait_for`] has already passed.
    seen: usize,
    /// Screen and keyboard.
    pub qmp: Qmp,
    folder: TempDir,
}

/// What starts the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// OVMF.
    Uefi,
    /// SeaBIOS.
    Bios,
}

/// A machine that is not running yet: how it is to boot an image.
#[derive(Debug, Clone)]
pub struct Setup {
    image: PathBuf,
    firmware: Firmware,
    devices: Vec<String>,
    persist: bool,
    reboots: bool,
    watchdog: bool,
    network: bool,
    log: Option<PathBuf>,
}

impl Setup {
    /// OVMF, a virtio disk; what is written is thrown away.
    pub fn new(image: &Path) -> Setup {
        Setup {
            image: image.into(),
            firmware: Firmware::Uefi,
            devices: VIRTIO.iter().map(ToString::to_string).collect(),
            persist: false,
            reboots: false,
            watchdog: false,
            network: false,
            log: None,
        }
    }

    /// Another firmware.
    #[must_use]
    pub fn firmware(mut self, firmware: Firmware) -> Setup {
        self.firmware = firmware;
        self
    }

    /// Another disk controller.
    #[must_use]
    pub fn controller(mut self, controller: Controller) -> Setup {
        self.devices = controller.iter().map(ToString::to_string).collect();
        self
    }

    /// Whether what it writes goes into the image.
    #[must_use]
    pub fn persist(mut self, persist: bool) -> Setup {
        self.persist = persist;
        self
    }

    /// What it writes goes into the image, and when it restarts it runs on; else a restart ends it.
    #[must_use]
    pub fn reboots(mut self) -> Setup {
        (self.persist, self.reboots) = (true, true);
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
        self.network = true;
        self
    }

    /// Writes go into the image, and each one into this log; see [`crate::replay`].
    #[must_use]
    pub fn recorded(mut self, log: &Path) -> Setup {
        (self.persist, self.log) = (true, Some(log.into()));
        self.devices = vec![RECORDED_DISK.into()];
        self
    }

    /// Starts it.
    pub fn boot(&self) -> Result<Machine> {
        Machine::start(self)
    }

    /// QEMU's arguments for the disk.
    fn disk(&self) -> Vec<String> {
        let mut arguments = match &self.log {
            None => {
                let snapshot = if self.persist { "off" } else { "on" };
                vec![
                    "-drive".into(),
                    format!("if=none,id=d,format=raw,snapshot={snapshot},file={}", self.image.display()),
                ]
            }
            // The host's own disk need not hear of the guest's flushes: the log does.
            Some(log) => [("f", "discard=unmap,", &self.image), ("l", "", log)]
                .map(|(name, more, file)| {
                    format!("driver=file,node-name={name},{more}cache.no-flush=on,filename={}", file.display())
                })
                .into_iter()
                .chain(["driver=blklogwrites,node-name=d,file=f,log=l,log-sector-size=512".into()])
                .flat_map(|node| ["-blockdev".into(), node])
                .collect(),
        };
        let last = self.devices.len().saturating_sub(1);
        for (n, device) in self.devices.iter().enumerate() {
            let disk = if n == last { ",drive=d,bootindex=0" } else { "" };
            arguments.extend(["-device".into(), format!("{device}{disk}")]);
        }
        arguments
    }
}

/// The code of OVMF and its empty variables.
fn uefi() -> Result<(PathBuf, PathBuf)> {
    let places = [
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ];
    let found = places.iter().find(|(code, vars)| Path::new(code).is_file() && Path::new(vars).is_file());
    found.map(|(code, vars)| (code.into(), vars.into())).context("no OVMF: install the package ovmf")
}

impl Machine {
    /// Boots a raw image, throwing away what it writes unless `persist`.
    pub fn boot(image: &Path, controller: Controller, persist: bool) -> Result<Machine> {
        Setup::new(image).controller(controller).persist(persist).boot()
    }

    fn start(setup: &Setup) -> Result<Machine> {
        let folder = tempfile::Builder::new().prefix("qemu-tests-").tempdir()?;
        let listen = |name: &str| UnixListener::bind(folder.path().join(name));
        let (console, control) = (listen("console")?, listen("control")?);
        let socket = |name: &str| format!("path={}", folder.path().join(name).display());
        let mut firmware = Vec::new();
        if setup.firmware == Firmware::Uefi {
            let (code, vars) = uefi()?;
            let my_vars = folder.path().join("vars");
            std::fs::copy(vars, &my_vars)?;
            for (unit, readonly, file) in [(0, "on", &code), (1, "off", &my_vars)] {
                let drive = format!("if=pflash,unit={unit},format=raw,readonly={readonly},file={}", file.display());
                firmware.extend(["-drive".into(), drive]);
            }
        }
        let mut more: Vec<&str> = Vec::new();
        if !setup.reboots {
            more.push("-no-reboot");
        }
        if setup.watchdog {
            more.extend(["-device", "i6300esb", "-watchdog-action", "reset"]);
        }
        let qemu = Cmd::new("qemu-system-x86_64")
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-device", "VGA"])
            .args(more)
            .args(["-machine", "q35,smm=off"])
            .args(EMULATED)
            .args(["-m", "1024", "-smp", "2", "-device", "virtio-rng-pci"])
            .args([
                "-netdev",
                if setup.network { "user,id=n" } else { "user,id=n,restrict=on" },
                "-device",
                "virtio-net-pci,netdev=n,romfile=",
            ])
            .args(firmware)
            .args(setup.disk())
            .arg("-chardev")
            .arg(format!("socket,id=c,{}", socket("console")))
            .args(["-serial", "chardev:c"])
            .arg("-chardev")
            .arg(format!("socket,id=q,{}", socket("control")))
            .args(["-mon", "chardev=q,mode=control"]);
        let mut qemu = qemu.start()?;
        let console = accept(&console, &mut qemu)?;
        let control = accept(&control, &mut qemu)?;
        console.set_read_timeout(Some(Duration::from_millis(200)))?;
        let qmp = Qmp::connect(control)?;
        Ok(Machine { qemu, console, said: String::new(), seen: 0, qmp, folder })
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
        match self.qemu.wait(Duration::from_secs(30))? {
            Some(status) if status.success() => Ok(()),
            other => bail!("QEMU ended with {other:?}"),
        }
    }

    /// A folder that goes away with the machine.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Takes what the console says; false when it has been closed.
    fn listen(&mut self) -> Result<bool> {
        let mut buffer = [0; 4096];
        match self.console.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(n) => {
                self.said.push_str(&String::from_utf8_lossy(&buffer[..n]));
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
            Err(error) => Err(error).context("reading the console"),
        }
    }

    fn tail(&self) -> String {
        let lines: Vec<&str> = self.said.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

fn accept(listener: &UnixListener, qemu: &mut Started) -> Result<UnixStream> {
    listener.set_nonblocking(true)?;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                return Ok(stream);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("waiting for QEMU"),
        }
        if let Some(status) = qemu.wait(Duration::from_millis(20))? {
            let mut words = String::new();
            if let Some(mut pipe) = qemu.child.stderr.take() {
                let _ = pipe.read_to_string(&mut words);
            }
            bail!("QEMU ended with {status} before it began: {words}");
        }
    }
}
