//! Whole images: partition table and file systems together.

use std::collections::BTreeMap;

use cairn_disk::{Contents, FileSource, MemoryTarget, Region, Source, apply, ext4, fat, partition_table};
use cairn_layout::{DiskPlan, Needs, SectorSize};
use cairn_machine::model::PartitionKind;
use cairn_process::Quiet;

use crate::common::{EPOCH, boot_files, checked, cut, target, tool, tree, uefi};

#[test]
fn other_programs_find_nothing_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let files = boot_files();
    let needs = Needs { esp: fat::needed(&files), root: ext4::needed(&tree, 64 << 20).unwrap(), ..Needs::default() };
    let plan = uefi(&needs, None, SectorSize::B512);
    let path = dir.path().join("image.raw");
    let image = target(&path, plan.bytes());
    let contents = Contents {
        files: BTreeMap::from([("/boot".to_string(), &files as &dyn fat::FatContents)]),
        trees: BTreeMap::from([("/".to_string(), &tree)]),
    };
    apply(&plan, &contents, EPOCH, &image, 2, &Quiet).unwrap();

    if let Some(said) = checked(tool("sgdisk", "gdisk").arg("-v").arg(&path)) {
        assert!(said.contains("No problems found"), "{said}");
    }
    if let Some(json) = checked(tool("sfdisk", "fdisk").arg("-J").arg(&path)) {
        for p in &plan.partitions {
            assert!(json.contains(&p.guid.to_string().to_uppercase()), "{json}");
            assert!(json.contains(&format!("\"start\": {}", p.first_lba)), "{json}");
            assert!(json.contains(&format!("\"size\": {}", p.sectors)), "{json}");
        }
        assert!(json.contains("\"name\": \"esp\"") && json.contains("\"name\": \"root\""), "{json}");
    }
    partitions_are_sound(&plan, &image, dir.path());
    found_again(&plan, &FileSource::new(image.into_file()).unwrap());
}

fn partitions_are_sound(plan: &DiskPlan, image: &dyn Source, dir: &std::path::Path) {
    let esp = plan.find(PartitionKind::Esp).unwrap();
    let esp = cut(image, plan.offset_of(esp), plan.bytes_of(esp), &dir.join("esp"));
    checked(tool("fsck.fat", "dosfstools").arg("-n").arg("-v").arg(esp));
    let root = plan.find(PartitionKind::Root).unwrap();
    let root = cut(image, plan.offset_of(root), plan.bytes_of(root), &dir.join("root"));
    checked(tool("e2fsck", "e2fsprogs").arg("-fn").arg(root));
}

fn found_again(plan: &DiskPlan, image: &dyn Source) {
    let table = partition_table::read(image).unwrap();
    assert_eq!((table.kind, table.damaged), (plan.table, false));
    assert_eq!(table.id, partition_table::DiskId::Guid(plan.disk_guid));
    assert_eq!(table.sector_size, plan.sector_size);
    for (planned, found) in plan.partitions.iter().zip(&table.partitions) {
        assert_eq!(
            (found.number, found.kind, found.id, found.label.as_str(), found.offset, found.bytes),
            (
                planned.number,
                partition_table::PartitionType::Gpt(planned.type_guid),
                plan.part_uuid(planned),
                planned.label.as_str(),
                plan.offset_of(planned),
                plan.bytes_of(planned)
            )
        );
    }
    let grow = partition_table::GROW_FILE_SYSTEM;
    assert_eq!(table.partitions.iter().map(|p| p.attributes).collect::<Vec<_>>(), [0, grow]);
    let esp = fat::open(Region::new(image, table.partitions[0].offset, table.partitions[0].bytes)).unwrap();
    let info = esp.info().unwrap();
    assert_eq!((info.bits, info.cluster, info.label.as_str()), (32, 4096, "ESP"));
    assert_eq!(Some(info.volume_id), plan.partitions[0].fs().unwrap().uuid.volume_id());
    for file in boot_files() {
        let cairn_disk::Content::Bytes(bytes) = &file.content else { panic!() };
        assert_eq!(esp.read(&file.path, u64::MAX).unwrap().as_ref(), Some(bytes), "{}", file.path);
    }
    let root = ext4::Reader::open(Region::new(image, table.partitions[1].offset, table.partitions[1].bytes)).unwrap();
    let info = root.info();
    assert_eq!(Some(info.uuid), plan.partitions[1].fs().unwrap().uuid.uuid());
    assert_eq!(info.label, "root");
    assert!(info.free >= 64 << 20, "{info:?}");
    assert_eq!(root.read("etc/short link", 10).unwrap().unwrap(), crate::common::noise(1, 1));
    assert_eq!(root.read("etc/long-link", 10).unwrap().unwrap(), crate::common::noise(1, 1));
    assert_eq!(root.link("/etc/short link").unwrap().as_deref(), Some("len-1"));
    assert_eq!(root.list("many").unwrap().unwrap().len(), 3000);
    assert_eq!(root.read("etc/missing", 10).unwrap(), None);
    assert_eq!(root.list("etc/missing").unwrap(), None);
}

