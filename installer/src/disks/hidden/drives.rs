//! Drives that are seen and cannot be used: locked ones, dead ones, ones that take no writes.

use std::path::Path;

use cairn_root::Root;

use super::{names, text};
use crate::disks::{Device, Kind, sysfs};

/// What is odd about them.
pub fn odd(root: &Root, devices: &[Device]) -> Vec<String> {
    let mut all = locked(root, devices);
    all.extend(names(root, NVME).iter().filter_map(|name| nvme(root, name)));
    all.extend(devices.iter().filter_map(|device| read_only(root, device)));
    all
}

const ATA: &str = "sys/class/ata_device";
const NVME: &str = "sys/class/nvme";

/// Words of an ATA drive's own description (ACS, IDENTIFY DEVICE).
const MODEL: std::ops::Range<usize> = 27..47;
const SECURITY: usize = 128;
const LOCKED: u16 = 1 << 2;

/// Drives with a password of their own, which nobody has given.
fn locked(root: &Root, devices: &[Device]) -> Vec<String> {
    let one = |name: String| {
        let words = text(root, Path::new(ATA).join(&name).join("id"))?;
        let words: Option<Vec<u16>> = words.split_ascii_whitespace().map(|w| u16::from_str_radix(w, 16).ok()).collect();
        let words = words?;
        if words.get(SECURITY)? & LOCKED == 0 {
            return None;
        }
        let model: Vec<u8> = words.get(MODEL)?.iter().flat_map(|word| word.to_be_bytes()).collect();
        let model = String::from_utf8_lossy(&model).trim().to_string();
        let port = root.inside(Path::new(ATA).join(&name)).ok()??;
        let port = port.path().strip_prefix(root.path()).ok()?.iter().find(|part| is_port(part))?;
        let on_port = |device: &&Device| {
            device.kind == Kind::Disk
                && sysfs::real_path(root, &device.name).is_some_and(|path| path.iter().any(|part| part == port))
        };
        let disk = devices.iter().find(on_port).map_or(port.to_string_lossy().into_owned(), |disk| disk.name.clone());
        Some(format!(
            "the drive {disk} ({model}) is locked by its own password (ATA security), and can be neither read nor written: give the \
             password in the firmware's setup (look for \"HDD password\", \"Drive lock\" or \"Security\"), or to \
             `hdparm --security-unlock`"
        ))
    };
    names(root, ATA).into_iter().filter_map(one).collect()
}

/// `ata1`.
fn is_port(part: &std::ffi::OsStr) -> bool {
    part.to_str()
        .and_then(|part| part.strip_prefix("ata"))
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

/// A controller of an NVMe disk without anything that data could go to.
fn nvme(root: &Root, name: &str) -> Option<String> {
    let folder = Path::new(NVME).join(name);
    let of = |attribute: &str| text(root, folder.join(attribute));
    if of("transport").is_some_and(|transport| transport != "pcie") {
        return None;
    }
    let (model, at) = (of("model").unwrap_or_else(|| "no model".into()), of("address").unwrap_or_else(|| name.into()));
    let state = of("state").unwrap_or_else(|| "live".into());
    if state != "live" {
        return Some(format!(
            "the NVMe disk {name} ({model}, at {at}) does not answer (its state is `{state}`): `dmesg` says why; switching the computer \
             off and on again may help"
        ));
    }
    let space = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with(['n', 'c']));
    (!names(root, &folder).iter().any(space)).then(|| {
        format!(
            "the NVMe disk {name} ({model}, at {at}) has no namespace, so nothing can be written to it: make one (`nvme create-ns`, \
             `nvme attach-ns`), or it is locked: look for \"SSD password\" or \"Drive lock\" in the firmware's setup"
        )
    })
}

/// A drive that takes no writes, or soon will not.
fn read_only(root: &Root, device: &Device) -> Option<String> {
    let name = &device.name;
    let wears_out = sysfs::attribute(root, name, "device/pre_eol_info").is_some_and(|level| level == "0x03");
    match (device.kind, device.transport, device.read_only) {
        (Kind::Disk, Some("sd"), true) => Some(format!(
            "the memory card {name} is write protected: slide the switch at its side, if it has one; a card that is worn out becomes \
             read only as well"
        )),
        (Kind::Disk, Some("mmc"), true) => Some(format!(
            "the eMMC {name} is read only{}: in the firmware's setup, look for \"eMMC\" and \"write protect\"; one that is worn out stays \
             so and has to be replaced",
            if wears_out { ", and says that it is worn out" } else { "" }
        )),
        (Kind::Disk, Some("mmc"), false) if wears_out => {
            Some(format!("the eMMC {name} says that its spare blocks are nearly used up: it will soon be read only"))
        }
        (Kind::Disk, Some("sata" | "nvme" | "usb" | "sas"), true) if device.bytes > 0 => Some(format!(
            "the disk {name} is read only: look for a switch at its case, and for \"write protect\" in the firmware's setup; a drive \
             that is worn out may become read only as well"
        )),
        _ => None,
    }
}
