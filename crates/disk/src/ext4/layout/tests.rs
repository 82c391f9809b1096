//! Held against `mkext4`, byte for byte.

use std::collections::BTreeMap;

use mkext4::{FsBuilder, InodeCount, InodeHandle, Meta, Options, RegionSink};

use super::*;
use crate::tree::Content;

/// All that is written, by its blocks. What is zeros is not kept.
#[derive(Default, PartialEq, Eq)]
struct Blocks {
    blocks: BTreeMap<u64, Vec<u8>>,
    covered: u64,
}

impl RegionSink for Blocks {
    fn data(&mut self, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        assert_eq!((at % BLOCK, bytes.len() as u64 % BLOCK), (0, 0));
        for (block, bytes) in (at / BLOCK..).zip(bytes.chunks_exact(BLOCK as usize)) {
            if bytes.iter().any(|byte| *byte != 0) {
                assert!(self.blocks.insert(block, bytes.to_vec()).is_none(), "block {block} is written twice");
            }
        }
        self.covered += bytes.len() as u64;
        Ok(())
    }

    fn zeros(&mut self, _at: u64, len: u64) -> std::io::Result<()> {
        self.covered += len;
        Ok(())
    }
}

/// Of each file: where its data go.
type Places = Vec<Vec<(u64, u64)>>;

/// The same tree, as mkext4 has it.
fn theirs(tree: &Tree, making: &Making) -> Result<(Blocks, Places)> {
    let mut options = Options::new(making.blocks * BLOCK, making.uuid, making.epoch);
    options.inodes = InodeCount::Exact(making.inodes);
    options.label = Some(making.label.clone());
    options.reserved_percent = making.reserved_percent as u8;
    let mut builder = FsBuilder::new(options)?;
    let mut handles: Vec<InodeHandle> = Vec::new();
    let mut links = vec![1_u32; tree.entries().len()];
    let mut files = Vec::new();
    let meta = |entry: &Entry| Meta::new(entry.mode, entry.uid, entry.gid, (entry.mtime, 0));
    for (index, entry) in tree.entries().iter().enumerate() {
        if entry.path.is_empty() {
            builder.set_meta(mkext4::ROOT, meta(entry))?;
            handles.push(mkext4::ROOT);
            continue;
        }
        let parent = tree.parent(index).map_or(mkext4::ROOT, |parent| handles[parent]);
        let name = tree.name(index);
        let handle = match &entry.node {
            Node::Dir => builder.mkdir(parent, name, meta(entry))?,
            Node::Symlink(target) => builder.symlink(parent, name, target, meta(entry))?,
            Node::File { len, .. } => {
                let handle = builder.file(parent, name, meta(entry), *len)?;
                files.extend((*len > 0).then_some(handle));
                handle
            }
            Node::Hardlink(to) if links[*to] < MOST_LINKS => {
                links[*to] += 1;
                builder.hardlink(parent, name, handles[*to])?;
                handles[*to]
            }
            Node::Hardlink(to) => {
                let original = &tree.entries()[*to];
                let handle = builder.file(parent, name, meta(original), copy::len(original))?;
                files.extend((copy::len(original) > 0).then_some(handle));
                (handles[*to], links[*to]) = (handle, 1);
                handle
            }
        };
        handles.push(handle);
    }
    let layout = builder.seal()?;
    let mut blocks = Blocks::default();
    layout.writer(&mut blocks).map(drop)?;
    Ok((blocks, files.into_iter().map(|file| layout.extents(file)).collect()))
}

fn making(blocks: u64, inodes: u32) -> Making {
    let uuid = *uuid::Uuid::from_u128(0x5eed_0123_4567_89ab_cdef_0011_2233_4455).as_bytes();
    Making { blocks, inodes, uuid, label: "root".into(), epoch: 1_700_000_000, reserved_percent: 1 }
}

fn same(what: &str, tree: &Tree, blocks: u64, inodes: u32) {
    let making = making(blocks, inodes);
    let (wanted, places) = theirs(tree, &making).unwrap();
    let layout = Layout::new(tree, making).unwrap();
    let found: Vec<_> = layout.files().map(|file| layout.places(file)).collect();
    assert!(found == places, "{what}: data lie elsewhere");
    let mut written = Blocks::default();
    layout.emit(&mut written).unwrap();
    assert_eq!(written.covered, wanted.covered, "{what}: all that is not data is written");
    for (block, bytes) in &wanted.blocks {
        let other = written.blocks.get(block);
        let at = other.and_then(|other| other.iter().zip(bytes).position(|(a, b)| a != b));
        assert!(other == Some(bytes), "{what}: block {block} differs at byte {at:?}");
    }
    assert_eq!(written.blocks.len(), wanted.blocks.len(), "{what}");
}

fn tree(entries: impl IntoIterator<Item = (String, Node)>) -> Tree {
    let mut tree = Tree::new();
    for (number, (path, node)) in (0_u32..).zip(entries) {
        let mtime = i64::from(number) * 70_000_000 % 9_000_000_000 - 1;
        let (mode, uid, gid) = ((number % 0o10000) as u16, number * 7919, number.wrapping_mul(104_729));
        tree.push(Entry { path, mode, uid, gid, mtime, node }).unwrap();
    }
    tree
}

fn file(len: u64) -> Node {
    Node::File { len, content: Content::Bytes(Vec::new()) }
}

