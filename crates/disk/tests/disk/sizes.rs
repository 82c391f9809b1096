//! Computed sizes: enough, and hardly more than enough.

use cairn_disk::ext4::{self, Ext4Options, Ext4Plan, Ext4Size};
use cairn_disk::{DiskError, MemoryTarget, Node, Region, Tree};
use cairn_process::Quiet;
use uuid::Uuid;

use crate::common::{EPOCH, bytes, checked, entry, target, tool};

fn options(size: Ext4Size) -> Ext4Options {
    Ext4Options { uuid: Uuid::from_u128(5), label: "root".into(), epoch: EPOCH, size }
}

fn random_tree(seed: u64) -> Tree {
    let mut state = seed + 1;
    let mut below = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let mut tree = Tree::new();
    let mut dirs = vec![String::new()];
    for n in 0..below(3000) {
        let dir = dirs[usize::try_from(below(dirs.len() as u64)).unwrap()].clone();
        let name = format!("{n}{}", "x".repeat(usize::try_from(below(200)).unwrap()));
        let path = if dir.is_empty() { name } else { format!("{dir}/{name}") };
        if path.len() > 3000 {
            continue;
        }
        match below(10) {
            0 => {
                tree.push(entry(path.clone(), Node::Dir)).unwrap();
                dirs.push(path);
            }
            1 => {
                tree.push(entry(path, Node::Symlink("y".repeat(usize::try_from(below(200)).unwrap() + 1)))).unwrap();
            }
            _ => {
                let most = if below(50) == 0 { 1 << 20 } else { 9000 };
                tree.push(bytes(path, vec![7; usize::try_from(below(most)).unwrap()])).unwrap();
            }
        }
    }
    tree
}

#[test]
fn room_asked_for_is_there_and_little_more() {
    for seed in 0..30 {
        let tree = random_tree(seed);
        let free = (seed % 7) * (30 << 20);
        let plan = Ext4Plan::new(&tree, &options(Ext4Size::AtLeast { free })).unwrap();
        let image = MemoryTarget::new(usize::try_from(plan.bytes()).unwrap(), 0);
        plan.write(&image, 0, 1, &Quiet).unwrap();
        let info = ext4::Reader::open(Region::new(&image, 0, u64::MAX)).unwrap().info();
        let reserved = info.bytes / 100;
        assert!(info.free >= free + reserved, "seed {seed}: {info:?}");
        // The least size has room to spare by itself.
        if plan.bytes() > 16 << 20 {
            assert!(info.free <= free + reserved + (6 << 20), "seed {seed}: {} too much", info.free - free - reserved);
        }
        assert!(info.free_inodes * 4 >= info.inodes / 8, "seed {seed}: {info:?}");
    }
}

#[test]
fn every_size_from_what_is_needed_on_can_be_made() {
    // Sizes around the borders of block groups, where the last one is too small to be one.
    let tree = random_tree(3);
    let least = ext4::needed(&tree, 0).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for mib in [128, 129, 130, 136, 256, 257, 300, 2048, 2049, 2050, 2176, 2177, 40_000] {
        for extra in [0, 4096, 3 << 18] {
            let bytes = (mib << 20) + extra;
            if bytes < least {
                continue;
            }
            let plan =
                Ext4Plan::new(&tree, &options(Ext4Size::Fixed(bytes))).unwrap_or_else(|e| panic!("{bytes}: {e}"));
            if extra == 4096 {
                let path = dir.path().join("root.ext4");
                plan.write(&target(&path, bytes), 0, 1, &Quiet).unwrap();
                checked(tool("e2fsck", "e2fsprogs").arg("-fn").arg(&path));
            }
        }
    }
}

#[test]
fn too_small_says_how_much_is_enough() {
    let mut tree = random_tree(5);
    tree.push(bytes("large", vec![7; 20 << 20])).unwrap();
    let error = Ext4Plan::new(&tree, &options(Ext4Size::Fixed(16 << 20))).unwrap_err();
    let DiskError::TooSmall { needed, .. } = error else { panic!("{error}") };
    Ext4Plan::new(&tree, &options(Ext4Size::Fixed(needed))).unwrap();
}
