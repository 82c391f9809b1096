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
        small: false,
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
fn a_name_that_is_none_is_refused_on_fat_too() {
    let dir = tempfile::tempdir().unwrap();
    let source = volume(dir.path(), |fat| fat.add_folder(fat.root(), "A/B", fat.folder(fat.root(), "LOADER")));
    let reader = fat::open(Region::new(&source, 0, u64::MAX)).unwrap();
    assert_eq!(reader.list("loader").unwrap().unwrap().len(), 1);
    refused(reader.list(""), "has a name that is none");
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

#[test]
fn each_number_of_a_superblock_alone_can_be_impossible() {
    let dir = tempfile::tempdir().unwrap();
    let open = |field: u64, bytes: &[u8]| {
        let source = ext4(dir.path(), |fs| fs.set_super(field, bytes));
        Reader::open(Region::new(&source, 0, u64::MAX)).map(drop)
    };
    let zero = [0; 4];
    for (field, bytes) in [
        (0x14, &[2, 0, 0, 0][..]),
        (0x14, &[0, 0, 0, 1]),
        (0x4, &zero),
        (0x18, &[7, 0, 0, 0]),
        (0x18, &[32, 0, 0, 0]),
        (0x20, &zero),
        (0x20, &[1, 0x80, 0, 0]),
        (0x28, &zero),
        (0x28, &[1, 0x80, 0, 0]),
        (0x58, &[200, 0]),
        (0x58, &[64, 0]),
        (0x58, &[0, 0x20]),
        (0xfe, &[33, 0]),
        (0xfe, &[32, 1]),
        (0x0, &[0xff; 4]),
    ] {
        refused(open(field, bytes), "impossible numbers");
    }
    assert!(matches!(open(0x18, &[6, 0, 0, 0]), Err(DiskError::Unknown { .. })));
    // Those that there are, and the largest that may be.
    for (field, bytes) in [(0xfe, &[0, 0][..]), (0xfe, &[64, 0]), (0x20, &[0, 0x80, 0, 0]), (0x58, &[0, 0x10])] {
        open(field, bytes).unwrap();
    }
}

#[test]
fn a_file_system_without_a_block_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let source = ext4(dir.path(), |fs| [0, 4].iter().for_each(|field| fs.set_super(*field, &[0; 4])));
    refused(Reader::open(Region::new(&source, 0, u64::MAX)), "impossible numbers");
}

#[test]
fn an_inode_is_read_from_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.ext4");
    let mut tree = Tree::new();
    tree.push(bytes("file", "contents")).unwrap();
    let size = Ext4Size::Fixed(300 << 20);
    let options = Ext4Options { uuid: Uuid::from_u128(5), label: "root".into(), epoch: EPOCH, size };
    Ext4Plan::new(&tree, &options).unwrap().write(&target(&path, 300 << 20), 0, 1, &Quiet).unwrap();
    // Three groups; one inode in the last stands for a folder.
    let last = u32::try_from(count(&metered(&path))).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let fs = Ext4::new(&file, 0);
    fs.set_mode(last - 9, 0o040_755);
    fs.point("/", "file", last - 9);
    let source = metered(&path);
    let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
    assert_eq!(reader.kind("/file").unwrap(), Some(cairn_disk::ext4::EntryKind::Directory));
}

#[test]
fn several_unknown_features_are_features() {
    let dir = tempfile::tempdir().unwrap();
    let told = |bits| {
        let source = ext4(dir.path(), |fs| fs.add_features(bits));
        Reader::open(Region::new(&source, 0, u64::MAX)).unwrap_err().to_string()
    };
    assert!(told(0xc000_0000).contains("the features 0xc0000000"), "{}", told(0xc000_0000));
    assert!(told(0x8000_0000).contains("the feature 0x80000000"), "{}", told(0x8000_0000));
}

/// Checksums, of which the tools that alter the others know nothing.
#[test]
fn a_bit_that_is_wrong_is_seen() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("root.ext4");
    let mut tree = Tree::new();
    tree.push(bytes("file", "contents")).unwrap();
    let size = Ext4Size::AtLeast { free: 0 };
    let options = Ext4Options { uuid: Uuid::from_u128(5), label: "root".into(), epoch: EPOCH, size };
    let plan = Ext4Plan::new(&tree, &options).unwrap();
    plan.write(&target(&path, plan.bytes()), 0, 1, &Quiet).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let read = |at: u64| {
        let mut table = [0; 4];
        file.read_exact_at(&mut table, 4096 + 8).unwrap();
        // The second inode is the root's.
        let at = if at >= 1 << 20 { u64::from(u32::from_le_bytes(table)) * 4096 + 256 + at - (1 << 20) } else { at };
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        let source = metered(&path);
        let names = Reader::open(Region::new(&source, 0, u64::MAX)).and_then(|reader| reader.list("/"));
        file.write_all_at(&byte, at).unwrap();
        names
    };
    // A byte that nobody reads, and back again.
    assert_eq!(read(0).unwrap().unwrap(), ["file", "lost+found"]);
    refused(read(1024 + 0x78), "the checksum of its superblock is wrong");
    // A time of the root's, and both halves of its checksum.
    for field in [0x10, 0x7c, 0x82] {
        refused(read((1 << 20) + field), "the checksum of inode 2 is wrong");
    }
}

