//! A disk by hand: what is said of its partitions comes out as the machine's partitions and what they use, the planner takes all of it, and
//! what cannot start is refused at its question.

use std::collections::BTreeMap;

use cairn_installer::questions::{Answers, Asks, Next, Question, Seen, SeenDisk, Topic};
use cairn_layout::onto::{DiskThere, Fate, Mode, Onto, PartitionThere, TableThere, Wish, onto};
use cairn_layout::{Lba, Needs, SectorSize, Sectors};
use cairn_machine::model::InstallInto;
use uuid::{Uuid, uuid};

use crate::{Random, asked, machine, seen};

const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
const DATA: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

fn there(table: TableThere, gib: u64, partitions: &[(u64, Uuid, &str)]) -> DiskThere {
    let mut next = 1;
    let mut number = 0;
    let mut one = |(mib, kind, format): &(u64, Uuid, &str)| {
        let first = next;
        (next, number) = (next + mib, number + 1);
        PartitionThere {
            number,
            first: Lba(first * 2048),
            sectors: Sectors(mib * 2048),
            id: Some(Uuid::from_u128(u128::from(number))),
            type_guid: Some(*kind),
            format: Some((*format).to_string()).filter(|format| !format.is_empty()),
            what: format!("a {format}"),
        }
    };
    DiskThere {
        bytes: gib << 30,
        sector: SectorSize::B512,
        table,
        whole: None,
        partitions: partitions.iter().map(&mut one).collect(),
    }
}

fn gpt(gib: u64) -> TableThere {
    TableThere::Gpt { id: Uuid::from_u128(9), first: Lba(34), last: Lba((gib << 21) - 34), entries: 128 }
}

/// An EFI system partition of 100 MiB, one of Microsoft's of 16 MiB, Windows, a /home, swap, pictures on FAT, and 40 GiB free.
pub fn windows() -> DiskThere {
    let others = [
        (100, ESP, "vfat"),
        (16, DATA, ""),
        (40 << 10, DATA, "ntfs"),
        (20 << 10, DATA, "ext4"),
        (2 << 10, DATA, "swap"),
        (8 << 10, DATA, "vfat"),
    ];
    there(gpt(111), 111, &others)
}

fn computer(there: DiskThere, uefi: bool) -> Seen {
    let disk =
        SeenDisk { selector: "serial=A".into(), shown: "a disk".into(), there: Some(there), ..SeenDisk::default() };
    Seen { disks: vec![disk], uefi, ..seen() }
}

/// Says these words by hand, after what comes before.
fn said(seen: &Seen, words: &[&str]) -> (Answers, Result<(), String>) {
    let mut answers = Answers::default();
    while asked(&answers, seen).topic != Topic::Use {
        let question = asked(&answers, seen);
        answers.give(question.topic, question.value_of("").unwrap(), seen).unwrap();
    }
    answers.give(Topic::Use, asked(&answers, seen).value_of("by-hand").unwrap(), seen).unwrap();
    for word in words {
        let question = asked(&answers, seen);
        let given = question.value_of(word).and_then(|value| answers.give(question.topic, value, seen));
        if let Err(why) = given {
            return (answers, Err(why));
        }
        machine(&answers, seen);
    }
    (answers, Ok(()))
}

fn done(seen: &Seen, words: &[&str]) -> (String, Onto) {
    let (mut answers, result) = said(seen, words);
    result.unwrap_or_else(|why| panic!("{words:?}: {why}"));
    while let Next::Ask(question) = answers.next(seen) {
        assert!(!matches!(question.topic, Topic::Part | Topic::Swap), "{question:?}");
        let word = if matches!(question.topic, Topic::User | Topic::Password) { "anna" } else { "" };
        answers.give(question.topic, question.value_of(word).unwrap(), seen).unwrap();
    }
    let (text, planned) = planned(&answers, seen);
    (text, planned.unwrap())
}

