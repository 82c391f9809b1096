//! What programs get.

use cairn_installer::hardware::{Record, findings, summary};

use crate::kinds;

#[test]
fn a_laptop_is_described_as_a_whole() {
    let pc = kinds::i2c_laptop();
    let observed = pc.observed();
    let found = findings(&observed);
    let record = serde_json::to_value(Record::new(&observed, &found)).unwrap();
    assert_eq!(record["machine"]["firmware"], "uefi");
    assert_eq!(record["machine"]["secure_boot"], true);
    assert_eq!(record["machine"]["tpm"], 2);
    assert_eq!(record["machine"]["memory"], 16_252_928_u64 * 1024);
    assert_eq!(record["machine"]["processor"]["count"], 2);
    assert_eq!(record["graphics"][0]["driver"], "i915");
    assert_eq!(record["disks"][0]["drivers"], serde_json::json!(["nvme"]));
    assert_eq!(record["keyboards"][0]["behind"], "0000:00:15.0");
    assert_eq!(record["devices"][0]["sector_size"], 512);
    assert_eq!(
        summary(&observed),
        [
            "LENOVO ThinkPad X1",
            "2 × Intel(R) Core(TM) i7, 15.5G of memory",
            "UEFI, Secure Boot is on, TPM 2, real hardware"
        ]
    );
}

#[test]
fn virtual_machines_are_told_from_real_ones() {
    let platform = |pc: &crate::computer::Computer| {
        serde_json::to_value(pc.observed().machine.platform).unwrap().as_str().map(str::to_string)
    };
    let all = kinds::all();
    let of = |name: &str| platform(&all.iter().find(|kind| kind.name == name).unwrap().computer);
    for (name, expected) in [
        ("virtual machine with virtio-blk", Some("qemu")),
        ("Hyper-V", Some("hyper-v")),
        ("laptop with a Surface keyboard", None),
        ("Xen, a guest", Some("xen")),
        ("VirtualBox", Some("virtual-box")),
        ("VMware with PVSCSI", Some("vmware")),
        ("container of systemd-nspawn", Some("nspawn")),
    ] {
        assert_eq!(of(name).as_deref(), expected, "{name}");
    }
    // Xen's first domain has the hardware.
    let pc = kinds::sata_desktop();
    pc.file("sys/hypervisor/type", "xen\n");
    pc.file("proc/xen/capabilities", "control_d\n");
    assert_eq!(platform(&pc), None);
}
