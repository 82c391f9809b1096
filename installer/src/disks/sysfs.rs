//! Block devices as sysfs shows them (kernel, `ABI/stable/sysfs-block`).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cairn_root::Root;

use super::{Contents, Device, Identity, Kind, Partition};
use crate::hardware::ObserveError;

/// An attribute has a page at most.
const MOST: u64 = 64 << 10;
const CLASS: &str = "sys/class/block";
/// sysfs counts in these, whatever the sectors of the disk.
const UNIT: u64 = 512;

/// The devices there are, by name, numbers by their value: sda2 before sda10.
pub fn devices(root: &Root) -> Result<Vec<Device>, ObserveError> {
    let read = |source| ObserveError::Read { path: root.shown(CLASS), source };
    let names = root.names(CLASS).map_err(read)?.ok_or_else(|| ObserveError::NoSys(root.shown("sys")))?;
    let mut devices: Vec<Device> = names.into_iter().filter_map(|name| device(root, name)).collect();
    devices.sort_by_cached_key(|device| natural(&device.name));
    Ok(devices)
}

/// The text of a device's attribute, without the blanks that disks fill up with. What cannot be read says nothing.
pub fn attribute(root: &Root, device: &str, path: &str) -> Option<String> {
    text(root, &Path::new(CLASS).join(device).join(path))
}

fn text(root: &Root, path: &Path) -> Option<String> {
    let bytes = root.read(path, MOST).ok()??;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_string())
}

fn device(root: &Root, name: OsString) -> Option<Device> {
    // A name that is no text is none of the kernel's.
    let name = name.into_string().ok()?;
    let of = |path: &str| attribute(root, &name, path);
    let number_of = |path: &str| of(path).and_then(|text| text.parse::<u64>().ok());
    let real = root.inside(Path::new(CLASS).join(&name)).ok()??;
    let path = real.path().strip_prefix(root.path()).ok()?.to_path_buf();
    let kind = kind(root, &name);
    let bytes = number_of("size")?.saturating_mul(UNIT);
    let idle = matches!(kind, Kind::Loop) && bytes == 0;
    if kind == Kind::Memory || idle || of("hidden").as_deref() == Some("1") {
        return None;
    }
    let partition = match number_of("partition") {
        None => None,
        Some(number) => Some(Partition {
            disk: path.parent()?.file_name()?.to_str()?.replace('!', "/"),
            number: u32::try_from(number).ok()?,
            offset: number_of("start")?.saturating_mul(UNIT),
            ..Partition::default()
        }),
    };
    // What the disk has of these, its partitions have.
    let of_disk = |attribute: &str| number_of(attribute).or_else(|| number_of(&format!("../{attribute}")));
    let near = |folder: &str| {
        let names = root.names(Path::new(CLASS).join(&name).join(folder)).ok().flatten().unwrap_or_default();
        let mut names: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
        names.sort_by_cached_key(|name| natural(name));
        names
    };
    Some(Device {
        number: of("dev")?,
        bytes,
        sector_size: of_disk("queue/logical_block_size").unwrap_or(UNIT),
        physical_sector_size: of_disk("queue/physical_block_size").unwrap_or(UNIT),
        read_only: number_of("ro") == Some(1),
        removable: of_disk("removable") == Some(1),
        rotational: of_disk("queue/rotational") == Some(1),
        transport: (kind == Kind::Disk || kind == Kind::Optical).then(|| transport(root, &name, &path)).flatten(),
        identity: Identity::default(),
        partition,
        contents: Contents::default(),
        held_by: near("holders"),
        lies_on: near("slaves"),
        uses: Vec::new(),
        kind,
        name: name.replace('!', "/"),
    })
}

/// Whether the partitions in a file that is shown as a disk are devices of their own (`losetup --partscan`).
pub fn shows_partitions(device: &Device) -> bool {
    let says = Root::open(Path::new("/")).ok().and_then(|root| attribute(&root, &device.name, "loop/partscan"));
    says.is_none_or(|says| says != "0")
}

/// Names are the kernel's own choice (`Documentation/admin-guide/devices.txt`), and attributes only some have.
fn kind(root: &Root, name: &str) -> Kind {
    let has = |path: &str| root.metadata(Path::new(CLASS).join(name).join(path)).ok().flatten().is_some();
    if has("partition") {
        return Kind::Partition;
    }
    if let Some(uuid) = attribute(root, name, "dm/uuid") {
        let begins = |word: &str| uuid.starts_with(word);
        return match () {
            () if begins("CRYPT-") => Kind::Crypt,
            () if begins("LVM-") => Kind::LogicalVolume,
            () if begins("mpath-") => Kind::Multipath,
            () if begins("DMRAID-") => Kind::Raid,
            // kpartx makes a partition's device of its own: part2-mpath-….
            () if begins("part") && uuid.contains("-mpath-") => Kind::Partition,
            () => Kind::Mapped,
        };
    }
    let boot_area = || name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        _ if has("dm") => Kind::Mapped,
        _ if has("md") => Kind::Raid,
        _ if has("bcache/label") => Kind::Bcache,
        _ if boot_area() => Kind::BootArea,
        "loop" => Kind::Loop,
        "ram" | "zram" => Kind::Memory,
        "sr" => Kind::Optical,
        "fd" => Kind::Floppy,
        "bcache" => Kind::Bcache,
        "zd" => Kind::Zvol,
        _ => Kind::Disk,
    }
}

/// How a disk is reached, by the devices on the way to it.
fn transport(root: &Root, name: &str, path: &Path) -> Option<&'static str> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let begins = |word: &str| {
        parts
            .iter()
            .any(|part| part.strip_prefix(word).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())))
    };
    if name.starts_with("nvme") {
        return Some(match attribute(root, name, "device/transport").as_deref() {
            Some("tcp" | "rdma" | "fc" | "loop") => "nvme-of",
            _ => "nvme",
        });
    }
    if begins("mmc") {
        return Some(if attribute(root, name, "device/type").as_deref() == Some("SD") { "sd" } else { "mmc" });
    }
    match () {
        () if begins("usb") => Some("usb"),
        () if begins("session") => Some("iscsi"),
        () if begins("rport-") => Some("fc"),
        () if begins("ata") => Some("sata"),
        () if begins("virtio") => Some("virtio"),
        () if begins("expander-") || begins("end_device-") => Some("sas"),
        () if begins("vbd-") => Some("xen"),
        () if parts.iter().any(|part| part.to_ascii_lowercase().starts_with("vmbus")) => Some("hyper-v"),
        () if begins("fw") => Some("firewire"),
        () if begins("host") => Some("scsi"),
        () => None,
    }
}

/// A name in parts, so that numbers count by their value.
fn natural(name: &str) -> Vec<(String, Option<u64>)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[word..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |at| word + at);
        parts.push((rest[..word].to_string(), rest[word..digits].parse().ok()));
        rest = &rest[digits..];
    }
    parts
}

/// A folder of devices, for who walks up from one.
pub fn real_path(root: &Root, device: &str) -> Option<PathBuf> {
    let real = root.inside(Path::new(CLASS).join(device.replace('/', "!"))).ok()??;
    Some(real.path().strip_prefix(root.path()).ok()?.to_path_buf())
}