/// What the planner makes of the machine file, as an installation would.
fn planned(answers: &Answers, seen: &Seen) -> (String, Result<Onto, String>) {
    let (checked, text) = machine(answers, seen);
    let install = checked.machine.install.as_ref().unwrap();
    let mode = if install.into == InstallInto::Free { Mode::Free } else { Mode::Whole };
    let (replace, keep) = (install.replace.clone(), install.keep.clone());
    let wish = Wish { mode, replace, keep, spare: install.spare.iter().copied().collect() };
    let (_, disk) = checked.machine.root_disk().unwrap();
    let needs = Needs { root: 3 << 30, ..Needs::default() };
    let there = seen.disks[0].there.as_ref().unwrap();
    (text, onto(disk, Uuid::from_u128(77), &needs, there, &wish).map_err(|why| why.to_string()))
}

fn fates(onto: &Onto) -> Vec<String> {
    let name = |index: usize| {
        let one = &onto.plan.partitions[index];
        one.mount_point.clone().unwrap_or_else(|| one.kind.name().into())
    };
    let fate = |one: &PartitionThere| match onto.fate(one.number) {
        Fate::Untouched => "stays".to_string(),
        Fate::Kept(index) => format!("stays as {}", name(index)),
        Fate::Replaced(index) => format!("becomes {}", name(index)),
        Fate::Removed => "goes".into(),
    };
    onto.there.partitions.iter().map(fate).collect()
}

#[test]
fn each_partition_becomes_what_is_said() {
    let seen = computer(windows(), true);
    let words = [
        "partition 1",
        "keep-esp",
        "partition 4",
        "keep-home",
        "partition 5",
        "keep-swap",
        "partition 6",
        "keep-data",
        "/srv/pictures",
        "free",
        "root",
        "",
        "",
    ];
    let (text, onto) = done(&seen, &words);
    let fates = fates(&onto);
    assert_eq!(
        fates,
        ["stays as /boot", "stays", "stays", "stays as /home", "stays as swap", "stays as /srv/pictures"],
        "{text}"
    );
    assert!(text.contains("  into: free\n  keep: {\"/srv/pictures\": 6, esp: 1, home: 4, swap: 5}\n"), "{text}");
    assert!(text.contains("- {type: data, mount_point: \"/srv/pictures\", format: vfat}\n"), "{text}");
    assert!(onto.losses().is_empty());
}

#[test]
fn what_is_made_anew_and_what_is_removed_is_lost_and_nothing_else() {
    let seen = computer(windows(), true);
    // Windows goes, its room and what is free behind the others stay apart: the larger piece is taken.
    let words = [
        "partition 3",
        "remove",
        "partition 4",
        "root",
        "partition 5",
        "home",
        "free",
        "esp",
        "1G",
        "free",
        "data",
        "/srv",
        "10G",
        "free",
        "data",
        "/var/log",
        "rest",
        "done",
    ];
    let (text, onto) = done(&seen, &words);
    assert_eq!(fates(&onto), ["stays", "stays", "goes", "becomes /", "becomes /home", "stays"], "{text}");
    assert!(text.contains("  into: whole\n  replace: {home: 5, root: 4}\n  spare: [1, 2, 6]\n"), "{text}");
    let size = |at: &str| {
        let one = onto.plan.partitions.iter().find(|one| one.mount_point.as_deref() == Some(at)).unwrap();
        onto.plan.bytes_of(one) >> 30
    };
    assert_eq!((size("/boot"), size("/srv")), (1, 10));
    assert!(size("/var/log") >= 28, "{text}");
}

#[test]
fn the_partitions_of_a_system_that_has_its_own_give_way() {
    let mut seen = computer(windows(), true);
    seen.systems = vec![crate::system("store", crate::OWN_DISK)];
    let (text, onto) = done(&seen, &["partition 1", "keep-esp", "free", "root", "", "done"]);
    assert!(!text.contains("home") && onto.plan.partitions.len() == 2, "{text}");
}

#[test]
fn a_bios_gets_its_two_partitions() {
    let seen = computer(windows(), false);
    let words = ["free", "bios-boot", "free", "xbootldr", "", "free", "root", "20G", ""];
    let (text, onto) = done(&seen, &words);
    assert!(
        text.contains("- {type: bios-boot}\n      - {type: xbootldr, size: 512M}\n      - {type: root, size: 20G}\n"),
        "{text}"
    );
    assert!(onto.losses().is_empty());
}

