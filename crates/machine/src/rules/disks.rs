//! The disks: how many, and how they are described.

use super::{Findings, partitions, short};
use crate::model::{Disk, Loader, Machine, NamedLayout, TableKind};
use crate::pointer::child;

pub(super) fn check(machine: &Machine, f: &mut Findings) {
    if machine.disks.is_empty() {
        let help = "write `disks: {main: {layout: uefi}}`";
        f.wrong("/disks", "there is no disk", help);
    }
    for (i, (name, disk)) in machine.disks.iter().enumerate() {
        let at = child("/disks", name);
        let well = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && name.len() <= 32;
        if !well {
            let help =
                "a name of your choice: letters, digits, `-` and `_`, at most 32; the device is chosen at installation";
            f.wrong_key(&at, format!("`{}` is not a name for a disk", short(name)), help);
        }
        if i > 0 {
            let help = "only one disk is supported so far; remove this one";
            f.wrong_key(&at, format!("`{}` is a second disk", short(name)), help);
            continue;
        }
        one(&at, disk, machine.boot.loader, f);
    }
}

fn one(at: &str, disk: &Disk, loader: Loader, f: &mut Findings) {
    if let Some(size) = disk.size {
        if size.bytes() == 0 {
            f.wrong(child(at, "size"), "a disk of size 0", "write for example `size: 8G`, or remove the line");
        } else if size.bytes() < 64 << 20 {
            let help = "did you leave out the unit? Write for example 8G";
            f.wrong(child(at, "size"), format!("{size} is too small for a disk"), help);
        } else if size.bytes() % 512 != 0 {
            let help = "disks consist of sectors of 512 bytes or more; use a unit, such as 8G";
            f.wrong(child(at, "size"), format!("{} bytes is not a multiple of 512", size.bytes()), help);
        }
    }
    match (disk.layout, disk.partitions.is_empty()) {
        (Some(_), false) => {
            let help = "keep `layout` for a ready-made layout, or `partitions` for one of your own";
            f.wrong(child(at, "layout"), "the disk has both `layout` and `partitions`", help);
        }
        (None, true) => {
            f.wrong(at, "the disk has neither `layout` nor `partitions`", "write `layout: uefi`");
        }
        (Some(named), true) => layout(at, named, disk.table, loader, f),
        (None, false) => partitions::check(at, disk, loader, f),
    }
    if disk.table() == TableKind::Mbr
        && let Some(size) = disk.size.filter(|size| size.bytes() > MBR_REACH)
    {
        let message = format!("the disk is {size}, but an MBR reaches no further than 2T");
        f.wrong(child(at, "size"), message, "make the disk smaller, or use a GPT: `layout: bios` boots under BIOS too");
    }
}

/// How far an MBR reaches: 32 bits for a sector's number.
pub(super) const MBR_REACH: u64 = 512 << 32;

/// A ready-made layout: does it go with the boot loader, and with the kind of table that is asked for?
fn layout(at: &str, layout: NamedLayout, table: Option<TableKind>, loader: Loader, f: &mut Findings) {
    let name = layout.name();
    if let Some(table) = table.filter(|table| *table != layout.table()) {
        let message =
            format!("the layout `{name}` has a table of the kind {}, not {}", layout.table().name(), table.name());
        f.wrong(child(at, "table"), message, "remove the line, or list `partitions` of your own");
    }
    if loader == Loader::SystemdBoot && layout != NamedLayout::Uefi {
        let message = format!("the layout `{name}` boots under BIOS, which systemd-boot cannot");
        f.wrong(child(at, "layout"), message, "write `boot: {loader: grub}`, or `layout: uefi`");
    }
}