/// Pieces of a file as they may be, and as they may not.
#[test]
fn a_map_is_followed_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let block = 4096_usize;
    // What the last blocks of the file system have: each its own byte.
    let fill = |fs: &Ext4<'_>| {
        let file = OpenOptions::new().write(true).open(dir.path().join("root.ext4")).unwrap();
        for n in 0..4 {
            std::os::unix::fs::FileExt::write_all_at(&file, &vec![u8::try_from(n).unwrap() + 1; block], fs.block(n).1)
                .unwrap();
        }
    };
    let read = |alter: &dyn Fn(&Ext4<'_>, u32), len: u64| {
        let source = ext4(dir.path(), |fs| {
            fill(fs);
            let ino = fs.find("/file");
            alter(fs, ino);
            fs.set_len(ino, len);
        });
        let reader = Reader::open(Region::new(&source, 0, u64::MAX)).unwrap();
        let pages =
            |bytes: Vec<u8>| bytes.chunks(block).map(|page| (page[0], page[page.len() - 1])).collect::<Vec<_>>();
        reader.read("/file", 1 << 30).map(|found| pages(found.unwrap()))
    };
    let at = |fs: &Ext4<'_>, n| fs.block(n).0;
    // A hole in front, a piece of two, a hole, a piece that was never written (the length's top bit), one, and a hole.
    let holes = |fs: &Ext4<'_>, ino| {
        let pieces = [(1, 2, at(fs, 3)), (4, 0x8001, at(fs, 0)), (5, 1, at(fs, 1))];
        fs.map(ino, 0, 4, &pieces);
    };
    let wanted = [0, 4, 3, 0, 0, 2, 0].map(|byte| (byte, byte));
    assert_eq!(read(&holes, 7 * 4096).unwrap(), wanted);
    assert_eq!(read(&holes, 6 * 4096).unwrap(), wanted[..6]);
    assert_eq!(read(&holes, 2 * 4096 + 5).unwrap(), wanted[..3]);
    // In two nodes below the root, with a hole between them.
    let nodes = |fs: &Ext4<'_>, ino| {
        fs.map_block(9, 0, 340, &[(0, 1, at(fs, 0)), (1, 1, at(fs, 1))]);
        fs.map_block(8, 0, 340, &[(3, 1, at(fs, 2))]);
        fs.map(ino, 1, 4, &[(0, 0, at(fs, 9)), (3, 0, at(fs, 8))]);
    };
    assert_eq!(read(&nodes, 4 * 4096).unwrap(), [1, 2, 0, 3].map(|byte| (byte, byte)));
    // Five levels are the most.
    let deep = |levels: u16| {
        move |fs: &Ext4<'_>, ino| {
            fs.map_block(20, 0, 340, &[(0, 1, fs.block(3).0)]);
            for depth in 1..levels {
                let n = u64::from(depth);
                fs.map_block(20 + n, depth, 340, &[(0, 0, fs.block(20 + n - 1).0)]);
            }
            fs.map(ino, levels, 4, &[(0, 0, fs.block(20 + u64::from(levels) - 1).0)]);
        }
    };
    assert_eq!(read(&deep(5), 4096).unwrap(), [(4, 4)]);
    refused(read(&deep(6), 4096), "is deeper than it may be");
    // Pieces up to the very end, in full nodes.
    let full = |fs: &Ext4<'_>, ino| {
        let pieces: Vec<_> = (0..340).map(|n| (n, 1, at(fs, 0))).collect();
        fs.map_block(9, 0, 340, &pieces);
        fs.map(ino, 1, 4, &[(0, 0, at(fs, 9))]);
    };
    assert_eq!(read(&full, 340 * 4096).unwrap(), [(1, 1); 340]);

    type Alter = fn(&Ext4<'_>, u32);
    let cases: [(Alter, &str); 12] = [
        (
            |fs, ino| fs.map(ino, 0, 5, &[(0, 1, 99), (1, 1, 99), (2, 1, 99), (3, 1, 99), (4, 1, 99)]),
            "impossible number",
        ),
        (|fs, ino| fs.map(ino, 0, 1, &[(0, 1, 99), (1, 1, 99)]), "impossible number"),
        (|fs, ino| fs.map(ino, 0, 4, &[(0, 0, 99)]), "lie over each other"),
        (|fs, ino| fs.map(ino, 0, 4, &[(0, 2, 99), (1, 1, 99)]), "lie over each other"),
        (|fs, ino| fs.map(ino, 0, 4, &[(1, 1, 99), (0, 1, 99)]), "lie over each other"),
        (|fs, ino| fs.map(ino, 0, 4, &[(0, 2, fs.block(0).0)]), "leads beyond the end of the file system"),
        (|fs, ino| fs.map(ino, 1, 4, &[(0, 0, fs.block(0).0 + 1)]), "is beyond its end"),
        (
            |fs, ino| {
                fs.map_block(9, 0, 340, &[]);
                fs.map(ino, 1, 4, &[(0, 0, fs.block(9).0)]);
            },
            "impossible number",
        ),
        (
            |fs, ino| {
                fs.map_block(9, 1, 340, &[(0, 0, fs.block(8).0)]);
                fs.map_block(8, 0, 340, &[(0, 1, 99)]);
                fs.map(ino, 1, 4, &[(0, 0, fs.block(9).0)]);
            },
            "is deeper than it may be",
        ),
        (
            |fs, ino| {
                fs.map_block(9, 0, 340, &[(0, 2, 99)]);
                fs.map(ino, 1, 4, &[(0, 0, fs.block(9).0), (1, 0, fs.block(9).0)]);
            },
            "leads back to where it was",
        ),
        (
            |fs, ino| {
                fs.map_block(9, 0, 400, &vec![(0, 1, 99); 341]);
                fs.map(ino, 1, 4, &[(0, 0, fs.block(9).0)]);
            },
            "impossible number",
        ),
        (|fs, ino| fs.map(ino, 0, 4, &[(3, 3, 99), (2, 1, 99)]), "lie over each other"),
    ];
    for (alter, why) in cases {
        refused(read(&alter, 4096), why);
    }
    // No map at all: an empty file needs none.
    let unmapped = |flags| move |fs: &Ext4<'_>, ino| fs.set_flags(ino, flags);
    assert_eq!(read(&unmapped(0), 0).unwrap(), []);
    for (flags, len, why) in [(0, 1, "files without extents"), (0x1008_0000, 0, "files within inodes")] {
        let error = read(&unmapped(flags), len).unwrap_err();
        assert!(matches!(error, DiskError::Unknown { .. }) && error.to_string().contains(why), "{error}");
    }
    // As large as the file system, but not larger.
    let hole = |fs: &Ext4<'_>, ino| fs.map(ino, 0, 4, &[]);
    let all = Reader::open(Region::new(&ext4(dir.path(), |_| ()), 0, u64::MAX)).unwrap().info().bytes;
    assert!(read(&hole, all).unwrap().iter().all(|page| *page == (0, 0)));
    refused(read(&hole, all + 1), "is larger than the file system");
}

