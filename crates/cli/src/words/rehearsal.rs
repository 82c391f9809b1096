//! What the twin of a disk hangs on in QEMU: the kind of controller that the disk hangs on, where QEMU has it and the machine's initrd a
//! driver for it, or else another one, and why.

use std::path::Path;

use cairn_installer::disks::Device;
use cairn_machine::model::{Firmware, FirmwareKind, RecordedDisk};
use cairn_process::Refusal;
use image_builder::qemu::Controller;

/// Controllers with the modules by which an initrd reaches their disks.
const KNOWN: [(Controller, &[&str]); 6] = [
    (Controller::Nvme, &["nvme"]),
    (Controller::Ahci, &["ahci"]),
    (Controller::VirtioBlk, &["virtio_blk"]),
    (Controller::VirtioScsi, &["virtio_scsi"]),
    (Controller::Usb, &["usb_storage", "xhci_pci"]),
    (Controller::Sd, &["sdhci_pci"]),
];

/// What it hangs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HangsOn {
    /// The controller.
    pub controller: Controller,
    /// Why it is not the one that the disk hangs on.
    pub note: Option<String>,
}

/// Chooses it. `modules` are those of the initrd, nothing where it has the generic set; `chosen` is what somebody said.
///
/// # Errors
/// A refusal where nothing in QEMU would start such a disk.
pub fn hangs_on(
    disk: Option<&RecordedDisk>,
    modules: Option<&[String]>,
    (sector_size, bios): (u64, bool),
    chosen: Option<Controller>,
) -> Result<HangsOn, Refusal> {
    if bios && sector_size != 512 {
        return Err(Refusal(format!(
            "the twin cannot be started: a BIOS reads sectors of 512 bytes, and the disk's have {sector_size}"
        )));
    }
    if let Some(controller) = chosen {
        return Ok(HangsOn { controller, note: None });
    }
    let wrong = |controller| wrong(controller, modules, sector_size, bios);
    let wanted = disk.map(|disk| (disk, kind_of(disk)));
    let note = match wanted {
        Some((_, Some(controller))) => match wrong(controller) {
            None => return Ok(HangsOn { controller, note: None }),
            Some(why) => Some(why),
        },
        Some((disk, None)) => Some(nothing_like(disk)),
        None => None,
    };
    // With the generic set each of them will do.
    let order = if modules.is_none() { [2, 0, 1, 3] } else { [0, 1, 2, 3] };
    let found = order.into_iter().map(|n| KNOWN[n].0).find(|controller| wrong(*controller).is_none());
    let Some(controller) = found else {
        let modules = modules.unwrap_or_default().join(", ");
        let note = note.map(|note| format!("{note}, and ")).unwrap_or_default();
        return Err(Refusal(format!(
            "the twin cannot be started: {note}the initrd has {modules}, of which none is for another controller that QEMU has here \
             (nvme, ahci, virtio_blk, virtio_scsi). --controller chooses one"
        )));
    };
    let instead =
        |why| format!("the twin does not hang on what the disk hangs on, but on {}: {why}", controller.name());
    Ok(HangsOn { controller, note: note.map(instead) })
}

/// What another disk of the same computer hangs on, from which nothing is started.
pub fn beside(disk: &RecordedDisk) -> HangsOn {
    let why = match kind_of(disk) {
        Some(controller) => match wrong(controller, None, disk.sector_size.into(), true) {
            None => return HangsOn { controller, note: None },
            Some(why) => why,
        },
        None => nothing_like(disk),
    };
    let controller = Controller::VirtioScsi;
    let note = format!("{} does not hang on what it hung on, but on {}: {why}", disk.name, controller.name());
    HangsOn { controller, note: Some(note) }
}

fn nothing_like(disk: &RecordedDisk) -> String {
    let way = disk.transport.as_deref().unwrap_or("nothing that is known");
    format!("QEMU has nothing like it ({way}, {})", disk.drivers.join(", "))
}

/// The kind of controller that a disk was recorded with.
fn kind_of(disk: &RecordedDisk) -> Option<Controller> {
    let has = |driver: &str| disk.drivers.iter().any(|one| plain(one) == driver);
    match disk.transport.as_deref()? {
        "nvme" => Some(Controller::Nvme),
        "sata" => Some(Controller::Ahci),
        "usb" => Some(Controller::Usb),
        "sd" | "mmc" => Some(Controller::Sd),
        "virtio" if has("virtio_scsi") => Some(Controller::VirtioScsi),
        "virtio" => Some(Controller::VirtioBlk),
        "scsi" => Some(Controller::VirtioScsi),
        _ => None,
    }
}

