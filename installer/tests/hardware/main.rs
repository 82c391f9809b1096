//! Hardware detection on made-up computers: a folder with the parts of `/sys` and `/proc` that are read.

mod computer;
mod difference;
mod doctor;
mod kernel;
mod kinds;
mod nix;
mod record;

use std::collections::BTreeSet;

use cairn_installer::hardware::{Findings, Observed, findings, observe, to_nix};
use cairn_process::Tool;
use computer::{Computer, INTEL, VIRTUAL, modules};
use tempfile::TempDir;

/// Every kind of computer against NixOS's rules: what is found beyond them, and what is not asked for, is listed with the kind,
/// and explained in the documentation.
#[test]
fn every_kind_of_computer_is_held_against_the_rules_of_nixos() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hardware.md")).unwrap();
    for kinds::Kind { name, computer, more, less, load } in kinds::all() {
        let found = computer.findings();
        let ours: BTreeSet<String> = found.initrd_modules.keys().cloned().collect();
        let theirs = computer.by_the_rules_of_nixos();
        let beyond: Vec<&String> = ours.difference(&theirs).collect();
        let without: Vec<&String> = theirs.difference(&ours).collect();
        assert_eq!(beyond, more, "{name}");
        assert_eq!(without, less, "{name}");
        assert_eq!(found.kernel_modules.keys().collect::<Vec<_>>(), load, "{name}");
        assert!(found.initrd_modules.values().all(|reasons| !reasons.is_empty()), "{name}: each has its reason");
        for module in more.iter().chain(less) {
            assert!(page.contains(&format!("`{module}`")), "docs/hardware.md explains {module} ({name})");
        }
        assert!(page.contains(name), "docs/hardware.md names the kind `{name}`");
    }
}

/// What a hardware file says can be read by who reads hardware files, and is the same again.
#[test]
fn every_kind_gives_a_hardware_file_that_is_read_back() {
    for kinds::Kind { name, computer, .. } in kinds::all() {
        let observed = computer.observed();
        let found = findings(&observed);
        let file = cairn_machine::SourceFile::new("hardware.yaml", found.to_yaml(&observed));
        assert_eq!(cairn_machine::check_hardware(&file).unwrap(), found.to_hardware(), "{name}");
    }
}

#[test]
fn a_virtio_scsi_controller_without_a_disk_is_not_forgotten() {
    let pc = Computer::new(VIRTUAL);
    let device = pc.pci("0000:00:05.0", "0x010000", ("0x1af4", "0x1004"));
    pc.bind(&device, "pci", "virtio-pci", Some("virtio_pci"));
    assert_eq!(modules(&pc.findings()), ["virtio_pci", "virtio_scsi"]);
}

#[test]
fn a_desktop_gets_the_kernel_and_the_microcode_for_real_hardware() {
    let found = kinds::sata_desktop().findings();
    assert_eq!(modules(&found), ["ahci", "hid_generic", "sd_mod", "usbhid", "xhci_pci"]);
    assert_eq!(found.initrd_modules["ahci"].iter().collect::<Vec<_>>(), ["PCI 0000:00:1f.2, storage", "disk sda"]);
    assert_eq!(found.kernel_package.unwrap().value, "linux-image-amd64");
    assert_eq!(found.packages[0].value, "amd64-microcode");
    assert_eq!(found.warnings, [""; 0]);
}

#[test]
fn nvme_that_is_built_into_this_kernel_is_named_for_the_next() {
    let pc = Computer::new(VIRTUAL);
    let device = pc.pci("0000:00:05.0", "0x010802", ("0x1b36", "0x0010"));
    pc.bind(&device, "pci", "nvme", None);
    pc.disk("nvme0n1", &format!("{device}/nvme/nvme0"));
    assert_eq!(modules(&pc.findings()), ["nvme"]);
}

