//! Disks in folders that look like computers.

mod select;
mod tree;

use std::path::PathBuf;

use cairn_installer::disks::{Kind, Stack, Use, hidden, look};
use cairn_installer::hardware::ObserveError;
use tree::{NVME, SATA, Tree, USB, VIRTIO, named};

const GIB: u64 = 1 << 30;

#[test]
fn a_sata_disk_with_windows_is_told_by_name_and_by_what_is_on_it() {
    let mut tree = Tree::new();
    let model = [("device/vendor", "ATA"), ("device/model", "Samsung SSD 870")];
    tree.disk(SATA, "sda", 80 * GIB, &model);
    tree.udev(
        "sda",
        &[
            ("ID_SERIAL_SHORT", "S1"),
            ("ID_WWN", "0x5002538e"),
            ("ID_PART_TABLE_TYPE", "gpt"),
            ("ID_PART_TABLE_UUID", "a-b"),
        ],
    );
    tree.link("ata-Samsung_SSD_870_S1", "sda");
    tree.link("wwn-0x5002538e", "sda");
    tree.link("ata-Samsung_SSD_870_S1-part3", "sda3");
    tree.partition("sda", "sda3", (3, 239_616, 166_486_126));
    let facts = [
        ("ID_PART_ENTRY_TYPE", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),
        ("ID_PART_ENTRY_NAME", "Basic\\x20data\\x20partition"),
        ("ID_PART_ENTRY_UUID", "c-d"),
        ("ID_FS_TYPE", "BitLocker"),
        ("ID_FS_USAGE", "crypto"),
    ];
    tree.udev("sda3", &facts);
    let devices = tree.look();
    let disk = named(&devices, "sda");
    assert_eq!((disk.kind, disk.bytes, disk.transport), (Kind::Disk, 80 * GIB, Some("sata")));
    assert_eq!(disk.identity.model.as_deref(), Some("Samsung SSD 870"));
    assert_eq!(disk.identity.serial.as_deref(), Some("S1"));
    assert_eq!(disk.identity.wwn.as_deref(), Some("0x5002538e"));
    assert_eq!(disk.identity.by_id, ["ata-Samsung_SSD_870_S1", "wwn-0x5002538e"]);
    assert_eq!((disk.contents.table.as_deref(), disk.contents.table_id.as_deref()), (Some("gpt"), Some("a-b")));
    let partition = named(&devices, "sda3");
    let its = partition.partition.as_ref().unwrap();
    assert_eq!((its.disk.as_str(), its.number, its.offset), ("sda", 3, 239_616 * 512));
    assert_eq!(its.label.as_deref(), Some("Basic data partition"));
    assert_eq!(partition.contents.signature.as_ref().unwrap().kind, "BitLocker");
    assert_eq!(partition.contents.table, None, "what udev says of the disk's table is the disk's");
}