/// Why a disk cannot hang on it.
fn wrong(controller: Controller, modules: Option<&[String]>, sector_size: u64, bios: bool) -> Option<String> {
    let name = controller.name();
    if sector_size != 512 && matches!(controller, Controller::Ahci | Controller::Sd) {
        return Some(format!("QEMU's {name} has no sectors of {sector_size} bytes"));
    }
    if controller == Controller::Sd && !bios {
        return Some("QEMU's UEFI starts nothing from a card".into());
    }
    let needed = KNOWN.iter().find(|(one, _)| *one == controller).map_or(&[][..], |(_, modules)| modules);
    let has = |module: &str| modules.is_none_or(|modules| modules.iter().any(|one| plain(one) == module));
    let missing = needed.iter().find(|module| !has(module))?;
    Some(format!("the initrd has no {missing}"))
}

/// A module's name as the kernel compares it.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// What the machine is started by: what starts that computer, or else what the machine can.
pub fn starts_by_bios(can: Firmware, firmware: Option<FirmwareKind>) -> bool {
    match firmware {
        Some(kind) if can.uefi && can.bios => kind == FirmwareKind::Bios,
        _ => !can.uefi,
    }
}

/// The disk that a name in `/dev` led to, on the computer that was recorded.
pub fn recorded_name(devices: &[Device], node: &Path) -> Option<String> {
    let link = node.strip_prefix("/dev/disk/by-id").ok().and_then(Path::to_str);
    let by_id = |one: &&Device| link.is_some_and(|link| one.identity.by_id.iter().any(|name| name == link));
    let found = devices.iter().find(by_id).map(|one| one.name.clone());
    found.or_else(|| Some(node.strip_prefix("/dev").ok()?.to_str()?.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(transport: &str, driver: &str) -> RecordedDisk {
        RecordedDisk {
            transport: Some(transport.into()),
            drivers: vec![driver.into()],
            bytes: 1 << 30,
            sector_size: 512,
            ..RecordedDisk::default()
        }
    }

    fn on(transport: &str, driver: &str, modules: &[&str], size: u64, bios: bool) -> Result<HangsOn, String> {
        let modules: Vec<String> = modules.iter().map(ToString::to_string).collect();
        let disk = disk(transport, driver);
        hangs_on(Some(&disk), Some(&modules), (size, bios), None).map_err(|why| why.0)
    }

    #[test]
    fn a_twin_hangs_on_what_the_disk_hangs_on() {
        for (transport, driver, modules, controller) in [
            ("nvme", "nvme", &["nvme"][..], Controller::Nvme),
            ("sata", "ahci", &["ahci", "sd_mod"], Controller::Ahci),
            ("usb", "usb-storage", &["usb-storage", "xhci-pci"], Controller::Usb),
            ("virtio", "virtio_scsi", &["virtio_scsi"], Controller::VirtioScsi),
            ("virtio", "virtio_blk", &["virtio_blk"], Controller::VirtioBlk),
            ("sd", "sdhci_pci", &["sdhci_pci"], Controller::Sd),
        ] {
            let expected = HangsOn { controller, note: None };
            assert_eq!(on(transport, driver, modules, 512, true), Ok(expected), "{transport}");
        }
    }

    #[test]
    fn what_qemu_does_not_have_is_said_and_another_one_is_taken() {
        let other = on("sas", "mpt3sas", &["mpt3sas", "nvme"], 512, false).unwrap();
        assert_eq!(other.controller, Controller::Nvme);
        assert!(other.note.unwrap().contains("QEMU has nothing like it (sas, mpt3sas)"));
        let other = on("sata", "ahci", &["ahci", "virtio_blk"], 4096, false).unwrap();
        assert!(other.note.unwrap().contains("no sectors of 4096 bytes"));
        let refused = on("sas", "mpt3sas", &["mpt3sas"], 512, false).unwrap_err();
        assert!(refused.contains("the initrd has mpt3sas"), "{refused}");
        let refused = on("nvme", "nvme", &["nvme"], 4096, true).unwrap_err();
        assert!(refused.contains("a BIOS reads sectors of 512 bytes"), "{refused}");
        assert_eq!(hangs_on(None, None, (512, false), None).unwrap().controller, Controller::VirtioBlk);
    }
}
