//! Where rules begin and end, the last value that passes and the first that does not; and the tables of names and numbers that
//! other programs know by heart.

use cairn_layout::{
    DiskPlan, FsUuid, Lba, Needs, PlanError, SectorSize, Sectors, disk_seed, free_to_leave, identifiers, mbr_type,
    mbr_type_name, plan, plan_with_sectors, type_guid, type_name,
};
use cairn_machine::model::{Disk, FileSystem, NamedLayout, Partition, PartitionKind, TableKind};
use cairn_machine::size::Size;
use uuid::Uuid;

const SEED: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);
const MIB: u64 = 1 << 20;

fn part(kind: PartitionKind) -> Partition {
    Partition::of_kind(kind)
}

fn sized(kind: PartitionKind, bytes: u64) -> Partition {
    Partition { size: Some(Size::from_bytes(bytes)), ..part(kind) }
}

fn data(at: &str) -> Partition {
    Partition { mount_point: Some(at.into()), ..part(PartitionKind::Data) }
}

fn planned(partitions: Vec<Partition>) -> Result<DiskPlan, PlanError> {
    plan(&Disk::of_partitions(partitions), SEED, &Needs::default(), None)
}

/// The sizes of all partitions in MiB.
fn mib(plan: &DiskPlan) -> Vec<u64> {
    plan.partitions.iter().map(|p| plan.bytes_of(p) / MIB).collect()
}

