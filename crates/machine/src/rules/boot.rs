//! The boot loader and its menu, the kernel's parameters, the consoles.

mod device_tree;
mod entries;
mod files;
mod password;
mod paths;

pub use device_tree::{DeviceTreeError, device_tree};

use super::{Findings, repeated, short};
use crate::model::{Boot, Firmware, Loader, Machine, Menu};
use crate::pointer::child;

/// Parameters that Cairn sets itself, and what says the same in the machine file.
const OWN: [(&str, &str); 8] = [
    ("cairn.generation", "it names the generation; Cairn sets it"),
    ("cairn.trial", "Cairn sets it for a generation that has not booted yet"),
    ("init", "it names the generation; Cairn sets it"),
    ("initrd", "the boot loader sets it"),
    ("root", "it follows from `disks`; Cairn sets it"),
    ("rootfstype", "it follows from `disks`; Cairn sets it"),
    ("console", "use `boot.consoles`"),
    ("BOOT_IMAGE", "the boot loader sets it"),
];

/// The kernel cuts its command line at 2048 bytes on x86; Cairn's own parameters need some of them.
const MAX_LENGTH: usize = 1500;

pub(super) fn check(machine: &Machine, f: &mut Findings) {
    let boot = &machine.boot;
    // What a disk that is wrong would boot under is not known; that it is wrong is said elsewhere.
    let disk = machine.root_disk().map(|(_, disk)| disk).filter(|disk| !disk.all_partitions().is_empty());
    let firmware = disk.map_or(Firmware { uefi: true, bios: true }, |disk| disk.firmware(boot.loader));
    menu(boot, firmware, f);
    counting(boot, f);
    kernel_parameters("/boot/kernel_parameters", &boot.kernel_parameters, f);
    entries::check(&boot.entries, firmware, f);
    files::check(boot, f);
    device_tree::check(boot, f);
    consoles(boot, f);
}

/// What the boot loader, or the firmware under it, has no use for.
fn menu(boot: &Boot, firmware: Firmware, f: &mut Findings) {
    if boot.menu == Menu::Wait && boot.timeout != Boot::default().timeout {
        let message = "`menu: wait` waits until somebody chooses, whatever the timeout is";
        f.doubtful("/boot/timeout", message, "remove the line, or write `menu: shown`");
    }
    if boot.console_mode.is_some() && boot.loader != Loader::SystemdBoot {
        let message = "`console_mode` is a setting of systemd-boot, and the loader is grub";
        f.wrong("/boot/console_mode", message, "remove the line");
    }
    if boot.remember && boot.loader != Loader::Grub {
        let message =
            "only GRUB remembers what was chosen in its menu: systemd-boot would boot it however often it fails";
        f.wrong("/boot/remember", message, "remove the line (`cairn rollback N` says what boots from then on)");
    }
    if boot.nvram && !firmware.uefi {
        let message = "there are no UEFI variables: the disk has no partition of type esp, and boots under BIOS";
        f.wrong("/boot/nvram", message, "remove the line");
    }
    secure_boot(boot, firmware, f);
    let Some(hash) = &boot.password_hash else { return };
    if boot.loader != Loader::Grub {
        let message = "a password in the menu is a feature of GRUB, and the loader is systemd-boot";
        f.wrong(
            "/boot/password_hash",
            message,
            "remove the line (`editor` is off by default), or write `loader: grub`",
        );
    } else if boot.editor {
        let message = "with `editor: true` everybody may edit entries, with a password only those who know it";
        f.wrong("/boot/editor", message, "keep one of the two");
    }
    password::check(hash, f);
}

/// What Secure Boot has a say in.
fn secure_boot(boot: &Boot, firmware: Firmware, f: &mut Findings) {
    if !boot.by_shim() && !boot.by_own_keys() {
        return;
    }
    if boot.by_own_keys() && boot.loader != Loader::SystemdBoot {
        let message = "only systemd-boot starts what the machine has signed by its own keys, and the loader is grub";
        f.wrong(
            "/boot/secure_boot",
            message,
            "write `loader: systemd-boot`, or `secure_boot: shim`, which GRUB starts by too",
        );
    } else if !firmware.uefi {
        let message = "Secure Boot is UEFI's: the disk has no partition of type esp, and boots under BIOS";
        f.wrong("/boot/secure_boot", message, "remove the line, or take `layout: uefi` or `hybrid`");
    }
    if boot.memtest && firmware.uefi {
        let message = "nobody has signed the memory test: a firmware that enforces Secure Boot does not start it";
        f.doubtful("/boot/memtest", message, "remove the line, or switch Secure Boot off to test the memory");
    }
}