#[test]
fn each_way_to_a_disk_has_its_name_and_its_place_for_the_serial_number() {
    let mut tree = Tree::new();
    tree.disk(
        NVME,
        "nvme0n1",
        GIB,
        &[("device/model", "KINGSTON"), ("device/serial", "N1"), ("device/transport", "pcie"), ("wwid", "eui.0025")],
    );
    tree.disk("virtual/nvme-fabrics/ctl/nvme1", "nvme1n1", GIB, &[("device/transport", "tcp")]);
    tree.disk(VIRTIO, "vda", GIB, &[("serial", "V1"), ("queue/logical_block_size", "4096")]);
    tree.disk(USB, "sdb", 0, &[("device/vendor", "Generic"), ("device/model", "SD Reader"), ("removable", "1")]);
    std::fs::write(tree.path().join("sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/bDeviceClass"), "00\n").unwrap();
    std::fs::write(tree.path().join("sys/devices/pci0000:00/0000:00:14.0/usb1/1-2/serial"), "U1\n").unwrap();
    tree.disk(
        "platform/mmc/mmc_host/mmc0/mmc0:0001",
        "mmcblk0",
        GIB,
        &[("device/type", "MMC"), ("device/name", "BJTD4R")],
    );
    tree.disk("platform/mmc/mmc_host/mmc0/mmc0:0001", "mmcblk0boot0", GIB, &[]);
    tree.disk("pci0000:00/0000:00:07.0/virtio2/host7/target7:0:0/7:0:0:0", "sdc", GIB, &[]);
    std::fs::write(
        tree.path().join("sys/devices/pci0000:00/0000:00:07.0/virtio2/host7/target7:0:0/7:0:0:0/vpd_pg80"),
        b"\0\x80\0\x04  Q1",
    )
    .unwrap();
    let devices = tree.look();
    let all: Vec<_> = devices.iter().map(|d| (d.name.as_str(), d.transport, d.identity.serial.as_deref())).collect();
    assert_eq!(
        all,
        [
            ("mmcblk0", Some("mmc"), None),
            ("mmcblk0boot0", None, None),
            ("nvme0n1", Some("nvme"), Some("N1")),
            ("nvme1n1", Some("nvme-of"), None),
            ("sdb", Some("usb"), Some("U1")),
            ("sdc", Some("virtio"), Some("Q1")),
            ("vda", Some("virtio"), Some("V1")),
        ]
    );
    assert_eq!(named(&devices, "mmcblk0boot0").kind, Kind::BootArea);
    assert_eq!(named(&devices, "vda").sector_size, 4096);
    let reader = named(&devices, "sdb");
    assert_eq!(
        (reader.bytes, reader.removable, reader.identity.model.as_deref()),
        (0, true, Some("Generic SD Reader"))
    );
    assert_eq!(named(&devices, "nvme0n1").identity.wwn.as_deref(), Some("eui.0025"));
    assert_eq!(named(&devices, "mmcblk0").identity.model.as_deref(), Some("BJTD4R"));
}

#[test]
fn what_lies_upon_a_disk_is_found_through_all_layers() {
    let mut tree = Tree::new();
    for (disk, part) in [("sda", "sda1"), ("sdb", "sdb1")] {
        tree.disk(&SATA.replace("ata1", if disk == "sda" { "ata1" } else { "ata2" }), disk, 8 * GIB, &[]);
        tree.partition(disk, part, (1, 2048, 1 << 20));
    }
    tree.upon(&["sda1", "sdb1"], "md127", GIB, &[("md/level", "raid1")]);
    tree.upon(&["md127"], "dm-0", GIB, &[("dm/uuid", "CRYPT-LUKS2-00-x"), ("dm/name", "x")]);
    tree.upon(&["dm-0"], "dm-1", GIB, &[("dm/uuid", "LVM-abc"), ("dm/name", "vg-root")]);
    tree.upon(&["dm-0"], "dm-2", GIB, &[("dm/uuid", "LVM-def"), ("dm/name", "vg-swap")]);
    tree.mount("dm-1", "/");
    tree.swap("dm-2");
    let devices = tree.look();
    let stack = Stack(&devices);
    let kinds = ["md127", "dm-0", "dm-1"].map(|name| named(&devices, name).kind);
    assert_eq!(kinds, [Kind::Raid, Kind::Crypt, Kind::LogicalVolume]);
    assert_eq!(named(&devices, "dm-1").identity.name.as_deref(), Some("vg-root"));
    let whole: Vec<&str> = stack.whole(named(&devices, "sdb")).iter().map(|d| d.name.as_str()).collect();
    assert_eq!(whole, ["sdb", "sdb1", "md127", "dm-0", "dm-1", "dm-2"]);
    assert_eq!(named(&devices, "dm-1").uses, [Use::Mounted("/".into())]);
    assert_eq!(named(&devices, "dm-2").uses, [Use::Swap]);
    let bottom: Vec<&str> = stack.bottom().map(|d| d.name.as_str()).collect();
    assert_eq!(bottom, ["sda", "sdb"]);
}

