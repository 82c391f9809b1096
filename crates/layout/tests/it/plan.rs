//! What a plan looks like, and what is refused, with the place in the machine file and the way out.

use cairn_layout::{FsUuid, Needs, PlanError, SectorSize, free_to_leave, identifiers, plan, plan_with_sectors};
use cairn_machine::model::{Disk, FileSystem, NamedLayout, Partition, PartitionKind, TableKind};
use cairn_machine::size::Size;
use uuid::Uuid;

const SEED: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0_1234_5678_9abc_def0);

fn mib(n: u64) -> Option<Size> {
    Some(Size::from_mib(n))
}

fn disk(partitions: Vec<Partition>) -> Disk {
    Disk::of_partitions(partitions)
}

fn uefi() -> Disk {
    Disk::of_layout(NamedLayout::Uefi)
}

fn part(kind: PartitionKind) -> Partition {
    Partition::of_kind(kind)
}

fn needs() -> Needs {
    Needs { esp: 120 << 20, root: (811 << 20) + 7, ..Needs::default() }
}

#[track_caller]
fn refused(disk: &Disk, pointer: &str, message: &str) {
    let error = plan(disk, SEED, &needs(), None).unwrap_err();
    assert_eq!((error.pointer(), error.to_string().as_str()), (pointer, message));
}

#[test]
fn a_named_layout_is_an_esp_and_a_root_that_grows() {
    let plan = plan(&uefi(), SEED, &needs(), None).unwrap();
    assert_eq!(
        plan.to_string(),
        "\
disk 43e62fcb-2a8d-5209-9d68-9bc6440e8e93: 1.1G (2199552 sectors of 512 bytes), GPT
#  type  label  start  first sector  size  sectors  format  mounted at
1  esp   esp       1M          2048  260M   532480  vfat    /boot
2  root  root    261M        534528  812M  1662976  ext4    / (grows)
"
    );
}

fn drawn(layout: NamedLayout) -> String {
    let needs = Needs { xbootldr: 120 << 20, ..needs() };
    plan(&Disk::of_layout(layout), SEED, &needs, None).unwrap().to_string()
}

#[test]
fn a_bios_starts_grub_from_a_partition_of_its_own() {
    assert_eq!(
        drawn(NamedLayout::Bios),
        "\
disk 43e62fcb-2a8d-5209-9d68-9bc6440e8e93: 1.1G (2201600 sectors of 512 bytes), GPT
#  type       label      start  first sector  size  sectors  format  mounted at
1  bios-boot  bios-boot     1M          2048    1M     2048  -       -
2  xbootldr   xbootldr      2M          4096  260M   532480  vfat    /boot
3  root       root        262M        536576  812M  1662976  ext4    / (grows)
"
    );
}

#[test]
fn a_hybrid_disk_has_one_boot_partition_for_both_firmwares() {
    assert_eq!(
        drawn(NamedLayout::Hybrid),
        "\
disk 43e62fcb-2a8d-5209-9d68-9bc6440e8e93: 1.1G (2201600 sectors of 512 bytes), GPT
#  type       label      start  first sector  size  sectors  format  mounted at
1  bios-boot  bios-boot     1M          2048    1M     2048  -       -
2  esp        esp           2M          4096  260M   532480  vfat    /boot
3  root       root        262M        536576  812M  1662976  ext4    / (grows)
"
    );
}

#[test]
fn an_mbr_needs_no_room_at_the_end_of_the_disk() {
    assert_eq!(
        drawn(NamedLayout::Mbr),
        "\
disk 43e62fcb: 1.1G (2197504 sectors of 512 bytes), MBR
#  type      label     start  first sector  size  sectors  format  mounted at
1  xbootldr  xbootldr     1M          2048  260M   532480  vfat    /boot
2  root      root       261M        534528  812M  1662976  ext4    / (grows)
"
    );
    let plan = plan(&Disk::of_layout(NamedLayout::Mbr), SEED, &needs(), mib(4096)).unwrap();
    let root = plan.find(PartitionKind::Root).unwrap();
    assert_eq!(plan.offset_of(root) + plan.bytes_of(root), 4096 << 20);
    assert_eq!(plan.partitions.iter().map(|p| p.mbr_type()).collect::<Vec<_>>(), [0x0C, 0x83]);
}