#[test]
fn types_have_the_numbers_and_names_that_others_know_them_by() {
    use PartitionKind::{BiosBoot, Data, Esp, Home, Root, Swap, Xbootldr};
    for (kind, at, guid, name) in [
        (Esp, None, "c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "esp"),
        (Xbootldr, None, "bc13c2ff-59e6-4262-a352-b275fd6f7172", "xbootldr"),
        (BiosBoot, None, "21686148-6449-6e6f-744e-656564454649", "bios-boot"),
        (Swap, None, "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "swap"),
        (Root, None, "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "root-x86-64"),
        (Home, None, "933ac7e1-2eb4-4f13-b844-0e14e2aef915", "home"),
        (Data, Some("/srv"), "3b8f8425-20e0-4f3b-907f-1a25a76f98e8", "srv"),
        (Data, Some("/var"), "0fc63daf-8483-4772-8e79-3d69d8477de4", "linux-generic"),
        (Data, None, "0fc63daf-8483-4772-8e79-3d69d8477de4", "linux-generic"),
    ] {
        assert_eq!(type_guid(kind, at).to_string(), guid, "{kind:?} {at:?}");
        assert_eq!(type_name(type_guid(kind, at)), Some(name));
    }
    assert_eq!(type_name(Uuid::nil()), None);

    for (kind, format, number) in [
        (Esp, Some(FileSystem::Vfat), 0xEF),
        (Esp, None, 0xEF),
        (Xbootldr, Some(FileSystem::Vfat), 0x0C),
        (Swap, Some(FileSystem::Swap), 0x82),
        (Root, Some(FileSystem::Ext4), 0x83),
        (BiosBoot, None, 0xDA),
    ] {
        assert_eq!(mbr_type(kind, format), number, "{kind:?} {format:?}");
    }
    let named = (0..=255).filter_map(|n| Some((n, mbr_type_name(n)?))).collect::<Vec<_>>();
    let wanted = [
        (0x05, "extended"),
        (0x07, "ntfs"),
        (0x0B, "fat32"),
        (0x0C, "fat32"),
        (0x0F, "extended"),
        (0x82, "swap"),
        (0x83, "linux"),
        (0x85, "extended"),
        (0x8E, "lvm"),
        (0xEA, "xbootldr"),
        (0xEE, "gpt"),
        (0xEF, "esp"),
        (0xFD, "raid"),
    ];
    assert_eq!(named, wanted);
}

#[test]
fn a_file_system_that_does_not_go_with_its_partition_is_refused_with_one_that_does() {
    use FileSystem::{Ext4, Swap, Vfat};
    use PartitionKind as Kind;
    for (kind, format, message) in [
        (Kind::Esp, Ext4, "esp cannot be ext4: use vfat"),
        (Kind::Esp, Swap, "esp cannot be swap: use vfat"),
        (Kind::Xbootldr, Ext4, "xbootldr cannot be ext4: use vfat"),
        (Kind::Xbootldr, Swap, "xbootldr cannot be swap: use vfat"),
        (Kind::Root, Vfat, "root cannot be vfat: use ext4"),
        (Kind::Root, Swap, "root cannot be swap: use ext4"),
        (Kind::Home, Vfat, "home cannot be vfat: use ext4"),
        (Kind::Home, Swap, "home cannot be swap: use ext4"),
        (Kind::Data, Swap, "data cannot be swap: use ext4 or vfat"),
        (Kind::Swap, Ext4, "swap cannot be ext4: use swap"),
        (Kind::Swap, Vfat, "swap cannot be vfat: use swap"),
        (Kind::BiosBoot, Vfat, "bios-boot cannot be formatted: use no `format`: it holds no file system"),
    ] {
        let mut wrong = Partition { format: Some(format), ..sized(kind, 512 * MIB) };
        wrong.mount_point = (kind == Kind::Data).then(|| "/data".to_string());
        let error = planned(vec![wrong]).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.pointer()), (message, "/partitions/0/format"));
    }
    for format in [Ext4, Vfat] {
        planned(vec![Partition { format: Some(format), ..data("/data") }]).unwrap();
    }
}

#[test]
fn labels_are_kept_as_far_as_there_is_room_for_them() {
    // Of a partition, and of the file system in it; what a file system cannot hold is called by its kind.
    for (kind, label, wanted) in [
        (PartitionKind::Root, "sixteen-bytes-16", "sixteen-bytes-16"),
        (PartitionKind::Root, "seventeen-bytes-x", "root"),
        (PartitionKind::Esp, "Boot-1_x", "BOOT-1_X"),
        (PartitionKind::Esp, "eleven-byte", "ELEVEN-BYTE"),
        (PartitionKind::Esp, "twelve-bytes", "ESP"),
        (PartitionKind::Esp, "my boot", "ESP"),
        (PartitionKind::Esp, "böot", "ESP"),
        (PartitionKind::Esp, "", "ESP"),
    ] {
        let labelled = Partition { label: Some(label.into()), ..part(kind) };
        let ids = identifiers(&Disk::of_partitions(vec![labelled]), SEED).unwrap();
        assert_eq!((ids[0].label.as_str(), ids[0].fs().unwrap().label.as_str()), (label, wanted));
    }
    let of = |units: usize| {
        planned(vec![Partition { label: Some("x".repeat(units)), ..part(PartitionKind::Root) }]).map(drop)
    };
    assert_eq!(of(36), Ok(()));
    let pointer = "/partitions/0/label".to_string();
    assert_eq!(of(37), Err(PlanError::LabelTooLong { what: "root".into(), pointer, units: 37 }));
}

#[test]
fn identifiers_are_told_as_other_programs_tell_them() {
    assert_eq!(disk_seed(SEED, "main"), Uuid::new_v5(&SEED, b"disk/main"));
    assert_ne!(disk_seed(SEED, "main"), disk_seed(SEED, "data"));
    assert_eq!(FsUuid::VolumeId(0x0a2b_3c04).to_string(), "0A2B-3C04");
    assert_eq!(FsUuid::Uuid(SEED).to_string(), SEED.to_string());
    assert_eq!((FsUuid::VolumeId(7).volume_id(), FsUuid::VolumeId(7).uuid()), (Some(7), None));
    assert_eq!((FsUuid::Uuid(SEED).volume_id(), FsUuid::Uuid(SEED).uuid()), (None, Some(SEED)));
    // No signature is one that says that there is none.
    let mut plan = planned(vec![part(PartitionKind::Root)]).unwrap();
    plan.disk_guid = Uuid::from_u128(1);
    assert_eq!(plan.signature(), 1);
    plan.disk_guid = Uuid::from_u128(0x1a2b_3c4d << 96);
    assert_eq!(plan.signature(), 0x1a2b_3c4d);
}

#[test]
fn a_core_image_has_its_place_where_a_bios_can_start_something() {
    let of = |layout| plan(&Disk::of_layout(layout), SEED, &Needs::default(), None).unwrap().core_image_area();
    assert_eq!(of(NamedLayout::Uefi), None);
    assert_eq!(of(NamedLayout::Bios), Some((MIB, MIB)));
    assert_eq!(of(NamedLayout::Mbr), Some((512, MIB - 512)));
}

#[test]
fn numbers_are_what_they_say() {
    assert_eq!((SectorSize::try_from(512), SectorSize::try_from(4096)), (Ok(SectorSize::B512), Ok(SectorSize::B4096)));
    let refused = SectorSize::try_from(2048).unwrap_err();
    assert_eq!(refused, "sectors of 2048 bytes are not supported, only 512 and 4096");
    assert_eq!((u32::from(SectorSize::B512), u32::from(SectorSize::B4096)), (512, 4096));
    assert_eq!(SectorSize::B4096.count(8191), Sectors(1));
    assert_eq!(Lba(3).offset(SectorSize::B4096), 12288);
    assert_eq!(Lba(u64::MAX).offset(SectorSize::B512), u64::MAX);
    assert_eq!(Sectors(3).bytes(SectorSize::B512), 1536);
    assert_eq!(format!("{:5}|{:<5}|{:05}", Lba(42), Lba(42), Sectors(42)), "   42|42   |00042");
}

#[test]
fn the_least_and_the_greatest_that_fit_are_let_through() {
    let needs = Needs { esp: 300 * MIB, root: 800 * MIB, ..Needs::default() };
    let with = |partitions| plan(&Disk::of_partitions(partitions), SEED, &needs, None).map(|plan| mib(&plan));
    let both = |esp, root| with(vec![sized(PartitionKind::Esp, esp), sized(PartitionKind::Root, root)]);
    assert_eq!(both(300 * MIB, 800 * MIB), Ok(vec![300, 800]));
    assert!(matches!(both(300 * MIB - 1, 800 * MIB), Err(PlanError::PartitionTooSmall { .. })));
    assert!(matches!(both(300 * MIB, 800 * MIB - 1), Err(PlanError::PartitionTooSmall { .. })));
    // Bounds that meet.
    let bound = |min, max| {
        let (size_min, size_max) = (Some(Size::from_mib(min)), Some(Size::from_mib(max)));
        with(vec![Partition { size_min, size_max, ..part(PartitionKind::Root) }])
    };
    assert_eq!(bound(900, 900), Ok(vec![900]));
    assert_eq!(bound(700, 900), Ok(vec![800]));
    assert!(matches!(bound(901, 900), Err(PlanError::Bounds { .. })));

    // What each format takes at least.
    for (kind, least, name) in [
        (PartitionKind::Esp, 260 * MIB, "FAT32"),
        (PartitionKind::Home, 32 * MIB, "ext4"),
        (PartitionKind::Swap, MIB, "swap"),
        (PartitionKind::BiosBoot, MIB, "a boot loader"),
    ] {
        assert_eq!(planned(vec![sized(kind, least)]).map(|plan| mib(&plan)), Ok(vec![least / MIB]));
        let error = planned(vec![sized(kind, least - 1)]).unwrap_err();
        assert!(matches!(&error, PlanError::BelowFormat { format, .. } if *format == name), "{error}");
    }
    // What is asked for is rounded up, and a weight is no size.
    assert_eq!(planned(vec![sized(PartitionKind::Home, 40 * MIB + 1)]).map(|plan| mib(&plan)), Ok(vec![41]));
    let least = Partition { size_min: Some(Size::from_bytes(40 * MIB + 1)), ..part(PartitionKind::Swap) };
    assert_eq!(planned(vec![least]).map(|plan| mib(&plan)), Ok(vec![41]));

    // A disk that is just large enough, and one that lacks a sector.
    let uefi = |bytes| plan(&Disk::of_layout(NamedLayout::Uefi), SEED, &needs, Some(Size::from_bytes(bytes)));
    assert_eq!(uefi(1102 * MIB).map(|plan| mib(&plan)), Ok(vec![300, 800]));
    assert_eq!(uefi(1101 * MIB + 16896).map(|plan| mib(&plan)), Ok(vec![300, 800]));
    assert!(matches!(uefi(1101 * MIB + 16384), Err(PlanError::DiskTooSmall { .. })));
    // No part of a sector counts.
    assert_eq!(uefi(4096 * MIB + 511).unwrap().bytes(), 4096 * MIB);
    assert_eq!(uefi(4096 * MIB + 513).unwrap().bytes(), 4096 * MIB + 512);
}

#[test]
fn each_partition_holds_what_goes_into_it() {
    let needs = Needs {
        esp: 301 * MIB,
        xbootldr: 302 * MIB,
        root: 303 * MIB,
        home: 304 * MIB,
        data: [("/srv".to_string(), 305 * MIB)].into(),
    };
    let all = vec![
        part(PartitionKind::BiosBoot),
        part(PartitionKind::Esp),
        part(PartitionKind::Xbootldr),
        sized(PartitionKind::Swap, 306 * MIB),
        part(PartitionKind::Home),
        data("/srv"),
        data("/other"),
        part(PartitionKind::Root),
    ];
    let plan = plan(&Disk::of_partitions(all), SEED, &needs, None).unwrap();
    assert_eq!(mib(&plan), [1, 301, 302, 306, 304, 305, 32, 303]);
    assert_eq!(plan.partitions.iter().map(|p| p.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8]);
    let drawn = plan.to_string();
    let swap = drawn.lines().find(|line| line.starts_with("4  ")).unwrap();
    assert!(swap.ends_with("swap    -"), "{drawn}");
}

#[test]
fn who_takes_what_is_left() {
    let on = |disk: Disk| mib(&plan(&disk, SEED, &Needs::default(), Some(Size::from_mib(4002))).unwrap());
    // Of listed partitions those with files of people's own, in equal parts.
    let listed = |partitions| on(Disk::of_partitions(partitions));
    let (esp, root) = (part(PartitionKind::Esp), part(PartitionKind::Root));
    assert_eq!(listed(vec![esp.clone(), root.clone()]), [260, 3740]);
    assert_eq!(listed(vec![part(PartitionKind::Home), root.clone()]), [2000, 2000]);
    assert_eq!(listed(vec![data("/srv"), root.clone()]), [2000, 2000]);
    let boot = vec![part(PartitionKind::BiosBoot), part(PartitionKind::Xbootldr), root.clone()];
    assert_eq!(listed(boot), [1, 260, 3739]);
    let swap = Partition { size_min: Some(Size::from_mib(100)), ..part(PartitionKind::Swap) };
    assert_eq!(listed(vec![swap, root.clone()]), [100, 3900]);
    // Weights that are given.
    let weighed = |weight, partition: &Partition| Partition { weight: Some(weight), ..partition.clone() };
    assert_eq!(listed(vec![weighed(1, &esp), weighed(3, &root)]), [1000, 3000]);
    // Of a named layout the root alone.
    assert_eq!(on(Disk::of_layout(NamedLayout::Uefi)), [260, 3740]);
    // An MBR goes no further than it can count, on a real disk.
    let reached = |tib: u64| {
        let size = Size::from_bytes(tib << 40);
        let plan = plan(&Disk::of_layout(NamedLayout::Mbr), SEED, &Needs::default(), Some(size)).unwrap();
        (plan.bytes() >> 40, plan.offset_of(&plan.partitions[1]) + plan.bytes_of(&plan.partitions[1]))
    };
    assert_eq!((reached(2), reached(3)), ((2, 2 << 40), (3, 2 << 40)));
}

#[test]
fn a_table_holds_so_many_partitions_and_no_more() {
    let of = |table, count: usize| {
        let disk = Disk { table, ..Disk::of_partitions(vec![sized(PartitionKind::Swap, MIB); count]) };
        plan(&disk, SEED, &Needs::default(), None).map(|plan| plan.partitions.len())
    };
    for (table, most) in [(None, 128), (Some(TableKind::Gpt), 128), (Some(TableKind::Mbr), 4)] {
        assert_eq!(of(table, most), Ok(most));
        assert_eq!(of(table, most + 1), Err(PlanError::TooManyPartitions { count: most + 1, most }));
    }
}

#[test]
fn nothing_is_larger_than_any_disk() {
    let home = |bytes| planned(vec![sized(PartitionKind::Home, bytes)]).map(|plan| plan.bytes());
    assert_eq!(home((1 << 63) - 3 * MIB), Ok((1 << 63) - MIB));
    assert_eq!(home((1 << 63) - 2 * MIB), Err(PlanError::TooLarge));
}

#[test]
fn only_a_disk_that_nothing_but_a_bios_starts_needs_small_sectors() {
    use PartitionKind::{BiosBoot, Esp, Root, Xbootldr};
    for (table, kinds, fits) in [
        (TableKind::Gpt, vec![Esp, Root], true),
        (TableKind::Gpt, vec![BiosBoot, Esp, Root], true),
        (TableKind::Gpt, vec![Root], true),
        (TableKind::Gpt, vec![BiosBoot, Root], false),
        (TableKind::Mbr, vec![Esp, Root], true),
        (TableKind::Mbr, vec![Xbootldr, Root], false),
    ] {
        let disk = Disk { table: Some(table), ..Disk::of_partitions(kinds.iter().map(|kind| part(*kind)).collect()) };
        let on = |sector| plan_with_sectors(&disk, SEED, &Needs::default(), None, sector).map(drop);
        assert_eq!(on(SectorSize::B512), Ok(()), "{kinds:?}");
        let wanted = if fits { Ok(()) } else { Err(PlanError::BiosSectors { sector: 4096 }) };
        assert_eq!(on(SectorSize::B4096), wanted, "{table:?} {kinds:?}");
    }
}

#[test]
fn what_can_grow_is_the_last_and_ext4() {
    let grows = |partition: Partition| Partition { grow: Some(true), ..partition };
    let on = |table, partitions| {
        let disk = Disk { table: Some(table), ..Disk::of_partitions(partitions) };
        plan(&disk, SEED, &Needs::default(), None)
            .map(|plan| plan.partitions.iter().map(|p| p.grow).collect::<Vec<_>>())
    };
    let (esp, root) = (part(PartitionKind::Esp), part(PartitionKind::Root));
    assert_eq!(on(TableKind::Gpt, vec![esp.clone(), grows(root.clone())]), Ok(vec![false, true]));
    assert_eq!(on(TableKind::Mbr, vec![esp.clone(), grows(root.clone())]), Ok(vec![false, true]));
    assert_eq!(on(TableKind::Gpt, vec![root.clone(), grows(data("/srv"))]), Ok(vec![false, true]));
    let no = Partition { grow: Some(false), ..data("/srv") };
    assert_eq!(on(TableKind::Mbr, vec![root.clone(), no]), Ok(vec![false, false]));
    let error = on(TableKind::Mbr, vec![root.clone(), grows(data("/srv"))]).unwrap_err();
    assert_eq!(
        (error.to_string().contains("in an MBR only the root can"), error.pointer()),
        (true, "/partitions/1/grow")
    );
    let error = on(TableKind::Gpt, vec![root.clone(), grows(esp.clone())]).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.pointer()),
        ("esp cannot grow: only ext4 can. Remove `grow`", "/partitions/1/grow")
    );
    assert!(matches!(on(TableKind::Gpt, vec![grows(root), esp]), Err(PlanError::GrowNotLast { last: 2, .. })));
}