#[test]
fn names_and_inodes_that_are_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let look = |alter: &dyn Fn(&Ext4<'_>)| {
        let source = ext4(dir.path(), alter);
        Reader::open(Region::new(&source, 0, u64::MAX)).unwrap().kind("/folder/in")
    };
    use cairn_disk::ext4::EntryKind;
    assert_eq!(look(&|_| ()).unwrap(), Some(EntryKind::Directory));
    refused(look(&|fs| fs.rename("/", "file", b"f/", None)), "has a name that is none");
    refused(look(&|fs| fs.rename("/", "file", b"fi\0e", None)), "has a name that is none");
    refused(look(&|fs| fs.rename("/", "file", b"", Some(0))), "name");
    // The last inode that there is, and the one after it.
    let last = u32::try_from(count(&ext4(dir.path(), |_| ()))).unwrap();
    let file = look(&|fs| {
        fs.set_mode(last, 0o100_644);
        fs.point("/folder", "in", last);
    });
    assert_eq!(file.unwrap(), Some(EntryKind::File));
    refused(look(&|fs| fs.point("/folder", "in", last + 1)), &format!("there is no inode {}", last + 1));
    // The longest folder, and one that is longer; both have a hole.
    refused(look(&|fs| fs.set_len(fs.find("/folder"), 16 << 20)), "has a hole");
    refused(look(&|fs| fs.set_len(fs.find("/folder"), (16 << 20) + 4096)), "has an impossible length");
    refused(look(&|fs| fs.set_len(fs.find("/folder"), 4097)), "has an impossible length");
}

fn count(source: &Metered<FileSource>) -> u64 {
    Reader::open(Region::new(source, 0, u64::MAX)).unwrap().info().inodes
}
