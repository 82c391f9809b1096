//! A disk that is described partition by partition.

use std::collections::BTreeMap;

use super::{Findings, boot_partitions, is_safe_in_a_path, short};
use crate::model::{Disk, FileSystem, Loader, Partition, PartitionKind, TableKind};
use crate::pointer::child;

/// No partition is smaller: they begin and end at multiples of it.
const GRAIN: u64 = 1 << 20;

/// What GPT has room for by default.
const MAX_PARTITIONS: usize = 128;

/// What an MBR has room for: logical partitions are not supported.
const MBR_PARTITIONS: usize = 4;

/// Folders that a file system of one's own cannot be mounted at or in.
const TAKEN: [&str; 15] = [
    "/bin",
    "/boot",
    "/dev",
    "/efi",
    "/etc",
    "/lib",
    "/lib64",
    "/nix",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/lost+found",
    "/var/lib/cairn",
];

/// Checks the partitions of the disk at a pointer.
pub(super) fn check(at: &str, disk: &Disk, loader: Loader, f: &mut Findings) {
    let list = child(at, "partitions");
    if disk.partitions.len() > MAX_PARTITIONS {
        // What else is wrong with so many is not worth anybody's time, and each is held against the others.
        return f.wrong(
            &list,
            format!("more than {MAX_PARTITIONS} partitions do not fit into the partition table"),
            "",
        );
    }
    for (i, partition) in disk.partitions.iter().enumerate() {
        let at = child(&list, i);
        sizes(&at, partition, f);
        kind(&at, partition, disk.is_mirror(i), f);
        label(&at, partition, f);
        growth(&at, partition, i + 1 == disk.partitions.len(), f);
        let same = |other: &Partition| other.id.is_some() && other.id == partition.id;
        if let Some(other) = disk.partitions[..i].iter().position(same) {
            let message = format!("partition {} has this id already", other + 1);
            f.wrong(child(&at, "id"), message, "each partition has an id of its own");
        }
    }
    how_many(&list, disk, f);
    boot_partitions::check(&list, disk, loader, f);
    if disk.table() == TableKind::Mbr {
        mbr(&list, disk, f);
    }
    mount_points(&list, disk, f);
    labels(&list, disk, f);
    room(at, disk, f);
}

fn sizes(at: &str, partition: &Partition, f: &mut Findings) {
    let sizes = [("size", partition.size), ("size_min", partition.size_min), ("size_max", partition.size_max)];
    for (key, size) in sizes {
        if let Some(size) = size
            && size.bytes() < GRAIN
        {
            let help = match size.bytes() {
                0 => "write for example 512M, or remove the line".to_owned(),
                bytes if size.bytes() <= 16384 => format!("did you mean `{key}: {bytes}M`?"),
                _ => String::new(),
            };
            let message = format!("{} bytes is less than 1M, the smallest partition", size.bytes());
            f.wrong(child(at, key), message, help);
        }
    }
    if partition.size.is_some() {
        for (key, given) in [
            ("size_min", partition.size_min.is_some()),
            ("size_max", partition.size_max.is_some()),
            ("weight", partition.weight.is_some()),
        ] {
            if given {
                let message = format!("`size` is exact, so `{key}` has no meaning beside it");
                f.wrong(child(at, key), message, "keep one of the two");
            }
        }
    }
    if let (Some(min), Some(max)) = (partition.size_min, partition.size_max)
        && min > max
    {
        f.wrong(child(at, "size_min"), format!("`size_min` ({min}) is greater than `size_max` ({max})"), "");
    }
    let sized = partition.size.is_some() || partition.size_min.is_some() || partition.weight.is_some();
    if partition.kind == PartitionKind::Swap && !sized {
        f.wrong(at, "the swap partition has no size", "write for example `size: 2G`");
    }
}

