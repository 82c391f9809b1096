//! The kernel's settings: its command line, modules, sysctl.

use std::collections::BTreeMap;

use cairn_machine::model::{EtcFile, SysctlValue};

use super::seen::Seen;
use super::{Carried, Kind, System, assigned};

/// Parameters that say where the system is, which another key says, or the system itself.
const OWN: [&str; 17] = [
    "BOOT_IMAGE",
    "root",
    "rootflags",
    "rootfstype",
    "ro",
    "rw",
    "init",
    "initrd",
    "resume",
    "resume_offset",
    "splash",
    "systemConfig",
    "cryptdevice",
    "rhgb",
    "boot.shell_on_fail",
    "systemd.machine_id",
    "vt.handoff",
];

/// The kernel itself takes fewer.
const MOST_WORDS: usize = 256;
/// Lines of settings that somebody has written.
const MOST_LINES: usize = 5000;

/// Carries them over.
pub fn carry(seen: &Seen, system: &System, to: &mut Carried) {
    command_line(seen, to);
    sysctl(seen, to);
    modules(seen, system, to);
}

fn command_line(seen: &Seen, to: &mut Carried) {
    let grub = seen.text("/etc/default/grub").unwrap_or_default();
    let keys = ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"];
    let of_grub = keys.iter().filter_map(|key| assigned(grub, key)).collect::<Vec<_>>().join(" ");
    let files = ["/etc/kernel/cmdline", "/run/current-system/kernel-params"].iter().find_map(|path| seen.text(path));
    let line = files.map_or(of_grub, str::to_string);
    let mut consoles = Vec::new();
    for word in line.split_ascii_whitespace().take(MOST_WORDS) {
        let key = word.split('=').next().unwrap_or_default();
        if let Some(console) = word.strip_prefix("console=") {
            consoles.push(console.to_string());
        } else if key.starts_with("rd.") || key == "cryptdevice" {
            to.left("boot", format!("the kernel's parameter {word}: it is about the disks of that system"));
        } else if !OWN.contains(&key) {
            to.machine.boot.kernel_parameters.push(word.to_string());
        }
    }
    if !consoles.is_empty() {
        to.machine.boot.consoles = consoles;
    }
    if let Some(seconds) =
        assigned(grub, "GRUB_TIMEOUT").and_then(|text| text.parse::<u32>().ok()).filter(|s| *s <= 3600)
    {
        to.machine.boot.timeout = seconds;
    }
}

fn sysctl(seen: &Seen, to: &mut Carried) {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    // Later names count more, and those of the one file most.
    let folder = seen
        .texts_in("/etc/sysctl.d", ".conf")
        .filter(|(path, _)| !seen.links.contains_key(*path) || seen.text("/etc/sysctl.conf").is_none());
    let texts = folder.map(|(_, text)| text).chain(seen.text("/etc/sysctl.conf"));
    for line in texts.flat_map(str::lines).take(MOST_LINES).map(str::trim).filter(|line| !line.starts_with(['#', ';']))
    {
        if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().trim_start_matches('-').replace('/', ".");
            settings.insert(key, value.trim().to_string());
        }
    }
    for (key, value) in settings {
        let value = value.parse::<i64>().map_or_else(|_| SysctlValue::Text(value), SysctlValue::Number);
        to.machine.sysctl.insert(key, value);
    }
}

fn modules(seen: &Seen, system: &System, to: &mut Carried) {
    // What NixOS loads follows from its own files.
    if system.kind == Kind::NixOs {
        return;
    }
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
        lines.map(str::to_string).collect()
    };
    let texts = seen
        .text("/etc/modules")
        .into_iter()
        .chain(seen.texts_in("/etc/modules-load.d", ".conf").map(|(_, text)| text));
    for line in texts.flat_map(lines).take(MOST_WORDS) {
        let name = line.split_ascii_whitespace().next().unwrap_or_default().to_string();
        if !to.machine.kernel_modules.load.contains(&name) {
            to.machine.kernel_modules.load.push(name);
        }
    }
    let mut options = String::new();
    for (path, text) in seen.texts_in("/etc/modprobe.d", ".conf") {
        for line in lines(text).into_iter().take(MOST_WORDS) {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            match words[..] {
                ["blacklist", name] => {
                    let (blacklist, load) = (&to.machine.kernel_modules.blacklist, &to.machine.kernel_modules.load);
                    let plain = |one: &str| one.replace('-', "_");
                    if !blacklist.iter().chain(load).any(|one| plain(one) == plain(name)) {
                        to.machine.kernel_modules.blacklist.push(name.to_string());
                    }
                }
                ["options", _, ..] => options += &format!("{line}\n"),
                _ => to.left("kernel modules", format!("{path}: {line}")),
            }
        }
    }
    if !options.is_empty() {
        let file = EtcFile { text: Some(options), ..EtcFile::default() };
        to.machine.files.insert("/etc/modprobe.d/captured.conf".into(), file);
    }
}
