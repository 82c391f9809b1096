//! Disks with an MBR, and those that a BIOS boots from a GPT.

use std::collections::BTreeMap;

use cairn_disk::partition_table::{self, BOOT_CODE, DiskId, PartitionType};
use cairn_disk::{Contents, MemoryTarget, Source, Target, apply, fat};
use cairn_layout::{DiskPlan, Needs, PartUuid, SectorSize, plan_with_sectors};
use cairn_machine::model::{Disk, NamedLayout, PartitionKind, TableKind};
use cairn_machine::size::Size;
use cairn_process::Quiet;

use crate::common::{EPOCH, SEED, boot_files, checked, cut, noise, target, tool};

fn plan(layout: NamedLayout, size: Option<Size>) -> DiskPlan {
    let files = boot_files();
    let needs = Needs { esp: fat::needed(&files), xbootldr: fat::needed(&files), ..Needs::default() };
    plan_with_sectors(&Disk::of_layout(layout), SEED, &needs, size, SectorSize::B512).unwrap()
}

fn memory(plan: &DiskPlan, fill: u8) -> MemoryTarget {
    MemoryTarget::new(usize::try_from(plan.bytes()).unwrap(), fill)
}

#[test]
fn other_programs_read_the_mbr_as_it_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(NamedLayout::Mbr, None);
    let path = dir.path().join("image.raw");
    let image = target(&path, plan.bytes());
    let files = boot_files();
    let contents = Contents {
        files: BTreeMap::from([("/boot".to_string(), &files as &dyn fat::FatContents)]),
        ..Contents::default()
    };
    apply(&plan, &contents, EPOCH, &image, 2, &Quiet).unwrap();

    if let Some(json) = checked(tool("sfdisk", "fdisk").arg("-J").arg(&path)) {
        let id = format!("\"id\": \"0x{:08x}\"", plan.signature());
        assert!(json.contains("\"label\": \"dos\"") && json.contains(&id), "{json}");
        for (p, kind) in plan.partitions.iter().zip(["c", "83"]) {
            for said in [
                format!("\"start\": {}", p.first_lba),
                format!("\"size\": {}", p.sectors),
                format!("\"type\": \"{kind}\""),
            ] {
                assert!(json.contains(&said), "{said}: {json}");
            }
        }
        assert_eq!(json.matches("\"bootable\": true").count(), 1, "{json}");
    }
    if let Some(said) = checked(tool("sfdisk", "fdisk").arg("--verify").arg(&path)) {
        assert!(said.contains("No errors detected"), "{said}");
    }
    let boot = plan.find(PartitionKind::Xbootldr).unwrap();
    let boot = cut(&image, plan.offset_of(boot), plan.bytes_of(boot), &dir.path().join("boot"));
    checked(tool("fsck.fat", "dosfstools").arg("-n").arg(boot));
    let root = plan.find(PartitionKind::Root).unwrap();
    let root = cut(&image, plan.offset_of(root), plan.bytes_of(root), &dir.path().join("root"));
    checked(tool("e2fsck", "e2fsprogs").arg("-fn").arg(root));
}

#[test]
fn an_mbr_is_found_again() {
    let plan = plan(NamedLayout::Mbr, None);
    let image = memory(&plan, 0);
    partition_table::write(&plan, &image).unwrap();
    let table = partition_table::read(&image).unwrap();
    assert_eq!((table.kind, table.id, table.damaged), (TableKind::Mbr, DiskId::Signature(plan.signature()), false));
    let found: Vec<_> = table.partitions.iter().map(|p| (p.number, p.kind, p.id, p.offset, p.bytes)).collect();
    let wanted = plan.partitions.iter().map(|p| {
        let id = PartUuid::Mbr { signature: plan.signature(), number: p.number };
        (p.number, PartitionType::Mbr(p.mbr_type()), id, plan.offset_of(p), plan.bytes_of(p))
    });
    assert_eq!(found, wanted.collect::<Vec<_>>());
    assert_eq!(table.partitions.iter().map(|p| p.kind.name()).collect::<Vec<_>>(), [Some("fat32"), Some("linux")]);
}

#[test]
fn a_disk_of_2_tib_is_used_to_its_last_mib_and_a_larger_one_no_further() {
    for tib in [2, 3] {
        let plan = plan(NamedLayout::Mbr, Some(Size::from_bytes(tib << 40)));
        let root = plan.find(PartitionKind::Root).unwrap();
        assert_eq!(plan.offset_of(root) + plan.bytes_of(root), 2 << 40);
        let dir = tempfile::tempdir().unwrap();
        let image = target(&dir.path().join("image.raw"), plan.bytes());
        partition_table::write(&plan, &image).unwrap();
        let found = partition_table::read(&image).unwrap().partitions;
        assert_eq!(found[1].offset + found[1].bytes, 2 << 40);
    }
}

