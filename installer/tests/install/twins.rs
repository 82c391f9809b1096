//! Every disk of every probe, recorded in a hardware file and made again from that: the plan sees the same disk. And what blkid sees in
//! the partitions of a twin is what was in those of the disk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use cairn_disk::partition_table::beside::Beside;
use cairn_installer::disks::{Device, Signature, Table, devices_of, record};
use cairn_installer::hardware::Findings;
use cairn_installer::install::{Gpt, describe, recorded};
use cairn_layout::SectorSize;
use cairn_layout::onto::{DiskThere, TableThere};
use cairn_machine::model::RecordedDisk;
use cairn_machine::{SourceFile, check_hardware};
use cairn_process::Tool;

use crate::probe::Probe;

/// The largest file that a folder for tests may have to hold.
const MOST: u64 = 8 << 40;

fn table(read: &Result<Option<Gpt>, String>) -> Table {
    match read {
        Ok(Some(gpt)) => Table::Gpt { usable: gpt.usable, entries: gpt.entries },
        Ok(None) => Table::Damaged("neither of its copies is whole".into()),
        Err(why) => Table::Damaged(why.clone()),
    }
}

/// The disks of a probe, through the text of a hardware file.
fn through_a_file(probe: &Probe) -> Vec<RecordedDisk> {
    let gpt = |one: &&Device| one.contents.table.as_deref() == Some("gpt");
    let tables: BTreeMap<String, Table> =
        probe.devices.iter().filter(gpt).map(|one| (one.name.clone(), table(&probe.table(one)))).collect();
    let disks = record(&probe.devices, &tables, &|_| vec!["nvme".into()]);
    let found = Findings { disks: disks.clone(), ..Findings::default() };
    let text = found.to_yaml(&cairn_installer::hardware::Observed::default());
    let read = check_hardware(&SourceFile::new("hardware.yaml", text.clone()));
    let read = read.unwrap_or_else(|why| panic!("{why}\n{text}"));
    assert_eq!(read.disks, disks, "{text}");
    read.disks
}

/// A disk without the words for what lies upon its partitions, which is not recorded.
fn bare(mut there: DiskThere) -> DiskThere {
    there.partitions.sort_by_key(|one| one.number);
    for one in &mut there.partitions {
        one.what = one.what.split(" with ").next().unwrap_or_default().into();
    }
    there
}

#[test]
fn every_disk_of_every_probe_is_the_same_for_a_plan_when_it_is_made_from_a_hardware_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/install/probes");
    let scratch = tempfile::tempdir().unwrap();
    let (mut made, mut partitions) = (0, 0);
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|it| it != "probe") {
            continue;
        }
        let probe = Probe::parse(&fs::read_to_string(&path).unwrap());
        let disks = through_a_file(&probe);
        let devices = devices_of(&disks);
        for disk in disks.iter().filter(|disk| disk.bytes < MOST) {
            let real = probe.devices.iter().find(|one| one.name == disk.name).unwrap();
            let device = devices.iter().find(|one| one.name == disk.name).unwrap();
            let at = scratch.path().join("twin");
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&at).unwrap();
            let twin = recorded(file, &at, disk, (&devices, device));
            match (describe(&probe.devices, real, probe.table(real)), twin) {
                (Ok(there), Ok(twin)) => {
                    let mut there = bare(there);
                    // A GUID that the probe does not have in words.
                    if let (TableThere::Gpt { id, .. }, TableThere::Gpt { id: other, .. }) =
                        (&mut there.table, &twin.there.table)
                    {
                        *id = *other;
                    }
                    assert_eq!(bare(twin.there), there, "{}: {}", path.display(), disk.name);
                    partitions += there.partitions.len();
                    made += 1;
                }
                (Err(_), Err(_)) => {}
                (there, twin) => panic!("{}: {}: {there:?}, {twin:?}", path.display(), disk.name),
            }
        }
    }
    assert!(made > 80 && partitions > 150, "{made} twins with {partitions} partitions");
}