#[test]
fn small_trees_are_what_mkext4_makes_of_them() {
    let all = [
        (String::new(), Node::Dir),
        ("d".into(), Node::Dir),
        ("d/e".into(), Node::Dir),
        ("d/empty".into(), file(0)),
        ("d/f".into(), file(5000)),
        ("d/e/again".into(), Node::Hardlink(4)),
        ("block".into(), file(4096)),
        ("short".into(), Node::Symlink("x".repeat(59))),
        ("long".into(), Node::Symlink("y".repeat(60))),
        ("longest".into(), Node::Symlink("z".repeat(4095))),
        ("d/e/f".into(), Node::Dir),
    ];
    for blocks in [4096, 32_768, 32_768 + 324, 70_000, 20 * 32_768, 300_000] {
        same("no tree", &Tree::new(), blocks, 1000);
        same("all kinds", &tree(all.clone()), blocks, 1000);
        same("no root of its own", &tree([("a".into(), file(1))]), blocks, 16);
    }
}

#[test]
fn directories_of_all_sizes_are_what_mkext4_makes_of_them() {
    let names = |folder: &str, count: usize, long: usize| {
        let folder = folder.to_string();
        (0..count).map(move |n| (format!("{folder}{n:0long$}"), file(0)))
    };
    for count in [252, 253, 254, 335, 336, 337, 338, 339, 340, 341, 2000] {
        same("in the root", &tree(names("", count, 4)), 8192, 4000);
        let within = [("d".to_string(), Node::Dir)].into_iter().chain(names("d/", count, 4));
        same("in a folder", &tree(within), 8192, 4000);
        same("long names", &tree(names("", count.min(900), 255)), 8192, 4000);
    }
    same("an index of two levels", &tree(names("", 9_000, 250)), 40_000, 64_000);
    // More folders than can be counted are told as one.
    for (count, links) in [(64_997, 65_000), (64_998, 1)] {
        let tree = tree((0..count).map(|n| (format!("{n}"), Node::Dir)));
        let inode = Layout::new(&tree, making(200_000, 66_100)).unwrap().inode(ROOT).unwrap();
        assert_eq!(u16::from_le_bytes([inode[0x1A], inode[0x1B]]), links, "{count}");
    }
}

#[test]
fn large_files_and_many_names_are_what_mkext4_makes_of_them() {
    let (mib, gib) = (1_u64 << 20, 1_u64 << 30);
    let sizes = [127 * mib, 128 * mib, 129 * mib, 600 * mib, 600 * mib + 1, 1, 3 * gib, 4097];
    let files = |sizes: &[u64]| tree(sizes.iter().enumerate().map(|(n, len)| (format!("f{n}"), file(*len))));
    same("files of some extents", &files(&sizes), 6 << 18, 4000);
    same("and on a larger disk", &files(&sizes), 5 << 20, 300_000);
    same("a tree of blocks", &files(&[44 * gib, 5, 200 * gib, 7]), 70 << 20, 4000);
    let names = (0..140_000).map(|n| (format!("n{n}"), if n == 3 { file(9) } else { Node::Hardlink(3) }));
    let names = (0..3).map(|n| (format!("a{n}"), file(n))).chain(names.skip(3));
    same("more names than a file may have", &tree(names), 50_000, 1000);
    let small = (0..30_000_u64).map(|n| (format!("s{n}"), file(n * 37 % 20_000)));
    same("many small files", &tree(small), 300_000, 100_000);
}

/// Shapes in which bitmaps and tables do not fit behind each other.
#[test]
fn all_shapes_are_those_of_mkext4() {
    let tree = tree((0..400_u64).map(|n| (format!("s{n}"), file(n * 1501))));
    for blocks in [32_768_u64 * 2, 32_768 * 3 + 5000, 32_768 * 17 + 3000, 32_768 * 33, 32_768 * 60, 32_768 * 250 + 9999]
    {
        for of_group in [16, 8192, 20_000, 31_000, 32_768] {
            let inodes = ((blocks / 32_768 + 1) as u32 * of_group).max(500);
            // Where the tables of 16 groups are more than a group, mkext4 is content with its sums in a release only.
            if blocks.div_ceil(32_768).min(16) * u64::from(of_group) <= 480_000 {
                same(&format!("{blocks} blocks, {inodes} inodes"), &tree, blocks, inodes);
            }
            let layout = Layout::new(&tree, making(blocks, inodes)).unwrap();
            let mut written = Blocks::default();
            layout.emit(&mut written).unwrap();
            let data: u64 =
                layout.files().flat_map(|file| layout.places(file)).map(|(_, len)| len.div_ceil(BLOCK)).sum();
            assert_eq!(written.covered + data * BLOCK, blocks * BLOCK, "{blocks} blocks, {inodes} inodes");
        }
    }
}

#[test]
fn what_ext4_cannot_hold_is_refused() {
    let tree = tree((0..100).map(|n| (format!("s{n}"), file(1 << 20))));
    assert!(Layout::new(&tree, making(32_768, 1000)).is_ok());
    assert!(Layout::new(&tree, making(20_000, 1000)).is_err(), "no room for the data");
    assert!(Layout::new(&tree, making(32_768, 16)).is_err(), "no inodes");
    assert!(Layout::new(&tree, Making { label: "x".repeat(17), ..making(32_768, 1000) }).is_err());
    for epoch in [-1, 1 << 32] {
        assert!(Layout::new(&tree, Making { epoch, ..making(32_768, 1000) }).is_err(), "{epoch}");
    }
}
