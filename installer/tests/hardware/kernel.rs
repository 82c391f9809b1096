//! What a kernel has, against what the hardware wants.

use cairn_installer::hardware::{State, Why};

use crate::computer::{Computer, VIRTUAL, modules};
use crate::kinds;

#[test]
fn a_module_that_the_kernel_lacks_is_left_out_and_told_where_a_disk_needs_it() {
    let pc = kinds::sata_desktop();
    pc.kernel("6.1-x", &[("ahci", &[]), ("usbhid", &[]), ("xhci-pci", &[]), ("kvm-amd", &[])], &["hid-generic"]);
    let observed = pc.observed();
    let found = cairn_installer::hardware::findings(&observed);
    assert_eq!(modules(&found), ["ahci", "hid_generic", "usbhid", "xhci_pci"]);
    assert_eq!(found.left_out["sd_mod"].why, Why::NotInKernel);
    assert!(found.warnings[0].contains("6.1-x has no module sd_mod"), "{:?}", found.warnings);
    assert!(found.warnings[0].contains("disk sda"), "{:?}", found.warnings);
    assert_eq!(State::of(&observed.kernel, "hid_generic"), State::BuiltIn);
    assert_eq!(State::of(&observed.kernel, "ahci"), State::Module);
}

#[test]
fn what_runs_virtual_machines_is_loaded_if_the_kernel_has_it() {
    let pc = kinds::sata_desktop();
    pc.kernel("6.1-x", &[("ahci", &[])], &[]);
    let found = pc.findings();
    assert!(found.kernel_modules.is_empty());
    assert_eq!(found.left_out["kvm_amd"].why, Why::NotInKernel);
}

#[test]
fn a_driver_that_is_built_in_everywhere_is_named_and_not_asked_for() {
    let pc = Computer::new(VIRTUAL);
    let disk = pc.driven("0000:00:04.0", "0x010802", ("0x144d", "0xa808"), "nvme", "nvme");
    pc.bind("sys/devices/pci0000:00", "acpi", "pcieport", None);
    pc.disk("nvme0n1", &format!("{disk}/nvme/nvme0"));
    let found = pc.findings();
    assert_eq!(modules(&found), ["nvme"]);
    assert_eq!(found.left_out["pcieport"].why, Why::BuiltIn);
}

#[test]
fn a_controller_without_a_driver_finds_its_module_by_what_it_calls_itself() {
    let pc = kinds::sata_desktop();
    let card = pc.pci("0000:03:00.0", "0x010400", ("0x1077", "0x2532"));
    pc.file(format!("{card}/modalias"), "pci:v00001077d00002532sv0sd0bc01sc04i00\n");
    pc.kernel("6.1-x", &[("qla2xxx", &["pci:v00001077d00002532sv*"]), ("ahci", &[]), ("sd_mod", &[])], &[]);
    let found = pc.findings();
    assert!(found.initrd_modules["qla2xxx"].iter().any(|why| why.contains("0000:03:00.0")));
    assert!(found.packages.iter().any(|package| package.value == "firmware-qlogic"));
}

#[test]
fn without_a_kernel_nothing_is_left_out() {
    let pc = kinds::sata_desktop();
    pc.file("proc/sys/kernel/osrelease", "6.1-x\n");
    let observed = pc.observed();
    assert_eq!(State::of(&observed.kernel, "ahci"), State::Unknown);
    assert!(pc.findings().initrd_modules.contains_key("sd_mod"));
    // A release is a name, and no way out of the folder.
    pc.file("proc/sys/kernel/osrelease", "../../etc\n");
    assert_eq!(pc.observed().kernel.release, None);
}

#[test]
fn the_only_kernel_that_is_there_counts_where_the_running_one_has_no_modules() {
    let pc = kinds::sata_desktop();
    pc.kernel("6.2-new", &[("ahci", &[])], &[]);
    pc.file("proc/sys/kernel/osrelease", "6.1-old\n");
    let observed = pc.observed();
    assert_eq!((observed.kernel.release.as_deref(), observed.kernel.is_known()), (Some("6.2-new"), true));
    pc.file("lib/modules/6.3-newest/modules.dep", "");
    let observed = pc.observed();
    assert_eq!((observed.kernel.release.as_deref(), observed.kernel.is_known()), (Some("6.1-old"), false));
}

#[test]
fn what_modules_need_hard_and_soft_is_told() {
    let pc = kinds::sata_desktop();
    let all = ["ahci", "sd_mod", "usbhid", "xhci-pci", "hid-generic", "libahci", "t10-pi", "other"];
    pc.kernel("6.1-x", &all.map(|name| (name, &[][..])), &[]);
    let folder = "lib/modules/6.1-x";
    let dep = std::fs::read_to_string(pc.path(format!("{folder}/modules.dep"))).unwrap();
    pc.file(
        format!("{folder}/modules.dep"),
        dep.replace("ahci.ko:\nkernel/sd", "ahci.ko: kernel/libahci.ko\nkernel/sd"),
    );
    pc.file(format!("{folder}/modules.softdep"), "softdep sd_mod post: t10-pi\n");
    let observed = pc.observed();
    let found = pc.findings();
    let needed = observed.kernel.needs(found.initrd_modules.keys().map(String::as_str));
    assert_eq!(needed.iter().collect::<Vec<_>>(), ["libahci", "t10_pi"]);
}
