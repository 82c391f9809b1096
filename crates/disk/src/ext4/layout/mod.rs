//! The places of everything in a file system of which the tree is known, and its metadata, made as they are written: what is kept of a
//! file are four numbers. All of it follows from the tree, and byte for byte it is what `mkext4` makes, which keeps all metadata in
//! memory: for 62,000 files more than a hundred MiB.

mod directory;
mod emit;
mod groups;
mod inode;
mod room;

use std::collections::HashMap;

use mkext4::spec::file_type;
use mkext4::{Error, Result, csum, dirhash};

use crate::ext4::{BLOCK, copy};
use crate::tree::{Entry, Node, Tree};
use directory::{Directory, Name};
use room::{Extents, Room};

/// The inode of the root directory.
const ROOT: u32 = 2;
const JOURNAL: u32 = 8;
const LOST_AND_FOUND: u32 = 11;
/// Blocks of lost+found: with fewer, e2fsck would have to find room for what it has found.
const LOST_BLOCKS: u64 = 4;
/// What ext4 allows. An empty file can have more names in a store where same files are one.
const MOST_LINKS: u32 = 65_000;
/// The longest target that is kept in an inode.
const SHORT_TARGET: usize = 59;

/// What a file system is made with.
#[derive(Debug)]
pub(crate) struct Making {
    /// How many blocks.
    pub blocks: u64,
    /// How many inodes at least.
    pub inodes: u32,
    pub uuid: [u8; 16],
    pub label: String,
    pub epoch: i64,
    /// Blocks for root only, of a hundred.
    pub reserved_percent: u64,
}

/// A file system of which every byte of metadata and every place of data is decided.
#[derive(Debug)]
pub(crate) struct Layout<'t> {
    tree: &'t Tree,
    making: Making,
    room: Room,
    hash_seed: dirhash::HashSeed,
    /// What has an inode, in their order; the root is the first.
    inodes: Vec<Inode>,
    /// Of each entry: which of them it is a name of.
    inode_of: Vec<u32>,
    /// The entries in each directory, one directory after the other, and of each inode where its own begin.
    children: Vec<u32>,
    children_from: Vec<u32>,
    /// Where the journal and lost+found begin, and what nobody has.
    journal: u64,
    lost_and_found: u64,
    free_from: u64,
}

/// What has an inode.
#[derive(Debug, Clone, Copy)]
struct Inode {
    /// Its entry in the tree; the root may have none.
    entry: Option<Index>,
    /// How many names it has.
    links: u32,
    /// Where its blocks begin, and how many it has.
    start: u32,
    blocks: u32,
}

/// An index into the tree. There are fewer entries than ext4 has inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Index(std::num::NonZeroU32);

impl Index {
    fn new(index: usize) -> Result<Index> {
        let number = u32::try_from(index).ok().and_then(|index| std::num::NonZeroU32::MIN.checked_add(index));
        number.map(Index).ok_or_else(|| Error::Invalid("more entries than ext4 has inodes".into()))
    }