#[test]
fn a_size_goes_with_no_other_wish_and_free_room_with_no_size() {
    let exact = sized(PartitionKind::Root, 900 * MIB);
    let size = Some(Size::from_mib(900));
    for (partition, key) in [
        (Partition { size_min: size, ..exact.clone() }, "size_min"),
        (Partition { size_max: size, ..exact.clone() }, "size_max"),
        (Partition { weight: Some(1), ..exact.clone() }, "weight"),
    ] {
        let error = planned(vec![partition]).unwrap_err();
        assert_eq!(error.pointer(), format!("/partitions/0/{key}"));
        assert_eq!(error.to_string(), format!("root has an exact `size` and also `{key}`: remove one of the two"));
    }
    let free = |disk: &Disk| free_to_leave(disk, None).bytes();
    let uefi = Disk::of_layout(NamedLayout::Uefi);
    assert_eq!(free(&uefi), 256 * MIB);
    assert_eq!(free(&Disk { size, ..uefi }), 0);
    assert_eq!(free(&Disk::of_partitions(vec![exact])), 0);
    let (esp, root) = (sized(PartitionKind::Esp, 300 * MIB), part(PartitionKind::Root));
    assert_ne!(free(&Disk::of_partitions(vec![esp, root])), 0, "the size of another says nothing of the root");
}