fn kind(at: &str, partition: &Partition, mirror: bool, f: &mut Findings) {
    use PartitionKind::{BiosBoot, Data, Esp, Home, Root, Swap, Xbootldr};
    let name = partition.kind.name();
    let allowed: &[FileSystem] = match partition.kind {
        Esp | Xbootldr => &[FileSystem::Vfat],
        Swap => &[FileSystem::Swap],
        Root | Home => &[FileSystem::Ext4],
        Data => &[FileSystem::Ext4, FileSystem::Vfat],
        BiosBoot => &[],
    };
    if let Some(format) = partition.format
        && !allowed.contains(&format)
    {
        let help = match allowed.first() {
            Some(best) => format!("write `format: {}`, or remove the line", best.name()),
            None => "remove the line".to_owned(),
        };
        f.wrong(child(at, "format"), format!("a partition of type {name} cannot be {}", format.name()), help);
    }
    let Some(path) = &partition.mount_point else {
        if partition.kind == Data {
            let help = "write for example `mount_point: /srv`";
            f.wrong(at, "the data partition has no `mount_point`", help);
        }
        return;
    };
    let at = child(at, "mount_point");
    let fixed: &[&str] = match partition.kind {
        Root => &["/"],
        Home => &["/home"],
        Esp if mirror => {
            if let Some((message, _)) = data_mount_point(path) {
                f.wrong(at, message, "a mirror has a place of its own: write for example `mount_point: /efi2`");
            }
            return;
        }
        Esp => &["/efi", "/boot", "/boot/efi"],
        Xbootldr => &["/boot"],
        Swap | BiosBoot => {
            f.wrong(at, format!("a partition of type {name} is not mounted"), "remove the line");
            return;
        }
        Data => {
            if let Some((message, help)) = data_mount_point(path) {
                f.wrong(at, message, help);
            }
            return;
        }
    };
    if !fixed.contains(&path.as_str()) {
        let help = format!("remove the line, or write {}; other places want `type: data`", fixed.join(" or "));
        f.wrong(at, format!("a partition of type {name} cannot be mounted at `{}`", short(path)), help);
    }
}

/// Why data cannot be mounted at a path, and what to do.
fn data_mount_point(path: &str) -> Option<(String, &'static str)> {
    let parts_are_well = path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
    if path == "/" {
        return Some(("the root file system is on a partition of type root".into(), "write `type: root`"));
    }
    if !path.starts_with('/') || !parts_are_well {
        let help = "write an absolute path without `..`, `//` and a `/` at the end, such as /srv/data";
        return Some((format!("`{}` is not a mount point", short(path)), help));
    }
    if !path.bytes().all(is_safe_in_a_path) {
        let help = "letters, digits and `._-+@` are safe in fstab and in unit names";
        return Some((format!("`{}` has characters that a mount point cannot have", short(path)), help));
    }
    let within = |folder: &str| path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    if let Some(folder) = TAKEN.iter().find(|folder| within(folder)) {
        let help = "choose a place under /home, /srv, /var or a folder of your own";
        return Some((format!("nothing can be mounted at `{}`: {folder} belongs to the system", short(path)), help));
    }
    if matches!(path, "/var" | "/var/lib") {
        let message = format!(
            "`{path}` must be on the root file system: the machine's state is needed before others are mounted"
        );
        return Some((message, "/var/log, /var/lib/NAME or /srv can be on a partition of their own"));
    }
    None
}

fn label(at: &str, partition: &Partition, f: &mut Findings) {
    let Some(label) = &partition.label else { return };
    let at = child(at, "label");
    let units = label.encode_utf16().count();
    if units > 36 {
        f.wrong(at, format!("the label has {units} UTF-16 units; a partition's name has room for 36"), "");
    } else if label.is_empty() || label.chars().any(char::is_control) {
        f.wrong(at, "a label is one line that is not empty", "remove the line for the default");
    }
}

fn growth(at: &str, partition: &Partition, last: bool, f: &mut Findings) {
    if partition.grow != Some(true) {
        return;
    }
    let at = child(at, "grow");
    if !last {
        f.wrong(at, "only the last partition can grow to the end of the disk", "put it last, or remove the line");
    } else if partition.file_system() != Some(FileSystem::Ext4) {
        f.wrong(at, "only an ext4 file system can grow", "remove the line");
    }
}

