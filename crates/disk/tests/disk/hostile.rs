//! Disks that somebody has made to hang whoever looks at them. Each reader comes to an end by itself, and the account of
//! the disk says how far it went.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::Arc;

use cairn_disk::ext4::{Ext4Options, Ext4Plan, Ext4Size, Reader};
use cairn_disk::fat::FatFile;
use cairn_disk::{Budget, DiskError, FileSource, Limits, Metered, Node, Region, Spent, Tree, fat, partition_table};
use cairn_process::Quiet;
use uuid::Uuid;

use crate::altered::{Ext4, Fat};
use crate::common::{EPOCH, bytes, entry, target};

/// A hundredth of what a machine may cost.
const LITTLE: Limits = Limits { work: Limits::MACHINE.work / 100, entries: 2000, kept: 1 << 16 };

fn metered(path: &Path) -> Metered<FileSource> {
    let source = FileSource::new(File::open(path).unwrap()).unwrap();
    Metered::new(source, Arc::new(Budget::new(LITTLE)))
}

/// An ext4 file system with a folder of 300 short names, and what alters it.
fn ext4(dir: &Path, alter: impl FnOnce(&Ext4<'_>)) -> Metered<FileSource> {
    let mut tree = Tree::new();
    tree.push(bytes("file", "contents")).unwrap();
    for folder in ["folder", "folder/in", "other"] {
        tree.push(entry(folder, Node::Dir)).unwrap();
    }
    for n in 0..300 {
        tree.push(entry(format!("other/{n}"), Node::Symlink("x".into()))).unwrap();
    }
    let path = dir.join("root.ext4");
    let size = Ext4Size::AtLeast { free: 10 << 20 };
    let options = Ext4Options { uuid: Uuid::from_u128(5), label: "root".into(), epoch: EPOCH, size };
    let plan = Ext4Plan::new(&tree, &options).unwrap();
    plan.write(&target(&path, plan.bytes()), 0, 1, &Quiet).unwrap();
    alter(&Ext4::new(&OpenOptions::new().read(true).write(true).open(&path).unwrap(), 0));
    metered(&path)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, DiskError>, why: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, DiskError::BadFileSystem { .. }), "{error:?}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn what_is_not_altered_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let source = ext4(dir.path(), |_| ());
    let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
    assert_eq!(reader.read("/folder/../file", 8).unwrap().unwrap(), b"contents");
    assert!(matches!(reader.read("/file", 7), Err(DiskError::TooLarge { bytes: 8, .. })));
    assert_eq!(reader.list("/other").unwrap().unwrap().len(), 300);
    // Asked again and again, a folder costs nothing but the asking.
    for n in 0..300 {
        assert_eq!(reader.link(&format!("/other/{n}")).unwrap().as_deref(), Some("x"));
    }
    assert_eq!(reader.budget().spent(), None);
}

#[test]
fn what_the_reader_does_not_know_is_named_and_so_is_the_way_out() {
    let dir = tempfile::tempdir().unwrap();
    let told = |bits| {
        let source = ext4(dir.path(), |fs| fs.add_features(bits));
        Reader::open(Region::new(&source, 0, u64::MAX)).unwrap_err().to_string()
    };
    let journal = told(4);
    assert!(journal.contains("its journal is to be played first: the machine was switched off hard"), "{journal}");
    assert!(journal.contains("`cairn run --persist`") && journal.contains("`e2fsck`"), "{journal}");
    assert!(told(0x1_0000).contains("it has the feature encrypt, which cannot be read here"), "{}", told(0x1_0000));
    let several = told(0x8000_8004);
    assert!(several.contains("it has the features needs_recovery, inline_data, 0x80000000, which"), "{several}");
}

#[test]
fn an_extent_tree_whose_branches_are_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // Entries that do not rise, that rise within a node, and that rise beyond what comes after.
    for step in [0, 1, 340, 10_000_000] {
        let source = ext4(dir.path(), |fs| {
            fs.bomb(fs.find("/file"), step);
            fs.bomb(fs.find("/folder"), step);
            fs.set_len(fs.find("/file"), 4096);
        });
        let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
        refused(reader.read("/file", 1 << 20), "extent tree of inode");
        refused(reader.list("/folder"), "extent tree of inode");
        refused(reader.kind("/folder/in"), "extent tree of inode");
        assert_eq!(reader.budget().spent(), None, "step {step}: it is seen at once");
    }
}

#[test]
fn a_folder_that_is_longer_than_it_is_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = ext4(dir.path(), |fs| fs.one_block_for_all(fs.find("/other"), 30));
    let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
    refused(reader.kind("/other/1"), "has an impossible length (41779200 bytes)");
    // Shorter than that it is read until there are too many names.
    let source = ext4(dir.path(), |fs| fs.one_block_for_all(fs.find("/other"), 10));
    let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
    let error = reader.kind("/other/1").unwrap_err();
    assert!(matches!(error, DiskError::Endless { why: Spent::Entries(2000), .. }), "{error}");
    // And that is so for all that comes after.
    let error = reader.read("/file", 8).unwrap_err();
    assert!(matches!(error, DiskError::Endless { why: Spent::Entries(2000), .. }), "{error}");
    refused(
        {
            let source = ext4(dir.path(), |fs| fs.set_len(fs.find("/folder"), 4096 << 10));
            Reader::open(Region::new(&source, 0, u64::MAX)).unwrap().list("/folder")
        },
        "has a hole",
    );
}

