//! A hardware file that is there, against the computer.

use cairn_installer::hardware::{Side, difference};

use crate::kinds;

#[test]
fn a_file_of_this_computer_does_not_differ() {
    for kinds::Kind { name, computer, .. } in kinds::all() {
        let found = computer.findings();
        let mut file = found.to_hardware();
        file.initrd_modules.reverse();
        file.initrd_modules.iter_mut().for_each(|module| *module = module.replace('_', "-"));
        file.kernel_parameters.push("quiet".into());
        assert_eq!(difference(&file, &found), [], "{name}");
    }
}

#[test]
fn what_is_new_and_what_is_gone_have_their_reasons() {
    let found = kinds::i2c_laptop().findings();
    let mut file = kinds::virtio_scsi().findings().to_hardware();
    file.kernel_modules.push("kvm_amd".into());
    let all = difference(&file, &found);
    let of = |side, value: &str| all.iter().find(|one| one.side == side && one.value == value).unwrap();
    assert_eq!(of(Side::New, "nvme").reason, "PCI 0000:01:00.0, storage; disk nvme0n1");
    assert_eq!((of(Side::New, "kvm_intel").key, of(Side::Gone, "kvm_amd").key), ("kernel_modules", "kernel_modules"));
    assert_eq!(of(Side::Gone, "virtio_scsi").reason, "nothing here asks for it now");
}

#[test]
fn what_this_computer_wants_and_its_kernel_lacks_is_gone_for_that_reason() {
    let found = kinds::virtio_scsi().findings();
    let mut file = found.to_hardware();
    file.initrd_modules.push("xhci_pci".into());
    let all = difference(&file, &found);
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].reason.contains("not in the default kernel"), "{all:?}");
}
