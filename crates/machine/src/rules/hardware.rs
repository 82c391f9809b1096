//! The hardware file.

use super::{Findings, boot, general, repeated};
use crate::model::{Hardware, Machine, RecordedDisk, TableKind};
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
    for (index, disk) in hardware.disks.iter().enumerate() {
        self::disk(&child("/disks", index), disk, f);
    }
}

/// A recorded disk: its partitions have numbers of their own and lie on it, next to each other.
fn disk(at: &str, disk: &RecordedDisk, f: &mut Findings) {
    const HELP: &str = "write this file anew: `cairn hardware -o`";
    if !matches!(disk.sector_size, 512 | 4096) {
        f.wrong(child(at, "sector_size"), "disks have sectors of 512 or 4096 bytes", HELP);
        return;
    }
    let sectors = disk.bytes / u64::from(disk.sector_size);
    let place = |index: usize| child(child(at, "partitions"), index);
    for index in repeated(disk.partitions.iter().map(|one| one.number)) {
        f.wrong(child(place(index), "number"), "there is a partition of this number already", HELP);
    }
    // Of an MBR and of a damaged table anything may be true.
    if !disk.table.as_ref().is_some_and(|table| table.kind == "gpt" && table.damaged.is_none()) {
        return;
    }
    let mut order: Vec<(usize, u64, u64)> = Vec::new();
    for (index, one) in disk.partitions.iter().enumerate() {
        let end = one.start.saturating_add(one.size);
        if end > sectors {
            f.wrong(place(index), format!("it ends at sector {end}, and the disk has {sectors}"), HELP);
        } else {
            order.push((index, one.start, end));
        }
    }
    order.sort_by_key(|(_, start, _)| *start);
    for pair in order.windows(2).filter(|pair| pair[1].1 < pair[0].2) {
        f.wrong(place(pair[1].0), "it overlaps with another partition", HELP);
    }
}
