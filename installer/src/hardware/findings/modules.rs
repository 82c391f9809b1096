//! Which modules the initrd needs, and which the system. Those that the kernel lacks are left out, each with why.

use std::collections::{BTreeMap, BTreeSet};

use super::{Advice, Findings, LeftOut, Why};
use crate::hardware::observe::{Driver, Node, Observed, PciDevice, UsbInterface};

/// Drivers by the name of their module, for those that some kernels have built in and others as a module.
const MODULE_OF_DRIVER: [(&str, &str); 25] = [
    ("ahci", "ahci"),
    ("ata_generic", "ata_generic"),
    ("ata_piix", "ata_piix"),
    ("atkbd", "atkbd"),
    ("ehci-pci", "ehci_pci"),
    ("hid-generic", "hid_generic"),
    ("hv_storvsc", "hv_storvsc"),
    ("i8042", "i8042"),
    ("mmcblk", "mmc_block"),
    ("nvme", "nvme"),
    ("ohci-pci", "ohci_pci"),
    ("sd", "sd_mod"),
    ("sdhci-acpi", "sdhci_acpi"),
    ("sdhci-pci", "sdhci_pci"),
    ("sr", "sr_mod"),
    ("uas", "uas"),
    ("usb-storage", "usb_storage"),
    ("usbhid", "usbhid"),
    ("vbd", "xen_blkfront"),
    ("virtio-pci", "virtio_pci"),
    ("virtio_blk", "virtio_blk"),
    ("virtio_scsi", "virtio_scsi"),
    ("vmd", "vmd"),
    ("xhci-pci-renesas", "xhci_pci_renesas"),
    ("xhci_hcd", "xhci_pci"),
];

/// virtio devices by their PCI numbers (maker 1af4): a controller without a disk shows no driver of its own.
const VIRTIO: [(u16, &str); 4] =
    [(0x1001, "virtio_blk"), (0x1042, "virtio_blk"), (0x1004, "virtio_scsi"), (0x1048, "virtio_scsi")];

/// Modules that work only together with others, which no path in sysfs and no dependency names. They are wanted where they are loaded.
const COMPANIONS: [(&str, &[&str]); 1] = [("surface_hid", &["surface_aggregator_registry", "surface_aggregator_hub"])];

/// Parts of a bus that every driver of a controller for it depends on: naming them says nothing.
const OF_A_BUS: [&str; 1] = ["usbcore"];

/// What the kernel for virtual machines, `linux-image-cloud-amd64`, has of that which disks and keyboards may want.
const DEFAULT_KERNEL: [&str; 26] = [
    "BusLogic",
    "ahci",
    "ata_generic",
    "ata_piix",
    "atkbd",
    "hid_apple",
    "hid_generic",
    "hid_hyperv",
    "hid_multitouch",
    "hv_storvsc",
    "hv_vmbus",
    "hyperv_keyboard",
    "i8042",
    "ipr",
    "mpi3mr",
    "nvme",
    "pci_hyperv",
    "sd_mod",
    "sr_mod",
    "virtio_blk",
    "virtio_input",
    "virtio_mmio",
    "virtio_pci",
    "virtio_scsi",
    "vmw_pvscsi",
    "xen_blkfront",
];

/// What a module is needed for, the weightiest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Disk,
    Keyboard,
    /// A controller on which nothing hangs now.
    Controller,
}

/// A module that is wanted.
#[derive(Debug)]
struct Wanted {
    need: Need,
    reasons: BTreeSet<String>,
}

/// All that are wanted, and what is built in everywhere.
#[derive(Debug, Default)]
struct All {
    wanted: BTreeMap<String, Wanted>,
    built_in: BTreeMap<String, BTreeSet<String>>,
}

impl All {
    fn want(&mut self, driver: &Driver, need: Need, reason: &str) {
        match module_of(driver) {
            Some(module) if OF_A_BUS.contains(&module) => {}
            Some(module) => self.module(module, need, reason),
            // Built in everywhere, as far as we know: no kernel of Debian has it as a module.
            None => drop(self.built_in.entry(driver.name().to_string()).or_default().insert(reason.to_string())),
        }
    }

