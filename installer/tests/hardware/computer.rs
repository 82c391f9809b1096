//! A computer in a folder: the parts of `/sys`, `/proc` and udev's notes that are read, as the kernel shows them.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cairn_installer::hardware::{Findings, Observed, findings, observe, to_nix};
use tempfile::TempDir;

/// The folder.
pub struct Computer {
    folder: TempDir,
    mounts: RefCell<String>,
    swaps: RefCell<String>,
}

/// Processors, as `/proc/cpuinfo` has them.
pub const VIRTUAL: &str = "vendor_id\t: GenuineIntel\nflags\t\t: fpu vme hypervisor lahf_lm\n";
pub const INTEL: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Core(TM) i7\nflags\t\t: fpu vmx\n\nprocessor\t: 1\n";
pub const AMD: &str = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\nflags\t\t: fpu vme svm\n";

const LETTERS: &str = "1000000000007 ff800000000007ff febeffdfffefffff fffffffffffffffe\n";

impl Computer {
    pub fn new(cpuinfo: &str) -> Computer {
        let computer = Computer {
            folder: TempDir::new().unwrap(),
            mounts: RefCell::default(),
            swaps: "Filename\tType\tSize\tUsed\tPriority\n".to_string().into(),
        };
        computer.file("proc/cpuinfo", cpuinfo);
        computer.file("proc/meminfo", "MemTotal:       16252928 kB\n");
        for folder in ["sys/devices", "sys/class/block", "run/udev/data"] {
            fs::create_dir_all(computer.path(folder)).unwrap();
        }
        computer
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    pub fn file(&self, path: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Relative like the kernel's, so that the tree works wherever it stands.
        let up = "../".repeat(path.strip_prefix(self.root()).unwrap().components().count() - 1);
        symlink(Path::new(&up).join(target), path).unwrap();
    }

    /// What the firmware calls the machine.
    pub fn dmi(&self, vendor: &str, product: &str) {
        self.file("sys/class/dmi/id/sys_vendor", format!("{vendor}\n"));
        self.file("sys/class/dmi/id/product_name", format!("{product}\n"));
    }

    /// Binds a driver to the device; `module` where it is not built in.
    pub fn bind(&self, device: &str, bus: &str, driver: &str, module: Option<&str>) {
        let folder = format!("sys/bus/{bus}/drivers/{driver}");
        fs::create_dir_all(self.path(&folder)).unwrap();
        fs::create_dir_all(self.path(device)).unwrap();
        if let Some(module) = module.filter(|_| fs::symlink_metadata(self.path(format!("{folder}/module"))).is_err()) {
            self.loaded(module);
            self.link(&format!("{folder}/module"), &format!("sys/module/{module}"));
        }
        self.link(&format!("{device}/driver"), &folder);
    }

    /// A module that is loaded.
    pub fn loaded(&self, module: &str) {
        self.file(format!("sys/module/{module}/initstate"), "live\n");
    }

    pub fn pci(&self, address: &str, class: &str, id: (&str, &str)) -> String {
        self.pci_at("sys/devices/pci0000:00", address, class, id)
    }

    /// A device on PCI below another one.
    pub fn pci_at(&self, folder: &str, address: &str, class: &str, id: (&str, &str)) -> String {
        let device = format!("{folder}/{address}");
        self.file(format!("{device}/class"), format!("{class}\n"));
        self.file(format!("{device}/vendor"), format!("{}\n", id.0));
        self.file(format!("{device}/device"), format!("{}\n", id.1));
        self.link(&format!("sys/bus/pci/devices/{address}"), &device);
        device
    }

    /// The same, with a driver in a module.
    pub fn driven(&self, address: &str, class: &str, id: (&str, &str), driver: &str, module: &str) -> String {
        let device = self.pci(address, class, id);
        self.bind(&device, "pci", driver, Some(module));
        device
    }

    /// A device of a class, below the device it belongs to.
    pub fn class(&self, class: &str, name: &str, device: &str) -> String {
        let path = format!("{device}/{class}/{name}");
        fs::create_dir_all(self.path(&path)).unwrap();
        self.link(&format!("sys/class/{class}/{name}"), &path);
        self.link(&format!("{path}/device"), device);
        path
    }

    /// A disk on a device; NVMe's namespaces have no `block` above them.
    pub fn disk(&self, name: &str, device: &str) -> String {
        let path = if name.starts_with("nvme") { format!("{device}/{name}") } else { format!("{device}/block/{name}") };
        self.block(name, &path, 500 << 30);
        self.link(&format!("{path}/device"), device);
        path
    }

    fn block(&self, name: &str, path: &str, bytes: u64) {
        let minor = fs::read_dir(self.path("sys/class/block")).unwrap().count();
        self.file(format!("{path}/size"), format!("{}\n", bytes / 512));
        self.file(format!("{path}/dev"), format!("8:{minor}\n"));
        self.file(format!("{path}/ro"), "0\n");
        fs::create_dir_all(self.path(format!("{path}/holders"))).unwrap();
        fs::create_dir_all(self.path(format!("{path}/slaves"))).unwrap();
        self.link(&format!("sys/class/block/{name}"), path);
        self.file(format!("run/udev/data/b8:{minor}"), "I:1\n");
    }

    /// Partition number `number` of a disk, with what is in it.
    pub fn partition(&self, disk: &str, number: u32, facts: &[(&str, &str)]) -> String {
        let name = disk.rsplit('/').next().unwrap();
        let own = format!("{name}{}{number}", if name.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" });
        self.block(&own, &format!("{disk}/{own}"), 100 << 30);
        self.file(format!("{disk}/{own}/partition"), format!("{number}\n"));
        self.file(format!("{disk}/{own}/start"), "2048\n");
        self.holds(&own, facts);
        own
    }

    /// Something upon other devices, such as `dm-0`.
    pub fn upon(&self, below: &[&str], name: &str, attributes: &[(&str, &str)], facts: &[(&str, &str)]) {
        let path = format!("sys/devices/virtual/block/{name}");
        self.block(name, &path, 50 << 30);
        for (attribute, text) in attributes {
            self.file(format!("{path}/{attribute}"), format!("{text}\n"));
        }
        for one in below {
            self.file(format!("{path}/slaves/{one}"), "");
            let real = fs::canonicalize(self.path(format!("sys/class/block/{one}"))).unwrap();
            fs::write(real.join("holders").join(name), "").unwrap();
        }
        self.holds(name, facts);
    }

    /// What udev has noted.
    pub fn holds(&self, name: &str, facts: &[(&str, &str)]) {
        let number = self.number(name);
        let mut text = String::from("I:1\n");
        for (key, value) in facts {
            let _ = writeln!(text, "E:{key}={value}");
        }
        self.file(format!("run/udev/data/b{number}"), text);
    }

    fn number(&self, name: &str) -> String {
        fs::read_to_string(self.path(format!("sys/class/block/{name}/dev"))).unwrap().trim().to_string()
    }

    pub fn keyboard(&self, name: &str, device: &str) {
        let path = self.class("input", name, device);
        self.file(format!("{path}/capabilities/key"), LETTERS);
        self.file(format!("{path}/name"), "AT Translated Set 2 keyboard\n");
    }

    /// The keyboard of most computers; Debian's kernels have its drivers built in.
    pub fn ps2_keyboard(&self) {
        self.bind("sys/devices/platform/i8042", "platform", "i8042", None);
        self.bind("sys/devices/platform/i8042/serio0", "serio", "atkbd", None);
        self.keyboard("input3", "sys/devices/platform/i8042/serio0");
    }

    pub fn usb(&self, interface: &str, class: &str, protocol: &str, driver: &str, module: &str) {
        self.file(format!("{interface}/bInterfaceClass"), format!("{class}\n"));
        self.file(format!("{interface}/bInterfaceProtocol"), format!("{protocol}\n"));
        self.bind(interface, "usb", driver, Some(module));
        // The device itself, and the hub that it is on.
        for above in Path::new(interface).ancestors().skip(1).take(2) {
            if fs::symlink_metadata(self.path(above).join("driver")).is_err() {
                self.bind(above.to_str().unwrap(), "usb", "usb", Some("usbcore"));
            }
        }
        self.link(&format!("sys/bus/usb/devices/{}", interface.rsplit('/').next().unwrap()), interface);
    }

    /// A USB keyboard at a port.
    pub fn usb_keyboard(&self, host: &str) {
        let interface = format!("{host}/usb1/1-2/1-2:1.0");
        self.usb(&interface, "03", "01", "usbhid", "usbhid");
        let hid = format!("{interface}/0003:046D:C31C.0001");
        self.bind(&hid, "hid", "hid-generic", Some("hid_generic"));
        self.keyboard("input5", &hid);
    }

    /// A SCSI disk below a host.
    pub fn scsi_disk(&self, name: &str, host: &str) -> String {
        let device = format!("{host}/target0:0:0/0:0:0:0");
        self.bind(&device, "scsi", "sd", Some("sd_mod"));
        self.disk(name, &device)
    }

    pub fn mount(&self, name: &str, kind: &str, point: &str, options: &str) {
        let node = self.node(name);
        self.mount_as(&self.number(name), "/", point, options, &format!("{kind} {node} rw"));
    }

    pub fn mount_as(&self, number: &str, root: &str, point: &str, options: &str, rest: &str) {
        let _ = writeln!(self.mounts.borrow_mut(), "20 1 {number} {root} {point} {options} - {rest}");
    }

    pub fn swap(&self, name: &str) {
        let node = self.node(name);
        let _ = writeln!(self.swaps.borrow_mut(), "{node} partition 1 0 -2");
    }

    pub fn swap_file(&self, path: &str) {
        let _ = writeln!(self.swaps.borrow_mut(), "{path} file 1 0 -2");
    }

    fn node(&self, name: &str) -> String {
        match fs::read_to_string(self.path(format!("sys/class/block/{name}/dm/name"))) {
            Ok(mapped) => format!("/dev/mapper/{}", mapped.trim()),
            Err(_) => format!("/dev/{name}"),
        }
    }

    /// A kernel whose modules are there: names of modules with their aliases, and of built-in ones.
    pub fn kernel(&self, release: &str, modules: &[(&str, &[&str])], built_in: &[&str]) {
        let folder = format!("lib/modules/{release}");
        self.file("proc/sys/kernel/osrelease", format!("{release}\n"));
        let (mut dep, mut alias, mut builtin) = (String::new(), String::new(), String::new());
        for (name, aliases) in modules {
            let _ = writeln!(dep, "kernel/{name}.ko:");
            for one in *aliases {
                let _ = writeln!(alias, "alias {one} {name}");
            }
        }
        for name in built_in {
            let _ = writeln!(builtin, "kernel/{name}.ko");
        }
        self.file(format!("{folder}/modules.dep"), dep);
        self.file(format!("{folder}/modules.alias"), alias);
        self.file(format!("{folder}/modules.builtin"), builtin);
    }

    pub fn observed(&self) -> Observed {
        self.file("proc/self/mountinfo", self.mounts.borrow().as_bytes());
        self.file("proc/swaps", self.swaps.borrow().as_bytes());
        observe(self.root()).unwrap()
    }

    pub fn findings(&self) -> Findings {
        findings(&self.observed())
    }

    pub fn nix(&self) -> String {
        let observed = self.observed();
        to_nix(&observed, &findings(&observed))
    }

    /// What `nixos-generate-config` would put into `boot.initrd.availableKernelModules`: its rules, followed by themselves.
    pub fn by_the_rules_of_nixos(&self) -> BTreeSet<String> {
        let read = |path: PathBuf| fs::read_to_string(path).map(|text| text.trim().to_string()).unwrap_or_default();
        let list = |folder: &str| {
            let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
        };
        let mut modules = BTreeSet::new();
        let mut of = |device: PathBuf| {
            if let Ok(module) = fs::canonicalize(device.join("driver/module")) {
                modules.insert(module.file_name().unwrap().to_str().unwrap().to_string());
            }
        };
        let mut virtio_scsi = false;
        for device in list("sys/bus/pci/devices") {
            let class = read(device.join("class"));
            let (vendor, id) = (read(device.join("vendor")), read(device.join("device")));
            virtio_scsi |= vendor == "0x1af4" && ["0x1004", "0x1048"].contains(&id.as_str());
            if ["0x01", "0x0c00", "0x0c03"].iter().any(|begin| class.starts_with(begin)) {
                of(device);
            }
        }
        for device in list("sys/bus/usb/devices") {
            let class = read(device.join("bInterfaceClass"));
            if class == "08" || class == "03" && read(device.join("bInterfaceProtocol")) == "01" {
                of(device);
            }
        }
        for device in list("sys/class/block").into_iter().chain(list("sys/class/mmc_host")) {
            of(device.join("device"));
        }
        modules.extend(virtio_scsi.then(|| "virtio_scsi".to_string()));
        modules
    }
}

/// The modules of an initrd.
pub fn modules(found: &Findings) -> Vec<&str> {
    found.initrd_modules.keys().map(String::as_str).collect()
}