#[test]
fn file_systems_without_a_device_of_their_own_are_in_use_too() {
    let mut tree = Tree::new();
    for name in ["vda", "vdb", "vdc"] {
        tree.disk(&VIRTIO.replace("virtio1", &format!("virtio{name}")), name, GIB, &[]);
    }
    for name in ["vda", "vdb"] {
        tree.udev(name, &[("ID_FS_TYPE", "btrfs"), ("ID_FS_UUID", "u-u"), ("ID_FS_USAGE", "filesystem")]);
        std::fs::create_dir_all(tree.path().join("sys/fs/btrfs/u-u/devices").join(name)).unwrap();
    }
    tree.udev("vdc", &[("ID_FS_TYPE", "zfs_member"), ("ID_FS_LABEL", "rpool"), ("ID_FS_USAGE", "filesystem")]);
    tree.mount_as("0:30", "/dev/vda", "btrfs", "/srv");
    tree.mount_as("0:31", "rpool/ROOT/x", "zfs", "/");
    let devices = tree.look();
    let uses = ["vda", "vdb", "vdc"].map(|name| named(&devices, name).uses.clone());
    let mounted = |at: &str| vec![Use::Mounted(PathBuf::from(at))];
    assert_eq!(uses, [mounted("/srv"), mounted("/srv"), mounted("/")]);
}

#[test]
fn the_medium_is_below_the_file_that_is_the_running_system() {
    let mut tree = Tree::new();
    tree.disk(USB, "sdb", 8 * GIB, &[]);
    tree.partition("sdb", "sdb1", (1, 64, 1 << 20));
    tree.mount("sdb1", "/cdrom");
    tree.upon(&[], "loop0", GIB, &[("loop/backing_file", "/cdrom/live/filesystem.squashfs")]);
    tree.upon(&[], "loop1", 0, &[]);
    tree.upon(&[], "zram0", GIB, &[]);
    tree.mount("loop0", "/run/live/rootfs");
    let devices = tree.look();
    let whole: Vec<&str> = Stack(&devices).whole(named(&devices, "sdb")).iter().map(|d| d.name.as_str()).collect();
    assert_eq!(whole, ["sdb", "sdb1", "loop0"]);
    assert!(Stack(&devices).get("loop1").is_none() && Stack(&devices).get("zram0").is_none());
}

#[test]
fn the_disk_that_a_medium_is_read_from_as_a_whole_is_below_the_running_system() {
    let mut tree = Tree::new();
    tree.disk(USB, "sdb", 8 * GIB, &[]);
    tree.disk(USB, "sdc", 8 * GIB, &[]);
    tree.upon(&[], "loop0", GIB, &[("loop/backing_file", "/dev/sdb")]);
    tree.upon(&[], "loop1", GIB, &[("loop/backing_file", "/dev/gone")]);
    tree.upon(&["loop0"], "dm-0", GIB, &[("dm/name", "cairn-medium")]);
    tree.mount("dm-0", "/nix/store");
    let devices = tree.look();
    let whole = |name| Stack(&devices).whole(named(&devices, name)).iter().map(|d| d.name.clone()).collect::<Vec<_>>();
    assert_eq!((whole("sdb"), whole("sdc")), (vec!["sdb".into(), "loop0".into(), "dm-0".into()], vec!["sdc".into()]));
}

#[test]
fn two_ways_to_one_disk_are_one_disk() {
    let mut tree = Tree::new();
    for name in ["sda", "sdb"] {
        tree.disk(&SATA.replace("0:0:0:0", if name == "sda" { "0:0:0:0" } else { "0:0:0:1" }), name, GIB, &[]);
        tree.udev(name, &[("ID_FS_TYPE", "mpath_member"), ("ID_SERIAL_SHORT", "S1")]);
    }
    tree.upon(&["sda", "sdb"], "dm-0", GIB, &[("dm/uuid", "mpath-36001"), ("dm/name", "mpatha")]);
    tree.upon(&["dm-0"], "dm-1", GIB, &[("dm/uuid", "part1-mpath-36001"), ("dm/name", "mpatha-part1")]);
    let devices = tree.look();
    assert_eq!(named(&devices, "dm-0").kind, Kind::Multipath);
    assert_eq!(named(&devices, "dm-1").kind, Kind::Partition);
    assert_eq!(Stack(&devices).whole(named(&devices, "sda")).len(), 3);
}

