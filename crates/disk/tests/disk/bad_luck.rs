//! Full disks, broken disks, files that change: an error that says so, and no partition table that says otherwise.

use std::collections::BTreeMap;

use cairn_disk::target::{Fault, FaultTarget};
use cairn_disk::{
    Content, Contents, DiskError, FileTarget, MemoryTarget, Node, Target, Tree, apply, ext4, fat, partition_table,
};
use cairn_layout::{DiskPlan, Needs, SectorSize};
use cairn_process::Quiet;

use crate::common::{EPOCH, boot_files, bytes, entry, noise, target, uefi};

fn small() -> Tree {
    let mut tree = Tree::new();
    for n in 0..200 {
        tree.push(bytes(format!("file-{n}"), noise(300 * n, n as u64))).unwrap();
    }
    tree
}

fn plan(tree: &Tree) -> DiskPlan {
    let needs = Needs { esp: fat::needed(&boot_files()), root: ext4::needed(tree, 0).unwrap(), ..Needs::default() };
    uefi(&needs, None, SectorSize::B512)
}

fn broken(fault: Fault) -> (Result<(), DiskError>, FileTarget) {
    let (tree, files) = (small(), boot_files());
    let plan = plan(&tree);
    let file = tempfile::tempfile().unwrap();
    let image = FaultTarget::new(FileTarget::new(file, "the image", plan.bytes()).unwrap(), fault);
    let contents = Contents {
        files: BTreeMap::from([("/boot".to_string(), &files as &dyn fat::FatContents)]),
        trees: BTreeMap::from([("/".to_string(), &tree)]),
    };
    let result = apply(&plan, &contents, EPOCH, &image, 2, &Quiet);
    (result, image.into_inner())
}

#[test]
fn a_disk_that_fills_up_is_told_wherever_it_happens() {
    for limit in [0, 511, 512, 100_000, 15 << 20, 21 << 20, 23 << 20] {
        let (result, image) = broken(Fault::FullAfter(limit));
        let error = result.unwrap_err();
        assert!(matches!(error, DiskError::Full { .. }), "after {limit}: {error}");
        assert!(error.to_string().starts_with("no space is left for the image (at "), "{error}");
        assert!(partition_table::read(&image).is_err(), "after {limit}: it looks finished");
    }
    assert!(broken(Fault::FullAfter(1 << 40)).0.is_ok());
}

#[test]
fn a_broken_disk_is_told_with_the_place() {
    for limit in [0, 100_000, 23 << 20] {
        let error = broken(Fault::BrokenAfter(limit)).0.unwrap_err();
        assert!(error.to_string().starts_with("writing the image at byte "), "after {limit}: {error}");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the disk broke");
    }
}

#[test]
fn a_file_that_changes_while_it_is_copied_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for len in [100, 5_000_000] {
        for now in [len - 1, len + 1, 0] {
            let path = dir.path().join("file");
            std::fs::write(&path, vec![1; now]).unwrap();
            let mut tree = Tree::new();
            let node = Node::File { len: len as u64, content: Content::Path(path.clone()) };
            tree.push(entry("file", node)).unwrap();
            let plan = plan(&tree);
            let image = target(&dir.path().join("image"), plan.bytes());
            let contents = Contents { trees: BTreeMap::from([("/".to_string(), &tree)]), ..Contents::default() };
            let error = apply(&plan, &contents, EPOCH, &image, 2, &Quiet).unwrap_err();
            assert!(matches!(error, DiskError::Changed { .. }), "{len} to {now}: {error}");
            assert!(error.to_string().contains("was changed while it was copied"), "{error}");
        }
    }
}

/// Somebody puts a link to his own files in the place of a folder, after its files were looked at.
#[test]
fn a_folder_that_becomes_a_link_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |path: &str| dir.path().join(path);
    for folder in ["tree/a/b", "elsewhere/b"] {
        std::fs::create_dir_all(at(folder)).unwrap();
        std::fs::write(at(folder).join("file"), "5 B.\n").unwrap();
    }
    // The tree itself may be named by a link.
    std::os::unix::fs::symlink("tree", at("link")).unwrap();
    let mut tree = Tree::new();
    tree.add_folder("", &at("link"), cairn_disk::tree::FolderOptions::default()).unwrap();
    let plan = plan(&tree);
    let write = || {
        let image = FileTarget::new(tempfile::tempfile().unwrap(), "the image", plan.bytes()).unwrap();
        let contents = Contents { trees: BTreeMap::from([("/".to_string(), &tree)]), ..Contents::default() };
        apply(&plan, &contents, EPOCH, &image, 2, &Quiet)
    };
    write().unwrap();
    std::fs::rename(at("tree/a"), at("tree/gone")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", at("tree/a")).unwrap();
    let error = write().unwrap_err();
    let named = dir.path().canonicalize().unwrap().join("tree/a/b/file");
    assert_eq!(error.to_string(), format!("reading {}", named.display()));
}

#[test]
fn a_file_that_vanishes_is_named() {
    let mut tree = Tree::new();
    let node = Node::File { len: 5, content: Content::Path("/nowhere/file".into()) };
    tree.push(entry("file", node)).unwrap();
    let plan = plan(&tree);
    let image = FileTarget::new(tempfile::tempfile().unwrap(), "the image", plan.bytes()).unwrap();
    let contents = Contents { trees: BTreeMap::from([("/".to_string(), &tree)]), ..Contents::default() };
    let error = apply(&plan, &contents, EPOCH, &image, 2, &Quiet).unwrap_err();
    assert_eq!(error.to_string(), "reading /nowhere/file");
}

#[test]
fn a_target_that_is_too_small_is_refused_before_anything_is_written() {
    let tree = small();
    let plan = plan(&tree);
    let image = FileTarget::new(tempfile::tempfile().unwrap(), "the image", plan.bytes() - 512).unwrap();
    let error = apply(&plan, &Contents::default(), EPOCH, &image, 1, &Quiet).unwrap_err();
    assert!(matches!(error, DiskError::TooSmall { .. }), "{error}");
    let blocks = std::os::unix::fs::MetadataExt::blocks(&image.into_file().metadata().unwrap());
    assert_eq!(blocks, 0);
}

#[test]
fn a_damaged_partition_table_is_read_from_its_copy() {
    let plan = plan(&small());
    let image = FileTarget::new(tempfile::tempfile().unwrap(), "the image", plan.bytes()).unwrap();
    partition_table::write(&plan, &image).unwrap();
    image.write_at(512, &[0; 512]).unwrap();
    let table = partition_table::read(&image).unwrap();
    assert!(table.damaged);
    assert_eq!(table.partitions.len(), 2);
    // A header with a shape that no tool makes is an error, not a panic.
    partition_table::write(&plan, &image).unwrap();
    image.write_at(512 + 84, &256_u32.to_le_bytes()).unwrap();
    assert!(partition_table::read(&image).is_err());
    assert!(partition_table::read(&MemoryTarget::new(100, 0)).is_err());
}

#[test]
fn what_was_in_the_file_before_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    std::fs::write(&path, vec![0x5a; 3 << 20]).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    drop(FileTarget::new(file, "the image", 2 << 20).unwrap());
    assert!(std::fs::read(&path).unwrap() == vec![0; 2 << 20]);
}
