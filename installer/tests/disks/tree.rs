//! A computer's `/sys`, `/run/udev`, `/dev/disk` and `/proc` in a folder, as the kernel and udev would show them.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cairn_installer::disks::{Device, Stack, look};
use tempfile::TempDir;

/// The folder.
pub struct Tree {
    folder: TempDir,
    minor: u32,
    mounts: String,
    swaps: String,
}

/// Where most disks of a PC hang.
pub const SATA: &str = "pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0";
pub const NVME: &str = "pci0000:00/0000:00:06.0/nvme/nvme0";
pub const VIRTIO: &str = "pci0000:00/0000:00:05.0/virtio1";
pub const USB: &str = "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0";

impl Tree {
    pub fn new() -> Tree {
        let folder = tempfile::tempdir().unwrap();
        for path in ["sys/class/block", "sys/devices", "sys/dev/block", "run/udev/data", "dev/disk/by-id", "proc/self"]
        {
            fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        Tree { folder, minor: 0, mounts: String::new(), swaps: "Filename\tType\tSize\tUsed\tPriority\n".into() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn put(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn node(&mut self, devices: &str, name: &str, bytes: u64) -> PathBuf {
        self.minor += 1;
        let folder = Path::new("sys/devices").join(devices).join(name);
        let number = format!("8:{}", self.minor);
        fs::create_dir_all(self.path().join(&folder).join("holders")).unwrap();
        fs::create_dir_all(self.path().join(&folder).join("slaves")).unwrap();
        self.put(folder.join("size"), &format!("{}\n", bytes / 512));
        self.put(folder.join("dev"), &format!("{number}\n"));
        self.put(folder.join("ro"), "0\n");
        let up = format!("../../devices/{devices}/{name}");
        symlink(up, self.path().join("sys/class/block").join(name)).unwrap();
        symlink(format!("../../devices/{devices}/{name}"), self.path().join("sys/dev/block").join(&number)).unwrap();
        self.udev(name, &[]);
        folder
    }

    /// A disk, with attributes such as `device/model`. Those of `device/` belong to the folder that it hangs on.
    pub fn disk(&mut self, devices: &str, name: &str, bytes: u64, attributes: &[(&str, &str)]) {
        let folder = self.node(&format!("{devices}/block"), name, bytes);
        for (path, text) in [
            ("queue/logical_block_size", "512"),
            ("queue/physical_block_size", "512"),
            ("queue/rotational", "0"),
            ("removable", "0"),
        ] {
            self.put(folder.join(path), &format!("{text}\n"));
        }
        symlink("../..", self.path().join(&folder).join("device")).unwrap();
        for (path, text) in attributes {
            match path.strip_prefix("device/") {
                Some(path) => self.put(Path::new("sys/devices").join(devices).join(path), &format!("{text}   \n")),
                None => self.put(folder.join(path), &format!("{text}\n")),
            }
        }
    }

    /// A partition of a disk: its number, its first sector and its sectors of 512 bytes.
    pub fn partition(&mut self, disk: &str, name: &str, (number, start, sectors): (u32, u64, u64)) {
        let link = fs::read_link(self.path().join("sys/class/block").join(disk)).unwrap();
        let devices = link.to_str().unwrap().strip_prefix("../../devices/").unwrap().to_string();
        let folder = self.node(&devices, name, sectors * 512);
        self.put(folder.join("partition"), &format!("{number}\n"));
        self.put(folder.join("start"), &format!("{start}\n"));
    }

    /// Something that lies on other devices, with attributes such as `dm/uuid`.
    pub fn upon(&mut self, below: &[&str], name: &str, bytes: u64, attributes: &[(&str, &str)]) {
        let folder = self.node("virtual/block", name, bytes);
        for (path, text) in attributes {
            self.put(folder.join(path), &format!("{text}\n"));
        }
        for one in below {
            let holders = self.path().join("sys/class/block").join(one).join("holders");
            fs::write(holders.join(name), "").unwrap();
            fs::write(self.path().join(&folder).join("slaves").join(one), "").unwrap();
        }
    }

    /// A device on PCI, with attributes and perhaps a driver.
    pub fn pci(&self, address: &str, (class, vendor, device): (&str, &str, &str), driver: Option<&str>) {
        let folder = Path::new("sys/devices/pci0000:00").join(address);
        for (name, text) in [("class", class), ("vendor", vendor), ("device", device)] {
            self.put(folder.join(name), &format!("{text}\n"));
        }
        if let Some(driver) = driver {
            symlink(format!("../../../bus/pci/drivers/{driver}"), self.path().join(&folder).join("driver")).unwrap();
        }
        let bus = self.path().join("sys/bus/pci/devices");
        fs::create_dir_all(&bus).unwrap();
        symlink(format!("../../../devices/pci0000:00/{address}"), bus.join(address)).unwrap();
    }

    fn number(&self, name: &str) -> String {
        fs::read_to_string(self.path().join("sys/class/block").join(name).join("dev")).unwrap().trim().to_string()
    }

    /// What udev has noted.
    pub fn udev(&mut self, name: &str, facts: &[(&str, &str)]) {
        let number = self.number(name);
        let mut text = String::from("I:1\n");
        for (key, value) in facts {
            let _ = writeln!(text, "E:{key}={value}");
        }
        self.put(format!("run/udev/data/b{number}"), &text);
    }

    pub fn link(&self, id: &str, name: &str) {
        symlink(format!("../../{name}"), self.path().join("dev/disk/by-id").join(id)).unwrap();
    }

    pub fn mount(&mut self, name: &str, at: &str) {
        let number = self.number(name);
        self.mount_as(&number, &format!("/dev/{name}"), "ext4", at);
    }

    pub fn mount_as(&mut self, number: &str, source: &str, kind: &str, at: &str) {
        let _ = writeln!(self.mounts, "20 1 {number} / {at} rw - {kind} {source} rw");
    }

    pub fn swap(&mut self, name: &str) {
        let _ = writeln!(self.swaps, "/dev/{name} partition 1 0 -2");
    }

    pub fn look(&self) -> Vec<Device> {
        self.put("proc/self/mountinfo", &self.mounts);
        self.put("proc/swaps", &self.swaps);
        look(self.path()).unwrap()
    }
}

pub fn named<'d>(devices: &'d [Device], name: &str) -> &'d Device {
    Stack(devices).get(name).unwrap_or_else(|| panic!("no {name} in {devices:#?}"))
}