#[test]
fn partitions_are_named_as_their_table_names_them() {
    let names = |layout| -> Vec<String> {
        let disk = Disk::of_layout(layout);
        let ids: Vec<String> = identifiers(&disk, SEED).unwrap().iter().map(|p| p.part_uuid.to_string()).collect();
        let plan = plan(&disk, SEED, &needs(), None).unwrap();
        assert_eq!(ids, plan.partitions.iter().map(|p| plan.part_uuid(p).to_string()).collect::<Vec<_>>());
        ids
    };
    assert_eq!(names(NamedLayout::Mbr), ["43e62fcb-01", "43e62fcb-02"]);
    assert_eq!(names(NamedLayout::Uefi)[1], "877fb8d6-2be4-5651-a4d0-4af90a40e45f");
}

#[test]
fn a_mirror_is_as_large_as_its_original_and_has_its_own_names() {
    let mut mirror = part(PartitionKind::Esp);
    mirror.mount_point = Some("/efi2".into());
    let all = disk(vec![part(PartitionKind::Esp), mirror, part(PartitionKind::Root)]);
    let plan = plan(&all, SEED, &Needs { esp: 300 << 20, ..needs() }, None).unwrap();
    let of = |i: usize| {
        let p = &plan.partitions[i];
        (p.label.as_str(), p.mount_point.as_deref().unwrap(), p.fs().unwrap().label.as_str(), plan.bytes_of(p) >> 20)
    };
    assert_eq!([of(0), of(1)], [("esp", "/boot", "ESP", 300), ("esp-mirror", "/efi2", "ESP-MIRROR", 300)]);
    assert_ne!(plan.partitions[0].guid, plan.partitions[1].guid);
    assert_ne!(plan.partitions[0].fs().unwrap().uuid, plan.partitions[1].fs().unwrap().uuid);
}

#[test]
fn what_a_table_cannot_hold_is_refused() {
    let other = Disk { table: Some(TableKind::Mbr), ..uefi() };
    refused(&other, "/table", "the layout `uefi` has a table of the kind gpt: remove `table`, or list `partitions`");
    let mbr = |partitions| Disk { table: Some(TableKind::Mbr), ..disk(partitions) };
    let mut swap = part(PartitionKind::Swap);
    swap.size = mib(64);
    let five = vec![part(PartitionKind::Esp), swap.clone(), swap.clone(), swap, part(PartitionKind::Root)];
    refused(&mbr(five), "/partitions", "the disk has 5 partitions, but its partition table holds 4");
    let mut data = part(PartitionKind::Data);
    (data.mount_point, data.grow) = (Some("/srv".into()), Some(true));
    refused(
        &mbr(vec![part(PartitionKind::Xbootldr), part(PartitionKind::Root), data]),
        "/partitions/2/grow",
        "data cannot grow: in an MBR only the root can. Remove `grow`",
    );
    let large = Disk { size: Some(Size::from_bytes(3 << 40)), ..Disk::of_layout(NamedLayout::Mbr) };
    let reach = "but an MBR reaches no further than 2T: make the disk smaller, or use a GPT";
    refused(&large, "/size", &format!("the disk is 3T, {reach}"));
    let mut root = part(PartitionKind::Root);
    root.size = Some(Size::from_bytes(2 << 40));
    let error = plan(&mbr(vec![part(PartitionKind::Xbootldr), root]), SEED, &needs(), None).unwrap_err();
    assert_eq!(error.pointer(), "");
    assert!(error.to_string().ends_with(reach), "{error}");
    refused(
        &disk(vec![part(PartitionKind::Esp), part(PartitionKind::Esp), part(PartitionKind::Root)]),
        "/partitions/1",
        "a second esp is a mirror of the first and needs a `mount_point` of its own, for example `mount_point: /efi2`",
    );
    for layout in [NamedLayout::Bios, NamedLayout::Mbr] {
        let disk = Disk::of_layout(layout);
        let error = plan_with_sectors(&disk, SEED, &needs(), None, SectorSize::B4096).unwrap_err();
        assert_eq!(error, PlanError::BiosSectors { sector: 4096 });
    }
}

#[test]
fn a_larger_disk_goes_to_the_root_up_to_the_last_whole_mib() {
    let plan = plan(&uefi(), SEED, &needs(), mib(4096)).unwrap();
    let root = plan.find(PartitionKind::Root).unwrap();
    assert_eq!(plan.bytes(), 4096 << 20);
    assert_eq!(plan.offset_of(root) + plan.bytes_of(root), 4095 << 20);
}

