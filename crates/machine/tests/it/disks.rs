//! What is refused about disks and partitions, with place and words; and what is let pass.

use crate::common::{LEAST, check, problems};

/// Descriptions of the disk (it is in line 4), with words that the only problem must have.
fn disk_refused(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (disk, words) in cases {
        let found = problems(&LEAST.replace("{layout: uefi}", disk));
        if !found.lines().any(|line| line.starts_with("4:") && line.contains(words)) || found.lines().count() != 1 {
            wrong.push(format!("{disk}\n  wanted: {words}\n  found: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn partitions(list: &[&str]) -> String {
    format!("{{partitions: [{}]}}", list.join(", "))
}

/// A disk with an MBR.
fn mbr(list: &[&str]) -> String {
    format!("{{table: mbr, partitions: [{}]}}", list.join(", "))
}

/// The same file with GRUB.
fn with_grub(disk: &str) -> String {
    format!("{}boot: {{loader: grub}}\n", LEAST.replace("{layout: uefi}", disk))
}

#[test]
fn disks() {
    let esp = "{type: esp, size: 512M}";
    let root = "{type: root}";
    let with = |more: &str| partitions(&[esp, more, root]);
    let last = |last: &str| partitions(&[esp, root, last]);
    disk_refused(&[
        ("{}", "neither `layout` nor `partitions`"),
        ("{layout: uefi, partitions: [{type: root}]}", "both `layout` and `partitions`"),
        ("{layout: uefi}, other: {layout: uefi}", "a second disk"),
        (&partitions(&[esp]), "no partition of type root"),
        (&partitions(&[root]), "no partition of type esp"),
        (&with(root), "a second partition of type root; the first is item 2"),
        (&with(esp), "a second partition of type esp is a mirror of item 1 of the list, and needs a `mount_point`"),
        (&with("{type: swap}"), "the swap partition has no size"),
        (&with("{type: data}"), "no `mount_point`"),
        (&with("{type: data, mount_point: srv}"), "not a mount point"),
        (&with("{type: data, mount_point: /srv/../etc}"), "not a mount point"),
        (&with("{type: data, mount_point: /srv/}"), "not a mount point"),
        (&with("{type: data, mount_point: /}"), "type root"),
        (&with("{type: data, mount_point: /usr/local}"), "/usr belongs to the system"),
        (&with("{type: data, mount_point: /nix}"), "/nix belongs to the system"),
        (&with("{type: data, mount_point: /var}"), "must be on the root file system"),
        (&with("{type: data, mount_point: /boot}"), "belongs to the system"),
        (&partitions(&[esp, "{type: home}", "{type: data, mount_point: /home}", root]), "mount point of another"),
        (&with("{type: home, mount_point: /people}"), "cannot be mounted at `/people`"),
        (&with("{type: swap, size: 1G, mount_point: /x}"), "is not mounted"),
        (&with("{type: swap, size: 1G, format: ext4}"), "cannot be ext4"),
        (&with("{type: bios-boot, size: 1M, format: vfat}"), "remove the line"),
        (&partitions(&["{type: esp, size: 512M, format: ext4}", root]), "write `format: vfat`"),
        (&with("{type: home, grow: true}"), "only the last partition can grow"),
        (&last("{type: swap, size: 1G, grow: true}"), "only an ext4"),
        (&with("{type: home, size: 1G, weight: 2}"), "`size` is exact, so `weight`"),
        (&with("{type: home, size: 1G, size_max: 2G}"), "`size` is exact, so `size_max`"),
        (&with("{type: home, size_min: 2G, size_max: 1G}"), "`size_min` (2G) is greater than `size_max` (1G)"),
        (&with("{type: home, size: 512}"), "did you mean `size: 512M`?"),
        (&with("{type: home, size: 0}"), "less than 1M"),
        (&with("{type: home, weight: 0}"), "from 1 to"),
        (&with("{type: home, label: \"\"}"), "a label is one line"),
        (&with(&format!("{{type: home, label: {}}}", "x".repeat(37))), "37 UTF-16 units"),
        (&with(&format!("{{type: home, label: {}}}", "𝄞".repeat(19))), "38 UTF-16 units"),
        (&partitions(&["{type: esp, label: a}", "{type: root, label: a}"]), "same label"),
        ("{size: 1G, partitions: [{type: esp, size: 512M}, {type: root, size_min: 1G}]}", "need at least 1538M"),
        ("{size: 1G, free: 1e3, layout: uefi}", "unknown unit"),
    ]);
    for good in [
        with("{type: home, label: \"𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞𝄞\"}"),
        with("{type: data, mount_point: /var/log, format: vfat}"),
        last("{type: data, mount_point: /srv, grow: true}"),
        partitions(&["{type: esp, mount_point: /efi}", "{type: xbootldr, size: 1G}", "{type: bios-boot}", root]),
    ] {
        assert_eq!(problems(&LEAST.replace("{layout: uefi}", &good)), "", "{good}");
    }
}

#[test]
fn mount_points_have_defaults() {
    let text = LEAST.replace("{layout: uefi}", &partitions(&["{type: esp}", "{type: xbootldr}", "{type: root}"]));
    let disk = &check(&text).unwrap().machine.disks["main"];
    assert_eq!(
        (0..4).map(|i| disk.mount_point(i)).collect::<Vec<_>>(),
        [Some("/efi".to_owned()), Some("/boot".to_owned()), Some("/".to_owned()), None]
    );
}

const ESP: &str = "{type: esp, size: 512M}";
const BOOT: &str = "{type: xbootldr, size: 512M}";
const BIOS_BOOT: &str = "{type: bios-boot}";
const ROOT: &str = "{type: root}";

#[test]
fn layouts_go_with_their_boot_loader_and_their_table() {
    disk_refused(&[
        (
            "{layout: bios}",
            "the layout `bios` boots under BIOS, which systemd-boot cannot / write `boot: {loader: grub}`",
        ),
        ("{layout: hybrid}", "which systemd-boot cannot"),
        ("{layout: mbr}", "which systemd-boot cannot"),
        ("{layout: uefi, table: mbr}", "the layout `uefi` has a table of the kind gpt, not mbr"),
        ("{layout: bois}", "did you mean `bios`?"),
        ("{layout: uefi, table: msdos}", "it is one of gpt, mbr"),
    ]);
    for disk in
        ["{layout: uefi}", "{layout: bios}", "{layout: hybrid, table: gpt}", "{layout: mbr, table: mbr, size: 2T}"]
    {
        assert_eq!(problems(&with_grub(disk)), "", "{disk}");
    }
    for (disk, words) in [
        ("{layout: mbr, table: gpt}", "has a table of the kind mbr, not gpt"),
        ("{layout: mbr, size: 3T}", "the disk is 3T, but an MBR reaches no further than 2T"),
        (&mbr(&[BOOT, ROOT]).replace("table", "size: 3T, table"), "no further than 2T"),
    ] {
        let found = problems(&with_grub(disk));
        assert!(found.starts_with("4:") && found.contains(words) && found.lines().count() == 1, "{disk}: {found}");
    }
}

#[test]
fn every_boot_loader_finds_the_partitions_that_it_needs() {
    disk_refused(&[
        (&partitions(&[BIOS_BOOT, BOOT, ROOT]), "write `boot: {loader: grub}` to boot under BIOS, or add"),
        (&mbr(&[ROOT]), "no partition of type esp, and systemd-boot needs one / write `boot: {loader: grub}`"),
        (&mbr(&[ESP, BOOT, ROOT]), "systemd-boot finds a partition of type xbootldr on GPT only"),
    ]);
    let grub_refused = |disk: String, words: &str| {
        let found = problems(&with_grub(&disk));
        assert!(found.starts_with("4:") && found.contains(words) && found.lines().count() == 1, "{disk}: {found}");
    };
    grub_refused(partitions(&[ROOT]), "no partition for kernels that GRUB can read");
    grub_refused(partitions(&[BIOS_BOOT, ROOT]), "add `- {type: xbootldr, size: 512M}`");
    grub_refused(mbr(&[ROOT]), "add `- {type: xbootldr, size: 512M}`");
    grub_refused(partitions(&[BOOT, ROOT]), "nothing starts GRUB");
    grub_refused(mbr(&[BIOS_BOOT, BOOT, ROOT]), "an MBR has no BIOS boot partition");
    for disk in [
        partitions(&[ESP, ROOT]),
        partitions(&[BIOS_BOOT, BOOT, ROOT]),
        partitions(&[BIOS_BOOT, ESP, ROOT]),
        partitions(&[BIOS_BOOT, ESP, BOOT, ROOT]),
        mbr(&[BOOT, ROOT]),
        mbr(&[ESP, ROOT]),
        mbr(&[ESP, BOOT, "{type: swap, size: 1G}", ROOT]),
    ] {
        assert_eq!(problems(&with_grub(&disk)), "", "{disk}");
    }
    let unused = LEAST.replace("{layout: uefi}", &partitions(&[BIOS_BOOT, ESP, ROOT]));
    assert!(
        check(&unused).unwrap().warnings.iter().any(|w| w.message.contains("no use for a partition of type bios-boot"))
    );
}

#[test]
fn an_mbr_has_its_limits() {
    let refused = |list: &[&str], words: &str| {
        let found = problems(&with_grub(&mbr(list)));
        assert!(found.starts_with("4:") && found.contains(words) && found.lines().count() == 1, "{list:?}: {found}");
    };
    let swap = "{type: swap, size: 1G}";
    let data = "{type: data, mount_point: /srv}";
    refused(&[BOOT, swap, data, "{type: home}", ROOT], "an MBR has room for 4 partitions");
    refused(&[BOOT, "{type: root, label: system}"], "partitions in an MBR have no names");
    refused(&[BOOT, ROOT, "{type: home, grow: true}"], "only the root can");
    assert_eq!(problems(&with_grub(&mbr(&[BOOT, swap, data, "{type: root, grow: true}"]))), "");
}

#[test]
fn a_second_esp_is_a_mirror() {
    let mirror = "{type: esp, size: 512M, mount_point: /efi2}";
    disk_refused(&[
        (
            &partitions(&[ESP, mirror, "{type: esp, mount_point: /efi3}", ROOT]),
            "a third partition of type esp; item 1 of the list can have one",
        ),
        (&partitions(&[ESP, BOOT, mirror, ROOT]), "which are on item 2 of the list here"),
        (&partitions(&[ESP, "{type: esp, mount_point: /boot}", ROOT]), "/boot belongs to the system / a mirror has"),
        (&partitions(&[ESP, "{type: esp, mount_point: efi2}", ROOT]), "not a mount point"),
        (&partitions(&[ESP, mirror, "{type: data, mount_point: /efi2}", ROOT]), "the mount point of another partition"),
    ]);
    let text = LEAST.replace("{layout: uefi}", &partitions(&[ESP, mirror, ROOT]));
    let disk = &check(&text).unwrap().machine.disks["main"];
    assert_eq!((disk.mount_point(0).as_deref(), disk.mount_point(1).as_deref()), (Some("/boot"), Some("/efi2")));
    assert_eq!([0, 1, 2, 3].map(|i| disk.is_mirror(i)), [false, true, false, false]);
}

#[test]
fn a_disk_tells_what_firmware_it_boots_under() {
    use cairn_machine::model::{Disk, Firmware, Loader, NamedLayout, TableKind};
    let of = |layout| Disk::of_layout(layout).firmware(Loader::Grub);
    assert_eq!(of(NamedLayout::Uefi), Firmware { uefi: true, bios: false });
    assert_eq!(of(NamedLayout::Bios), Firmware { uefi: false, bios: true });
    assert_eq!(of(NamedLayout::Hybrid), Firmware { uefi: true, bios: true });
    assert_eq!(of(NamedLayout::Mbr), Firmware { uefi: false, bios: true });
    let hybrid = Disk::of_layout(NamedLayout::Hybrid).firmware(Loader::SystemdBoot);
    assert_eq!(hybrid, Firmware { uefi: true, bios: false });
    let disk = Disk::of_layout(NamedLayout::Mbr);
    assert_eq!((disk.table(), disk.mount_point(0).as_deref(), disk.grows(1)), (TableKind::Mbr, Some("/boot"), true));
}
