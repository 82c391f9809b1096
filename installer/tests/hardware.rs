//! Hardware detection on made-up computers: a folder with the parts of `/sys` and `/proc` that are read.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cairn_installer::hardware::{Findings, findings, observe};
use tempfile::TempDir;

/// A computer in a folder.
struct Computer(TempDir);

impl Computer {
    fn new(cpuinfo: &str) -> Computer {
        let computer = Computer(TempDir::new().unwrap());
        computer.file("proc/cpuinfo", cpuinfo);
        fs::create_dir_all(computer.path("sys/devices")).unwrap();
        computer
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Relative like the kernel's, so that the tree works wherever it stands.
        let up = "../".repeat(path.strip_prefix(self.0.path()).unwrap().components().count() - 1);
        symlink(Path::new(&up).join(target), path).unwrap();
    }

    /// Binds a driver to the device; `module` where it is not built in.
    fn bind(&self, device: &str, bus: &str, driver: &str, module: Option<&str>) {
        let folder = format!("sys/bus/{bus}/drivers/{driver}");
        fs::create_dir_all(self.path(&folder)).unwrap();
        fs::create_dir_all(self.path(device)).unwrap();
        if let Some(module) = module.filter(|_| fs::symlink_metadata(self.path(&format!("{folder}/module"))).is_err()) {
            fs::create_dir_all(self.path(&format!("sys/module/{module}"))).unwrap();
            self.link(&format!("{folder}/module"), &format!("sys/module/{module}"));
        }
        self.link(&format!("{device}/driver"), &folder);
    }

    fn pci(&self, address: &str, class: &str, id: (&str, &str)) -> String {
        let device = format!("sys/devices/pci0000:00/{address}");
        self.file(&format!("{device}/class"), &format!("{class}\n"));
        self.file(&format!("{device}/vendor"), &format!("{}\n", id.0));
        self.file(&format!("{device}/device"), &format!("{}\n", id.1));
        self.link(&format!("sys/bus/pci/devices/{address}"), &device);
        device
    }

    fn class(&self, class: &str, name: &str, device: &str) {
        let path = format!("{device}/{class}/{name}");
        fs::create_dir_all(self.path(&path)).unwrap();
        self.link(&format!("sys/class/{class}/{name}"), &path);
    }

    fn findings(&self) -> Findings {
        findings(&observe(self.0.path()).unwrap())
    }
}

fn modules(found: &Findings) -> Vec<&str> {
    found.initrd_modules.keys().map(String::as_str).collect()
}

const VIRTUAL: &str = "vendor_id\t: GenuineIntel\nflags\t\t: fpu vme hypervisor lahf_lm\n";
const REAL: &str = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu vme svm\n";

#[test]
fn a_virtio_machine() {
    let pc = Computer::new(VIRTUAL);
    let disk = pc.pci("0000:00:04.0", "0x010000", ("0x1af4", "0x1001"));
    pc.bind(&disk, "pci", "virtio-pci", None);
    let virtio = format!("{disk}/virtio1");
    pc.bind(&virtio, "virtio", "virtio_blk", Some("virtio_blk"));
    pc.class("block", "vda", &virtio);
    let network = pc.pci("0000:00:03.0", "0x020000", ("0x1af4", "0x1000"));
    pc.bind(&network, "pci", "virtio-pci", None);
    let found = pc.findings();
    assert_eq!(modules(&found), ["virtio_blk", "virtio_pci"]);
    assert_eq!(found.warnings, [""; 0]);
}

#[test]
fn a_virtio_scsi_controller_without_a_disk_is_not_forgotten() {
    let pc = Computer::new(VIRTUAL);
    let device = pc.pci("0000:00:05.0", "0x010000", ("0x1af4", "0x1004"));
    pc.bind(&device, "pci", "virtio-pci", Some("virtio_pci"));
    assert_eq!(modules(&pc.findings()), ["virtio_pci", "virtio_scsi"]);
}