#[test]
fn the_esp_is_as_large_as_its_generations_need() {
    let plan = plan(&uefi(), SEED, &Needs { esp: 300 << 20, ..needs() }, None).unwrap();
    assert_eq!(plan.bytes_of(plan.find(PartitionKind::Esp).unwrap()), 300 << 20);
}

#[test]
fn types_are_those_of_the_discoverable_partitions_specification() {
    let mut srv = part(PartitionKind::Data);
    srv.mount_point = Some("/srv".into());
    let mut swap = part(PartitionKind::Swap);
    swap.size = mib(64);
    let all = disk(vec![
        part(PartitionKind::BiosBoot),
        part(PartitionKind::Esp),
        part(PartitionKind::Xbootldr),
        swap,
        part(PartitionKind::Home),
        srv,
        part(PartitionKind::Root),
    ]);
    let plan = plan(&all, SEED, &needs(), None).unwrap();
    let seen: Vec<_> = plan.partitions.iter().map(|p| (p.type_guid.to_string(), p.mount_point.as_deref())).collect();
    let expected = [
        ("21686148-6449-6e6f-744e-656564454649", None),
        ("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", Some("/efi")),
        ("bc13c2ff-59e6-4262-a352-b275fd6f7172", Some("/boot")),
        ("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", None),
        ("933ac7e1-2eb4-4f13-b844-0e14e2aef915", Some("/home")),
        ("3b8f8425-20e0-4f3b-907f-1a25a76f98e8", Some("/srv")),
        ("4f68bce3-e8cd-4db1-96e7-fbcaf984b709", Some("/")),
    ];
    assert_eq!(seen, expected.map(|(guid, at)| (guid.to_string(), at)));
}

#[test]
fn a_root_too_small_for_its_contents_says_how_much_it_needs() {
    let mut root = part(PartitionKind::Root);
    root.size = mib(300);
    refused(
        &disk(vec![part(PartitionKind::Esp), root]),
        "/partitions/1/size",
        "root is 300M, but its contents need 812M: make it at least 812M",
    );
}

#[test]
fn an_esp_too_small_for_fat32_says_so() {
    let mut esp = part(PartitionKind::Esp);
    esp.size = mib(128);
    refused(
        &disk(vec![esp, part(PartitionKind::Root)]),
        "/partitions/0/size",
        "esp is 128M, but FAT32 needs at least 260M: make it at least 260M",
    );
}

#[test]
fn a_disk_too_small_says_how_much_it_needs() {
    let small = Disk { size: mib(500), ..uefi() };
    refused(&small, "/size", "the disk is 500M, but its partitions need 1074M: make it at least 1074M");
    let error = plan(&uefi(), SEED, &needs(), mib(500)).unwrap_err();
    assert_eq!(error.pointer(), "");
}

#[test]
fn contradictions_are_refused() {
    refused(&disk(Vec::new()), "", "the disk has no partitions: add `layout: uefi`, or list `partitions`");
    let both = Disk { layout: Some(NamedLayout::Uefi), ..disk(vec![part(PartitionKind::Root)]) };
    refused(&both, "/layout", "a disk has either a `layout` or `partitions`: remove one of the two");

    let mut root = part(PartitionKind::Root);
    (root.size_min, root.size_max) = (mib(2000), mib(1000));
    refused(
        &disk(vec![root]),
        "/partitions/0/size_max",
        "`size_min` of root is above its `size_max`: make `size_max` at least 2000M",
    );
    let mut root = part(PartitionKind::Root);
    (root.size, root.weight) = (mib(2000), Some(7));
    refused(
        &disk(vec![root]),
        "/partitions/0/weight",
        "root has an exact `size` and also `weight`: remove one of the two",
    );
    let mut root = part(PartitionKind::Root);
    root.grow = Some(true);
    refused(
        &disk(vec![root, part(PartitionKind::Home)]),
        "/partitions/0/grow",
        "root cannot grow: partition 2 stands behind it. Move it to the end, or remove `grow`",
    );
    let mut root = part(PartitionKind::Root);
    root.format = Some(FileSystem::Vfat);
    refused(&disk(vec![root]), "/partitions/0/format", "root cannot be vfat: use ext4");
    refused(
        &disk(vec![part(PartitionKind::Swap)]),
        "/partitions/0",
        "a swap partition needs a `size`, for example `size: 1G`",
    );
    refused(
        &disk(vec![part(PartitionKind::Data)]),
        "/partitions/0",
        "a data partition needs a `mount_point`, for example `mount_point: /srv`",
    );
    let mut root = part(PartitionKind::Root);
    root.label = Some("𝄞".repeat(19));
    refused(
        &disk(vec![root]),
        "/partitions/0/label",
        "the label of root has 38 UTF-16 units, but a partition table holds 36: shorten it",
    );
}

