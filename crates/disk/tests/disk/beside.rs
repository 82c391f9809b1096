//! Tables that others use too: made, changed and judged by sgdisk and sfdisk.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cairn_disk::FileSource;
use cairn_disk::partition_table::beside::{Beside, BesideError, Copies, Entry};
use cairn_layout::onto::{DiskThere, Mode, PartitionThere, TableThere, Wish, onto};
use cairn_layout::{Lba, Needs, SectorSize, Sectors};
use cairn_machine::model::{Disk, Partition, PartitionKind};
use cairn_machine::size::Size;
use cairn_process::Tool;
use tempfile::TempDir;
use uuid::Uuid;

const LINUX: &str = "0fc63daf-8483-4772-8e79-3d69d8477de4";
const MIB: u64 = 1 << 20;
const SIZE: u64 = 64 * MIB;

/// A disk with partitions 1, 5 and 3, in this order on it, with attributes, names and code for a BIOS.
fn disk() -> (TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let file = File::create(&path).unwrap();
    file.set_len(SIZE).unwrap();
    let new = ["-n", "1:2048:+4M", "-n", "5:20480:+4M", "-n", "3:40960:+4M"];
    let more = ["-t", "1:ef00", "-c", "3:größer als", "-A", "3:set:2", "-A", "5:set:63", "-t", "5:0700"];
    sgdisk(&path, &[&new[..], &more].concat());
    file.write_all_at(b"code of somebody", 0).unwrap();
    (dir, path)
}

fn sgdisk(path: &Path, args: &[&str]) -> String {
    let out = Tool::new("sgdisk", "gdisk", "make and judge a table").args(args.iter().copied()).arg(path).output();
    String::from_utf8(out.unwrap()).unwrap()
}

fn sfdisk(path: &Path) -> String {
    let out = Tool::new("sfdisk", "fdisk", "judge a table").arg("-d").arg(path).output().unwrap();
    String::from_utf8(out).unwrap()
}

fn read(path: &Path) -> Result<Option<Beside>, String> {
    Beside::read(&FileSource::new(File::open(path).unwrap()).unwrap(), SectorSize::B512)
}

fn there(path: &Path) -> Beside {
    read(path).unwrap().unwrap()
}

fn write(path: &Path, table: &Beside) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    for (offset, bytes) in table.writes().concat() {
        file.write_all_at(&bytes, offset).unwrap();
    }
}

fn linux((first, last): (u64, u64)) -> Entry {
    let kind = Uuid::parse_str(LINUX).unwrap();
    Entry { kind, id: Uuid::from_u128(7), first, last, attributes: 1 << 59, name: "neu".into() }
}

/// Adds a partition, and finds that nothing else of what sfdisk said before has changed, and that others like the table.
fn add_and_judge(path: &Path, lines: &str) {
    let before = there(path);
    let old: Vec<(u32, Vec<u8>)> =
        before.partitions().map(|(n, _)| (n, before.bytes_of(n).unwrap().to_vec())).collect();
    let mut table = before.clone();
    let (first, last) = *table.free().last().unwrap();
    assert_eq!(table.add(&linux((first.next_multiple_of(2048), last))), Ok(2));
    write(path, &table);
    let after = there(path);
    assert_eq!(after.copies(), Copies::Both);
    for (number, bytes) in old {
        assert_eq!(after.bytes_of(number).unwrap(), bytes, "{number}");
    }
    assert_eq!(after.partitions().find(|(n, _)| *n == 2).unwrap().1, linux((first.next_multiple_of(2048), last)));
    let judged = sgdisk(path, &["-v"]);
    assert!(judged.contains("No problems found"), "{judged}");
    let now = sfdisk(path);
    for line in lines.lines().filter(|line| line.contains("start=")) {
        let (_, what) = line.split_once(" : ").unwrap();
        assert!(now.contains(what), "{line}\n{now}");
    }
    assert!(now.contains(&format!("size={:>12}", last - first.next_multiple_of(2048) + 1)), "{now}");
}