#[test]
fn sectors_of_4096_bytes_are_as_good() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let files = boot_files();
    let needs = Needs { esp: fat::needed(&files), root: ext4::needed(&tree, 64 << 20).unwrap(), ..Needs::default() };
    let plan = uefi(&needs, None, SectorSize::B4096);
    let path = dir.path().join("image.raw");
    let image = target(&path, plan.bytes());
    let contents = Contents {
        files: BTreeMap::from([("/boot".to_string(), &files as &dyn fat::FatContents)]),
        trees: BTreeMap::from([("/".to_string(), &tree)]),
    };
    apply(&plan, &contents, EPOCH, &image, 2, &Quiet).unwrap();
    // Neither sgdisk nor the sfdisk of Debian 12 can be told the sector size of a file.
    if let Some(said) =
        checked(tool("fdisk", "fdisk").args(["-b", "4096", "-o", "Start,Sectors,UUID", "-l"]).arg(&path))
    {
        for p in &plan.partitions {
            let start = p.first_lba.to_string();
            let line =
                said.lines().find(|l| l.split_whitespace().next() == Some(&start)).unwrap_or_else(|| panic!("{said}"));
            assert!(line.contains(&p.sectors.to_string()), "{said}");
            assert!(line.contains(&p.guid.to_string().to_uppercase()), "{said}");
        }
    }
    partitions_are_sound(&plan, &image, dir.path());
    found_again(&plan, &FileSource::new(image.into_file()).unwrap());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let tree = tree(dir.path());
    let files = boot_files();
    let needs = Needs { esp: fat::needed(&files), root: ext4::needed(&tree, 1 << 20).unwrap(), ..Needs::default() };
    let plan = uefi(&needs, None, SectorSize::B512);
    let backwards: Vec<_> = files.iter().rev().cloned().collect();
    let image = |files: &[fat::FatFile], fill, threads| {
        let image = MemoryTarget::new(usize::try_from(plan.bytes()).unwrap(), fill);
        let contents = Contents {
            files: BTreeMap::from([("/boot".to_string(), &files as &dyn fat::FatContents)]),
            trees: BTreeMap::from([("/".to_string(), &tree)]),
        };
        apply(&plan, &contents, EPOCH, &image, threads, &Quiet).unwrap();
        image.into_bytes()
    };
    let first = image(&files, 0, 1);
    assert!(first == image(&backwards, 0, 3), "neither threads nor the order of the files show");
    let used = image(&files, 0x5a, 2);
    for p in &plan.partitions {
        let range =
            usize::try_from(plan.offset_of(p)).unwrap()..usize::try_from(plan.offset_of(p) + plan.bytes_of(p)).unwrap();
        assert!(first[range.clone()] == used[range], "what was on a disk before does not show in {}", p.label);
    }
    // A file, where the kernel copies, is the same again.
    let on_disk = target(&dir.path().join("image.raw"), plan.bytes());
    let contents = Contents {
        files: BTreeMap::from([("/boot".to_string(), &files as &dyn fat::FatContents)]),
        trees: BTreeMap::from([("/".to_string(), &tree)]),
    };
    apply(&plan, &contents, EPOCH, &on_disk, 2, &Quiet).unwrap();
    let mut read = vec![0; first.len()];
    on_disk.read_at(0, &mut read).unwrap();
    assert!(first == read);
}
