//! The hardware file.

use super::{Findings, boot, general};
use crate::model::{Hardware, Machine, TableKind};
use crate::pointer::child;

pub(super) fn check(hardware: &Hardware, machine: Option<&Machine>, f: &mut Findings) {
    if let (Some(architecture), Some(machine)) = (hardware.architecture, machine)
        && architecture != machine.architecture
    {
        let help = "use the hardware file of this machine, or change `architecture` in the machine file";
        f.wrong("/architecture", "the machine file asks for another architecture", help);
    }
    let disk = machine.and_then(Machine::root_disk);
    for name in hardware.partitions.keys() {
        let at = child("/partitions", name);
        if let Some((_, disk)) = disk
            && disk.named(name).is_none()
        {
            let known = (0..disk.all_partitions().len()).map(|index| disk.all_partitions()[index].kind.name());
            let help = format!("it has {}", known.collect::<Vec<_>>().join(", "));
            f.wrong(&at, format!("the machine has no partition `{name}`, or more than one"), &help);
        } else if disk.is_some_and(|(_, disk)| disk.table() == TableKind::Mbr) {
            f.wrong(&at, "partitions in an MBR have no GUIDs", "remove it");
        }
    }
    general::module_names("/initrd_modules", &hardware.initrd_modules, f);
    general::module_names("/kernel_modules", &hardware.kernel_modules, f);
    boot::kernel_parameters("/kernel_parameters", &hardware.kernel_parameters, f);
}
