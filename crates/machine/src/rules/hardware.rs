//! The hardware file.

use super::{Findings, boot, general};
use crate::model::{Hardware, Machine};

pub(super) fn check(hardware: &Hardware, machine: Option<&Machine>, f: &mut Findings) {
    if let (Some(architecture), Some(machine)) = (hardware.architecture, machine)
        && architecture != machine.architecture
    {
        let help = "use the hardware file of this machine, or change `architecture` in the machine file";
        f.wrong("/architecture", "the machine file asks for another architecture", help);
    }
    general::module_names("/initrd_modules", &hardware.initrd_modules, f);
    general::module_names("/kernel_modules", &hardware.kernel_modules, f);
    boot::kernel_parameters("/kernel_parameters", &hardware.kernel_parameters, f);
}
