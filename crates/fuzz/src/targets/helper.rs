//! What the initrd's helper reads: accounts, the kernel's command line, lists and records on the machine's disk, the tag of an
//! installation medium, the partition table of a disk that has grown. It runs as root before anything else does, and a panic of it is no boot.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use cairn_disk::Source;
use cairn_stage1::accounts::files::Accounts;
use cairn_stage1::accounts::merge::{Input, merge};
use cairn_stage1::accounts::record::Record;
use cairn_stage1::assemble::given::{Given, Worth};
use cairn_stage1::assemble::{modes, var_device};
use cairn_stage1::cmdline::Parameters;
use cairn_stage1::grow::{ext4, table};
use cairn_stage1::init::medium::tag::{self, Tag};
use cairn_stage1::trial;

use super::Target;
use super::disks::with_table;
use crate::parts::{parts, whole};

/// The accounts of a generation and of a machine, and the record of them, merged.
pub(super) const ACCOUNTS: Target = Target {
    name: "accounts",
    seeds: accounts_seeds,
    words: &[
        "\u{1e}",
        "\n",
        ":",
        ",",
        "\r",
        "+",
        "-ann",
        "#",
        "::::::",
        "x:1:",
        "-1",
        "4294967295",
        "4294967296",
        "ann",
        "bob",
        "root",
        "1000",
        "user ",
        "group ",
        " declared ",
        " gone ",
        " first-password ",
        "ann:x:1000:1000::/:/bin/sh\n",
        "sudo:x:27:ann\n",
    ],
    most: 4096,
    quick: 4000,
    run: accounts,
};

/// What a machine was given of its bases.
pub(super) const GIVEN: Target = Target {
    name: "given-record",
    seeds: || vec![b"# Text.\nbase /nix/store/x-base\nhave var/a\naway var/b\nlack var/c\\040d\nend 3\n".into()],
    words: &["\n", "base ", "part ", "have ", "away ", "lack ", "end ", "var/lib/x", "18446744073709551616", "#"],
    most: 2048,
    quick: 30_000,
    run: given,
};

/// The list of files with owners, as both of its readers read it.
pub(super) const MODES: Target = Target {
    name: "modes",
    seeds: || {
        vec![
            b"4755 0 0 usr/bin/sudo\n0640 0 42 etc/shadow\n0600 0 0 etc/a\\040b\\134\n0755 0 0 usr/bin/ping 01ff\n"
                .into(),
        ]
    },
    words: &["\n", " ", "/", "..", "\\056\\056", "\\057", "\\", "\\777", "#", "4294967296", "0755 0 0 usr/x", "01ff"],
    most: 1024,
    quick: 30_000,
    run: modes,
};

/// The kernel's command line, and the system's fstab.
pub(super) const COMMAND_LINE: Target = Target {
    name: "kernel-command-line",
    seeds: || {
        let line =
            "quiet root=PARTUUID=AB-01 init=/nix/store/x-y/init cairn.grow=0 cairn.generation=7 cairn.trial -- a";
        let fstab = "# x\nUUID=1 / ext4 defaults 0 1\nPARTUUID=AB-2 /var ext4 defaults 0 2\n";
        vec![whole(&[line, fstab]), whole(&["root=/dev/vda2 cairn.grow \"init=/bin/sh\"", "/dev/x /var xfs"])]
    },
    words: &[
        " ",
        "=",
        "\"",
        "--",
        "init=",
        "root=",
        "UUID=",
        "LABEL=",
        "PARTLABEL=",
        "/nix/store/",
        "/init",
        "..",
        "cairn.grow=",
        "cairn.generation=18446744073709551616",
        "cairn.medium=",
        "findiso=",
        " /var ",
    ],
    most: 1024,
    quick: 40_000,
    run: command_line,
};

/// The partition table of a disk that has grown, and the superblock of what is on it.
pub(super) const GROW: Target =
    Target { name: "grow-table", seeds: grow_seeds, words: &["EFI PART"], most: 512, quick: 500, run: grow };

/// What systemd says of units that failed.
pub(super) const UNITS: Target = Target {
    name: "unit-list",
    seeds: || {
        let failed = "cairn-boot-check-1.service loaded failed failed Boot Check: it answers\nx.service a b c\n";
        let jobs = "12 slow.service start running\n13 boot-complete.target start waiting\n";
        vec![whole(&[failed, jobs]), whole(&["", jobs])]
    },
    words: &[" ", "\n", "start", "running", "cairn-boot-failed.", "\u{1e}"],
    most: 1024,
    quick: 40_000,
    run: units,
};

