//! What somebody else found out of a device, by udev's names for it (`ID_FS_TYPE`, `ID_SERIAL_SHORT`, …): blkid of today, and
//! before it udev's notes of when the device came.

use std::collections::BTreeMap;
use std::path::Path;

use cairn_process::{Tool, ToolError};
use cairn_root::Root;
use uuid::Uuid;

use super::{Device, Kind};

/// Of one device.
#[derive(Debug, Default)]
pub struct Facts {
    /// Somebody has looked into it.
    pub looked: bool,
    known: BTreeMap<String, String>,
}

impl Facts {
    /// One of them; nothing instead of an empty one.
    pub fn get(&self, key: &str) -> Option<String> {
        self.known.get(key).filter(|text| !text.is_empty()).cloned()
    }
}

/// No device of udev's has more to say.
const MOST: u64 = 1 << 20;

/// What is known of each device, by its name.
pub fn of(root: &Root, devices: &[Device]) -> BTreeMap<String, Facts> {
    let mut all: BTreeMap<String, Facts> =
        devices.iter().map(|device| (device.name.clone(), udev(root, &device.number))).collect();
    if root.is_host() {
        for (name, found) in blkid(devices) {
            let facts = all.entry(name).or_default();
            // What was in it earlier counts no more.
            facts.known.retain(|key, _| !key.starts_with("ID_FS_") && !key.starts_with("ID_PART_"));
            facts.known.extend(found);
            facts.looked = true;
        }
    }
    all
}

/// udev's notes: `E:KEY=VALUE`.
fn udev(root: &Root, number: &str) -> Facts {
    let text = root.read_text(Path::new("run/udev/data").join(format!("b{number}")), MOST).ok().flatten();
    let looked = text.is_some();
    let text = text.unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.strip_prefix("E:")?.split_once('='));
    Facts { looked, known: lines.map(|(key, value)| (key.to_string(), value.to_string())).collect() }
}

