//! The block devices that there are, as a person knows them.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;

use super::super::devices::has_partitions;
use super::tag::{self, Tag};
use crate::error::{Context, Error};

const FOLDER: &str = "/sys/class/block";
/// What is on no medium, by the letters of its name. Floppy disks take seconds to say that they are empty.
const OTHERS: [&str; 8] = ["fd", "ram", "zram", "loop", "mtd", "nbd", "gnbd", "btibm"];

/// A block device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The kernel's name.
    pub name: String,
    /// Of a disk as a whole; otherwise of a partition.
    pub whole: bool,
    /// Whether a table divides it.
    pub divided: bool,
    /// Sectors of 512 bytes, as sysfs has them.
    pub sectors: u64,
    removable: bool,
    model: String,
}

impl Device {
    /// Its node.
    pub fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// For a person: node, model and size.
    pub fn describe(&self) -> String {
        let model = if self.model.is_empty() { String::new() } else { format!("{}, ", self.model) };
        format!("/dev/{} ({model}{})", self.name, size(self.sectors))
    }
}

/// All of them; those first that are most likely a medium.
pub fn all() -> Vec<Device> {
    let mut all: Vec<Device> = fs::read_dir(FOLDER)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(device(&entry.path(), entry.file_name().to_str()?)))
        .filter(|device| !OTHERS.contains(&device.name.trim_end_matches(|c: char| c.is_ascii_digit())))
        .collect();
    all.sort_by_key(|device| (!device.removable, device.name.len(), device.name.clone()));
    all
}

fn device(at: &Path, name: &str) -> Device {
    let text = |file: &str| fs::read_to_string(at.join(file)).map(|text| text.trim().to_string()).unwrap_or_default();
    let words = ["device/vendor", "device/model", "device/name", "dm/name"].map(text);
    Device {
        name: name.into(),
        whole: !at.join("partition").exists(),
        divided: has_partitions(at, name),
        sectors: text("size").parse().unwrap_or(0),
        removable: text("removable") == "1",
        // Virtio's vendor is a number.
        model: words
            .iter()
            .filter(|word| !word.is_empty() && !word.starts_with("0x"))
            .cloned()
            .collect::<Vec<_>>()
            .join(" "),
    }
}

/// A size as it is printed on disks.
fn size(sectors: u64) -> String {
    let megabytes = sectors / 1953;
    match megabytes {
        0 => "empty".into(),
        1..10_000 => format!("{megabytes} MB"),
        _ => format!("{}.{} GB", megabytes / 1000, megabytes / 100 % 10),
    }
}

/// The tag of a device or file, if it has one and is as long as that says.
///
/// # Errors
/// When there is a tag that cannot be used, or nothing can be read: why, as the end of a sentence about it.
pub fn tag_of(node: &Path) -> Result<Option<Tag>, Error> {
    // Without waiting for a disc, and without pulling in somebody's open tray.
    let opened = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(node);
    tag_in(opened.context("it cannot be opened")?)
}

/// The same of what is open.
pub fn tag_in(mut device: File) -> Result<Option<Tag>, Error> {
    let length = device.seek(SeekFrom::End(0)).context("it cannot be read")?;
    if length < tag::OFFSET + tag::LENGTH as u64 {
        return Ok(None);
    }
    let mut bytes = [0; tag::LENGTH];
    device.read_exact_at(&mut bytes, tag::OFFSET).context("it cannot be read")?;
    match Tag::parse(&bytes)? {
        Some(tag) if tag.end() > length => Err(Error::new(format!(
            "it is a medium that is not whole: of {} bytes there are {length}; write it again",
            tag.end()
        ))),
        tag => Ok(tag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_knows_a_device_by_its_model_and_size() {
        let dir = std::env::temp_dir().join(format!("cairn-stage1-names-{}", std::process::id()));
        for (path, text) in [
            ("sdb/device/vendor", "SanDisk \n"),
            ("sdb/device/model", "Ultra           \n"),
            ("sdb/size", "60062500\n"),
            ("sdb/removable", "1\n"),
            ("sdb/sdb1/partition", "1\n"),
            ("vda/device/vendor", "0x1af4\n"),
            ("vda/size", "8388608\n"),
            ("sdb1/partition", "1\n"),
        ] {
            fs::create_dir_all(dir.join(path).parent().unwrap()).unwrap();
            fs::write(dir.join(path), text).unwrap();
        }
        let [stick, disk, part] = ["sdb", "vda", "sdb1"].map(|name| device(&dir.join(name), name));
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(stick.describe(), "/dev/sdb (SanDisk Ultra, 30.7 GB)");
        assert!(stick.whole && stick.divided && stick.removable);
        assert_eq!(disk.describe(), "/dev/vda (4295 MB)");
        assert!(disk.whole && !disk.divided && !disk.removable && !part.whole);
        assert_eq!(size(0), "empty");
    }

    #[test]
    fn a_medium_that_was_cut_short_is_told_from_none() {
        let path = std::env::temp_dir().join(format!("cairn-stage1-tag-{}", std::process::id()));
        let mut bytes = vec![0; 1 << 20];
        let write = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
        let read = || tag_of(&path).map_err(|error| error.to_string());
        write(&bytes);
        assert_eq!(read(), Ok(None));
        let text = format!(
            "CAIRN MEDIUM 1\nroot-hash {}\npayload 65536 4096\nhashes 69632 4096\nspare 73728 4096\n",
            "ab".repeat(32)
        );
        let at = usize::try_from(tag::OFFSET).unwrap();
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        for (length, there) in [(77_824, true), (77_823, false), (65_536, false), (65_535, false)] {
            write(&bytes[..length]);
            let tag = read();
            assert_eq!(matches!(tag, Ok(Some(_))), there, "{length}: {tag:?}");
        }
        assert_eq!(read(), Ok(None));
        write(&bytes[..70_000]);
        assert!(read().unwrap_err().contains("of 77824 bytes there are 70000"));
        fs::remove_file(&path).unwrap();
        assert!(read().unwrap_err().starts_with("it cannot be opened"));
    }
}
