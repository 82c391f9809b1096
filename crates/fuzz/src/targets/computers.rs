//! What a computer's `/sys` and `/proc` say, as the record of one that somebody sends: all that `cairn hardware` makes of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use cairn_installer::disks::hidden;
use cairn_installer::hardware::{difference, findings, observe, summary, to_nix};
use cairn_machine::{SourceFile, check_hardware};

use super::Target;
use crate::parts::{parts, whole};

/// The files of a record; the devices and their links stay as they are.
pub(super) const COMPUTER: Target = Target {
    name: "computer",
    seeds,
    words: &[
        "\u{1e}",
        "\n",
        " ",
        ": ",
        "=",
        ",",
        "\"",
        "${",
        "''",
        "\\040",
        "\\",
        "#",
        "/",
        "..",
        "\u{1b}[2J",
        "0x",
        "18446744073709551615",
        "subvol=",
        " - btrfs /dev/sda1 rw,subvol=/@",
        "20 1 8:1 /x /y rw",
        "CRYPT-LUKS2-",
        "E:ID_FS_UUID=",
        "alias pci:* ",
        "kernel/x.ko:",
        "hypervisor",
        "console=ttyS1,9600",
    ],
    most: 4096,
    quick: 1200,
    run: computer,
};

/// Each part of an input is one of them.
const FILES: [&str; 19] = [
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/cmdline",
    "proc/swaps",
    "proc/self/mountinfo",
    "proc/sys/kernel/osrelease",
    "lib/modules/6.1/modules.dep",
    "lib/modules/6.1/modules.alias",
    "lib/modules/6.1/modules.builtin.modinfo",
    "sys/class/tty/console/active",
    "sys/class/dmi/id/product_name",
    "sys/devices/pci0/0000:00:01.0/class",
    "sys/devices/pci0/0000:00:01.0/modalias",
    "sys/devices/pci0/0000:00:02.0/ata1/ata_device/dev1.0/id",
    "sys/devices/pci0/0000:00:02.0/ata1/block/sda/device/model",
    "sys/devices/pci0/0000:00:02.0/ata1/block/sda/size",
    "sys/devices/virtual/block/dm-0/dm/uuid",
    "run/udev/data/b8:0",
    "run/udev/data/b8:1",
];

fn seeds() -> Vec<Vec<u8>> {
    let texts: [&str; FILES.len()] = [
        "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel\nflags\t: vmx\n",
        "MemTotal: 16252928 kB\n",
        "quiet console=tty0 console=ttyS1,57600n8\n",
        "Filename Type Size Used Priority\n/dev/mapper/x partition 1 0 -2\n/swap\\040file file 1 0 -2\n",
        "20 1 8:1 / / rw,noatime - btrfs /dev/mapper/x rw,compress=zstd,subvol=/\n21 1 8:1 /a /b rw - btrfs /dev/mapper/x rw,subvol=/\n",
        "6.1\n",
        "kernel/ahci.ko: kernel/libahci.ko\nkernel/sd_mod.ko:\n",
        "alias pci:v*d* ahci\n",
        "nvme.firmware=a.fw\0nvme.alias=pci:v*\0",
        "tty0 ttyS1\n",
        "ThinkPad\n",
        "0x010400\n",
        "pci:v00001077d00002532sv0\n",
        "0000 0001 0002\n",
        "Samsung SSD\n",
        "2097152\n",
        "CRYPT-LUKS2-1-x\n",
        "E:ID_FS_TYPE=crypto_LUKS\nE:ID_FS_UUID=1-2\nE:ID_PART_TABLE_TYPE=gpt\n",
        "E:ID_FS_TYPE=btrfs\nE:ID_FS_UUID=3-4\nE:ID_FS_LABEL=x\n",
    ];
    vec![whole(&texts)]
}

fn computer(bytes: &[u8]) {
    let folder = crate::scratch().unwrap();
    let root = folder.path();
    devices(root);
    let texts: [String; FILES.len()] = parts(bytes);
    for (file, text) in FILES.iter().zip(&texts) {
        put(root, file, text.as_bytes());
    }
    let Ok(observed) = observe(root) else { return };
    let found = findings(&observed);
    // Whatever the record says, the hardware file is one, and says no more than was found.
    let yaml = found.to_yaml(&observed);
    let read = check_hardware(&SourceFile::new("hardware.yaml", yaml.as_bytes()));
    let read = read.unwrap_or_else(|problems| panic!("{problems}\n{yaml}"));
    assert_eq!(read, found.to_hardware());
    assert!(difference(&read, &found).is_empty());
    let _ = to_nix(&observed, &found);
    let _ = (summary(&observed), hidden(root, &observed.devices));
}

fn put(root: &Path, file: &str, text: &[u8]) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A controller without a driver, a disk on one with a driver, and something that is mapped upon it.
fn devices(root: &Path) {
    let pci = "sys/devices/pci0";
    for (path, text) in [
        ("0000:00:01.0/vendor", "0x1077"),
        ("0000:00:01.0/device", "0x2532"),
        ("0000:00:02.0/class", "0x010601"),
        ("0000:00:02.0/vendor", "0x8086"),
        ("0000:00:02.0/device", "0x2922"),
        ("0000:00:02.0/ata1/block/sda/dev", "8:0"),
    ] {
        put(root, &format!("{pci}/{path}"), text.as_bytes());
    }
    for (path, text) in [("dev", "8:1"), ("size", "1024"), ("dm/name", "x"), ("slaves/sda", "")] {
        put(root, &format!("sys/devices/virtual/block/dm-0/{path}"), text.as_bytes());
    }
    for folder in [
        "sys/bus/pci/devices",
        "sys/bus/pci/drivers/ahci",
        "sys/module/ahci",
        "sys/class/block",
        "sys/class/ata_device",
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    for (link, target) in [
        ("sys/bus/pci/devices/0000:00:01.0", "../../../devices/pci0/0000:00:01.0"),
        ("sys/bus/pci/devices/0000:00:02.0", "../../../devices/pci0/0000:00:02.0"),
        ("sys/devices/pci0/0000:00:02.0/driver", "../../../bus/pci/drivers/ahci"),
        ("sys/bus/pci/drivers/ahci/module", "../../../../module/ahci"),
        ("sys/class/block/sda", "../../devices/pci0/0000:00:02.0/ata1/block/sda"),
        ("sys/class/block/dm-0", "../../devices/virtual/block/dm-0"),
        ("sys/class/ata_device/dev1.0", "../../devices/pci0/0000:00:02.0/ata1/ata_device/dev1.0"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
}
