//! Which disk a selector means.

use std::path::Path;

use cairn_installer::disks::{Device, Obstacle, Selector, Unselected, candidates};

use crate::tree::{NVME, SATA, Tree, USB, named};

const GIB: u64 = 1 << 30;

/// Two disks of one model, a larger one with the running system, a stick with the medium, an empty reader, a disk with two ways.
fn computer() -> Vec<Device> {
    let mut tree = Tree::new();
    for (disk, serial, gib) in [("sda", "S2", 500), ("sdb", "S1", 500), ("sdc", "S3", 1000)] {
        tree.disk(
            &SATA.replace("ata1", &format!("ata1{disk}")),
            disk,
            gib * GIB,
            &[("device/model", "Samsung SSD 870")],
        );
        tree.udev(disk, &[("ID_SERIAL_SHORT", serial)]);
    }
    tree.link("ata-Samsung_S1", "sdb");
    tree.partition("sdc", "sdc1", (1, 2048, 1 << 20));
    tree.upon(&["sdc1"], "dm-0", GIB, &[("dm/uuid", "LVM-x")]);
    tree.mount("sdc1", "/boot");
    tree.mount("dm-0", "/");
    tree.disk(USB, "sdd", 16 * GIB, &[("removable", "1")]);
    tree.mount("sdd", "/run/live/medium");
    tree.disk(&USB.replace("1-2", "1-3"), "sde", 0, &[]);
    for (disk, name) in [("sdf", "ata6"), ("sdg", "ata7")] {
        tree.disk(&SATA.replace("ata1", name), disk, 2000 * GIB, &[("device/model", "SAN")]);
    }
    tree.upon(&["sdf", "sdg"], "dm-1", 2000 * GIB, &[("dm/uuid", "mpath-1"), ("dm/name", "mpatha")]);
    tree.disk(NVME, "nvme0n1", 2000 * GIB, &[("ro", "1")]);
    tree.look()
}

fn select(devices: &[Device], selector: &str) -> Result<String, String> {
    let selector: Selector = selector.parse().map_err(|e| format!("{e}"))?;
    let real = |node: &Path| node.file_name().map(|name| name.to_str().unwrap().replace("ata-Samsung_S1", "sdb"));
    selector.select(devices, &real).map(|device| device.name.clone()).map_err(|e| e.to_string())
}

#[test]
fn exactly_one_disk_is_meant_or_none() {
    let devices = computer();
    for (selector, meant) in [
        ("serial=S1", "sdb"),
        ("id=ata-Samsung_S1", "sdb"),
        ("id=/dev/disk/by-id/ata-Samsung_S1", "sdb"),
        ("/dev/disk/by-id/ata-Samsung_S1", "sdb"),
        ("/dev/sda", "sda"),
        ("model=samsung,serial=S2,size=400G..600G", "sda"),
        ("size=1.5T..,model=san", ""),
    ] {
        assert_eq!(select(&devices, selector).unwrap_or_default(), meant, "{selector}");
    }
    for (selector, words) in [
        ("model=Samsung,size=400G..600G", "2 disks are like that: sdb, sda"),
        ("only", "3 disks are like that: dm-1, sdb, sda"),
        ("serial=S4", "no disk is like that"),
        ("serial=S3", "sdc cannot be installed on: the running system is on it (/)"),
        ("transport=usb,size=1G..", "sdd cannot be installed on: the running system is on it (/run/live/medium)"),
        ("size=0..0", "sde cannot be installed on: there is no medium in it"),
        ("transport=nvme", "nvme0n1 cannot be installed on: it cannot be written to"),
        ("/dev/sdf", "sdf cannot be installed on: it is one of the ways to dm-1"),
        ("/dev/sdc1", "sdc1 is a partition: name its disk, /dev/sdc"),
        ("/dev/dm-0", "dm-0 is no disk"),
        ("/dev/sdz", "no disk is like that"),
    ] {
        assert_eq!(select(&devices, selector).unwrap_err(), words, "{selector}");
    }
}

#[test]
fn a_file_as_a_disk_is_meant_by_whoever_names_it_and_by_nobody_else() {
    let mut tree = Tree::new();
    tree.disk("virtual/block", "loop0", 8 * GIB, &[("loop/backing_file", "/srv/disk.img")]);
    tree.disk("virtual/block", "loop1", 8 * GIB, &[("loop/backing_file", "/srv/snap.img")]);
    tree.mount("loop1", "/snap/core");
    let devices = tree.look();
    assert_eq!(select(&devices, "/dev/loop0").unwrap(), "loop0");
    for selector in ["only", "size=1G.."] {
        assert_eq!(select(&devices, selector).unwrap_err(), "no disk is like that", "{selector}");
    }
    let of_the_system = "loop1 cannot be installed on: the running system is on it (/snap/core)";
    assert_eq!(select(&devices, "/dev/loop1").unwrap_err(), of_the_system);
}

#[test]
fn what_says_nothing_is_refused_with_what_would() {
    let devices = computer();
    for (selector, words) in [
        ("sda", "`sda` selects no disk; write /dev/disk/by-id/…"),
        ("", "`` selects no disk"),
        ("serail=S1", "did you mean serial?"),
        ("serial=", "`serial=` says nothing"),
        ("size=500G", "write a range"),
        ("size=500GB..", "ambiguous"),
        ("size=2T..1T", "a range with nothing in it"),
        ("model=a,,", "selects no disk"),
    ] {
        let said = select(&devices, selector).unwrap_err();
        assert!(said.contains(words), "{selector}: {said}");
    }
}

#[test]
fn the_order_is_the_same_whatever_the_kernel_calls_them() {
    let devices = computer();
    let order: Vec<&str> = candidates(&devices).iter().map(|one| one.device.name.as_str()).collect();
    assert_eq!(order, ["dm-1", "sdb", "sda", "nvme0n1", "sdf", "sdg", "sdc", "sdd", "sde"]);
    let mut turned = devices.clone();
    turned.reverse();
    let turned: Vec<&str> = candidates(&turned).iter().map(|one| one.device.name.as_str()).collect();
    assert_eq!(turned, order);
}

#[test]
fn a_disk_that_somebody_mounted_to_look_at_can_be_chosen_and_swap_cannot() {
    let mut tree = Tree::new();
    for (disk, name) in [("sda", "ata1"), ("sdb", "ata2")] {
        tree.disk(&SATA.replace("ata1", name), disk, GIB, &[]);
    }
    tree.mount("sda", "/mnt/old");
    tree.swap("sdb");
    let devices = tree.look();
    assert_eq!(select(&devices, "only").unwrap(), "sda");
    let selected = Selector::Node("/dev/sdb".into()).select(&devices, &|_| Some("sdb".into()));
    assert_eq!(selected, Err(Unselected::Obstacle { name: "sdb".into(), obstacle: Obstacle::Swap }));
    assert_eq!(named(&devices, "sdb").uses.len(), 1);
}