    fn get(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A file with data of its own, as one of [`Layout::files`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileIn {
    /// The entry whose data it has.
    pub entry: usize,
    inode: u32,
}

impl<'t> Layout<'t> {
    /// Decides everything.
    pub(crate) fn new(tree: &'t Tree, making: Making) -> Result<Layout<'t>> {
        if making.label.len() > 16 {
            return Err(Error::Invalid("label longer than 16 bytes".into()));
        }
        if u32::try_from(making.epoch).is_err() {
            return Err(Error::Invalid(format!("epoch {} outside the superblock's u32 range", making.epoch)));
        }
        let room = Room::new(making.blocks, making.inodes, &making.uuid)?;
        let hash_seed = dirhash::seed_from_uuid(&making.uuid);
        let mut layout = Layout {
            tree,
            making,
            room,
            hash_seed,
            inodes: Vec::with_capacity(tree.entries().len() + 1),
            inode_of: Vec::with_capacity(tree.entries().len()),
            children: Vec::new(),
            children_from: Vec::new(),
            journal: 0,
            lost_and_found: 0,
            free_from: 0,
        };
        layout.number()?;
        if layout.last_inode() > layout.room.all_inodes() {
            return Err(Error::Invalid(format!("{} inodes needed", layout.last_inode())));
        }
        layout.sort_children();
        layout.place()?;
        Ok(layout)
    }

    /// Gives inodes to all that has one.
    fn number(&mut self) -> Result<()> {
        self.inodes.push(Inode { entry: None, links: 1, start: 0, blocks: 0 });
        // Of a file with too many names: the one that takes those that come now.
        let mut second: HashMap<usize, u32> = HashMap::new();
        for (index, entry) in self.tree.entries().iter().enumerate() {
            if entry.path.is_empty() {
                self.inodes[0].entry = Some(Index::new(index)?);
                self.inode_of.push(0);
                continue;
            }
            let new = self.inodes.len() as u32;
            let mut entry_of = index;
            if let Node::Hardlink(to) = &entry.node {
                let number = second.get(to).copied().unwrap_or(self.inode_of[*to]);
                let inode = &mut self.inodes[number as usize];
                if inode.links < MOST_LINKS {
                    inode.links += 1;
                    self.inode_of.push(number);
                    continue;
                }
                second.insert(*to, new);
                entry_of = *to;
            }
            self.inodes.push(Inode { entry: Some(Index::new(entry_of)?), links: 1, start: 0, blocks: 0 });
            self.inode_of.push(new);
        }
        Ok(())
    }

    fn sort_children(&mut self) {
        let parents = |layout: &Layout<'_>, index: usize| layout.tree.parent(index).map_or(0, |at| layout.inode_of[at]);
        let named = || (0..self.tree.entries().len()).filter(|index| !self.tree.entries()[*index].path.is_empty());
        // First how many are in each, then where the next one goes: a directory's end is where the one after it begins.
        let mut from = vec![0_u32; self.inodes.len() + 2];
        named().for_each(|index| from[parents(self, index) as usize + 2] += 1);
        for inode in 1..from.len() {
            from[inode] += from[inode - 1];
        }
        let mut children = vec![0; from.last().map_or(0, |count| *count as usize)];
        for index in named() {
            let place = &mut from[parents(self, index) as usize + 1];
            children[*place as usize] = index as u32;
            *place += 1;
        }
        (self.children, self.children_from) = (children, from);
    }

    /// Gives blocks to all that has some: in the order of their inodes, data of files last.
    fn place(&mut self) -> Result<()> {
        let journal = self.room.extents(JOURNAL, 0, self.room.journal)?;
        let lost_and_found = self.room.extents(LOST_AND_FOUND, journal.end, LOST_BLOCKS)?;
        (self.journal, self.lost_and_found) = (first(&journal), first(&lost_and_found));
        let mut at = lost_and_found.end;
        for files in [false, true] {
            for number in 0..self.inodes.len() as u32 {
                let blocks = match self.node(number) {
                    Some(Node::File { len, .. }) if files => len.div_ceil(BLOCK),
                    Some(Node::Symlink(target)) if !files => u64::from(target.len() > SHORT_TARGET),
                    None | Some(Node::Dir) if !files => self.directory(number).blocks(&self.hash_seed)?,
                    _ => 0,
                };
                if blocks > 0 {
                    let extents = self.room.extents(ino(number), at, blocks)?;
                    let inode = &mut self.inodes[number as usize];
                    // There are fewer blocks than a number of 32 bits can tell.
                    (inode.start, inode.blocks) = (first(&extents) as u32, blocks as u32);
                    at = extents.end;
                }
            }
        }
        self.free_from = at;
        Ok(())
    }

    /// The files that have data to be copied, in the order of their places.
    pub(crate) fn files(&self) -> impl Iterator<Item = FileIn> {
        let with_data = |number: &u32| matches!(self.node(*number), Some(Node::File { len, .. }) if *len > 0);
        let file = |inode: u32| Some(FileIn { entry: self.inodes[inode as usize].entry?.get(), inode });
        (0..self.inodes.len() as u32).filter(with_data).filter_map(file)
    }

    /// Where a file's data go: places and lengths in bytes.
    pub(crate) fn places(&self, file: FileIn) -> Vec<(u64, u64)> {
        let mut left = copy::len(&self.tree.entries()[file.entry]);
        let runs = self.extents(file.inode).map_or_else(|_| Vec::new(), |extents| extents.runs);
        let place = |run: room::Run| {
            let len = (run.len * BLOCK).min(left);
            left -= len;
            (run.start * BLOCK, len)
        };
        runs.into_iter().map(place).collect()
    }

    /// The blocks of an inode, as they were given to it.
    fn extents(&self, number: u32) -> Result<Extents> {
        let inode = &self.inodes[number as usize];
        self.room.extents(ino(number), u64::from(inode.start), u64::from(inode.blocks))
    }

    fn entry(&self, number: u32) -> Option<&'t Entry> {
        self.inodes[number as usize].entry.map(|index| &self.tree.entries()[index.get()])
    }

    /// What an inode is; `None` for a root that has no entry.
    fn node(&self, number: u32) -> Option<&'t Node> {
        self.entry(number).map(|entry| &entry.node)
    }

    fn is_directory(&self, number: u32) -> bool {
        matches!(self.node(number), None | Some(Node::Dir))
    }

    /// The entries in a directory.
    fn children(&self, number: u32) -> &[u32] {
        let at = |n: usize| self.children_from[n] as usize;
        &self.children[at(number as usize)..at(number as usize + 1)]
    }

    fn directory(&self, number: u32) -> Directory<'t> {
        let lost_and_found = Name { name: b"lost+found", ino: LOST_AND_FOUND, kind: file_type::DIR };
        let own = (number == 0).then_some(lost_and_found);
        let names = self.children(number).iter().map(|entry| {
            let number = self.inode_of[*entry as usize];
            let kind = match self.node(number) {
                None | Some(Node::Dir) => file_type::DIR,
                Some(Node::Symlink(_)) => file_type::SYMLINK,
                Some(Node::File { .. } | Node::Hardlink(_)) => file_type::REG,
            };
            Name { name: self.tree.name(*entry as usize).as_bytes(), ino: ino(number), kind }
        });
        let parent = self.inodes[number as usize].entry.and_then(|index| self.tree.parent(index.get()));
        Directory {
            ino: ino(number),
            parent: parent.map_or(ROOT, |parent| ino(self.inode_of[parent])),
            names: own.into_iter().chain(names).collect(),
        }
    }

    /// The highest inode that is used; all below it are.
    fn last_inode(&self) -> u32 {
        self.inodes.len() as u32 - 1 + LOST_AND_FOUND
    }

    fn inode_seed(&self, ino: u32) -> u32 {
        csum::inode_seed(self.room.seed, ino, 0)
    }
}

/// The inode of what is numbered.
fn ino(number: u32) -> u32 {
    if number == 0 { ROOT } else { LOST_AND_FOUND + number }
}

fn first(extents: &Extents) -> u64 {
    extents.runs.first().map_or(0, |run| run.start)
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

#[cfg(test)]
mod tests;