#[test]
fn what_a_controller_waits_for_comes_with_it() {
    let pc = kinds::emmc_tablet();
    pc.bind("sys/devices/platform/regulator", "platform", "reg-fixed", Some("fixed"));
    let link = "sys/devices/virtual/devlink/platform:regulator--platform:80860F14:00";
    pc.link(&format!("{link}/supplier"), "sys/devices/platform/regulator");
    pc.link("sys/devices/platform/80860F14:00/supplier:platform:regulator", link);
    assert!(modules(&pc.findings()).contains(&"fixed"));
}

#[test]
fn what_works_together_with_another_is_asked_for_where_it_is_loaded() {
    let hub = |pc: &Computer| pc.findings().initrd_modules.contains_key("surface_aggregator_hub");
    assert!(hub(&kinds::surface()));
    let pc = kinds::surface();
    std::fs::remove_dir_all(pc.path("sys/module/surface_aggregator_hub")).unwrap();
    assert!(!hub(&pc), "not every kernel has it");
}

/// What no kernel shows: links in circles and out of the folder, pipes and devices where files are.
#[test]
fn strange_records_end() {
    use std::os::unix::fs::symlink;
    let pc = kinds::i2c_laptop();
    let device = pc.path("sys/devices/pci0000:00/0000:00:15.0");
    symlink("supplier:loop", device.join("supplier:loop")).unwrap();
    symlink("/etc", device.join("supplier:out")).unwrap();
    symlink("../0000:00:15.0", device.join("supplier:self")).unwrap();
    symlink("../../../../../../../../etc/passwd", pc.path("sys/bus/pci/devices/out")).unwrap();
    symlink("/dev/zero", pc.path("proc/cmdline")).unwrap();
    symlink("circle", pc.path("sys/module/circle")).unwrap();
    std::fs::remove_file(pc.path("proc/meminfo")).unwrap();
    Tool::new("mkfifo", "coreutils", "make a pipe").arg(pc.path("proc/meminfo")).run().unwrap();
    pc.file("proc/cpuinfo", b"flags\t: \xff\xfe vmx\n\0::::\nprocessor\n");
    pc.file("etc/hostid", [0; 5]);
    pc.file("proc/swaps", "x\n\n \n/dev/x\n");
    let observed = pc.observed();
    assert_eq!((observed.machine.memory, observed.machine.consoles.len()), (None, 0));
    assert_eq!(observed.machine.processor.virtualization, Some("vmx"));
    assert!(modules(&pc.findings()).contains(&"i2c_hid_acpi"));
    // No more than a screen, whatever is in it.
    assert!(to_nix(&observed, &findings(&observed)).lines().count() < 60);
}

#[test]
fn a_virtual_machine_whose_disk_the_default_kernel_does_not_reach_gets_another_kernel() {
    let found = kinds::vmware("mptspi").findings();
    let kernel = found.kernel_package.unwrap();
    assert_eq!(kernel.value, "linux-image-amd64");
    assert!(kernel.reason.contains("no mptspi") && kernel.reason.contains("disk sda"), "{kernel:?}");
    assert!(found.initrd_modules.contains_key("ehci_pci"), "that kernel has the others as well");
    assert_eq!(kinds::vmware("vmw_pvscsi").findings().kernel_package, None);
}

/// What a virtual machine was installed from does not choose its kernel; a disk on USB does.
#[test]
fn a_stick_in_a_virtual_machine_chooses_no_kernel() {
    let pc = kinds::virtio();
    let usb = pc.driven("0000:00:14.0", "0x0c0330", ("0x1b36", "0x000d"), "xhci_hcd", "xhci_pci");
    let interface = format!("{usb}/usb2/2-1/2-1:1.0");
    pc.usb(&interface, "08", "50", "usb-storage", "usb_storage");
    let disk = pc.scsi_disk("sda", &format!("{interface}/host6"));
    pc.file(format!("{disk}/removable"), "1\n");
    let found = pc.findings();
    assert_eq!(found.kernel_package, None);
    assert!(!found.initrd_modules.contains_key("usb_storage"));
    pc.file(format!("{disk}/removable"), "0\n");
    let found = pc.findings();
    assert!(found.kernel_package.unwrap().reason.contains("no usb_storage, xhci_pci"));
    assert!(!found.initrd_modules.contains_key("usbcore"), "each driver of a USB host depends on it");
}

