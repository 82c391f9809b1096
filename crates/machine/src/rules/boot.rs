//! The boot loader, the kernel's parameters, the consoles.

use super::{Findings, repeated, short};
use crate::model::Boot;
use crate::pointer::child;

/// Parameters that Cairn sets itself, and what says the same in the machine file.
const OWN: [(&str, &str); 6] = [
    ("init", "it names the generation; Cairn sets it"),
    ("initrd", "the boot loader sets it"),
    ("root", "it follows from `disks`; Cairn sets it"),
    ("rootfstype", "it follows from `disks`; Cairn sets it"),
    ("console", "use `boot.consoles`"),
    ("BOOT_IMAGE", "the boot loader sets it"),
];

/// The kernel cuts its command line at 2048 bytes on x86; Cairn's own parameters need some of them.
const MAX_LENGTH: usize = 1500;

pub(super) fn check(boot: &Boot, f: &mut Findings) {
    kernel_parameters("/boot/kernel_parameters", &boot.kernel_parameters, f);
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
        f.wrong(child("/boot/consoles", i), format!("`{}` is listed twice", device(&boot.consoles[i])), "remove one");
    }
}

/// A list of kernel parameters: nothing that a boot loader would have to quote, since they quote differently.
pub(super) fn kernel_parameters(at: &str, parameters: &[String], f: &mut Findings) {
    for (i, parameter) in parameters.iter().enumerate() {
        let at = child(at, i);
        let key = parameter.split('=').next().unwrap_or_default();
        if parameter.is_empty() || key.is_empty() {
            f.wrong(at, "a kernel parameter is `name` or `name=value`", "");
        } else if parameter.trim().contains(char::is_whitespace) {
            let help = "one parameter in each item; values with blanks in them are not supported";
            f.wrong(at, format!("`{}` has a blank in it", short(parameter)), help);
        } else if let Some(c) = parameter.chars().find(|c| !c.is_ascii_graphic() || "\\\"'".contains(*c)) {
            let help = "boot loaders read quotes, backslashes and characters beyond ASCII in different ways";
            f.wrong(at, format!("`{}` has the character {c:?} in it", short(parameter)), help);
        } else if let Some((own, help)) = OWN.iter().find(|(own, _)| *own == key) {
            f.wrong(at, format!("the kernel parameter `{own}` cannot be set here"), *help);
        }
    }
    let length: usize = parameters.iter().map(|parameter| parameter.len() + 1).sum();
    if length > MAX_LENGTH {
        f.wrong(at, format!("the kernel parameters have {length} bytes, more than {MAX_LENGTH}"), "");
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