fn how_many(list: &str, disk: &Disk, f: &mut Findings) {
    let mut first: BTreeMap<PartitionKind, usize> = BTreeMap::new();
    for (i, partition) in disk.partitions.iter().enumerate() {
        if matches!(partition.kind, PartitionKind::Swap | PartitionKind::Data | PartitionKind::Esp) {
            continue;
        }
        if let Some(first) = first.insert(partition.kind, i) {
            let name = partition.kind.name();
            let message = format!("a second partition of type {name}; the first is item {} of the list", first + 1);
            f.wrong(child(child(list, i), "type"), message, "a disk has one of them");
        }
    }
    if !first.contains_key(&PartitionKind::Root) {
        f.wrong(list, "there is no partition of type root", "add `- type: root`");
    }
}

/// What an MBR has no room for.
fn mbr(list: &str, disk: &Disk, f: &mut Findings) {
    if disk.partitions.len() > MBR_PARTITIONS {
        let message = format!("an MBR has room for {MBR_PARTITIONS} partitions, and this is one more");
        f.wrong(child(list, MBR_PARTITIONS), message, "leave some out, or remove `table: mbr`");
    }
    for (i, partition) in disk.partitions.iter().enumerate() {
        let at = child(list, i);
        if partition.label.is_some() {
            f.wrong(child(&at, "label"), "partitions in an MBR have no names", "remove the line, or `table: mbr`");
        }
        if partition.id.is_some() {
            f.wrong(child(&at, "id"), "partitions in an MBR have no GUIDs", "remove the line, or `table: mbr`");
        }
        if partition.grow == Some(true) && partition.kind != PartitionKind::Root {
            let message = "an MBR cannot mark a partition that is to grow; only the root can";
            f.wrong(child(at, "grow"), message, "remove the line, or `table: mbr`");
        }
    }
}

fn mount_points(list: &str, disk: &Disk, f: &mut Findings) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (i, _) in disk.partitions.iter().enumerate() {
        let Some(path) = disk.mount_point(i) else { continue };
        let free = disk.partitions[i].kind == PartitionKind::Data || disk.is_mirror(i);
        if free && data_mount_point(&path).is_some() {
            continue;
        }
        // Two roots, two homes and the like have been said to be one too many.
        if let Some(other) = seen.insert(path.clone(), i)
            && (disk.partitions[i].kind != disk.partitions[other].kind
                || matches!(disk.partitions[i].kind, PartitionKind::Data | PartitionKind::Esp))
        {
            let at = match disk.partitions[i].mount_point {
                Some(_) => child(child(list, i), "mount_point"),
                None => child(list, i),
            };
            let message =
                format!("`{}` is the mount point of another partition, item {} of the list", short(&path), other + 1);
            f.wrong(at, message, "give each its own `mount_point`");
        }
    }
}

fn labels(list: &str, disk: &Disk, f: &mut Findings) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, partition) in disk.partitions.iter().enumerate() {
        if let Some(label) = &partition.label
            && let Some(other) = seen.insert(label, i)
        {
            let message = format!("another partition, item {} of the list, has the same label", other + 1);
            f.wrong(child(child(list, i), "label"), message, "give each its own label");
        }
    }
}

/// Whether what must be there fits into the size that is given.
fn room(at: &str, disk: &Disk, f: &mut Findings) {
    let Some(size) = disk.size.filter(|size| size.bytes() > 0) else { return };
    let least = |p: &Partition| p.size.or(p.size_min).unwrap_or_default().bytes().div_ceil(GRAIN).saturating_mul(GRAIN);
    // The partition tables at both ends take one grain each.
    let needed = disk.partitions.iter().fold(2 * GRAIN, |sum, partition| sum.saturating_add(least(partition)));
    if needed > size.bytes() {
        let needed = crate::size::Size::from_bytes(needed);
        let message = format!("the partitions need at least {needed}, more than the disk's size of {size}");
        f.wrong(child(at, "size"), message, "make the disk larger, or a partition smaller");
    }
}
