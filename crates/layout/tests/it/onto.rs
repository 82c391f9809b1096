//! Random machines onto random disks: what is made is aligned, inside, and overlaps with nothing that stays; what nobody named stays as it
//! was, or there is a refusal with the bytes that are missing.

use std::collections::BTreeSet;

use cairn_layout::onto::{DiskThere, Fate, Mode, Onto, Origin, PartitionThere, TableThere, Wish, onto};
use cairn_layout::{ALIGNMENT, Lba, Needs, SectorSize, Sectors};
use cairn_machine::model::{Disk, NamedLayout, Partition, PartitionKind};
use cairn_machine::size::Size;
use uuid::Uuid;

use crate::numbers::Numbers;

/// A disk from 1 MiB to 100 TB with up to twelve partitions, numbers and places in any order.
fn there(numbers: &mut Numbers) -> DiskThere {
    let sector = if numbers.one_in(3) { SectorSize::B4096 } else { SectorSize::B512 };
    let magnitude = numbers.below(27) + 20;
    let bytes = ((1_u64 << magnitude) + numbers.below(1 << magnitude)) / sector.bytes() * sector.bytes();
    let last = bytes / sector.bytes() - 1;
    let entries = 16384 / sector.bytes();
    let (first, end) = (2 + entries, last.saturating_sub(1 + entries));
    let table = match numbers.below(10) {
        0 => TableThere::None,
        1 => TableThere::Other("an MBR".into()),
        2 => TableThere::Broken("partitions 1 and 2 overlap".into()),
        _ => TableThere::Gpt {
            id: Uuid::from_u128(numbers.next().into()),
            first: Lba(first),
            last: Lba(end),
            entries: 128,
        },
    };
    let mut partitions = Vec::new();
    let mut free: Vec<u32> = (1..=20).collect();
    let mut at = first + numbers.below(5000);
    while table != TableThere::None && partitions.len() < 12 && at < end && !numbers.one_in(6) {
        let part = 1 + numbers.below(6);
        let sectors = 1 + numbers.below((end - at).min(1 << 34) / part + 1);
        let sectors = sectors.min(end - at + 1);
        let number = free.remove(usize::try_from(numbers.below(free.len() as u64)).unwrap());
        let formats = ["ext4", "vfat", "ntfs", "swap"];
        partitions.push(PartitionThere {
            number,
            first: Lba(at),
            sectors: Sectors(sectors),
            id: Some(Uuid::from_u128(numbers.next().into())),
            type_guid: Some(Uuid::from_u128(7)),
            format: Some(formats[usize::try_from(numbers.below(4)).unwrap()].into()),
            what: format!("partition {number}"),
        });
        let most = 1 << numbers.below(35);
        at += sectors + if numbers.one_in(2) { 0 } else { numbers.below(most) };
    }
    partitions.sort_by_key(|one| one.number);
    DiskThere { bytes, sector, table, whole: None, partitions }
}

fn machine(numbers: &mut Numbers) -> Disk {
    use PartitionKind::{BiosBoot, Data, Esp, Home, Root, Swap};
    if numbers.one_in(4) {
        return Disk::of_layout(if numbers.one_in(2) { NamedLayout::Uefi } else { NamedLayout::Hybrid });
    }
    let mut kinds = vec![Esp, Root];
    for kind in [BiosBoot, Swap, Home, Data] {
        if numbers.one_in(2) {
            kinds.push(kind);
        }
    }
    let partitions = kinds.into_iter().map(|kind| {
        let exact = kind == Swap || numbers.one_in(3);
        Partition {
            size: exact.then(|| Size::from_bytes((300 << 20) + numbers.below(4 << 30))),
            mount_point: (kind == Data).then(|| "/srv".to_string()),
            weight: (!exact && numbers.one_in(3)).then(|| u32::try_from(numbers.below(3000)).unwrap()),
            ..Partition::of_kind(kind)
        }
    });
    Disk::of_partitions(partitions.collect())
}

