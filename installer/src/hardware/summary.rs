//! A computer in a few lines.

use cairn_layout::human;
use cairn_machine::model::FirmwareKind;

use super::observe::{Observed, Platform};
use crate::disks::Device;

/// What it is: maker and model, processor and memory, firmware, what it runs in. What is not known is left out.
pub fn summary(observed: &Observed) -> Vec<String> {
    let machine = &observed.machine;
    let processor = &machine.processor;
    let mut lines: Vec<String> = machine.product.iter().cloned().collect();
    let mut words = Vec::new();
    if let Some(model) = processor.model.as_ref().or(processor.vendor.as_ref()) {
        words.push(match processor.count {
            0 | 1 => model.clone(),
            count => format!("{count} × {model}"),
        });
    }
    words.extend(machine.memory.map(|bytes| format!("{} of memory", human(bytes))));
    if !words.is_empty() {
        lines.push(words.join(", "));
    }
    let firmware = match machine.firmware {
        FirmwareKind::Bios => "BIOS",
        FirmwareKind::Uefi32 => "UEFI (32 bits)",
        FirmwareKind::Uefi => "UEFI",
    };
    let mut words = vec![firmware.to_string()];
    words.extend(machine.secure_boot.map(|on| format!("Secure Boot is {}", if on { "on" } else { "off" })));
    words.extend(machine.tpm.map(|version| format!("TPM {version}")));
    words.push(match machine.platform {
        None => "real hardware".into(),
        Some(platform) => format!("a virtual machine ({})", platform_name(platform)),
    });
    lines.push(words.join(", "));
    lines
}

fn platform_name(platform: Platform) -> &'static str {
    match platform {
        Platform::Qemu => "QEMU or KVM",
        Platform::VirtualBox => "VirtualBox",
        Platform::Vmware => "VMware",
        Platform::HyperV => "Hyper-V",
        Platform::Xen => "Xen",
        Platform::Parallels => "Parallels",
        Platform::Nspawn => "systemd-nspawn",
        Platform::Other => "as the processor says",
    }
}

/// A disk: how large, which model, how it is reached, how large its sectors are. Not its serial number: the hardware file may
/// be shown to others.
pub fn disk(device: &Device) -> String {
    let sectors = match (device.sector_size, device.physical_sector_size) {
        (logical, physical) if logical == physical => format!("sectors of {logical} bytes"),
        (logical, physical) => format!("sectors of {logical} bytes ({physical} physical)"),
    };
    let mut words = vec![human(device.bytes)];
    words.extend(device.identity.model.clone());
    words.extend(device.transport.map(str::to_string));
    words.push(sectors);
    words.extend(device.contents.table.clone());
    format!("{}: {}", device.name, words.join(", "))
}
