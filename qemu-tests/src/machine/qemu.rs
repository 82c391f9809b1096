//! QEMU: firmware, a disk on any controller, the serial console and the control socket.

use std::io::{ErrorKind, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Firmware, Known, Network, Setup};
use crate::command::{Cmd, Started};
use crate::qmp::Qmp;

/// The emulator, with which Debian's kernel does not crash: `image-builder/src/qemu/machine.rs` says why.
pub(crate) const EMULATED: [&str; 4] = ["-accel", "tcg,thread=single", "-cpu", "qemu64,-cx16"];

/// A disk before `blklogwrites`. QEMU joins requests up to the 1024 buffers that one call of the system takes; with its
/// header before them `blklogwrites` needs more, and the guest gets an I/O error.
pub(crate) const RECORDED_DISK: &str = "virtio-blk-pci,request-merging=off";

/// QEMU's arguments for the disks.
fn disks(setup: &Setup) -> Vec<String> {
    // A firmware that remembers is told nothing, or it would follow that.
    let place = |n: usize| {
        let goes_first = if n == 0 { setup.disk.first } else { setup.more[n - 1].first };
        setup.variables.is_none().then_some(if goes_first { 0 } else { n + 1 })
    };
    let mut arguments = match &setup.log {
        None => setup.disk.arguments("d", place(0)),
        // The host's own disk need not hear of the guest's flushes: the log does.
        Some(log) => [("f", "discard=unmap,", &setup.disk.image), ("l", "", log)]
            .map(|(name, more, file)| {
                format!("driver=file,node-name={name},{more}cache.no-flush=on,filename={}", file.display())
            })
            .into_iter()
            .chain(["driver=blklogwrites,node-name=d,file=f,log=l,log-sector-size=512".into()])
            .flat_map(|node| ["-blockdev".into(), node])
            .chain(setup.disk.device("d", place(0)))
            .collect(),
    };
    for (n, disk) in (1..).zip(&setup.more) {
        arguments.extend(disk.arguments(&format!("d{n}"), place(n)));
    }
    arguments
}

/// The code of OVMF and its empty variables: what `OVMF_CODE` and `OVMF_VARS` name, as for `cairn run`, or the machine's own. For
/// Secure Boot others that lie beside them.
fn uefi(secure_boot: Option<Known>) -> Result<(PathBuf, PathBuf)> {
    let (code, vars) = any_uefi()?;
    let with_keys = match secure_boot {
        None => return Ok((code, vars)),
        Some(Known::Microsoft) => "OVMF_VARS_4M.ms.fd",
        Some(Known::Nobody) => "OVMF_VARS_4M.fd",
    };
    let (code, vars) = (code.with_file_name("OVMF_CODE_4M.secboot.fd"), code.with_file_name(with_keys));
    anyhow::ensure!(code.is_file() && vars.is_file(), "there is no {} with its variables", code.display());
    Ok((code, vars))
}

fn any_uefi() -> Result<(PathBuf, PathBuf)> {
    if let (Some(code), Some(vars)) = (std::env::var_os("OVMF_CODE"), std::env::var_os("OVMF_VARS")) {
        return Ok((code.into(), vars.into()));
    }
    let places = [
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ];
    let found = places.iter().find(|(code, vars)| Path::new(code).is_file() && Path::new(vars).is_file());
    found.map(|(code, vars)| (code.into(), vars.into())).context("no OVMF: install the package ovmf")
}

/// Starts it: the process, its serial console, its control socket.
pub fn start(setup: &Setup, folder: &Path) -> Result<(Started, UnixStream, Qmp)> {
    let listen = |name: &str| UnixListener::bind(folder.join(name));
    let (console, control) = (listen("console")?, listen("control")?);
    let socket = |name: &str| format!("path={}", folder.join(name).display());
    let mut firmware = Vec::new();
    if setup.firmware == Firmware::Uefi {
        let (code, vars) = uefi(setup.secure_boot)?;
        let my_vars = setup.variables.clone().unwrap_or_else(|| folder.join("vars"));
        if !my_vars.exists() {
            std::fs::copy(vars, &my_vars)?;
        }
        for (unit, readonly, file) in [(0, "on", &code), (1, "off", &my_vars)] {
            let drive = format!("if=pflash,unit={unit},format=raw,readonly={readonly},file={}", file.display());
            firmware.extend(["-drive".into(), drive]);
        }
    }
    // Only the firmware's own code, in system management mode, may then change the variables.
    let secure: &[&str] = match setup.secure_boot.is_some() {
        true => &["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"],
        false => &[],
    };
    let network: &[&str] = match setup.network {
        Network::None => &["-nic", "none"],
        Network::Alone => &["-netdev", "user,id=n,restrict=on", "-device", "virtio-net-pci,netdev=n,romfile="],
        Network::Hosts => &["-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n,romfile="],
    };
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
        .args(["-machine", if setup.secure_boot.is_some() { "q35,smm=on" } else { "q35,smm=off" }])
        .args(secure)
        .args(EMULATED)
        .args(["-m", "1024", "-smp", &setup.processors.to_string(), "-device", "virtio-rng-pci"])
        .args(network)
        .args(firmware)
        .args(disks(setup))
        .arg("-chardev")
        .arg(format!("socket,id=c,{}", socket("console")))
        .args(["-serial", "chardev:c"])
        .arg("-chardev")
        .arg(format!("socket,id=q,{}", socket("control")))
        .args(["-mon", "chardev=q,mode=control"]);
    let mut process = qemu.start()?;
    let console = accept(&console, &mut process)?;
    let control = accept(&control, &mut process)?;
    Ok((process, console, Qmp::connect(control)?))
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