/// What blkid says of those that may be opened.
fn blkid(devices: &[Device]) -> BTreeMap<String, BTreeMap<String, String>> {
    // To open the drive of a floppy disk takes seconds.
    let worth = devices.iter().filter(|device| device.bytes > 0 && device.kind != Kind::Floppy);
    let nodes: Vec<String> = worth.map(|device| format!("/dev/{}", device.name)).collect();
    if nodes.is_empty() || !nodes.iter().any(|node| std::fs::File::open(node).is_ok()) {
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    for node in nodes {
        let tool = Tool::new("blkid", "util-linux", "see what is on disks").args(["-p", "-o", "export"]).arg(&node);
        let name = node.trim_start_matches("/dev/").to_string();
        match tool.output() {
            Ok(bytes) => drop(found.insert(name, exported(&String::from_utf8_lossy(&bytes)))),
            // 2: nothing is in it.
            Err(ToolError::Failed { status, .. }) if status.code() == Some(2) => {
                drop(found.insert(name, BTreeMap::new()))
            }
            // 8: two signatures, and it does not know which one counts.
            Err(ToolError::Failed { status, .. }) if status.code() == Some(8) => {
                let several = [("ID_FS_TYPE", "ambiguous"), ("ID_FS_USAGE", "other")];
                found.insert(name, several.map(|(k, v)| (k.to_string(), v.to_string())).into_iter().collect());
            }
            Err(_) => {}
        }
    }
    found
}

/// `blkid -o export`: `KEY=VALUE`, with a backslash before what a shell would take.
fn exported(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let facts = lines.map(|(key, value)| {
        let key = match key {
            "TYPE" | "USAGE" | "UUID" | "LABEL" | "VERSION" => format!("ID_FS_{key}"),
            "PTTYPE" => "ID_PART_TABLE_TYPE".into(),
            "PTUUID" => "ID_PART_TABLE_UUID".into(),
            other => format!("ID_{other}"),
        };
        let mut plain = String::new();
        let mut characters = value.chars();
        while let Some(c) = characters.next() {
            plain.extend(if c == '\\' { characters.next() } else { Some(c) });
        }
        (key, plain)
    });
    facts.collect()
}

/// Undoes udev's `\x20` for a blank, and so on.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = || u8::from_str_radix(std::str::from_utf8(after.strip_prefix(b"x")?.get(..2)?).ok()?, 16).ok();
        match (*first == b'\\').then(digits).flatten() {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a partition's type is for, in words; what nobody here knows has none.
pub fn type_words(type_id: &str) -> Option<&'static str> {
    if let Some(number) = type_id.strip_prefix("0x") {
        return match u8::from_str_radix(number, 16).ok()? {
            0x05 | 0x0f | 0x85 => Some("extended"),
            0x07 => Some("Windows data"),
            0x0b | 0x0c | 0x0e | 0x06 => Some("FAT"),
            0x27 => Some("Windows recovery"),
            0x42 => Some("Windows dynamic disk"),
            0x82 => Some("swap"),
            0x83 => Some("Linux"),
            0x8e => Some("LVM"),
            0xee => Some("protects a GPT"),
            0xef => Some("EFI system"),
            0xfd => Some("RAID"),
            _ => None,
        };
    }
    let guid = Uuid::try_parse(type_id).ok()?;
    let others = [
        ("e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved"),
        ("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Windows data"),
        ("de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery"),
        ("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "Windows dynamic disk"),
        ("af9b60a0-1431-4f62-bc68-3311714a69ad", "Windows dynamic disk"),
        ("e75caf8f-f680-4cee-afa3-b001e56efc2d", "Windows storage spaces"),
        ("0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux"),
        ("e6d6d379-f507-44c2-a23c-238f2a3df928", "LVM"),
        ("a19d880f-05fc-4d3b-a006-743f0f84911e", "RAID"),
        ("ca7d7ccb-63ed-4c53-861c-1742536059cc", "LUKS"),
        ("6a898cc3-1dd2-11b2-99a6-080020736631", "ZFS"),
        ("7c3457ef-0000-11aa-aa11-00306543ecac", "Apple APFS"),
        ("48465300-0000-11aa-aa11-00306543ecac", "Apple HFS+"),
        ("53746f72-6167-11aa-aa11-00306543ecac", "Apple Core Storage"),
        ("426f6f74-0000-11aa-aa11-00306543ecac", "Apple boot"),
        ("6a945a3b-1dd2-11b2-99a6-080020736631", "Solaris reserved"),
    ];
    let other = others.iter().find(|(of, _)| Uuid::try_parse(of) == Ok(guid));
    other.map(|(_, words)| *words).or_else(|| cairn_layout::type_name(guid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blkid_exports_has_udevs_names() {
        let facts =
            exported("DEVNAME=/dev/sda1\nLABEL=a\\ b\\\"c\\\\\nTYPE=ext4\nUSAGE=filesystem\nPART_ENTRY_NAME=x\\ y\n");
        let of = |key: &str| facts.get(key).map(String::as_str);
        assert_eq!((of("ID_FS_LABEL"), of("ID_FS_TYPE")), (Some("a b\"c\\"), Some("ext4")));
        assert_eq!(of("ID_PART_ENTRY_NAME"), Some("x y"));
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(decoded(r"EFI\x20system\x20partition"), "EFI system partition");
        assert_eq!(decoded(r"a\x5cb\xzz\x2"), r"a\b\xzz\x2");
        assert_eq!(decoded(r"\xc3\xbc"), "ü");
    }

    #[test]
    fn types_have_words() {
        assert_eq!(type_words("0x8e"), Some("LVM"));
        assert_eq!(type_words("C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), Some("esp"));
        assert_eq!(type_words("0FC63DAF-8483-4772-8E79-3D69D8477DE4"), Some("Linux"));
        assert_eq!((type_words("0x99"), type_words("nonsense")), (None, None));
    }
}
