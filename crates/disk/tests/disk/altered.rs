//! File systems whose structures say what no writer makes them say: as somebody would make them who wants a reader to hang.

#![allow(dead_code, reason = "the tests of two crates use it, each a part")]

use std::fs::File;
use std::os::unix::fs::FileExt;

fn get<const N: usize>(file: &File, at: u64) -> [u8; N] {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at).unwrap();
    bytes
}

fn u16_at(file: &File, at: u64) -> u64 {
    u16::from_le_bytes(get(file, at)).into()
}

fn u32_at(file: &File, at: u64) -> u64 {
    u32::from_le_bytes(get(file, at)).into()
}

fn low32(n: u64) -> [u8; 4] {
    u32::try_from(n).unwrap().to_le_bytes()
}

const BLOCK: u64 = 4096;
const ROOT: u32 = 2;
/// What fits into a block: entries of an extent tree.
const PER_NODE: u16 = 340;

/// An ext4 file system as our writer makes it, `start` bytes into a file.
pub struct Ext4<'a> {
    file: &'a File,
    start: u64,
}

impl Ext4<'_> {
    /// Takes the checksums off: what follows would have to mend them.
    pub fn new(file: &File, start: u64) -> Ext4<'_> {
        let fs = Ext4 { file, start };
        let features = u32_at(file, start + 1024 + 0x64) & !0x400;
        fs.put(1024 + 0x64, &low32(features));
        fs
    }

    /// Says that it has these features, which whoever does not know them must not read.
    pub fn add_features(&self, bits: u64) {
        let at = 1024 + 0x60;
        self.put(at, &low32(u32_at(self.file, self.start + at) | bits));
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, self.start + at).unwrap();
    }

    fn inode(&self, ino: u32) -> u64 {
        let per_group = u32_at(self.file, self.start + 1024 + 0x28);
        let size = u16_at(self.file, self.start + 1024 + 0x58);
        let (group, index) = (u64::from(ino - 1) / per_group, u64::from(ino - 1) % per_group);
        u32_at(self.file, self.start + BLOCK + group * 32 + 8) * BLOCK + index * size
    }

    /// A block that nothing is in.
    fn free(&self, n: u64) -> u64 {
        u32_at(self.file, self.start + 1024 + 4) - 1 - n
    }

    /// The first block of a folder or file.
    fn first_block(&self, ino: u32) -> u64 {
        let map = self.start + self.inode(ino) + 0x28;
        assert_eq!(u16_at(self.file, map + 6), 0, "a tree without a root only");
        u32_at(self.file, map + 12 + 8)
    }

    /// Names in the first block of a folder: place, inode.
    fn entry(&self, folder: u32, name: &str) -> (u64, u32) {
        let block = self.first_block(folder) * BLOCK;
        let mut at = block;
        while at < block + BLOCK {
            let len = u16_at(self.file, self.start + at + 4);
            let name_len = usize::from(get::<1>(self.file, self.start + at + 6)[0]);
            let mut found = vec![0; name_len];
            self.file.read_exact_at(&mut found, self.start + at + 8).unwrap();
            if found == name.as_bytes() {
                return (at, u32::try_from(u32_at(self.file, self.start + at)).unwrap());
            }
            at += len;
        }
        panic!("there is no {name}");
    }

    /// The inode at a path.
    pub fn find(&self, path: &str) -> u32 {
        path.split('/').filter(|p| !p.is_empty()).fold(ROOT, |folder, name| self.entry(folder, name).1)
    }

    /// Lets a name stand for another inode.
    pub fn point(&self, folder: &str, name: &str, ino: u32) {
        let (at, _) = self.entry(self.find(folder), name);
        self.put(at, &ino.to_le_bytes());
        // What it is stands beside it.
        self.put(at + 7, &[2]);
    }

    /// Says how long a file or folder is.
    pub fn set_len(&self, ino: u32, len: u64) {
        let inode = self.inode(ino);
        self.put(inode + 4, &low32(len & 0xffff_ffff));
        self.put(inode + 0x6c, &low32(len >> 32));
    }

    fn node(&self, at: u64, depth: u16, max: u16, entries: impl Iterator<Item = [u8; 12]>) {
        let entries: Vec<[u8; 12]> = entries.collect();
        let count = u16::try_from(entries.len()).unwrap();
        let numbers = [0xf30a, count, max, depth, 0, 0];
        self.put(at, &numbers.map(u16::to_le_bytes).concat());
        self.put(at + 12, &entries.concat());
    }

    /// Changes a number of the superblock.
    pub fn set_super(&self, field: u64, bytes: &[u8]) {
        self.put(1024 + field, bytes);
    }

    /// Says what an inode is.
    pub fn set_mode(&self, ino: u32, mode: u16) {
        self.put(self.inode(ino), &mode.to_le_bytes());
    }

    /// Gives an inode these flags and no others.
    pub fn set_flags(&self, ino: u32, flags: u64) {
        self.put(self.inode(ino) + 0x20, &low32(flags));
    }

    /// Writes other bytes over the beginning of a name, and perhaps another length of it.
    pub fn rename(&self, folder: &str, name: &str, bytes: &[u8], len: Option<u8>) {
        let (at, _) = self.entry(self.find(folder), name);
        self.put(at + 8, bytes);
        len.into_iter().for_each(|len| self.put(at + 6, &[len]));
    }

    /// The place of a block's bytes in the file, so many blocks before the end of the file system.
    pub fn block(&self, n: u64) -> (u64, u64) {
        (self.free(n), self.start + self.free(n) * BLOCK)
    }

    /// Gives an inode a map of its own: a node of so many entries, each of which is a piece (first block in the file, blocks,
    /// first block on the disk) or, above the leaves, leads to a block.
    pub fn map(&self, ino: u32, depth: u16, max: u16, entries: &[(u32, u16, u64)]) {
        self.node(self.inode(ino) + 0x28, depth, max, entries.iter().map(|entry| Self::map_entry(depth, *entry)));
        self.set_flags(ino, 0x8_0000);
    }

    /// The same in a block of the tree, so many blocks before the end of the file system.
    pub fn map_block(&self, n: u64, depth: u16, max: u16, entries: &[(u32, u16, u64)]) {
        let entries = entries.iter().map(|entry| Self::map_entry(depth, *entry));
        self.node(self.free(n) * BLOCK, depth, max, entries);
    }

    fn map_entry(depth: u16, (logical, len, block): (u32, u16, u64)) -> [u8; 12] {
        let mut entry = [0; 12];
        entry[..4].copy_from_slice(&logical.to_le_bytes());
        if depth == 0 {
            entry[4..6].copy_from_slice(&len.to_le_bytes());
            entry[8..].copy_from_slice(&low32(block));
        } else {
            entry[4..8].copy_from_slice(&low32(block));
        }
        entry
    }

    /// An extent tree of five levels in each of which all entries lead to one child: 4 × 340^5 extents in five blocks.
    /// `step`: how much the entries of a node rise.
    pub fn bomb(&self, ino: u32, step: u32) {
        let index = |n: u16, block: u64| {
            let mut entry = [0; 12];
            entry[..4].copy_from_slice(&(u32::from(n) * step).to_le_bytes());
            entry[4..8].copy_from_slice(&low32(block));
            entry
        };
        let inode = self.inode(ino);
        self.node(inode + 0x28, 5, 4, (0..4).map(|n| index(n, self.free(4))));
        for depth in 1..5_u16 {
            let (at, child) = (self.free(depth.into()), self.free(u64::from(depth) - 1));
            self.node(at * BLOCK, depth, PER_NODE, (0..PER_NODE).map(|n| index(n, child)));
        }
        let leaf = |n: u16| {
            let mut entry = index(n, 0);
            entry[4..6].copy_from_slice(&1_u16.to_le_bytes());
            entry[8..].copy_from_slice(&low32(self.free(9)));
            entry
        };
        self.node(self.free(0) * BLOCK, 0, PER_NODE, (0..PER_NODE).map(leaf));
        // It uses extents.
        let flags = u32_at(self.file, self.start + inode + 0x20) | 0x8_0000;
        self.put(inode + 0x20, &low32(flags));
    }

    /// Lets all blocks of a folder be its first one; so many leaves of its extent tree say so.
    pub fn one_block_for_all(&self, ino: u32, leaves: u16) {
        let block = self.first_block(ino);
        for leaf in 0..leaves {
            let extent = |n: u16| {
                let mut entry = [0; 12];
                entry[..4].copy_from_slice(&(u32::from(leaf) * 340 + u32::from(n)).to_le_bytes());
                entry[4..6].copy_from_slice(&1_u16.to_le_bytes());
                entry[8..].copy_from_slice(&low32(block));
                entry
            };
            self.node(self.free(leaf.into()) * BLOCK, 0, PER_NODE, (0..PER_NODE).map(extent));
        }
        let top = self.free(leaves.into());
        let index = |n: u16, block: u64| {
            let mut entry = [0; 12];
            entry[..4].copy_from_slice(&(u32::from(n) * 340).to_le_bytes());
            entry[4..8].copy_from_slice(&low32(block));
            entry
        };
        self.node(top * BLOCK, 1, PER_NODE, (0..leaves).map(|n| index(n, self.free(n.into()))));
        self.node(self.inode(ino) + 0x28, 2, 4, std::iter::once(index(0, top)));
        self.set_len(ino, u64::from(leaves) * 340 * BLOCK);
    }
}

