//! Disks that are there and cannot be used.

use crate::computer::{Computer, INTEL, VIRTUAL};
use crate::kinds;

fn said(pc: &Computer) -> Vec<String> {
    pc.observed().hidden
}

/// What an ATA drive says of itself, as libata shows it.
fn identity(security: u16) -> String {
    let mut words = [0u16; 256];
    let model = b"Samsung SSD 870 EVO 500GB               ";
    for (word, two) in words[27..47].iter_mut().zip(model.chunks(2)) {
        *word = u16::from_be_bytes([two[0], two[1]]);
    }
    words[128] = security;
    let lines: Vec<String> =
        words.chunks(8).map(|line| line.iter().map(|w| format!("{w:04x}")).collect::<Vec<_>>().join(" ")).collect();
    lines.join("\n") + "\n"
}

#[test]
fn a_drive_that_is_locked_by_its_password_is_told_with_the_words_to_look_for() {
    let pc = kinds::sata_desktop();
    let port = "sys/devices/pci0000:00/0000:00:1f.2/ata1/link1/dev1.0/ata_device/dev1.0";
    pc.link("sys/class/ata_device/dev1.0", port);
    // Supported, enabled, frozen: as it should be.
    pc.file(format!("{port}/id"), identity(0b1011));
    assert_eq!(said(&pc), [""; 0]);
    pc.file(format!("{port}/id"), identity(0b0111));
    let all = said(&pc);
    assert!(all[0].contains("the drive sda (Samsung SSD 870 EVO 500GB) is locked"), "{all:?}");
    assert!(all[0].contains("\"HDD password\""), "{all:?}");
    for odd in ["", "zz", "0001 0002"] {
        pc.file(format!("{port}/id"), odd);
        assert_eq!(said(&pc), [""; 0], "{odd}");
    }
}

#[test]
fn an_emmc_that_takes_no_writes_and_one_that_soon_will_not() {
    let pc = kinds::emmc_tablet();
    assert_eq!(said(&pc), [""; 0]);
    let card = "sys/devices/platform/80860F14:00/mmc_host/mmc0/mmc0:0001";
    pc.file(format!("{card}/pre_eol_info"), "0x03\n");
    assert!(said(&pc)[0].contains("spare blocks are nearly used up"));
    pc.file(format!("{card}/block/mmcblk0/ro"), "1\n");
    let all = said(&pc);
    assert!(all[0].contains("the eMMC mmcblk0 is read only, and says that it is worn out"), "{all:?}");
    pc.file(format!("{card}/type"), "SD\n");
    assert!(said(&pc)[0].contains("slide the switch"));
}

#[test]
fn an_nvme_disk_without_a_namespace_and_one_that_does_not_answer() {
    let pc = Computer::new(INTEL);
    pc.ps2_keyboard();
    let device = pc.driven("0000:01:00.0", "0x010802", ("0x144d", "0xa808"), "nvme", "nvme");
    let controller = pc.class("nvme", "nvme0", &device);
    for (file, text) in [("model", "KINGSTON"), ("address", "0000:01:00.0"), ("state", "live"), ("transport", "pcie")] {
        pc.file(format!("{controller}/{file}"), format!("{text}\n"));
    }
    assert!(said(&pc)[0].contains("nvme0 (KINGSTON, at 0000:01:00.0) has no namespace"), "{:?}", said(&pc));
    pc.disk("nvme0n1", &controller);
    assert_eq!(said(&pc), [""; 0]);
    pc.file(format!("{controller}/state"), "dead\n");
    assert!(said(&pc)[0].contains("does not answer (its state is `dead`)"));
}

#[test]
fn a_controller_whose_driver_lacks_firmware_or_was_not_loaded() {
    let pc = Computer::new(VIRTUAL);
    let card = pc.pci("0000:03:00.0", "0x010400", ("0x1077", "0x2532"));
    pc.file(format!("{card}/modalias"), "pci:v00001077d00002532sv0\n");
    assert!(said(&pc)[0].contains("0000:03:00.0 (1077:2532) has no driver"), "{:?}", said(&pc));
    pc.kernel("6.1", &[("qla2xxx", &["pci:v00001077d*"])], &[]);
    assert!(said(&pc)[0].contains("`modprobe qla2xxx`"), "{:?}", said(&pc));
    // Built in, so that its firmware stands in a text; a module's stands in its file.
    pc.kernel("6.1", &[], &["qla2xxx"]);
    pc.file(
        "lib/modules/6.1/modules.builtin.modinfo",
        "qla2xxx.alias=pci:v00001077d*\0qla2xxx.firmware=ql2500_fw.bin\0",
    );
    let all = said(&pc);
    assert!(all[0].contains("driver qla2xxx asks for firmware that is not in this system (ql2500_fw.bin)"), "{all:?}");
    pc.file("lib/firmware/ql2500_fw.bin.xz", "");
    assert!(said(&pc)[0].contains("`modprobe qla2xxx`"), "{:?}", said(&pc));
}

#[test]
fn what_is_odd_about_the_disks_is_among_the_warnings() {
    let pc = Computer::new(VIRTUAL);
    pc.pci("0000:03:00.0", "0x010400", ("0x1000", "0x005d"));
    let found = pc.findings();
    assert!(found.initrd_modules.is_empty());
    assert!(found.warnings[0].contains("0000:03:00.0 (1000:005d)"), "{:?}", found.warnings);
    assert!(found.to_yaml(&pc.observed()).contains("initrd_modules: []"));
}

#[test]
fn a_computer_without_any_disk_is_told_where_to_look() {
    let pc = Computer::new(INTEL);
    assert!(said(&pc)[0].contains("no disk is seen") && said(&pc)[0].contains("\"VMD\""), "{:?}", said(&pc));
    assert_eq!(said(&kinds::virtio()), [""; 0]);
}
