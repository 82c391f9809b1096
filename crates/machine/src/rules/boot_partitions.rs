//! Whether the firmware and the boot loader find what they need among the partitions: ESP, XBOOTLDR, BIOS boot
//! partition, and the mirror of an ESP.

use super::Findings;
use crate::model::{Disk, Loader, PartitionKind, TableKind};
use crate::pointer::child;

/// Checks the list of partitions at a pointer.
pub(super) fn check(list: &str, disk: &Disk, loader: Loader, f: &mut Findings) {
    let first = |kind| disk.partitions.iter().position(|partition| partition.kind == kind);
    let found = Found {
        esp: first(PartitionKind::Esp),
        xbootldr: first(PartitionKind::Xbootldr),
        bios_boot: first(PartitionKind::BiosBoot),
        table: disk.table(),
    };
    match loader {
        Loader::SystemdBoot => systemd_boot(list, &found, f),
        Loader::Grub => grub(list, &found, f),
    }
    if let (TableKind::Mbr, Some(i)) = (found.table, found.bios_boot) {
        let message = "an MBR has no BIOS boot partition: GRUB lies between it and the first partition";
        f.wrong(kind_of(list, i), message, "remove this partition, or `table: mbr`");
    }
    mirrors(list, disk, &found, f);
}

/// The places in the list of what matters here.
struct Found {
    esp: Option<usize>,
    xbootldr: Option<usize>,
    bios_boot: Option<usize>,
    table: TableKind,
}

fn kind_of(list: &str, index: usize) -> String {
    child(child(list, index), "type")
}

fn systemd_boot(list: &str, found: &Found, f: &mut Findings) {
    if found.esp.is_none() {
        let help = match found.bios_boot.is_some() || found.table == TableKind::Mbr {
            true => "write `boot: {loader: grub}` to boot under BIOS, or add `- {type: esp, size: 512M}` for UEFI",
            false => "add `- {type: esp, size: 512M}` as the first partition",
        };
        f.wrong(list, "there is no partition of type esp, and systemd-boot needs one", help);
        return;
    }
    if let (TableKind::Gpt, Some(i)) = (found.table, found.bios_boot) {
        let help = "write `boot: {loader: grub}` to boot under BIOS as well, or remove the partition";
        f.doubtful(kind_of(list, i), "systemd-boot has no use for a partition of type bios-boot", help);
    }
    if let (TableKind::Mbr, Some(i)) = (found.table, found.xbootldr) {
        let message = "systemd-boot finds a partition of type xbootldr on GPT only";
        f.wrong(kind_of(list, i), message, "remove the partition, or `table: mbr`");
    }
}

fn grub(list: &str, found: &Found, f: &mut Findings) {
    match (found.esp, found.xbootldr) {
        (Some(_), _) => {}
        (None, Some(i)) if found.table == TableKind::Gpt && found.bios_boot.is_none() => {
            let message =
                "nothing starts GRUB: beside the partition of type xbootldr there is neither esp nor bios-boot";
            let help = "add `- {type: bios-boot, size: 1M}` for BIOS, or write `type: esp` for UEFI";
            f.wrong(kind_of(list, i), message, help);
        }
        (None, Some(_)) => {}
        (None, None) => {
            let message = "there is no partition for kernels that GRUB can read";
            let help = match found.bios_boot.is_some() || found.table == TableKind::Mbr {
                true => {
                    "add `- {type: xbootldr, size: 512M}`, or `- {type: esp, size: 512M}` to boot under UEFI as well"
                }
                false => "add `- {type: esp, size: 512M}` for UEFI; for BIOS, `layout: bios` is the least work",
            };
            f.wrong(list, message, help);
        }
    }
}

/// A second ESP holds the same as the first: loader, entries, kernels.
fn mirrors(list: &str, disk: &Disk, found: &Found, f: &mut Findings) {
    let mirrors = (0..disk.partitions.len()).filter(|i| disk.is_mirror(*i));
    for (n, i) in mirrors.enumerate() {
        let first = found.esp.map_or(1, |first| first + 1);
        if n > 0 {
            let message = format!("a third partition of type esp; item {first} of the list can have one mirror");
            f.wrong(kind_of(list, i), message, "remove it");
        } else if let Some(xbootldr) = found.xbootldr {
            let message = format!(
                "a second partition of type esp mirrors the first with all its kernels, which are on item {} of the list here",
                xbootldr + 1
            );
            f.wrong(kind_of(list, i), message, "remove it, or the partition of type xbootldr");
        } else if disk.partitions[i].mount_point.is_none() {
            let message = format!(
                "a second partition of type esp is a mirror of item {first} of the list, and needs a `mount_point`"
            );
            f.wrong(child(list, i), message, "write for example `mount_point: /efi2`");
        }
    }
}
