//! What is refused about disks and partitions, with place and words; and what is let pass.

mod common;

use common::{LEAST, check, problems};

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
        (&with(esp), "a second partition of type esp"),
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