fn wish(numbers: &mut Numbers, there: &DiskThere, disk: &Disk) -> Wish {
    let mut wish = Wish { mode: if numbers.one_in(2) { Mode::Whole } else { Mode::Free }, ..Wish::default() };
    for one in &there.partitions {
        let kinds = disk.all_partitions();
        let kind = kinds[usize::try_from(numbers.below(kinds.len() as u64)).unwrap()].kind;
        match numbers.below(6) {
            0 => drop(wish.replace.insert(kind.name().into(), one.number)),
            1 => drop(wish.keep.insert(kind.name().into(), one.number)),
            2 => drop(wish.spare.insert(one.number)),
            _ => {}
        }
    }
    wish
}

/// What must be true of every plan.
fn holds(onto: &Onto, wish: &Wish, needs: &Needs) {
    let plan = &onto.plan;
    let sector = plan.sector_size.bytes();
    let mut taken: Vec<(u64, u64, String)> = Vec::new();
    let mut numbers = BTreeSet::new();
    for (one, origin) in plan.partitions.iter().zip(&onto.origins) {
        let (at, end) = (plan.offset_of(one), plan.offset_of(one) + plan.bytes_of(one));
        assert!(numbers.insert(one.number), "{} twice", one.number);
        taken.push((at, end, one.label.clone()));
        match origin {
            Origin::New => {
                assert_eq!((at % ALIGNMENT, (end - at) % ALIGNMENT), (0, 0), "{one:?}");
                assert!(end > at && at >= ALIGNMENT);
            }
            Origin::Replaces(number) | Origin::Keeps(number) => {
                let old = onto.there.partitions.iter().find(|old| old.number == *number).unwrap();
                assert_eq!((old.first, old.sectors, old.number), (one.first_lba, one.sectors, one.number));
                assert_eq!(matches!(origin, Origin::Keeps(_)), one.volume.is_none() && one.guid == old.id.unwrap());
            }
        }
        // What is in one that stays is looked at when it can be mounted.
        if one.kind == PartitionKind::Root && !matches!(origin, Origin::Keeps(_)) {
            assert!(end - at >= needs.root);
        }
        assert!(end <= onto.there.bytes - 16384 - sector, "the copy of the table has its place");
    }
    for old in &onto.there.partitions {
        let fate = onto.fate(old.number);
        let named = wish.replace.values().chain(wish.keep.values()).any(|number| *number == old.number);
        match fate {
            Fate::Untouched => {
                assert!(!onto.new_table && numbers.insert(old.number), "{} twice", old.number);
                let at = old.first.offset(onto.there.sector);
                taken.push((at, at + old.sectors.bytes(onto.there.sector), old.what.clone()));
            }
            Fate::Removed => assert!(wish.mode == Mode::Whole && !named && !wish.spare.contains(&old.number)),
            Fate::Kept(_) | Fate::Replaced(_) => assert!(named),
        }
    }
    taken.sort();
    for pair in taken.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
    }
    let lost: BTreeSet<u32> = onto.losses().iter().map(|one| one.number).collect();
    assert!(lost.iter().all(|number| !wish.spare.contains(number) && !wish.keep.values().any(|kept| kept == number)));
}

#[test]
fn whatever_is_asked_for_what_is_not_named_stays() {
    let (mut planned, mut beside, mut missing) = (0, 0, 0);
    for seed in 0..30_000 {
        let mut numbers = Numbers(seed);
        let there = there(&mut numbers);
        let disk = machine(&mut numbers);
        let wish = if numbers.one_in(2) {
            Wish { mode: if numbers.one_in(2) { Mode::Whole } else { Mode::Free }, ..Wish::default() }
        } else {
            wish(&mut numbers, &there, &disk)
        };
        let needs = Needs { esp: 100 << 20, root: numbers.below(4 << 30), ..Needs::default() };
        match onto(&disk, Uuid::from_u128(seed.into()), &needs, &there, &wish) {
            Ok(onto) => {
                holds(&onto, &wish, &needs);
                planned += 1;
                beside += u32::from(!onto.new_table);
            }
            Err(error) => {
                let said = error.to_string();
                missing += u32::from(said.contains("missing") || said.contains("more than there are"));
            }
        }
    }
    // The generator reaches all of it.
    assert!(
        planned > 5000 && beside > 2000 && missing > 2000,
        "{planned} plans, {beside} beside others, {missing} refusals"
    );
}