/// The tag of an installation medium, which is looked for on every device.
pub(super) const MEDIUM_TAG: Target = Target {
    name: "medium-tag",
    seeds: || {
        let hash = "0123456789abcdef".repeat(4);
        let text = format!(
            "CAIRN MEDIUM 1\nroot-hash {hash}\npayload 1048576 8192\nhashes 1056768 4096\nspare 1060864 65536\n"
        );
        let padded = [text.as_bytes(), &[0; 64]].concat();
        vec![text.into_bytes(), padded]
    },
    words: &[
        "\n",
        " ",
        "\0",
        "CAIRN MEDIUM ",
        "root-hash ",
        "payload ",
        "hashes ",
        "spare ",
        "4096",
        "61440",
        "18446744073709547520",
        "18446744073709551616",
        "-",
        "+",
    ],
    most: tag::LENGTH,
    quick: 40_000,
    run: medium_tag,
};

fn accounts_seeds() -> Vec<Vec<u8>> {
    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann,,,:/home/ann:/bin/sh\n\
                          bob:x:1001:1001::/home/bob:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nsudo:x:27:ann,bob\nshadow:x:42:\nann:x:1000:\nbob:x:1001:\n";
    const SHADOW: &str = "root:*:20000:0:99999:7:::\nann:$y$j9T$abc:20001:0:99999:7:::\nbob:!:::::::\n";
    const GSHADOW: &str = "root:*::\nsudo:!::ann,bob\n";
    const RECORD: &str = "user ann 1000 declared first-password \nuser cat 1002 gone - $y$x:20000:0:99999:7:::\n\
                          user eve 1001 declared - \ngroup ann 1000 declared \ngroup sudo 27 declared ann,eve\n";
    let less = "root:x:0:0::/:/bin/sh\neve:x:1001:1000::/:/bin/sh\ncat:x:999:999::/:/bin/sh\n";
    let service = format!("{PASSWD}old:$1$x:1500:1500::/:/bin/sh\n+@team::::::\n");
    vec![
        whole(&[PASSWD, GROUP, SHADOW, GSHADOW]),
        whole(&[PASSWD, GROUP, SHADOW, GSHADOW, PASSWD, GROUP, SHADOW, GSHADOW, RECORD, "ann $y$first"]),
        whole(&[less, "sudo:x:27:cat\nann:x:100:\n", "", "", &service, GROUP, SHADOW, GSHADOW, RECORD, "cat $y$c"]),
        whole(&[PASSWD, GROUP, SHADOW, "", less, "eve:x:1000:bob,directory\n", SHADOW, GSHADOW, RECORD]),
    ]
}

fn accounts(input: &[u8]) {
    let texts: [String; 10] = parts(input);
    let read = |from: usize| Accounts::parse([&texts[from], &texts[from + 1], &texts[from + 2], &texts[from + 3]]);
    let (declared, machine, record) = (read(0), read(4), Record::parse(&texts[8]));
    let first = texts[9].lines().filter_map(|line| line.split_once(' '));
    let first_passwords = first.map(|(name, hash)| (name.to_string(), hash.replace(':', ""))).collect();
    let one = merge(Input { declared: declared.clone(), machine, record, first_passwords });
    let there: BTreeSet<&str> = one.accounts.users.iter().map(|user| user.name.as_str()).collect();
    assert!(declared.users.iter().all(|user| there.contains(user.name.as_str())), "somebody is missing");
    let texts = one.accounts.texts();
    let read = Accounts::parse([&texts[0], &texts[1], &texts[2], &texts[3]]);
    assert_eq!(read.texts(), texts, "what is written is not what is read");
    let record = Record::parse(&one.record.text());
    let two = merge(Input { declared, machine: read, record, ..Input::default() });
    assert_eq!(two.accounts.texts(), texts, "the second time something changed");
}

fn given(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (given, _) = Given::parse(&text);
    let (again, worth) = Given::parse(&given.text());
    // A path's own carriage returns are escaped, so that one in the text is none of ours.
    if !text.contains('\r') {
        assert_eq!(again, given);
        assert_eq!(worth, if given.base.is_empty() { Worth::Damaged } else { Worth::Whole });
    }
}

fn modes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = cairn_system::parse_special(&text);
    for entry in modes::parse(&text).unwrap_or_default() {
        let plain = |part| matches!(part, Component::Normal(_));
        assert!(entry.path.components().all(plain) && entry.path != Path::new(""), "{:?}", entry.path);
    }
}

fn command_line(bytes: &[u8]) {
    let [line, fstab] = parts(bytes);
    let parameters = Parameters::parse(&line);
    let _ = parameters.root_device();
    if let Ok(system) = parameters.system() {
        assert!(system.parent() == Some(Path::new("/nix/store")), "{}", system.display());
    }
    if let Some((device, _)) = var_device(&fstab) {
        assert!(device.starts_with("/dev"), "{}", device.display());
    }
}