    fn module(&mut self, name: &str, need: Need, reason: &str) {
        // A name is what somebody's folder says, and goes into files.
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)) {
            return;
        }
        let reasons = BTreeSet::new();
        let wanted = self.wanted.entry(name.to_string()).or_insert(Wanted { need, reasons });
        wanted.need = wanted.need.min(need);
        wanted.reasons.insert(reason.to_string());
    }

    fn node(&mut self, node: &Node, need: Need, reason: &str, pin_controllers: &[Driver]) {
        for driver in &node.drivers {
            self.want(driver, need, reason);
        }
        for driver in pin_controllers.iter().filter(|_| node.by_pin) {
            self.want(driver, need, &format!("{reason}, by its interrupt"));
        }
    }
}

/// The module that a driver is in, in this kernel or in another one.
fn module_of(driver: &Driver) -> Option<&str> {
    match driver {
        Driver::Module(name) => Some(name),
        Driver::BuiltIn(name) => MODULE_OF_DRIVER.iter().find(|(driver, _)| driver == name).map(|(_, module)| *module),
    }
}

pub fn decide(observed: &Observed, found: &mut Findings) {
    let mut all = All::default();
    for device in &observed.pci {
        pci(device, observed, &mut all);
    }
    for interface in &observed.usb {
        if let (Some((need, what)), Some(driver)) = (usb_role(interface), &interface.driver) {
            all.want(driver, need, &format!("USB {what}"));
        }
    }
    for node in &observed.block {
        let (need, what) = role(node);
        all.node(node, need, &format!("{what} {}", node.name), &observed.pin_controllers);
    }
    for node in &observed.keyboards {
        all.node(node, Need::Keyboard, "keyboard", &observed.pin_controllers);
    }
    for (module, others) in COMPANIONS {
        if let Some(Wanted { need, .. }) = all.wanted.get(module) {
            let need = *need;
            for other in others.iter().filter(|other| observed.loaded.contains(**other)) {
                all.module(other, need, &format!("works together with {module}"));
            }
        }
    }
    for (name, reasons) in std::mem::take(&mut all.built_in) {
        found.left_out.insert(name, LeftOut { reasons, why: Why::BuiltIn });
    }
    let missing = without_missing(observed, all.wanted, found);
    let virtual_machine = observed.machine.platform.is_some();
    let kept = if virtual_machine { for_the_default_kernel(&observed.keyboards, missing, found) } else { missing };
    found.initrd_modules = kept.into_iter().map(|(name, wanted)| (name, wanted.reasons)).collect();
    virtualization(observed, found);
}

/// What a block device is. No kernel is chosen for drives of floppy disks and CDs, for what can be taken out, and for where no card
/// is: a system is not installed there.
fn role(node: &Node) -> (Need, &'static str) {
    let is = |word: &str| node.name.strip_prefix(word).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    match () {
        () if is("fd") || is("sr") => (Need::Controller, "drive"),
        () if is("mmc") => (Need::Controller, "MMC host"),
        () if node.removable => (Need::Controller, "disk"),
        () => (Need::Disk, "disk"),
    }
}

fn pci(device: &PciDevice, observed: &Observed, all: &mut All) {
    let PciDevice { address, vendor, device: number, .. } = device;
    if *vendor == 0x1af4
        && let Some((_, module)) = VIRTIO.iter().find(|(id, _)| id == number)
    {
        all.module(module, Need::Controller, &format!("PCI {address}"));
    }
    let what = match device.class {
        0x01_0000..=0x01_ffff => "storage",
        0x0c_0000..=0x0c_00ff => "FireWire",
        0x0c_0300..=0x0c_03ff => "USB host",
        _ => return,
    };
    match (&device.driver, &device.alias) {
        (Some(driver), _) => all.want(driver, Need::Controller, &format!("PCI {address}, {what}")),
        // It is there for this device and does not run: the next kernel may have its firmware.
        (None, Some(alias)) if what == "storage" => {
            for module in observed.kernel.for_device(alias) {
                all.module(&module, Need::Controller, &format!("PCI {address}, storage, for which no driver runs"));
            }
        }
        _ => {}
    }
}