fn skip() -> bool {
    let lacking = ["sgdisk", "sfdisk"].iter().any(|tool| cairn_process::find(tool).is_none());
    if lacking {
        cairn_testkit::skip("sgdisk or sfdisk is not installed");
    }
    lacking
}

#[test]
fn a_partition_beside_others_takes_the_lowest_number_and_leaves_them_alone() {
    if skip() {
        return;
    }
    let (_dir, path) = disk();
    let table = there(&path);
    let numbers: Vec<u32> = table.partitions().map(|(n, _)| n).collect();
    assert_eq!((numbers, table.copies()), (vec![1, 3, 5], Copies::Both));
    assert_eq!(table.free()[0], (34, 2047));
    assert_eq!(table.partitions().nth(1).unwrap().1.name, "größer als");
    add_and_judge(&path, &sfdisk(&path));
    let mut code = [0; 16];
    File::open(&path).unwrap().read_exact_at(&mut code, 0).unwrap();
    assert_eq!(&code, b"code of somebody");
}

#[test]
fn a_table_of_which_half_is_gone_is_whole_again() {
    if skip() {
        return;
    }
    for (what, offset, length, copies) in [
        ("the second header", SIZE - 512, 512, Copies::First),
        ("the second entries", SIZE - 33 * 512, 512, Copies::First),
        ("the first header", 512, 512, Copies::Last),
        ("the first entries", 1024, 512, Copies::Last),
        ("the protective MBR", 446, 66, Copies::Both),
    ] {
        let (_dir, path) = disk();
        let lines = sfdisk(&path);
        OpenOptions::new().write(true).open(&path).unwrap().write_all_at(&vec![0xA5; length], offset).unwrap();
        assert_eq!(there(&path).copies(), copies, "{what}");
        add_and_judge(&path, &lines);
    }
}

#[test]
fn a_disk_that_has_grown_has_its_second_copy_at_its_end() {
    if skip() {
        return;
    }
    for destroyed in [false, true] {
        let (_dir, path) = disk();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        if destroyed {
            file.write_all_at(&[0; 512], SIZE - 512).unwrap();
        }
        file.set_len(2 * SIZE).unwrap();
        assert_eq!(there(&path).copies(), Copies::Grown);
        assert_eq!(there(&path).last_usable(), 2 * SIZE / 512 - 34);
        add_and_judge(&path, &sfdisk(&path));
    }
}