#[test]
fn a_desktop_with_sata_and_a_usb_keyboard() {
    let pc = Computer::new(REAL);
    let sata = pc.pci("0000:00:1f.2", "0x010601", ("0x8086", "0x2922"));
    pc.bind(&sata, "pci", "ahci", Some("ahci"));
    let disk = format!("{sata}/ata1/host0/target0:0:0/0:0:0:0");
    pc.bind(&disk, "scsi", "sd", Some("sd_mod"));
    pc.class("block", "sda", &disk);
    let usb = pc.pci("0000:00:14.0", "0x0c0330", ("0x8086", "0xa36d"));
    pc.bind(&usb, "pci", "xhci_hcd", Some("xhci_pci"));
    let interface = format!("{usb}/usb1/1-2/1-2:1.0");
    pc.file(&format!("{interface}/bInterfaceClass"), "03\n");
    pc.file(&format!("{interface}/bInterfaceProtocol"), "01\n");
    pc.bind(&interface, "usb", "usbhid", Some("usbhid"));
    pc.link("sys/bus/usb/devices/1-2:1.0", &interface);
    let hid = format!("{interface}/0003:046D:C31C.0001");
    pc.bind(&hid, "hid", "hid-generic", Some("hid_generic"));
    pc.class("input", "input5", &hid);
    pc.file(
        &format!("{hid}/input/input5/capabilities/key"),
        "1000000000007 ff800000000007ff febeffdfffefffff fffffffffffffffe\n",
    );
    // A graphics card and a power button: not for an initrd.
    let card = pc.pci("0000:01:00.0", "0x030000", ("0x10de", "0x1b80"));
    pc.bind(&card, "pci", "nouveau", Some("nouveau"));
    pc.bind("sys/devices/LNXPWRBN:00", "acpi", "button", Some("button"));
    pc.class("input", "input0", "sys/devices/LNXPWRBN:00");
    pc.file("sys/devices/LNXPWRBN:00/input/input0/capabilities/key", "10000000000000 0\n");
    let found = pc.findings();
    assert_eq!(modules(&found), ["ahci", "hid_generic", "sd_mod", "usbhid", "xhci_pci"]);
    assert_eq!(found.initrd_modules["ahci"].iter().collect::<Vec<_>>(), ["PCI 0000:00:1f.2, storage", "disk sda"]);
    assert!(found.warnings[0].contains("linux-image-amd64"), "{:?}", found.warnings);
    assert!(found.warnings[1].contains("amd64-microcode"), "{:?}", found.warnings);
}

#[test]
fn nvme_that_is_built_into_this_kernel_is_named_for_the_next() {
    let pc = Computer::new(VIRTUAL);
    let device = pc.pci("0000:00:05.0", "0x010802", ("0x1b36", "0x0010"));
    pc.bind(&device, "pci", "nvme", None);
    pc.class("block", "nvme0n1", &format!("{device}/nvme/nvme0"));
    assert_eq!(modules(&pc.findings()), ["nvme"]);
}

#[test]
fn a_card_reader_and_a_usb_stick() {
    let pc = Computer::new(VIRTUAL);
    let reader = pc.pci("0000:02:00.0", "0x080501", ("0x10ec", "0x5227"));
    pc.bind(&reader, "pci", "sdhci-pci", Some("sdhci_pci"));
    pc.class("mmc_host", "mmc0", &reader);
    let card = format!("{reader}/mmc_host/mmc0/mmc0:0001");
    pc.bind(&card, "mmc", "mmcblk", Some("mmc_block"));
    pc.class("block", "mmcblk0", &card);
    let stick = "sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0";
    pc.file(&format!("{stick}/bInterfaceClass"), "08\n");
    pc.file(&format!("{stick}/bInterfaceProtocol"), "50\n");
    pc.bind(stick, "usb", "uas", Some("uas"));
    pc.link("sys/bus/usb/devices/2-1:1.0", stick);
    assert_eq!(modules(&pc.findings()), ["mmc_block", "sdhci_pci", "uas"]);
}

#[test]
fn a_storage_controller_without_a_driver_is_told() {
    let pc = Computer::new(VIRTUAL);
    pc.pci("0000:03:00.0", "0x010400", ("0x1000", "0x005d"));
    let found = pc.findings();
    assert_eq!(modules(&found), [""; 0]);
    assert!(found.warnings[0].contains("0000:03:00.0 (1000:005d)"), "{:?}", found.warnings);
    assert!(found.to_yaml().contains("initrd_modules: []"));
}

#[test]
fn a_folder_without_sysfs_is_refused() {
    let empty = TempDir::new().unwrap();
    let error = observe(empty.path()).unwrap_err().to_string();
    assert!(error.contains("no sysfs at"), "{error}");
}

#[test]
fn the_file_says_what_each_module_is_for_and_keeps_the_seed() {
    let mut found = Findings {
        architecture: Some(cairn_machine::model::Architecture::X86_64),
        seed: Some(uuid::Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef)),
        ..Findings::default()
    };
    for (module, reason) in [("sd_mod", "disk sda"), ("ahci", "PCI 0000:00:1f.2, storage"), ("ahci", "disk sda")] {
        found.initrd_modules.entry(module.into()).or_default().insert(reason.into());
    }
    let yaml = found.to_yaml();
    let expected = "\
# Facts about one computer, written by `cairn hardware`. To use them, say in the machine file:
#   hardware: hardware.yaml
version: 1
architecture: x86-64
# Every identifier on the disk comes from this: keep it.
seed: 12345678-9abc-4def-8123-456789abcdef
# Modules that the initrd needs to reach the disks and a keyboard.
initrd_modules:
  - ahci    # PCI 0000:00:1f.2, storage; disk sda
  - sd_mod  # disk sda
";
    assert_eq!(yaml, expected);
}