#[test]
fn what_has_no_gpt_is_a_whole_disk() {
    for (table, lost) in [(TableThere::None, 0), (TableThere::Other("an MBR".into()), 1)] {
        let partitions = [(40 << 10, DATA, "ntfs")];
        let seen = computer(there(table, 111, &partitions[..lost]), true);
        let (text, onto) = done(&seen, &["free", "esp", "", "free", "home", "30G", "free", "root", "", "done"]);
        assert!(onto.new_table && onto.losses().len() == lost && text.contains("into: whole\n"), "{text}");
    }
}

#[test]
fn what_cannot_start_is_refused_at_its_question() {
    let refused = |uefi, words: &[&str]| {
        let seen = computer(windows(), uefi);
        let (answers, result) = said(&seen, words);
        let why = result.expect_err(&format!("{words:?}"));
        // It is asked again, and what was right before is not lost.
        (why, asked(&answers, &seen).topic)
    };
    for (uefi, words, why, topic) in [
        (true, &["done"][..], "without the EFI system partition (/boot) and the root (/)", Topic::Part),
        (true, &["free", "root", "", "done"], "without the EFI system partition", Topic::Part),
        (true, &["partition 1", "keep-esp", "done"], "without the root (/)", Topic::Part),
        (
            false,
            &["free", "root", "", "done"],
            "the BIOS boot partition (for GRUB) and the partition for kernels",
            Topic::Part,
        ),
        (true, &["partition 5", "root"], "too small for root: it needs 3G, 1G more", Topic::Becomes),
        (true, &["free", "root", "1G"], "root is 1G, but its contents need 3G", Topic::Size),
        (true, &["partition 1", "esp"], "partition 1 is too small for esp: it needs 260M", Topic::Becomes),
        (true, &["free", "root", "400G"], "the largest free piece", Topic::Size),
        (true, &["free", "root", "much"], "is not a size", Topic::Size),
        (true, &["free", "swap", "rest"], "size", Topic::Size),
        (true, &["partition 6", "data", "/usr"], "belongs to the system", Topic::MountPoint),
        (true, &["partition 6", "data", "srv"], "is not a mount point", Topic::MountPoint),
        (
            true,
            &["partition 4", "keep-data", "/a", "partition 6", "keep-data", "/a"],
            "mount point of another",
            Topic::MountPoint,
        ),
        (true, &["partition 3", "keep-home"], "none of them", Topic::Becomes),
        (false, &["partition 1", "keep-esp"], "none of them", Topic::Becomes),
        (true, &["partition 1", "keep-data"], "none of them", Topic::Becomes),
    ] {
        let (said, at) = refused(uefi, words);
        assert!(said.contains(why), "{words:?}: {said}");
        assert_eq!(at, topic, "{words:?}");
    }
}

#[test]
fn an_esp_without_room_is_not_shared() {
    let mut seen = computer(windows(), true);
    let share = |seen: &Seen| said(seen, &["partition 1", "keep-esp"]).1;
    seen.disks[0].free_in_esp = BTreeMap::from([(1, 20 << 20)]);
    let why = share(&seen).unwrap_err();
    assert!(why.contains("it has 20M free") && why.contains("make another"), "{why}");
    seen.disks[0].free_in_esp = BTreeMap::from([(1, 70 << 20)]);
    share(&seen).unwrap();
}

fn shown(question: &Question) -> Vec<&str> {
    let Asks::One { of, .. } = &question.asks else { panic!("no choice") };
    of.iter().map(|one| one.shown.as_str()).collect()
}