/// GRUB's code in the first sector, and its core image behind an MBR, may be written before the table is.
#[test]
fn code_for_a_bios_stays() {
    for layout in [NamedLayout::Mbr, NamedLayout::Bios, NamedLayout::Hybrid] {
        let plan = plan(layout, None);
        let image = memory(&plan, 0);
        let (code, core) = (noise(BOOT_CODE, 1), noise(150_000, 2));
        let (at, room) = plan.core_image_area().unwrap();
        assert!(room >= (1 << 20) - 512, "{layout:?}");
        image.write_at(0, &code).unwrap();
        image.write_at(at, &core).unwrap();
        apply(&plan, &Contents::default(), EPOCH, &image, 1, &Quiet).unwrap();
        let (mut code_now, mut core_now) = (vec![0; code.len()], vec![0; core.len()]);
        image.read_at(0, &mut code_now).unwrap();
        image.read_at(at, &mut core_now).unwrap();
        assert!(code == code_now && core == core_now, "{layout:?}");
        assert_eq!(partition_table::read(&image).unwrap().kind, plan.table);
    }
}

#[test]
fn what_an_older_table_of_the_other_kind_has_left_is_not_believed() {
    let (gpt, mbr) = (plan(NamedLayout::Bios, None), plan(NamedLayout::Mbr, None));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.raw");
    let image = target(&path, gpt.bytes().max(mbr.bytes()));
    for (plan, label) in [(&gpt, "gpt"), (&mbr, "dos"), (&gpt, "gpt")] {
        // The GPT's copy stands at the end of the disk, wherever the plan ends.
        let plan = DiskPlan { sectors: SectorSize::B512.count(image.len()), ..plan.clone() };
        partition_table::write(&plan, &image).unwrap();
        assert_eq!(partition_table::read(&image).unwrap().kind, plan.table);
        if let Some(json) = checked(tool("sfdisk", "fdisk").arg("-J").arg(&path)) {
            assert!(json.contains(&format!("\"label\": \"{label}\"")), "{json}");
        }
    }
    if let Some(said) = checked(tool("sgdisk", "gdisk").arg("-v").arg(&path)) {
        assert!(said.contains("No problems found"), "{said}");
    }
}

/// The first sector of a file system is signed like an MBR.
#[test]
fn what_only_looks_like_an_mbr_is_none() {
    let plan = plan(NamedLayout::Uefi, None);
    let image = memory(&plan, 0);
    apply(&plan, &Contents::default(), EPOCH, &image, 1, &Quiet).unwrap();
    let esp = plan.find(PartitionKind::Esp).unwrap();
    let esp = cairn_disk::Region::new(&image, plan.offset_of(esp), plan.bytes_of(esp));
    assert!(partition_table::read(&esp).is_err());
    // A protective MBR whose GPT is gone says nothing about partitions.
    for offset in [512, image.len() - 512] {
        image.write_at(offset, &[0; 8]).unwrap();
    }
    assert!(partition_table::read(&image).is_err());
}

#[test]
fn a_table_leaves_the_code_and_says_where_the_core_image_goes() {
    let dir = tempfile::tempdir().unwrap();
    for layout in [NamedLayout::Uefi, NamedLayout::Bios, NamedLayout::Hybrid, NamedLayout::Mbr] {
        let plan = plan(layout, None);
        let image = target(&dir.path().join("image.raw"), plan.bytes());
        let code = noise(BOOT_CODE, 1);
        image.write_at(0, &code).unwrap();
        partition_table::write(&plan, &image).unwrap();
        let mut first = [0; 512];
        image.read_at(0, &mut first).unwrap();
        assert!(first[..BOOT_CODE] == code, "{layout:?}");
        let table = partition_table::read(&image).unwrap();
        assert_eq!(table.core_image_area(), plan.core_image_area(), "{layout:?}");
        let (id, kind) = (table.id.to_string(), table.partitions[0].kind.to_string());
        if plan.table == TableKind::Mbr {
            assert_eq!((id, kind.as_str()), (format!("{:08x}", plan.signature()), "0c"));
        } else {
            assert_eq!((id, kind), (plan.disk_guid.to_string(), plan.partitions[0].type_guid.to_string()));
            // What protects it: from the second sector to the end.
            assert_eq!((first[450], &first[454..458]), (0xee, &[1, 0, 0, 0][..]));
            assert_eq!(first[458..462], u32::try_from(plan.sectors.0 - 1).unwrap().to_le_bytes());
        }
    }
}