/// Boot counting, and what goes with it.
fn counting(boot: &Boot, f: &mut Findings) {
    for (i, check) in boot.checks.iter().enumerate() {
        let at = child("/boot/checks", i);
        if check.name.trim().is_empty() || check.name.contains(char::is_control) {
            f.wrong(child(&at, "name"), "the name of a check is one line that is not empty", "");
        }
        if check.command.trim().is_empty() {
            f.wrong(child(&at, "command"), "the command is empty", "write a shell command; exit status 0 passes");
        }
    }
    for i in repeated(boot.checks.iter().map(|check| check.name.trim())) {
        let at = child(child("/boot/checks", i), "name");
        f.wrong(at, format!("another check is called `{}`", short(&boot.checks[i].name)), "give each its own name");
    }
    if boot.tries == 0 {
        let help = "remove `tries: 0`, or these";
        if !boot.checks.is_empty() {
            let message = "with `tries: 0` a generation that fails its checks stays the one that is booted";
            f.doubtful("/boot/checks", message, help);
        }
        if boot.deadline != Boot::default().deadline {
            let message = "with `tries: 0` no generation is on trial, so the deadline has no meaning";
            f.doubtful("/boot/deadline", message, "remove `tries: 0`, or this line");
        }
    } else if let Some(i) = boot.kernel_parameters.iter().rposition(|parameter| parameter.starts_with("panic="))
        && boot.kernel_parameters[i] == "panic=0"
    {
        let message = "a kernel that panics would stand still, and the machine not go back to the last good one";
        f.doubtful(child("/boot/kernel_parameters", i), message, "write for example panic=10");
    }
}

fn consoles(boot: &Boot, f: &mut Findings) {
    for (i, console) in boot.consoles.iter().enumerate() {
        if !is_console(console) {
            let help = match console.strip_prefix("console=").or_else(|| console.strip_prefix("/dev/")) {
                Some(rest) => format!("write `{}`", short(rest)),
                None => "write for example tty0, hvc0 or ttyS0,115200".to_owned(),
            };
            f.wrong(child("/boot/consoles", i), format!("`{}` is not a console", short(console)), help);
        }
    }
    let device = |console: &'_ String| console.split(',').next().unwrap_or_default().to_owned();
    for i in repeated(boot.consoles.iter().map(device)) {
        f.wrong(
            child("/boot/consoles", i),
            format!("`{}` is listed twice", short(&device(&boot.consoles[i]))),
            "remove one",
        );
    }
}

/// A list of kernel parameters: nothing that a boot loader would have to quote, and nothing that is set elsewhere.
pub(super) fn kernel_parameters(at: &str, parameters: &[String], f: &mut Findings) {
    words(at, parameters, "kernel parameter", f);
    for (i, parameter) in parameters.iter().enumerate() {
        let key = parameter.split('=').next().unwrap_or_default();
        if let Some((own, help)) = OWN.iter().find(|(own, _)| *own == key) {
            f.wrong(child(at, i), format!("the kernel parameter `{own}` cannot be set here"), *help);
        }
    }
}

/// A list of parameters: nothing that a boot loader would have to quote, since they quote differently.
fn words(at: &str, parameters: &[String], what: &str, f: &mut Findings) {
    for (i, parameter) in parameters.iter().enumerate() {
        let at = child(at, i);
        if parameter.is_empty() || parameter.starts_with('=') {
            f.wrong(at, format!("a {what} is `name` or `name=value`"), "");
        } else if parameter.trim().contains(char::is_whitespace) {
            let help = "one parameter in each item; values with blanks in them are not supported";
            f.wrong(at, format!("`{}` has a blank in it", short(parameter)), help);
        } else if let Some(c) = parameter.chars().find(|c| !c.is_ascii_graphic() || "\\\"'".contains(*c)) {
            let help = "boot loaders read quotes, backslashes and characters beyond ASCII in different ways";
            f.wrong(at, format!("`{}` has the character {c:?} in it", short(parameter)), help);
        }
    }
    let length: usize = parameters.iter().map(|parameter| parameter.len() + 1).sum();
    if length > MAX_LENGTH {
        f.wrong(at, format!("the {what}s have {length} bytes, more than {MAX_LENGTH}"), "");
    }
}

/// `tty0`, `ttyS0,115200n8`, `hvc0`: a device's name, and a speed with parity, bits and flow control.
fn is_console(console: &str) -> bool {
    let (device, options) = console.split_once(',').map_or((console, None), |(d, o)| (d, Some(o)));
    let letters = device.trim_end_matches(|c: char| c.is_ascii_digit());
    let device_is_well = !letters.is_empty()
        && letters.starts_with(|c: char| c.is_ascii_alphabetic())
        && letters.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && device.len() <= 15;
    let options_are_well = options.is_none_or(|options| {
        let rest = options.trim_start_matches(|c: char| c.is_ascii_digit());
        let speed = options.len() - rest.len();
        let rest = rest.strip_prefix(['n', 'o', 'e']).unwrap_or(rest);
        let rest = rest.strip_prefix(['7', '8']).unwrap_or(rest);
        (2..=7).contains(&speed) && matches!(rest, "" | "r")
    });
    device_is_well && options_are_well
}
