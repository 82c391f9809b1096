//! Random disks: whatever the planner accepts is aligned, in order, inside the disk, and adds up.

use cairn_layout::{ALIGNMENT, DiskPlan, Needs, PlanError, SectorSize, plan_with_sectors};
use cairn_machine::model::{Disk, Partition, PartitionKind, TableKind};
use cairn_machine::size::Size;
use uuid::Uuid;

use crate::numbers::Numbers;

fn partition(numbers: &mut Numbers) -> Partition {
    use PartitionKind::{BiosBoot, Data, Esp, Home, Root, Swap, Xbootldr};
    let kinds = [Esp, Xbootldr, BiosBoot, Swap, Root, Home, Data];
    let kind = kinds[usize::try_from(numbers.below(7)).unwrap()];
    let size = numbers.maybe(Numbers::size);
    let free = size.is_none();
    Partition {
        kind,
        label: numbers.maybe(|n| format!("label-{}", n.below(1000))),
        size: size.or((kind == Swap).then(|| Size::from_mib(1))),
        size_min: if free && kind != Swap { numbers.maybe(Numbers::size) } else { None },
        size_max: if free && kind != Swap { numbers.maybe(Numbers::size) } else { None },
        weight: if free && kind != Swap { numbers.maybe(|n| u32::try_from(n.below(5000)).unwrap()) } else { None },
        format: None,
        mount_point: (kind == Data).then(|| "/data".to_string()),
        grow: None,
        id: None,
    }
}

fn holds(plan: &DiskPlan, disk: &Disk, needs: &Needs) {
    let mut end = ALIGNMENT;
    for (p, wanted) in plan.partitions.iter().zip(&disk.partitions) {
        let (offset, bytes) = (plan.offset_of(p), plan.bytes_of(p));
        assert_eq!(offset, end, "each partition begins where the one before it ends");
        assert_eq!((offset % ALIGNMENT, bytes % ALIGNMENT), (0, 0), "aligned");
        assert!(bytes > 0);
        let round = |size: Size| size.bytes().div_ceil(ALIGNMENT) * ALIGNMENT;
        if let Some(size) = wanted.size {
            assert_eq!(bytes, round(size), "an exact size is exact");
        }
        if let Some(min) = wanted.size_min {
            assert!(bytes >= min.bytes());
        }
        if let Some(max) = wanted.size_max {
            assert!(bytes <= round(max));
        }
        if p.kind == PartitionKind::Root {
            assert!(bytes >= needs.root);
        }
        end = offset + bytes;
    }
    let tail = if plan.table == TableKind::Gpt { 16384 + plan.sector_size.bytes() } else { 0 };
    assert!(end + tail <= plan.bytes(), "the copy of the partition table has its place");
    let mut guids: Vec<_> = plan.partitions.iter().map(|p| p.guid).chain([plan.disk_guid]).collect();
    guids.sort();
    guids.dedup();
    assert_eq!(guids.len(), plan.partitions.len() + 1, "no GUID twice");
}

#[test]
fn every_accepted_disk_is_sound() {
    let mut numbers = Numbers(20);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..20_000 {
        let count = numbers.below(6) + 1;
        let disk = Disk {
            layout: None,
            table: numbers.maybe(|_| TableKind::Mbr),
            size: numbers.maybe(|n| Size::from_bytes(n.below(40 << 30))),
            free: Size::from_mib(256),
            partitions: (0..count).map(|_| partition(&mut numbers)).collect(),
        };
        let needs = Needs { esp: numbers.below(400 << 20), root: numbers.below(2 << 30), ..Needs::default() };
        let sector = if numbers.below(2) == 0 { SectorSize::B512 } else { SectorSize::B4096 };
        match plan_with_sectors(&disk, Uuid::from_u128(7), &needs, None, sector) {
            Ok(plan) => {
                holds(&plan, &disk, &needs);
                accepted += 1;
            }
            // What a message offers as enough must be enough.
            Err(PlanError::DiskTooSmall { needed, .. }) => {
                let enough: Size = needed.parse().unwrap();
                let larger = Disk { size: Some(enough), ..disk };
                holds(&plan_with_sectors(&larger, Uuid::from_u128(7), &needs, None, sector).unwrap(), &larger, &needs);
                refused += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty(), "round {round}");
                refused += 1;
            }
        }
    }
    assert!(accepted > 2000 && refused > 2000, "{accepted} accepted, {refused} refused: the generator is lopsided");
}

/// What the machine file's check lets pass, the planner can lay out, unless a size is in the way.
#[test]
fn the_check_and_the_planner_agree() {
    let mut numbers = Numbers(3);
    let (mut good, mut planned) = (0, 0);
    for _ in 0..6000 {
        let count = numbers.below(5) + 1;
        let mut partitions: Vec<Partition> = (0..count).map(|_| partition(&mut numbers)).collect();
        for (i, p) in partitions.iter_mut().enumerate() {
            if p.kind == PartitionKind::Esp && i > 0 {
                p.mount_point = numbers.maybe(|n| format!("/efi{}", n.below(3)));
            }
            if let Some(at) = p.mount_point.as_mut().filter(|_| p.kind == PartitionKind::Data) {
                *at = format!("{at}{}", numbers.below(4));
            }
            p.grow = numbers.maybe(|n| n.below(2) == 0);
        }
        let disk = Disk { table: numbers.maybe(|_| TableKind::Mbr), ..Disk::of_partitions(partitions) };
        let loader = if numbers.below(2) == 0 { "grub" } else { "systemd-boot" };
        let file = serde_json::json!({
            "version": 1, "hostname": "x", "source": {"debian": {}}, "boot": {"loader": loader}, "disks": {"main": disk},
        });
        let file = cairn_machine::SourceFile::new("m", file.to_string());
        let Ok(checked) = cairn_machine::check(&file, &mut |_| Err(String::new())) else { continue };
        good += 1;
        let disk = &checked.machine.disks["main"];
        match plan_with_sectors(disk, Uuid::from_u128(7), &Needs::default(), None, SectorSize::B512) {
            Ok(plan) => {
                holds(&plan, disk, &Needs::default());
                planned += 1;
            }
            Err(PlanError::BelowFormat { .. } | PlanError::Bounds { .. } | PlanError::SwapWithoutSize { .. }) => {}
            Err(error) => panic!("{}\n{error}", String::from_utf8_lossy(&file.bytes)),
        }
    }
    assert!(good > 100 && planned > 60, "{good} good, {planned} planned: the generator is lopsided");
}
