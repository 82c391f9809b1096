//! By what a disk is found again: what it says of itself, and the links that udev makes of that.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use cairn_root::Root;
use serde::Serialize;

use super::facts::Facts;
use super::{Device, Kind, sysfs};

/// Where udev's links are.
const LINKS: &str = "dev/disk/by-id";

/// What a disk says of itself. All of it may be missing, and wrong: cheap disks share serial numbers and WWNs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Its model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its world wide name (`0x5002538…`, `eui.0025…`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wwn: Option<String>,
    /// Its names in `/dev/disk/by-id`, sorted; of two disks with the same name udev gives it to one.
    pub by_id: Vec<String>,
    /// The name of an array or volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// All links, by the device that they lead to.
#[derive(Debug)]
pub struct Names<'r> {
    root: &'r Root,
    links: BTreeMap<String, Vec<String>>,
}

impl<'r> Names<'r> {
    /// Reads them.
    pub fn read(root: &'r Root) -> Names<'r> {
        let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in root.names(LINKS).ok().flatten().unwrap_or_default() {
            let Ok(Some(target)) = root.link(Path::new(LINKS).join(&name)) else { continue };
            if let (Some(device), Ok(name)) = (target.file_name().and_then(|d| d.to_str()), name.into_string()) {
                links.entry(device.to_string()).or_default().push(name);
            }
        }
        links.values_mut().for_each(|names| names.sort());
        Names { root, links }
    }

    /// Says who a device is.
    pub fn complete(&self, device: &mut Device, facts: &Facts) {
        let node = device.name.rsplit('/').next().unwrap_or(&device.name);
        let sys = device.name.replace('/', "!");
        let of = |path: &str| sysfs::attribute(self.root, &sys, path);
        let fact = |key: &str| facts.get(key);
        device.identity = Identity { by_id: self.links.get(node).cloned().unwrap_or_default(), ..Identity::default() };
        let identity = &mut device.identity;
        identity.name = of("dm/name").or_else(|| of("md/array_name")).or_else(|| fact("MD_NAME"));
        if !matches!(device.kind, Kind::Disk | Kind::Optical | Kind::Multipath) {
            return;
        }
        let vendor = of("device/vendor").filter(|vendor| vendor != "ATA" && !vendor.starts_with("0x"));
        let model = of("device/model").or_else(|| of("device/name")).or_else(|| fact("ID_MODEL"));
        identity.model = match (vendor, model) {
            (Some(vendor), Some(model)) if !model.starts_with(&vendor) => Some(format!("{vendor} {model}")),
            (vendor, model) => model.or(vendor),
        };
        let own =
            || of("serial").or_else(|| of("device/serial")).or_else(|| self.page(&sys)).or_else(|| self.usb(&sys));
        let serial = fact("ID_SCSI_SERIAL").or_else(|| fact("ID_SERIAL_SHORT")).or_else(own);
        identity.serial = serial.filter(|serial| !says_nothing(serial));
        let wwn = || fact("ID_WWN_WITH_EXTENSION").or_else(|| fact("ID_WWN"));
        identity.wwn = wwn().or_else(|| of("wwid")).or_else(|| of("device/wwid"));
    }

    /// The page of a SCSI disk with its serial number (SPC, "unit serial number"), after four bytes of its own.
    fn page(&self, device: &str) -> Option<String> {
        let path = Path::new("sys/class/block").join(device).join("device/vpd_pg80");
        let page = self.root.read(path, 4096).ok()??;
        let text = String::from_utf8_lossy(page.get(4..)?).trim().to_string();
        (!text.is_empty()).then_some(text)
    }

    /// The serial number of the USB device that a disk is in.
    fn usb(&self, device: &str) -> Option<String> {
        let path = sysfs::real_path(self.root, device)?;
        let folder = path.ancestors().find(|up| {
            let usb = up.join("bDeviceClass");
            self.root.metadata(usb).ok().flatten().is_some()
        })?;
        let text = self.root.read_text(folder.join("serial"), 4096).ok()??;
        Some(text.trim().to_string()).filter(|text| !text.is_empty())
    }
}

/// What stands where a serial number should be, on disks that have none.
fn says_nothing(serial: &str) -> bool {
    let bare = serial.trim_matches(|c: char| matches!(c, '0' | 'f' | 'F' | 'x' | '-' | '.' | ' '));
    bare.is_empty() || ["(null)", "none", "default string"].iter().any(|word| serial.eq_ignore_ascii_case(word))
}

/// The name of the device that a node or link in `/dev` leads to, on the computer that `root` shows.
pub fn name_of(root: &Path, node: &Path) -> Option<String> {
    let root = Root::open(root).ok()?;
    let mut at = node.to_path_buf();
    // udev's links lead to a node at once; a link to such a link is somebody's own.
    for _ in 0..LINKS_AT_MOST {
        match root.link(&at) {
            Ok(Some(target)) => at = resolved(at.parent()?, &target),
            _ => break,
        }
    }
    Some(at.strip_prefix("/dev").ok()?.to_str()?.to_string())
}

/// How many links may lead to each other.
const LINKS_AT_MOST: usize = 8;

/// A link's target, seen from its folder, without `..`.
fn resolved(folder: &Path, target: &Path) -> PathBuf {
    let mut path = if target.is_absolute() { PathBuf::new() } else { folder.to_path_buf() };
    for part in target.components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_to_a_device() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("dev/disk/by-id")).unwrap();
        std::fs::create_dir_all(dir.path().join("home")).unwrap();
        symlink("../../sda", dir.path().join("dev/disk/by-id/ata-x")).unwrap();
        symlink("/dev/disk/by-id/ata-x", dir.path().join("home/target")).unwrap();
        symlink("loop", dir.path().join("dev/loop")).unwrap();
        symlink("/etc/passwd", dir.path().join("dev/out")).unwrap();
        let name = |node: &str| name_of(dir.path(), Path::new(node));
        for node in ["/dev/sda", "/dev/disk/by-id/ata-x", "/home/target"] {
            assert_eq!(name(node).as_deref(), Some("sda"), "{node}");
        }
        assert_eq!(name("/dev/mapper/x").as_deref(), Some("mapper/x"));
        assert_eq!((name("/dev/out"), name("/home")), (None, None));
        assert_eq!(name("/dev/loop").as_deref(), Some("loop"));
    }
}