#[test]
fn nobody_has_looked_where_udev_has_no_notes() {
    let mut tree = Tree::new();
    tree.disk(SATA, "sda", GIB, &[]);
    assert!(named(&tree.look(), "sda").contents.is_empty());
    std::fs::remove_dir_all(tree.path().join("run")).unwrap();
    let devices = tree.look();
    assert!(!named(&devices, "sda").contents.known && !named(&devices, "sda").contents.is_empty());
}

#[test]
fn names_are_in_the_order_that_a_person_counts_in() {
    let mut tree = Tree::new();
    tree.disk(SATA, "sda", GIB, &[]);
    for number in [10, 2, 1] {
        tree.partition("sda", &format!("sda{number}"), (number, 2048, 8));
    }
    let names: Vec<String> = tree.look().into_iter().map(|d| d.name).collect();
    assert_eq!(names, ["sda", "sda1", "sda2", "sda10"]);
}

#[test]
fn a_folder_without_sysfs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_path_buf(), folder.path().join("gone")] {
        let error = look(&path).unwrap_err();
        assert!(matches!(error, ObserveError::NoSys(_)), "{error:?}");
        assert!(error.to_string().contains("is /sys mounted?"), "{error}");
    }
}

#[test]
fn disks_that_cannot_be_seen_are_told_with_what_helps() {
    let mut tree = Tree::new();
    tree.pci("0000:00:17.0", ("0x010601", "0x8086", "0x282a"), Some("ahci"));
    tree.pci("0000:00:0e.0", ("0x010400", "0x8086", "0x467f"), None);
    tree.pci("0000:00:01.0", ("0x010700", "0x1000", "0x0097"), None);
    tree.pci("0000:00:02.0", ("0x010400", "0x1000", "0x005d"), Some("megaraid_sas"));
    tree.pci("0000:00:03.0", ("0x010400", "0x103c", "0x323b"), Some("hpsa"));
    tree.pci("0000:00:04.0", ("0x020000", "0x8086", "0x1502"), None);
    tree.disk("pci0000:00/0000:00:03.0/host1/target1:1:0/1:1:0:0", "sda", GIB, &[]);
    assert_eq!(hidden(tree.path(), &tree.look()).len(), 3);
    std::fs::write(tree.path().join("sys/devices/pci0000:00/0000:00:17.0/remapped_nvme"), "2\n").unwrap();
    let said = hidden(tree.path(), &tree.look());
    let expected = [
        ("0000:00:01.0 (1000:0097)", "has no driver"),
        ("0000:00:02.0 (1000:005d)", "make a volume"),
        ("0000:00:0e.0", "\"VMD\""),
        ("0000:00:17.0", "2 NVMe disks are hidden"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (text, (place, words)) in said.iter().zip(expected) {
        assert!(text.contains(place) && text.contains(words), "{text}");
    }
}

/// What the kernel would never say: loops, sizes without end, names of other devices, links out.
#[test]
fn strange_trees_end() {
    let mut tree = Tree::new();
    tree.disk(SATA, "sda", u64::MAX, &[("device/model", "\u{1b}[31m\nred")]);
    tree.partition("sda", "sda1", (1, u64::MAX / 512, 8));
    tree.upon(&["sda1"], "dm-0", GIB, &[("dm/uuid", "CRYPT-x")]);
    tree.upon(&["dm-0"], "dm-1", GIB, &[("dm/uuid", "LVM-x")]);
    std::fs::write(tree.path().join("sys/class/block/dm-1/holders/dm-0"), "").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", tree.path().join("sys/class/block/dm-1/queue")).unwrap();
    std::os::unix::fs::symlink("../../../../../../etc", tree.path().join("sys/class/block/etc")).unwrap();
    std::os::unix::fs::symlink("loop", tree.path().join("sys/class/block/loop")).unwrap();
    std::fs::write(tree.path().join("run/udev/data/b8:1"), b"E:ID_FS_TYPE=\xff\xfe\nE:x\nE:=\n").unwrap();
    let devices = tree.look();
    assert_eq!(Stack(&devices).whole(named(&devices, "sda")).len(), 4);
    assert!(Stack(&devices).get("etc").is_none());
}
