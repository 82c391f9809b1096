//! What starts the machine, and the partitions of its disk: what fstab has, as far as one disk with ext4 can hold it.

use cairn_machine::model::{Disk, Loader, NamedLayout, Partition, PartitionKind, SecureBoot, SignedBy};
use cairn_machine::size::Size;

use super::seen::Seen;
use super::{Carried, Hardware};

/// Swap of which nobody says how large it is.
const SWAP: Size = Size::from_mib(2048);
/// The least that a partition gets that has no size.
const LEAST: Size = Size::from_mib(1024);
/// Lines of fstab.
const MOST: usize = 256;
/// The root: a system, and room for the next.
const LEAST_ROOT: Size = Size::from_mib(8192);
/// Where fstab has no partition of the machine.
const NOT_A_DISK: [&str; 16] = [
    "proc",
    "sysfs",
    "tmpfs",
    "devpts",
    "nfs",
    "nfs4",
    "cifs",
    "sshfs",
    "fuse.sshfs",
    "overlay",
    "squashfs",
    "bind",
    "efivarfs",
    "iso9660",
    "udf",
    "9p",
];

/// A line of fstab(5).
struct Entry<'s> {
    device: &'s str,
    at: String,
    kind: &'s str,
    options: &'s str,
}

/// Carries it over.
pub fn carry(seen: &Seen, hardware: &Hardware, to: &mut Carried) {
    let entries = entries(seen.text("/etc/fstab").unwrap_or_default());
    let uefi = hardware.uefi.unwrap_or_else(|| starts_by_uefi(seen, &entries));
    if !uefi {
        to.machine.boot.loader = Loader::Grub;
        to.machine.boot.secure_boot = None;
    } else if hardware.secure_boot {
        to.machine.boot.secure_boot = Some(SecureBoot::By(SignedBy::Shim));
    }
    let mut partitions: Vec<Partition> = Vec::new();
    let boot: &[PartitionKind] =
        if uefi { &[PartitionKind::Esp] } else { &[PartitionKind::BiosBoot, PartitionKind::Xbootldr] };
    partitions.extend(boot.iter().map(|kind| Partition::of_kind(*kind)));
    let (mut plain, mut behind) = (true, Vec::new());
    for entry in &entries {
        partition(entry, seen, (&mut partitions, &mut behind), &mut plain, to);
    }
    // The last one grows with the disk.
    let mut root = Partition::of_kind(PartitionKind::Root);
    if !behind.is_empty() {
        (root.size_min, root.weight) = (Some(LEAST_ROOT), Some(1));
    }
    behind.push(root);
    partitions.extend(behind);
    let layout = if uefi { NamedLayout::Uefi } else { NamedLayout::Bios };
    let disk = if plain { Disk::of_layout(layout) } else { Disk::of_partitions(partitions) };
    to.machine.disks.insert("main".into(), disk);
    let crypt = seen.text("/etc/crypttab").unwrap_or_default();
    for line in crypt.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split_ascii_whitespace().next().unwrap_or_default();
        to.left("disks", format!("{name} is encrypted (LUKS), and the machine's disk is not"));
    }
}

fn partition(
    entry: &Entry<'_>,
    seen: &Seen,
    (partitions, behind): (&mut Vec<Partition>, &mut Vec<Partition>),
    plain: &mut bool,
    to: &mut Carried,
) {
    let at = entry.at.as_str();
    if entry.kind == "swap" {
        *plain = false;
        let size = swap_size(seen).unwrap_or_else(|| {
            to.left("disks", format!("swap on {}: how large it is cannot be seen, so it has {SWAP}", entry.device));
            SWAP
        });
        if !partitions.iter().any(|one| one.kind == PartitionKind::Swap) {
            partitions.push(Partition { size: Some(size), ..Partition::of_kind(PartitionKind::Swap) });
        }
        return;
    }
    if NOT_A_DISK.contains(&entry.kind) || entry.options.split(',').any(|one| one == "bind") {
        if !matches!(entry.kind, "proc" | "sysfs" | "devpts" | "efivarfs") && !at.starts_with("/media/") {
            to.left("disks", format!("{at} is mounted from {} ({})", without_secret(entry.device), entry.kind));
        }
        return;
    }
    match at {
        "/" | "/home" | "/srv" | "/var/log" if !matches!(entry.kind, "ext4" | "auto") => {
            to.left("disks", format!("{at} has {}, and gets ext4", entry.kind));
        }
        _ => {}
    }
    if entry.device.starts_with("/dev/mapper/") || entry.device.starts_with("/dev/md") {
        to.left(
            "disks",
            format!("{at} lies on {}: the machine's disk has neither LVM nor RAID nor encryption", entry.device),
        );
    }
    let subvolume = entry.options.split(',').any(|one| one.starts_with("subvol"));
    match at {
        "/" | "/boot" | "/boot/efi" | "/efi" | "none" => {}
        "/home" if !subvolume => {
            *plain = false;
            behind.push(data(Partition::of_kind(PartitionKind::Home)));
        }
        "/srv" | "/var/log" if !subvolume => {
            *plain = false;
            let mount_point = Some(at.to_string());
            behind.push(data(Partition { mount_point, ..Partition::of_kind(PartitionKind::Data) }));
        }
        // A folder of the root.
        _ if subvolume => {}
        _ => to.left(
            "disks",
            format!("{at} is mounted from {} ({}): it is a folder of the root", entry.device, entry.kind),
        ),
    }
}

fn data(partition: Partition) -> Partition {
    Partition { size_min: Some(LEAST), weight: Some(1), ..partition }
}

fn entries(fstab: &str) -> Vec<Entry<'_>> {
    let lines = fstab.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut found: Vec<Entry<'_>> = Vec::new();
    for line in lines.take(MOST) {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [device, at, kind, ..] = fields[..] else { continue };
        let at = at.replace("\\040", " ");
        if kind == "swap" || !found.iter().any(|one| one.at == at) {
            found.push(Entry { device, at, kind, options: fields.get(3).copied().unwrap_or_default() });
        }
    }
    found
}

/// By what the kernel says, where it runs; else by where its EFI system partition is mounted, or lies.
fn starts_by_uefi(seen: &Seen, entries: &[Entry<'_>]) -> bool {
    if seen.running {
        return seen.present.contains("/sys/firmware/efi");
    }
    let mounted =
        entries.iter().any(|one| one.kind == "vfat" && matches!(one.at.as_str(), "/boot/efi" | "/efi" | "/boot"));
    let bios = ["/boot/grub/i386-pc", "/boot/grub2/i386-pc"].iter().any(|path| seen.present.contains(*path));
    // Nothing says it: a computer of today.
    mounted || !bios
}

/// All that runs as swap, where it can be seen, but for what is compressed memory.
fn swap_size(seen: &Seen) -> Option<Size> {
    let lines = seen.text("/proc/swaps")?.lines().skip(1).filter(|line| !line.starts_with("/dev/zram"));
    let kib: u64 =
        lines.filter_map(|line| line.split_ascii_whitespace().nth(2)?.parse::<u64>().ok()).fold(0, u64::saturating_add);
    let mib = (kib / 1024).max(1);
    (kib > 0 && mib < 1 << 20).then(|| Size::from_mib(mib))
}

/// A share's name may have a password in it.
fn without_secret(device: &str) -> &str {
    device.rsplit_once('@').map_or(device, |(_, rest)| rest)
}