#[test]
fn sizes_beyond_every_disk_are_refused_without_overflow() {
    let mut home = part(PartitionKind::Home);
    home.size = Some(Size::from_bytes(u64::MAX));
    let mut data = home.clone();
    (data.kind, data.mount_point) = (PartitionKind::Data, Some("/data".into()));
    assert_eq!(plan(&disk(vec![home, data]), SEED, &needs(), None).unwrap_err(), PlanError::TooLarge);
}

#[test]
fn identifiers_do_not_depend_on_sizes_or_on_other_kinds() {
    let ids = identifiers(&uefi(), SEED).unwrap();
    let small = plan(&uefi(), SEED, &needs(), None).unwrap();
    let large = plan(&uefi(), SEED, &needs(), mib(9000)).unwrap();
    for (id, (a, b)) in ids.iter().zip(small.partitions.iter().zip(&large.partitions)) {
        assert_eq!((id.guid, id.fs()), (a.guid, a.fs()));
        assert_eq!((a.guid, a.fs()), (b.guid, b.fs()));
    }
    let mut swap = part(PartitionKind::Swap);
    swap.size = mib(64);
    let with_swap = disk(vec![part(PartitionKind::Esp), swap, part(PartitionKind::Root)]);
    assert_eq!(identifiers(&with_swap, SEED).unwrap()[2].guid, ids[1].guid);
    assert!(matches!(ids[0].fs().unwrap().uuid, FsUuid::VolumeId(_)));
    assert_ne!(identifiers(&uefi(), Uuid::nil()).unwrap()[1].guid, ids[1].guid);
}

#[test]
fn a_plan_survives_json() {
    let plan = plan_with_sectors(&uefi(), SEED, &needs(), mib(3000), SectorSize::B4096).unwrap();
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<cairn_layout::DiskPlan>(&json).unwrap(), plan);
    assert!(json.contains("\"sector_size\":4096"), "{json}");
    // A plan from before there was a choice.
    let older = json.replace("\"table\":\"gpt\",", "");
    assert_ne!(older, json);
    assert_eq!(serde_json::from_str::<cairn_layout::DiskPlan>(&older).unwrap(), plan);
}

#[test]
fn free_room_counts_only_where_no_size_is_given() {
    assert_eq!(free_to_leave(&uefi(), None), Size::from_mib(256));
    assert_eq!(free_to_leave(&uefi(), mib(9000)), Size::default());
    let mut root = part(PartitionKind::Root);
    root.size = mib(2000);
    assert_eq!(free_to_leave(&disk(vec![root]), None), Size::default());
}

#[test]
fn the_copy_of_the_table_has_its_room_whatever_the_sectors() {
    // Just as much behind the last whole MiB as the copy takes with small sectors, and less than it takes with large ones.
    for (sector, behind, whole) in [
        (SectorSize::B512, 128 * 128 + 512, true),
        (SectorSize::B512, 128 * 128 + 511, false),
        (SectorSize::B4096, 128 * 128 + 4096, true),
        (SectorSize::B4096, 128 * 128 + 4095, false),
        (SectorSize::B4096, 128 * 128 + 512, false),
    ] {
        let size = Size::from_bytes((3000 << 20) + behind);
        let plan = plan_with_sectors(&uefi(), SEED, &needs(), Some(size), sector).unwrap();
        let root = plan.partitions.last().unwrap();
        let end = root.first_lba.0 * sector.bytes() + root.sectors.bytes(sector);
        assert_eq!(end, if whole { 3000 << 20 } else { 2999 << 20 }, "{sector:?}, {behind}");
        assert!(end + 128 * 128 + sector.bytes() <= size.bytes());
    }
}

#[test]
fn an_mbr_reaches_two_tib_and_not_a_sector_more() {
    let bios = |size| Disk { size: Some(Size::from_bytes(size)), ..Disk::of_layout(NamedLayout::Mbr) };
    let two_tib = 2 << 40;
    let needs = Needs { esp: 0, ..needs() };
    plan(&bios(two_tib), SEED, &needs, None).unwrap();
    let error = plan(&bios(two_tib + 512), SEED, &needs, None).unwrap_err();
    assert!(matches!(error, PlanError::BeyondMbr { .. }), "{error:?}");
}