#[test]
fn a_virtual_machine_with_nothing_but_a_usb_keyboard_is_told() {
    let pc = kinds::hyper_v();
    assert_eq!(pc.findings().warnings, [""; 0]);
    let pc = Computer::new(VIRTUAL);
    let usb = pc.driven("0000:00:14.0", "0x0c0330", ("0x1b36", "0x000d"), "xhci_hcd", "xhci_pci");
    pc.usb_keyboard(&usb);
    let found = pc.findings();
    assert!(found.warnings[0].contains("the keyboard of this virtual machine"), "{:?}", found.warnings);
    assert!(!found.initrd_modules.contains_key("xhci_pci"));
}

#[test]
fn firmware_that_drivers_ask_for_has_its_package() {
    let packages: Vec<String> = kinds::i2c_laptop().findings().packages.into_iter().map(|p| p.value).collect();
    assert_eq!(packages, ["firmware-intel-graphics", "firmware-iwlwifi", "intel-microcode"]);
    let packages: Vec<String> = kinds::raid_server().findings().packages.into_iter().map(|p| p.value).collect();
    assert_eq!(packages, ["firmware-bnx2x", "intel-microcode"]);
    assert_eq!(kinds::virtio().findings().packages, []);
}

#[test]
fn a_serial_console_that_the_default_does_not_name_is_for_the_machine_file() {
    let pc = kinds::raid_server();
    let found = pc.findings();
    assert_eq!(found.consoles.as_ref().unwrap().value, ["tty0", "ttyS1,57600n8"]);
    assert!(found.to_yaml(&pc.observed()).contains("#   consoles: [\"tty0\", \"ttyS1,57600n8\"]"));
    for line in ["console=ttyS0,115200n8", "console=ttyS0", "console=tty0"] {
        let pc = kinds::virtio();
        pc.file("proc/cmdline", line);
        pc.file("sys/class/tty/console/active", "tty0 ttyS0\n");
        assert_eq!(pc.findings().consoles, None, "{line}");
    }
}

#[test]
fn real_hardware_without_a_keyboard_is_told() {
    let found = Computer::new(INTEL).findings();
    assert!(found.warnings[0].contains("no keyboard was seen"), "{:?}", found.warnings);
}

/// A folder is anybody's: what it says goes into files and onto terminals.
#[test]
fn names_that_are_none_do_not_get_into_a_file() {
    let pc = Computer::new(VIRTUAL);
    let disk = pc.pci("0000:00:04.0", "0x010802", ("0x144d", "0xa808"));
    pc.bind(&disk, "pci", "nvme", Some("nvme\nseed: x"));
    pc.dmi("Maker\nseed: 5", "Model # \u{1b}[31m");
    let path = pc.disk("vda", &disk);
    pc.file(format!("{path}/device/model"), "a\nb: c\n");
    let observed = pc.observed();
    let found = findings(&observed);
    assert_eq!(modules(&found), [""; 0]);
    let yaml = found.to_yaml(&observed);
    let file = cairn_machine::SourceFile::new("hardware.yaml", yaml.clone());
    assert_eq!(cairn_machine::check_hardware(&file).unwrap().seed, None, "{yaml}");
    assert!(!yaml.contains('\u{1b}'), "{yaml}");
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
    found.kernel_modules.entry("kvm_intel".into()).or_default().insert("the processor can".into());
    let yaml = found.to_yaml(&Observed::default());
    let expected = "\
# Facts about one computer, written by `cairn hardware`. To use them, say in the machine file:
#   hardware: hardware.yaml
#
# BIOS, real hardware
version: 1
architecture: x86-64
# Every identifier on the disk comes from this: keep it.
seed: 12345678-9abc-4def-8123-456789abcdef
# Modules that the initrd needs to reach the disks and a keyboard.
initrd_modules:
  - ahci    # PCI 0000:00:1f.2, storage; disk sda
  - sd_mod  # disk sda
# Modules to load at boot.
kernel_modules:
  - kvm_intel  # the processor can
";
    assert_eq!(yaml, expected);
}