#[test]
fn the_list_shows_what_is_there_and_what_becomes_of_it() {
    let mut seen = computer(windows(), true);
    seen.disks[0].systems = BTreeMap::from([(3, "Windows".into())]);
    let (answers, result) = said(&seen, &["partition 4", "root", "free", "swap", "4G"]);
    result.unwrap();
    let question = asked(&answers, &seen);
    assert_eq!(
        shown(&question),
        [
            "partition 1   100M  stays            a vfat",
            "partition 2    16M  stays            a",
            "partition 3    40G  stays            a ntfs: Windows",
            "partition 4    20G  LOST, becomes /  a ext4",
            "partition 5     2G  stays            a swap",
            "partition 6     8G  stays            a vfat",
            "new             4G  swap",
            "free         36.9G  free             a new partition can be made here",
            "Done: the disk is to be like that",
        ]
    );
    assert!(question.notes[0].contains("without the EFI system partition"), "{:?}", question.notes);
    assert_eq!(question.value_of("").as_deref(), Ok("free"));
    // The last word counts, and one that is not made after all is gone.
    let (answers, result) =
        said(&seen, &["partition 4", "root", "free", "esp", "", "free", "root", "", "new-1", "leave"]);
    result.unwrap();
    let question = asked(&answers, &seen);
    let rows = shown(&question);
    assert!(rows[3].starts_with("partition 4") && rows[3].ends_with("stays  a ext4"), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.starts_with("new")).count(), 1);
}

#[test]
fn a_step_back_takes_one_word_back() {
    let seen = computer(windows(), true);
    let (mut answers, result) = said(&seen, &["free", "data", "/srv", "10G", "partition 1", "keep-esp"]);
    result.unwrap();
    let mut topics = Vec::new();
    while asked(&answers, &seen).topic != Topic::Use {
        topics.push(asked(&answers, &seen).topic);
        assert_eq!(answers.step(asked(&answers, &seen).topic, &seen), (6, 10));
        assert!(answers.back());
        machine(&answers, &seen);
    }
    use Topic::{Becomes, MountPoint, Part, Size};
    assert_eq!(topics, [Part, Becomes, Part, Size, MountPoint, Becomes, Part]);
}

fn pick(random: &mut Random, of: usize) -> usize {
    usize::try_from(random.below(of as u64)).unwrap()
}

#[test]
fn any_words_end_in_a_plan_or_in_what_is_missing() {
    let words = [
        "",
        "1",
        "2",
        "4",
        "free",
        "done",
        "root",
        "esp",
        "keep-data",
        "rest",
        "10G",
        "300M",
        "/srv",
        "/var/log",
        "/usr",
        "x y",
        "99T",
        "-1",
        "0",
        "/srv/\"x: {",
    ];
    let mut random = Random(11);
    let (mut ends, mut refused) = (0, 0);
    for round in 0..60 {
        let disk = match round % 3 {
            0 => windows(),
            1 => there(TableThere::None, 40, &[]),
            _ => there(gpt(40), 40, &[(300, ESP, "vfat"), (30 << 10, DATA, "ext4")]),
        };
        let seen = computer(disk, random.below(2) == 0);
        let (mut answers, _) = said(&seen, &[]);
        for _ in 0..60 {
            if answers.get(Topic::Use).is_none() {
                answers.give(Topic::Use, "by-hand".into(), &seen).unwrap();
            }
            let question = asked(&answers, &seen);
            if question.topic == Topic::HostName {
                break;
            }
            if random.below(12) == 0 {
                answers.back();
                continue;
            }
            // What is offered, more often than anything.
            let complete = question.topic == Topic::Part && question.notes.is_empty();
            let word = match &question.asks {
                _ if complete && random.below(3) == 0 => "done",
                Asks::One { of, .. } if random.below(3) > 0 => &of[pick(&mut random, of.len())].value,
                Asks::Text { default, .. } if random.below(2) > 0 => default,
                _ => words[pick(&mut random, words.len())],
            };
            let given = question.value_of(word).and_then(|value| answers.give(question.topic, value, &seen));
            refused += usize::from(given.is_err());
            // Whatever it is, it is a machine file.
            machine(&answers, &seen);
        }
        if answers.get(Topic::Use).is_some() && asked(&answers, &seen).topic == Topic::HostName {
            ends += 1;
            let (text, planned) = planned(&answers, &seen);
            planned.unwrap_or_else(|why| panic!("{why}\n{text}"));
        }
    }
    assert!(ends > 10 && refused > 200, "{ends} {refused}");
}
