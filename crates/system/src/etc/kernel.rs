//! Kernel settings and modules.

use std::fmt::Write as _;

use cairn_machine::model::{Hardware, Machine, SysctlValue};
use cairn_machine::nearest;

use crate::error::SystemError;
use crate::initrd::Modules;
use crate::tree::Tree;

/// Puts `sysctl.d`, `modules-load.d` and `modprobe.d`.
///
/// `modules` gives those that the kernel has, which takes a while: it is asked only where some are wanted.
///
/// # Errors
/// When a module to load is not among the kernel's, and what `modules` says.
pub fn apply(
    tree: &mut Tree,
    machine: &Machine,
    hardware: Option<&Hardware>,
    modules: &dyn Fn() -> Result<Modules, SystemError>,
) -> Result<(), SystemError> {
    // ping is neither setuid nor has it capabilities: every user may open its kind of socket.
    tree.file("sysctl.d/50-cairn.conf", "net.ipv4.ping_group_range = 0 2147483647\n")?;
    if !machine.sysctl.is_empty() {
        let mut text = String::new();
        for (key, value) in &machine.sysctl {
            let _ = match value {
                SysctlValue::Number(number) => writeln!(text, "{key} = {number}"),
                SysctlValue::Text(value) => writeln!(text, "{key} = {value}"),
            };
        }
        tree.file("sysctl.d/90-machine.conf", text)?;
    }

    let wanted = &machine.kernel_modules;
    let own = wanted.load.iter().enumerate().map(|(i, name)| (format!("/kernel_modules/load/{i}"), name));
    let hardware = hardware.map(|h| &h.kernel_modules[..]).unwrap_or_default();
    let hardware = hardware.iter().enumerate().map(|(i, name)| (format!("/hardware/kernel_modules/{i}"), name));
    let mut load = String::new();
    let mut all = own.chain(hardware).peekable();
    let modules = all.peek().map(|_| modules()).transpose()?.unwrap_or_default();
    for (pointer, name) in all {
        if !modules.has(name) {
            let help = nearest(name, modules.names()).map(|n| format!("did you mean {n}?"));
            return Err(SystemError::refused_with(pointer, format!("the kernel has no module {name}"), help));
        }
        let _ = writeln!(load, "{name}");
    }
    if !load.is_empty() {
        tree.file("modules-load.d/machine.conf", load)?;
    }
    if !wanted.blacklist.is_empty() {
        let lines: String = wanted.blacklist.iter().map(|name| format!("blacklist {name}\n")).collect();
        tree.file("modprobe.d/machine.conf", lines)?;
    }
    Ok(())
}