fn usb_role(interface: &UsbInterface) -> Option<(Need, &'static str)> {
    match (interface.class, interface.protocol) {
        // It is the disk on it, if there is one, that has to be reached.
        (0x08, _) => Some((Need::Controller, "storage")),
        (0x03, 0x01) => Some((Need::Keyboard, "keyboard")),
        _ => None,
    }
}

/// Those that the kernel has whose modules are there; all of them, where none are.
fn without_missing(
    observed: &Observed,
    wanted: BTreeMap<String, Wanted>,
    found: &mut Findings,
) -> BTreeMap<String, Wanted> {
    let missing = |name: &String| observed.kernel.has(name) == Some(false);
    let (missing, kept): (BTreeMap<_, _>, _) = wanted.into_iter().partition(|(name, _)| missing(name));
    let release = observed.kernel.release.as_deref().unwrap_or_default();
    for (name, Wanted { need, reasons }) in missing {
        if need == Need::Disk {
            found.warnings.push(format!(
                "the kernel {release} has no module {name}, without which a system with this kernel does not reach a disk here ({}): \
                 choose another kernel",
                joined(&reasons)
            ));
        }
        found.left_out.insert(name, LeftOut { reasons, why: Why::NotInKernel });
    }
    kept
}

/// On a virtual machine: what the default kernel lacks decides which kernel is needed if a disk needs it, and is left out if not.
fn for_the_default_kernel(
    keyboards: &[Node],
    wanted: BTreeMap<String, Wanted>,
    found: &mut Findings,
) -> BTreeMap<String, Wanted> {
    let has = |name: &str| DEFAULT_KERNEL.contains(&name);
    let for_disks: Vec<(&String, &Wanted)> =
        wanted.iter().filter(|(name, wanted)| !has(name) && wanted.need == Need::Disk).collect();
    if let Some((_, Wanted { reasons, .. })) = for_disks.first() {
        let names: Vec<&str> = for_disks.iter().map(|(name, _)| name.as_str()).collect();
        let reason =
            format!("the default kernel, for virtual machines, has no {} ({})", names.join(", "), joined(reasons));
        found.kernel_package = Some(Advice { value: super::advice::FULL_KERNEL.into(), reason });
        return wanted;
    }
    let (kept, lacking): (BTreeMap<_, _>, BTreeMap<_, _>) = wanted.into_iter().partition(|(name, _)| has(name));
    // One that lacks a driver anywhere on its way is none.
    let works = |node: &Node| {
        let mut modules = node.drivers.iter().filter_map(module_of);
        modules.all(|name| !lacking.contains_key(name))
    };
    if !keyboards.is_empty() && !keyboards.iter().any(works) {
        found.warnings.push(format!(
            "the keyboard of this virtual machine does not work with the default kernel: where a console is not enough, set \
             `kernel: {}` under `source: debian:`",
            super::advice::FULL_KERNEL
        ));
    }
    for (name, Wanted { reasons, .. }) in lacking {
        found.left_out.insert(name, LeftOut { reasons, why: Why::NotInDefaultKernel });
    }
    kept
}

/// What runs virtual machines on this one.
fn virtualization(observed: &Observed, found: &mut Findings) {
    let module = match observed.machine.processor.virtualization {
        Some("vmx") => "kvm_intel",
        Some("svm") => "kvm_amd",
        _ => return,
    };
    let reasons = BTreeSet::from(["the processor can run virtual machines".to_string()]);
    if observed.kernel.has(module) == Some(false) {
        found.left_out.insert(module.into(), LeftOut { reasons, why: Why::NotInKernel });
    } else {
        found.kernel_modules.insert(module.into(), reasons);
    }
}

fn joined(reasons: &BTreeSet<String>) -> String {
    reasons.iter().map(String::as_str).collect::<Vec<_>>().join("; ")
}