#[test]
fn a_hybrid_mbr_is_its_owners() {
    if skip() {
        return;
    }
    let (_dir, path) = disk();
    sgdisk(&path, &["-h", "1:3:EE"]);
    let mut before = [0; 512];
    File::open(&path).unwrap().read_exact_at(&mut before, 0).unwrap();
    add_and_judge(&path, &sfdisk(&path));
    let mut after = [0; 512];
    File::open(&path).unwrap().read_exact_at(&mut after, 0).unwrap();
    assert_eq!(before, after);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_changed() {
    if skip() {
        return;
    }
    let (_dir, path) = disk();
    let mut table = there(&path);
    let before = table.clone();
    let end = table.last_usable();
    for (first, last) in [(33, 40), (50_000, end + 1), (60_000, 59_999)] {
        let refused = table.add(&linux((first, last)));
        assert!(matches!(refused, Err(BesideError::Outside { .. })), "{first} {last} {refused:?}");
    }
    for (first, last) in [(2000, 2048), (10_239, 10_240), (2050, 2060), (1000, 60_000)] {
        let refused = table.add(&linux((first, last)));
        assert!(matches!(refused, Err(BesideError::Overlap { other: 1, .. })), "{first} {last} {refused:?}");
    }
    let long = Entry { name: "x".repeat(37), ..linux((60_000, 60_001)) };
    assert_eq!(table.add(&long), Err(BesideError::Name(long.name)));
    assert_eq!(table.remove(2), Err(BesideError::Gone(2)));
    assert_eq!(
        (table.remove(0), table.remove(u32::MAX)),
        (Err(BesideError::Gone(0)), Err(BesideError::Gone(u32::MAX)))
    );
    assert_eq!(table, before);
    table.remove(3).unwrap();
    assert!(table.bytes_of(3).is_none());
    for sector in 0.. {
        match table.add(&linux((60_000 + sector, 60_000 + sector))) {
            Ok(_) => {}
            refused => {
                assert_eq!((sector, refused), (126, Err(BesideError::Full(128))));
                break;
            }
        }
    }
}

#[test]
fn a_disk_that_was_cut_is_refused() {
    if skip() {
        return;
    }
    for (left, words) in [(SIZE - 8 * MIB, "larger disk"), (22 * MIB, "larger disk")] {
        let (_dir, path) = disk();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(left).unwrap();
        let why = read(&path).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}

/// Between any two writes one copy is whole, and it is the old table or the new one.
#[test]
fn the_power_may_go_between_any_two_writes() {
    if skip() {
        return;
    }
    for copies in [Copies::Both, Copies::First, Copies::Last, Copies::Grown] {
        let (_dir, path) = disk();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        match copies {
            Copies::First => file.write_all_at(&[0; 512], SIZE - 512).unwrap(),
            Copies::Last => file.write_all_at(&[0; 512], 512).unwrap(),
            Copies::Grown => file.set_len(2 * SIZE).unwrap(),
            Copies::Both => {}
        }
        let old: Vec<(u32, Entry)> = there(&path).partitions().collect();
        let mut table = there(&path);
        table.add(&linux((60_000, 70_000))).unwrap();
        let new: Vec<(u32, Entry)> = table.partitions().collect();
        for group in table.writes() {
            for (offset, bytes) in group {
                for part in 0..=bytes.len().div_ceil(512) {
                    let end = (part * 512).min(bytes.len());
                    file.write_all_at(&bytes[..end], offset).unwrap();
                    let found: Vec<(u32, Entry)> = there(&path).partitions().collect();
                    assert!(found == old || found == new, "{copies:?} {offset} {part}");
                }
            }
        }
        assert_eq!(there(&path).partitions().collect::<Vec<_>>(), new);
    }
}

#[test]
fn sectors_of_4096_bytes_are_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    File::create(&path).unwrap().set_len(SIZE).unwrap();
    let read = || Beside::read(&FileSource::new(File::open(&path).unwrap()).unwrap(), SectorSize::B4096);
    assert_eq!(read(), Ok(None));
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(gpt::disk::LogicalBlockSize::Lb4096)
        .create(&path)
        .unwrap();
    table.add_partition("a", MIB, gpt::partition_types::LINUX_FS, 0, None).unwrap();
    table.write().unwrap();
    let mut table = read().unwrap().unwrap();
    assert_eq!(table.free().len(), 1);
    assert_eq!(table.add(&linux((1024, table.last_usable()))), Ok(2));
    write(&path, &table);
    let after = read().unwrap().unwrap();
    assert_eq!((after.partitions().count(), after.last_usable()), (2, SIZE / 4096 - 6));
}

/// Whatever is in a table, reading it ends, and what is written lies on the disk and not in a partition.
#[test]
fn any_table_is_read_to_an_end() {
    if skip() {
        return;
    }
    let (_dir, path) = disk();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut header = [0; 512];
    file.read_exact_at(&mut header, 512).unwrap();
    let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    for at in (12..92).step_by(4) {
        for value in [0_u32, 1, 2, 91, 93, 127, 129, 0x7fff_ffff, u32::MAX] {
            let mut bad = header;
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            bad[16..20].fill(0);
            let length = u32::from_le_bytes([bad[12], bad[13], bad[14], bad[15]]) as usize;
            if at != 16 {
                let sum = crc.checksum(&bad[..length.min(512)]);
                bad[16..20].copy_from_slice(&sum.to_le_bytes());
            }
            file.write_all_at(&bad, 512).unwrap();
            let Ok(Some(table)) = read(&path) else { continue };
            for (offset, bytes) in table.writes().concat() {
                let end = offset + bytes.len() as u64;
                assert!(end <= SIZE, "{at} {value}");
                let inside = |one: &Entry| one.first * 512 < end && offset < (one.last + 1) * 512;
                assert!(!table.partitions().any(|(_, one)| inside(&one)), "{at} {value}: {offset}");
            }
        }
    }
}

/// The disk of these tests as a plan sees it.
fn as_planned(table: &Beside) -> DiskThere {
    let there = |(number, one): (u32, Entry)| PartitionThere {
        number,
        first: Lba(one.first),
        sectors: Sectors(one.last - one.first + 1),
        id: Some(one.id),
        type_guid: Some(one.kind),
        format: Some("ext4".into()),
        what: one.name,
    };
    let (first, last) = (Lba(table.first_usable()), Lba(table.last_usable()));
    DiskThere {
        bytes: SIZE,
        sector: SectorSize::B512,
        table: TableThere::Gpt { id: table.id(), first, last, entries: table.entries() },
        whole: None,
        partitions: table.partitions().map(there).collect(),
    }
}

#[test]
fn a_table_follows_a_plan_and_another_one_is_refused() {
    if skip() {
        return;
    }
    let (_dir, path) = disk();
    let before = there(&path);
    let of = Partition::of_kind;
    let small = |kind| Partition { size: Some(Size::from_mib(1)), ..of(kind) };
    let data = Partition { mount_point: Some("/srv".into()), ..of(PartitionKind::Data) };
    let disk = Disk::of_partitions(vec![small(PartitionKind::BiosBoot), data, of(PartitionKind::Home)]);
    // 1 goes, 5 becomes something else in its place, 3 is kept, and what is new takes the lowest numbers.
    let wish = Wish {
        mode: Mode::Whole,
        replace: [("bios-boot".to_string(), 5)].into(),
        keep: [("/srv".to_string(), 3)].into(),
        spare: BTreeSet::new(),
    };
    let plan = onto(&disk, Uuid::from_u128(9), &Needs::default(), &as_planned(&before), &wish).unwrap();
    let mut table = before.clone();
    table.follow(&plan).unwrap();
    write(&path, &table);
    let after = there(&path);
    let found: Vec<u32> = after.partitions().map(|(n, _)| n).collect();
    assert_eq!(found, [1, 3, 5]);
    assert_eq!(after.bytes_of(3), before.bytes_of(3), "what is kept");
    let of = |table: &Beside, number| table.partitions().find(|(n, _)| *n == number).unwrap().1;
    let (old, new) = (of(&before, 5), of(&after, 5));
    assert_eq!((new.first, new.last, new.name.as_str(), new.attributes), (old.first, old.last, "bios-boot", 0));
    assert_eq!(new.kind.to_string(), "21686148-6449-6e6f-744e-656564454649");
    assert_ne!(new.id, old.id);
    assert_eq!((of(&after, 1).name.as_str(), of(&after, 1).first), ("home", 51_200 - 2048));
    let judged = sgdisk(&path, &["-v"]);
    assert!(judged.contains("No problems found"), "{judged}");
    // The plan was made for another table: a number is taken, a partition is gone.
    let mut taken = before.clone();
    taken.remove(3).unwrap();
    assert_eq!(taken.follow(&plan), Err(BesideError::Gone(3)));
    let mut taken = before.clone();
    taken.add(&linux((100_000, 110_000))).unwrap();
    assert!(matches!(taken.follow(&plan), Err(BesideError::Overlap { other: 2, .. })));
    let mut taken = before.clone();
    taken.remove(5).unwrap();
    assert_eq!(taken.follow(&plan), Err(BesideError::Gone(5)));
}
