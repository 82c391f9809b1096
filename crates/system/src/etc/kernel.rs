//! Kernel settings and modules.

use std::fmt::Write as _;

use cairn_machine::model::{Hardware, Machine, SysctlValue};

use crate::error::SystemError;
use crate::initrd::{Modules, help_for_missing};
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
            let help = help_for_missing(&modules, name, pointer.starts_with("/hardware/"));
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

#[cfg(test)]
mod tests {
    use cairn_machine::{SourceFile, check};

    use super::*;
    use crate::initrd::Texts;

    /// Each module that the kernel lacks is told at its own line, in the file that names it.
    #[test]
    fn a_module_to_load_that_the_kernel_lacks_is_told_where_it_stands() {
        let refused = |machine: &str, hardware: &str| {
            let text = format!("{}\nhardware: hw.yaml\n{machine}", cairn_machine::template("hello"));
            let hardware = hardware.as_bytes().to_vec();
            let checked = check(&SourceFile::new("m.yaml", text), &mut |_| Ok(hardware.clone())).unwrap();
            let modules = || Ok(Modules::parse(&Texts { dep: "kernel/kvm.ko:\n".into(), ..Texts::default() }));
            let mut tree = Tree::default();
            apply(&mut tree, &checked.machine, checked.hardware.as_ref(), &modules).unwrap_err()
        };
        let error = refused("", "version: 1\nkernel_modules: [kvm, megaraid_sas]\n");
        assert_eq!(error.pointer(), Some("/hardware/kernel_modules/1"));
        assert!(error.help().unwrap().contains("linux-image-amd64"), "{:?}", error.help());
        let error = refused("kernel_modules: {load: [kvn]}\n", "version: 1\n");
        assert_eq!(error.pointer(), Some("/kernel_modules/load/0"));
        assert_eq!(error.help(), Some("did you mean kvm?"));
    }
}