#[test]
fn a_file_that_says_that_it_is_as_large_as_the_disk_is_not_taken_into_memory() {
    let dir = tempfile::tempdir().unwrap();
    let source = ext4(dir.path(), |fs| fs.set_len(fs.find("/file"), 1 << 62));
    let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
    assert!(matches!(reader.read("/file", 1 << 30), Err(DiskError::TooLarge { .. })));
    refused(reader.copy("/file", u64::MAX, &mut std::io::sink()), "larger than the file system");
    // A hole is not free: it is put on the account like everything else.
    let source = ext4(dir.path(), |fs| fs.set_len(fs.find("/file"), 9 << 20));
    let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
    let error = (0..100).find_map(|_| reader.copy("/file", 1 << 30, &mut std::io::sink()).err()).unwrap();
    assert!(matches!(error, DiskError::Endless { why: Spent::Work, .. }), "{error}");
}

#[test]
fn a_file_system_that_is_larger_than_its_place_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let source = ext4(dir.path(), |_| ());
    refused(Reader::open(Region::new(&source, 0, 1 << 20)), "larger than the place");
}

/// A FAT volume and what alters it.
fn volume(dir: &Path, alter: impl FnOnce(&Fat<'_>)) -> Metered<FileSource> {
    let path = dir.join("esp.fat");
    let files = [FatFile::from_bytes("loader/loader.conf", "timeout 3\n"), FatFile::from_bytes("EFI/x", vec![1; 9000])];
    let image = target(&path, fat::needed(&files));
    let options = fat::FatOptions {
        volume_id: 7,
        label: "ESP".into(),
        epoch: EPOCH,
        sector_size: cairn_layout::SectorSize::B512,
    };
    fat::write(&image, 0, fat::needed(&files), &files, &options).unwrap();
    drop(image);
    alter(&Fat::new(&OpenOptions::new().read(true).write(true).open(&path).unwrap(), 0));
    metered(&path)
}

#[test]
fn clusters_and_folders_that_lead_back_come_to_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let endless = |error: DiskError| assert!(matches!(error, DiskError::Endless { what: "FAT", .. }), "{error}");
    // The root's clusters are one that comes after itself: with names in it, and with none.
    let source = volume(dir.path(), |fat| {
        fat.fill(fat.root());
        fat.chain(fat.root(), fat.root());
    });
    endless(fat::open(Region::new(&source, 0, u64::MAX)).unwrap().list("").unwrap_err());
    let source = volume(dir.path(), |fat| {
        let loader = fat.folder(fat.root(), "LOADER");
        fat.fill(loader);
        fat.chain(loader, loader);
    });
    let reader = fat::open(Region::new(&source, 0, u64::MAX)).unwrap();
    assert!(reader.list("EFI").unwrap().is_some());
    endless(reader.list("loader").unwrap_err());
    endless(reader.list("EFI").unwrap_err());
    endless(reader.info().unwrap_err());
    // A folder in itself is a longer and longer path for as long as somebody asks.
    let source = volume(dir.path(), |fat| {
        let loader = fat.folder(fat.root(), "LOADER");
        ["A", "B", "C", "D"].iter().for_each(|name| fat.add_folder(loader, name, loader));
    });
    let reader = fat::open(Region::new(&source, 0, u64::MAX)).unwrap();
    let mut path = String::from("loader");
    let error = loop {
        match reader.list(&path) {
            Ok(entries) => assert_eq!(entries.unwrap().len(), 5),
            Err(error) => break error,
        }
        path += "/A";
    };
    endless(error);
}

#[test]
fn a_partition_table_without_end_is_refused() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk");
    let plan = crate::common::uefi(&cairn_layout::Needs::default(), None, cairn_layout::SectorSize::B512);
    partition_table::write(&plan, &target(&path, plan.bytes())).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let whole = partition_table::read(&metered(&path)).unwrap();
    assert_eq!(whole.partitions.len(), 2);
    // The number of entries, their size, where they are: in both copies.
    for (field, value) in [(80, &[0xff; 4][..]), (84, &[0xff; 4]), (84, &[0, 1, 0, 0]), (72, &[0xff; 8])] {
        let places = [512 + field, plan.bytes() - 512 + field];
        let before = places.map(|at| {
            let mut bytes = vec![0; value.len()];
            file.read_exact_at(&mut bytes, at).unwrap();
            file.write_all_at(value, at).unwrap();
            bytes
        });
        assert!(matches!(partition_table::read(&metered(&path)), Err(DiskError::BadPartitionTable { .. })), "{field}");
        places.iter().zip(before).for_each(|(at, bytes)| file.write_all_at(&bytes, *at).unwrap());
    }
    assert_eq!(partition_table::read(&metered(&path)).unwrap(), whole);
}
