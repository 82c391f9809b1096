//! Whether KVM really runs guests here.
//!
//! A `/dev/kvm` that opens is not KVM that works: there are hosts where it is itself emulated, runs a boot sector
//! well, and stops in the firmware at an instruction that it does not know. So a probe guest runs to its end first:
//! the real firmware starts a program of ours from a disk, and that program says a number which nothing else says. The
//! answer is remembered until this computer is restarted or QEMU is replaced.

mod guest;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cairn_process::{Report, ToolError, find};

use crate::qemu::{
    Accel, Controller, Display, Drive, FirmwareKind, Guest, Network, Own, QEMU, QemuError, Says, Serial, tied_to_us,
};
use crate::scratch::Scratch;
use cairn_disk::image::Format;

/// A working KVM needs one to two seconds for the probe; one that is slower than this is not worth having.
const DEADLINE: Duration = Duration::from_secs(10);

/// What the machines of this computer should run on.
pub fn accel(report: &dyn Report) -> Accel {
    let readable = std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
    if !readable {
        return Accel::Tcg;
    }
    let key = key();
    if let Some(works) = remembered(&key) {
        return if works { Accel::Kvm } else { Accel::Tcg };
    }
    let verdict = run_guest(Accel::Kvm, DEADLINE);
    match &verdict {
        Ok(()) => report.note("KVM works: the machine runs on the processor itself"),
        Err(why) => report.note(&format!("KVM is there, but {why}: the machine is emulated")),
    }
    remember(&key, verdict.is_ok());
    if verdict.is_ok() { Accel::Kvm } else { Accel::Tcg }
}

/// Remembers that KVM, although the probe ran, has failed a real machine.
pub(crate) fn kvm_failed() {
    remember(&key(), false);
}

/// Runs the probe guest.
///
/// # Errors
/// What it did instead, as words that follow "but".
pub fn run_guest(accel: Accel, deadline: Duration) -> Result<(), String> {
    let words = |error: QemuError| format!("the probe cannot run ({error})");
    let own = Own::of(FirmwareKind::Uefi, false).map_err(words)?;
    let scratch = |bytes: &[u8]| Scratch::holding(bytes).map_err(QemuError::io("making a scratch file")).map_err(words);
    let disk = scratch(&guest::disk().map_err(QemuError::io("making the probe's disk")).map_err(words)?)?;
    let console = scratch(b"")?;
    let machine = Guest {
        accel,
        firmware: own.firmware.clone(),
        memory: 128,
        cpus: 1,
        disks: vec![Drive {
            path: disk.path(),
            format: Format::Raw,
            device: false,
            overlay: None,
            controller: Controller::VirtioBlk,
            sector_size: 512,
            says: Says::default(),
            boot: 0,
            unsafe_cache: true,
        }],
        network: Network::Closed,
        cards: Vec::new(),
        display: Display::None,
        serial: Serial::File(console.path()),
        smbios: Vec::new(),
        port: None,
        tpm: None,
        control: false,
        reboots: false,
    };
    let tool = tied_to_us(machine.args()).arg("-device").arg("isa-debug-exit,iobase=0xf4,iosize=1");
    let mut running = tool.start(Stdio::null(), Stdio::null()).map_err(|e| words(e.into()))?;
    let end = Instant::now() + deadline;
    while Instant::now() < end {
        match running.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(20)),
            Ok(Some(status)) if status.code() == Some(guest::EXIT_STATUS) => return Ok(()),
            Ok(Some(status)) => {
                return Err(match running.wait() {
                    Err(ToolError::Failed { stderr, .. }) if !stderr.is_empty() => {
                        format!("QEMU ends with \"{}\"", stderr.lines().next_back().unwrap_or_default())
                    }
                    _ => format!("QEMU ends with {status}"),
                });
            }
            Err(error) => return Err(words(error.into())),
        }
    }
    let said = running.kill();
    Err(match said.lines().find(|l| l.contains("KVM")) {
        Some(line) => format!("a guest stops in it (\"{line}\")"),
        None => format!("a small guest did not get through it in {} s", deadline.as_secs()),
    })
}

/// Changes when the answer may change.
fn key() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let qemu = find(QEMU).and_then(|p| p.metadata().ok()).map_or((0, 0), |m| (m.size(), m.mtime()));
    format!("{}-{}-{}", boot.trim(), qemu.0, qemu.1)
}

fn memory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("cairn").join("kvm"))
}

fn remembered(key: &str) -> Option<bool> {
    parse(&std::fs::read_to_string(memory()?).ok()?, key)
}

fn parse(text: &str, key: &str) -> Option<bool> {
    match text.trim().strip_prefix(key)? {
        " works" => Some(true),
        " fails" => Some(false),
        _ => None,
    }
}

/// Not being able to remember only costs the next probe.
fn remember(key: &str, works: bool) {
    let Some(path) = memory() else { return };
    let text = format!("{key} {}\n", if works { "works" } else { "fails" });
    let _ = cairn_store::put_in_cache(&path, text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_boot_or_another_qemu_forgets() {
        assert_eq!(parse("a-1-2 works\n", "a-1-2"), Some(true));
        assert_eq!(parse("a-1-2 fails\n", "a-1-2"), Some(false));
        assert_eq!(parse("a-1-2 works\n", "a-1-3"), None);
        assert_eq!(parse("", "a-1-2"), None);
    }
}
