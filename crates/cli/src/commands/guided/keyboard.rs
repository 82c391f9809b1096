//! A field to try a keyboard in: on the kernel's own console, of which alone the keys are ours.

use std::io::Write;

use anyhow::Context;
use cairn_installer::questions::keyboard;
use cairn_process::{Tool, find};

use crate::terminal::device;

/// What makes a keymap of a layout, and what gives it to the kernel.
const MAKES: &str = "ckbcomp";
const LOADS: &str = "loadkeys";

/// The console that we are at, if its keyboard can be changed.
pub fn console() -> Option<String> {
    let device = device().filter(|device| is_console(device))?;
    [MAKES, LOADS].iter().all(|program| find(program).is_some()).then_some(device)
}

fn is_console(device: &str) -> bool {
    device.strip_prefix("tty").is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Gives the console this layout, as the machine will have it.
///
/// # Errors
/// There is no such layout here, or the kernel does not take it.
pub fn apply(console: &str, layout: &str) -> anyhow::Result<()> {
    let (layouts, options) = keyboard(layout);
    // A layout begins with no hyphen: machine files would allow one.
    anyhow::ensure!(!layouts.starts_with('-'), "there is no such layout");
    let keymap = Tool::new(MAKES, "console-setup", "try the keyboard").args(["-model", "pc105", &layouts, ""]);
    let keymap = keymap.arg(options.join(",")).output()?;
    let mut file = tempfile::NamedTempFile::new().context("making a file for the keymap")?;
    file.write_all(&keymap).context("writing the keymap")?;
    let loads = Tool::new(LOADS, "kbd", "try the keyboard").args(["-q", "-C"]).arg(format!("/dev/{console}"));
    Ok(loads.arg(file.path()).run()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernels_own_consoles_have_keys() {
        assert!(is_console("tty1") && is_console("tty63"));
        for other in ["tty", "ttyS0", "pts/1", "console", "hvc0"] {
            assert!(!is_console(other), "{other}");
        }
    }
}