/// What blkid says of a stretch of a file.
fn seen(at: &Path, offset: u64, len: u64) -> Option<BTreeMap<String, String>> {
    let tool = Tool::new("blkid", "util-linux", "look at a twin")
        .args(["-p", "-o", "export", "-O", &offset.to_string(), "-S", &len.to_string()])
        .arg(at);
    let text = match tool.output() {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(cairn_process::ToolError::Missing { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    Some(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect())
}

const UUID: &str = "5a3f6b9e-7d7b-4c0e-8a59-0d7b6b2a0c11";

/// Kind, version, label, identifier.
const KINDS: [(&str, &str, &str, &str); 13] = [
    ("ext4", "1.0", "data", UUID),
    ("ext2", "1.0", "", UUID),
    ("vfat", "FAT32", "EFI", "1A2B-3C4D"),
    ("swap", "1", "away", UUID),
    ("xfs", "", "big", UUID),
    ("btrfs", "", "tree", UUID),
    ("crypto_LUKS", "2", "secret", UUID),
    ("crypto_LUKS", "1", "", UUID),
    ("LVM2_member", "LVM2 001", "", "Zvlifi-Ep3t-e0Ng-U42h-o0ye-KHu1-nl7Ns4"),
    ("linux_raid_member", "1.2", "host:0", UUID),
    ("linux_raid_member", "1.0", "host:1", UUID),
    ("BitLocker", "2", "", ""),
    ("ntfs", "", "", "5E7A1B2C3D4E5F60"),
];

#[test]
fn what_was_in_partitions_is_found_in_those_of_a_twin() {
    let scratch = tempfile::tempdir().unwrap();
    let text = |text: &str| Some(text.to_string()).filter(|text| !text.is_empty());
    for sector in [512_u64, 4096] {
        let size = 400 << 20;
        let mut text_of_disk = format!("disk sda {} sata gpt serial=T sector={sector}\n", 16_u64 << 30);
        for n in 1..=KINDS.len() as u64 {
            let linux = "0fc63daf-8483-4772-8e79-3d69d8477de4";
            text_of_disk += &format!("  sda{n} {} {} {linux}\n", n * size / 512, size / 512);
        }
        let mut probe = Probe::parse(&text_of_disk);
        for (one, (kind, version, label, uuid)) in probe.devices.iter_mut().skip(1).zip(KINDS) {
            let usage = "filesystem".to_string();
            let (kind, version, label, uuid) = (kind.to_string(), text(version), text(label), text(uuid));
            one.contents.signature = Some(Signature { kind, usage, label, uuid, group: None, version });
        }
        let disks = through_a_file(&probe);
        let devices = devices_of(&disks);
        let at = scratch.path().join("twin");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&at).unwrap();
        let twin = recorded(file, &at, &disks[0], (&devices, &devices[0])).unwrap();
        let missing: Vec<&String> = twin.notes.iter().filter(|note| note.starts_with("partition")).collect();
        for (n, (kind, _, label, uuid)) in (1_u64..).zip(KINDS) {
            if missing.iter().any(|note| note.contains("which is not here")) {
                cairn_testkit::skip(format!("{missing:?}"));
                break;
            }
            let Some(seen) = seen(&at, n * size, size) else { return cairn_testkit::skip("no blkid") };
            let of = |key: &str| seen.get(key).map_or("", String::as_str);
            assert_eq!((of("TYPE"), of("UUID"), of("LABEL")), (kind, uuid, label), "{n} {sector} {missing:?}");
        }
        // A table that others find sound, too.
        let gpt =
            Beside::read(&twin.twin, SectorSize::try_from(u32::try_from(sector).unwrap()).unwrap()).unwrap().unwrap();
        assert_eq!(gpt.partitions().count(), KINDS.len());
        // Sparse it is: what the tools wrote, and nothing else.
        use std::os::unix::fs::MetadataExt;
        assert!(fs::metadata(&at).unwrap().blocks() * 512 < 400 << 20, "{}", fs::metadata(&at).unwrap().blocks());
    }
}

#[test]
fn tables_that_were_made_again_are_read_by_others() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/install/probes");
    let own = |name: &str| fs::read_to_string(folder.join(name).with_extension("probe")).unwrap();
    let logical = "disk vda 10737418240 virtio dos serial=S2\n  vda1 2048 6291456 0x83\n  vda2 6293504 10489856 0xf\n  \
        vda5 6295552 4194304 0x83\n  vda6 10491904 6291456 0x83\n";
    for (text, partitions) in [(own("msdos-mbr-extended"), 3), (logical.into(), 4), (own("own-cairn"), 3)] {
        let probe = Probe::parse(&text);
        let disks = through_a_file(&probe);
        let devices = devices_of(&disks);
        let at = scratch.path().join("twin");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&at).unwrap();
        recorded(file, &at, &disks[0], (&devices, &devices[0])).unwrap();
        let tool = Tool::new("sfdisk", "fdisk", "look at a twin").args(["--json"]).arg(&at);
        let bytes = match tool.output() {
            Ok(bytes) => bytes,
            Err(missing @ cairn_process::ToolError::Missing { .. }) => return cairn_testkit::skip(missing),
            Err(error) => panic!("{error}"),
        };
        let json: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let table = &json["partitiontable"]["partitions"];
        assert_eq!(table.as_array().unwrap().len(), partitions, "{json:#}");
        for (found, one) in table.as_array().unwrap().iter().zip(&disks[0].partitions) {
            assert!(found["node"].as_str().unwrap().ends_with(&one.number.to_string()), "{json:#}");
            let sizes = (found["start"].as_u64().unwrap(), found["size"].as_u64().unwrap());
            assert_eq!(sizes, (one.start, one.size), "{json:#}");
        }
    }
}