/// A FAT32 volume as our writer makes it, `start` bytes into a file.
pub struct Fat<'a> {
    file: &'a File,
    start: u64,
}

impl Fat<'_> {
    pub fn new(file: &File, start: u64) -> Fat<'_> {
        Fat { file, start }
    }

    fn sector(&self) -> u64 {
        u16_at(self.file, self.start + 11)
    }

    fn fat(&self) -> u64 {
        self.start + u16_at(self.file, self.start + 14) * self.sector()
    }

    fn cluster_size(&self) -> u64 {
        u64::from(get::<1>(self.file, self.start + 13)[0]) * self.sector()
    }

    fn place(&self, cluster: u64) -> u64 {
        let fats = u64::from(get::<1>(self.file, self.start + 16)[0]) * u32_at(self.file, self.start + 36);
        self.fat() + fats * self.sector() + (cluster - 2) * self.cluster_size()
    }

    /// The first cluster of the root.
    pub fn root(&self) -> u64 {
        u32_at(self.file, self.start + 44)
    }

    /// The first cluster of a folder in a folder, by its short name.
    pub fn folder(&self, of: u64, name: &str) -> u64 {
        let slots = (0..self.cluster_size() / 32).map(|slot| self.place(of) + slot * 32);
        let named = format!("{name:11}").into_bytes();
        let mut found = slots.filter(|at| get::<11>(self.file, *at)[..] == named[..]);
        let at = found.next().unwrap();
        u16_at(self.file, at + 20) << 16 | u16_at(self.file, at + 26)
    }

    /// Puts a name into a folder that stands for a folder which begins at `cluster`.
    pub fn add_folder(&self, of: u64, name: &str, cluster: u64) {
        let mut slots = (0..self.cluster_size() / 32).map(|slot| self.place(of) + slot * 32);
        let at = slots.find(|at| get::<1>(self.file, *at) == [0]).unwrap();
        let mut slot = [0; 32];
        slot[..11].copy_from_slice(format!("{name:11}").as_bytes());
        slot[11] = 0x10;
        slot[26..28].copy_from_slice(&u16::try_from(cluster).unwrap().to_le_bytes());
        self.file.write_all_at(&slot, at).unwrap();
    }

    /// Marks what is free in a folder's cluster as deleted: its end is then where its clusters end.
    pub fn fill(&self, of: u64) {
        for at in (0..self.cluster_size() / 32).map(|slot| self.place(of) + slot * 32) {
            if get::<1>(self.file, at) == [0] {
                self.file.write_all_at(&[0xe5], at).unwrap();
            }
        }
    }

    /// Says which cluster comes after one.
    pub fn chain(&self, cluster: u64, next: u64) {
        self.file.write_all_at(&low32(next), self.fat() + cluster * 4).unwrap();
    }
}