fn units(bytes: &[u8]) {
    let [failed, jobs] = parts(bytes);
    assert!((1..=11).contains(&trial::reasons(&failed, &jobs).len()));
}

/// The first byte says how large the disk is now and which partition is asked for; then come patches, and if it is odd, the
/// bytes of a superblock.
fn grow_seeds() -> Vec<Vec<u8>> {
    let patch = [1, 0, 72, 8, 0xff, 0xff, 0xff, 0xff];
    let mut seeds: Vec<Vec<u8>> = (0..48).map(|choice| vec![choice << 1]).collect();
    seeds.push([&[4][..], &patch].concat());
    // Magic, blocks of 4096 bytes, 64 bits.
    let mut superblock = vec![0; 0x154];
    superblock[0x38..0x3a].copy_from_slice(&0xef53_u16.to_le_bytes());
    (superblock[0x05], superblock[0x18], superblock[0x60], superblock[0x150]) = (8, 2, 0x80, 1);
    seeds.push([&[1][..], &superblock].concat());
    seeds
}

/// Whatever is taken for a tag names places that can be, one behind the other.
fn medium_tag(input: &[u8]) {
    let Ok(Some(tag)) = Tag::parse(input) else { return };
    for extent in [tag.payload, tag.hashes, tag.spare, tag.verified()] {
        let end = extent.offset.checked_add(extent.length);
        assert!(end == Some(extent.end()) && extent.offset >= tag::OFFSET + tag::LENGTH as u64, "{extent:?}");
        assert!(extent.offset % tag::BLOCK == 0 && extent.length % tag::BLOCK == 0 && extent.end() <= tag.end());
    }
    assert!(tag.payload.end() == tag.hashes.offset && tag::is_root_hash(&tag.root_hash));
    assert_eq!(tag.table("/dev/loop0").split(' ').count(), 13);
}

fn grow(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    if choice % 2 == 1 {
        let mut block = [0; ext4::SUPERBLOCK_LENGTH];
        let length = input.len().min(block.len());
        block[..length].copy_from_slice(&input[..length]);
        let _ = ext4::size(&block);
        return;
    }
    let _ = planned(choice >> 1, input);
}

/// What is to be written, on a disk whose size and sectors the choice says.
fn planned(choice: u8, input: &[u8]) -> Option<table::Edit> {
    let disk = with_table(choice / 24, input);
    let now = disk.len();
    let size = [now + (64 << 20), now, now + (9 << 20), now - (1 << 20), 3 << 40, 512][usize::from(choice) % 6];
    let forced = [None, Some(2), Some(1), Some(u32::MAX)][usize::from(choice) / 6 % 4];
    let sector = if choice >= 24 * 4 { 4096 } else { 512 };
    // Behind the old end nothing is written yet.
    let read = |buffer: &mut [u8], at: u64| {
        let whole = at.checked_add(buffer.len() as u64).filter(|end| *end <= size);
        whole.ok_or(std::io::ErrorKind::UnexpectedEof)?;
        buffer.fill(0);
        let there = usize::try_from(now.saturating_sub(at)).unwrap_or_default().min(buffer.len());
        disk.read_at(at.min(now), &mut buffer[..there])
    };
    let (_, edit) = table::plan(&read, size, sector, forced).ok()??;
    let edit = edit?;
    let end = edit.first.checked_add(edit.length).and_then(|end| end.checked_mul(sector));
    assert!(edit.length > 0 && end.is_some_and(|end| end <= size), "{edit:?} on {size}");
    for (at, new) in edit.writes.iter().flatten() {
        assert!(at.checked_add(new.len() as u64).is_some_and(|end| end <= size), "{at} on {size}");
    }
    Some(edit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_inputs_begin_with_is_read() {
        let text = |seed: &[u8]| String::from_utf8(seed.to_vec()).unwrap();
        assert_eq!(Given::parse(&text(&(GIVEN.seeds)()[0])).1, Worth::Whole);
        let list = text(&(MODES.seeds)()[0]);
        assert_eq!(modes::parse(&list).unwrap().len(), cairn_system::parse_special(&list).unwrap().len());
        let [line, fstab] = parts(&(COMMAND_LINE.seeds)()[0]);
        assert!(Parameters::parse(&line).system().is_ok() && var_device(&fstab).is_some());
        (MEDIUM_TAG.seeds)().iter().for_each(|seed| assert!(Tag::parse(seed).unwrap().is_some()));
        // The disk that has grown, by a lot and by enough, whichever partition is asked for; and one that has not.
        assert!(planned(0, &[]).is_some() && planned(2, &[]).is_some() && planned(6, &[]).is_some());
        assert!(planned(1, &[]).is_none());
        // With an MBR only the partition that is asked for grows.
        assert!(planned(24, &[]).is_none() && planned(30, &[]).is_some());
    }
}
