//! From what was seen to what an initrd needs. Pure.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::{Architecture, Hardware};
use uuid::Uuid;

use super::observe::{Driver, Observed, PciDevice, UsbInterface};

/// Drivers whose module has another name, for those that some kernels have built in and others as a module.
const MODULE_OF_DRIVER: [(&str, &str); 17] = [
    ("ahci", "ahci"),
    ("ata_generic", "ata_generic"),
    ("ata_piix", "ata_piix"),
    ("ehci-pci", "ehci_pci"),
    ("hid-generic", "hid_generic"),
    ("mmcblk", "mmc_block"),
    ("nvme", "nvme"),
    ("sd", "sd_mod"),
    ("sdhci-pci", "sdhci_pci"),
    ("uas", "uas"),
    ("usb-storage", "usb_storage"),
    ("usbhid", "usbhid"),
    ("virtio-pci", "virtio_pci"),
    ("virtio_blk", "virtio_blk"),
    ("virtio_scsi", "virtio_scsi"),
    ("xhci-pci-renesas", "xhci_pci_renesas"),
    ("xhci_hcd", "xhci_pci"),
];

/// virtio devices by their PCI numbers (maker 1af4): a controller without a disk shows no driver of its own.
const VIRTIO: [(u16, &str); 4] =
    [(0x1001, "virtio_blk"), (0x1042, "virtio_blk"), (0x1004, "virtio_scsi"), (0x1048, "virtio_scsi")];

/// What an initrd needs on this hardware, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// The architecture.
    pub architecture: Option<Architecture>,
    /// The seed of this installation, where there is one to keep.
    pub seed: Option<Uuid>,
    /// Modules for the initrd, each with the devices that want it.
    pub initrd_modules: BTreeMap<String, BTreeSet<String>>,
    /// What a person should know: one sentence each.
    pub warnings: Vec<String>,
}

impl Findings {
    /// The same as the value of a hardware file.
    pub fn to_hardware(&self) -> Hardware {
        Hardware {
            version: 1,
            architecture: self.architecture,
            seed: self.seed,
            partitions: BTreeMap::new(),
            initrd_modules: self.initrd_modules.keys().cloned().collect(),
            kernel_modules: Vec::new(),
            kernel_parameters: Vec::new(),
        }
    }

    fn want(&mut self, driver: &Driver, reason: &str) {
        let module = match driver {
            Driver::Module(name) => name.as_str(),
            Driver::BuiltIn(name) => match MODULE_OF_DRIVER.iter().find(|(driver, _)| driver == name) {
                Some((_, module)) => module,
                // Built in everywhere, as far as we know: no kernel of Debian has it as a module.
                None => return,
            },
        };
        self.initrd_modules.entry(module.to_string()).or_default().insert(reason.to_string());
    }
}

/// Decides which modules the initrd needs.
pub fn findings(observed: &Observed) -> Findings {
    let mut found = Findings { architecture: observed.architecture, ..Findings::default() };
    for device in &observed.pci {
        pci(device, &mut found);
    }
    for interface in &observed.usb {
        if let (Some(what), Some(driver)) = (usb_role(interface), &interface.driver) {
            found.want(driver, &format!("USB {what}"));
        }
    }
    for (nodes, what) in [(&observed.block, "disk"), (&observed.keyboards, "keyboard")] {
        for node in nodes {
            for driver in &node.drivers {
                let reason = if what == "disk" { format!("disk {}", node.name) } else { what.to_string() };
                found.want(driver, &reason);
            }
        }
    }
    if !observed.virtual_machine {
        real_hardware(observed, &mut found);
    }
    found
}

fn pci(device: &PciDevice, found: &mut Findings) {
    let PciDevice { address, vendor, device: number, .. } = device;
    if *vendor == 0x1af4
        && let Some((_, module)) = VIRTIO.iter().find(|(id, _)| id == number)
    {
        found.want(&Driver::Module((*module).into()), &format!("PCI {address}"));
    }
    let what = match device.class {
        0x01_0000..=0x01_ffff => "storage",
        0x0c_0000..=0x0c_00ff => "FireWire",
        0x0c_0300..=0x0c_03ff => "USB host",
        _ => return,
    };
    match &device.driver {
        Some(driver) => found.want(driver, &format!("PCI {address}, {what}")),
        None if what == "storage" => found.warnings.push(format!(
            "the storage controller at PCI {address} ({vendor:04x}:{number:04x}) has no driver in the running kernel: disks \
             behind it were not seen"
        )),
        None => {}
    }
}

fn usb_role(interface: &UsbInterface) -> Option<&'static str> {
    match (interface.class, interface.protocol) {
        (0x08, _) => Some("storage"),
        (0x03, 0x01) => Some("keyboard"),
        _ => None,
    }
}

fn real_hardware(observed: &Observed, found: &mut Findings) {
    found.warnings.push(
        "this is real hardware, and the default kernel has drivers for virtual machines only: set \
         `kernel: linux-image-amd64` under `source: debian:`"
            .into(),
    );
    let package = match observed.cpu_vendor.as_deref() {
        Some("GenuineIntel") => "intel-microcode",
        Some("AuthenticAMD") => "amd64-microcode",
        _ => return,
    };
    found.warnings.push(format!(
        "the processor's corrections are in the package {package}, component non-free-firmware of Debian"
    ));
}
