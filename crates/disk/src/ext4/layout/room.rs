//! Where the blocks are that a file system has for itself, and how all others are given out: one after the other, past those. What
//! begins at a block and has so many is therefore always in the same places, and nobody has to remember them.

use mkext4::spec::{BLOCK_SIZE, BLOCKS_PER_GROUP, Extent, ExtentHeader, ExtentIdx};
use mkext4::{Error, Result, csum};

use super::put;
use crate::ext4::BLOCK;
use crate::ext4::size::{has_copy, journal};

/// The blocks of an extent.
const MOST: u64 = 32768;
/// Extents that an inode holds itself.
const IN_INODE: usize = 4;
/// Groups whose bitmaps and inode tables lie together.
const TOGETHER: u32 = 16;
/// Inodes in a block of an inode table.
const INODES: u64 = 16;

/// Blocks that follow on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub start: u64,
    pub len: u64,
}

impl Run {
    pub fn end(self) -> u64 {
        self.start + self.len
    }
}

/// Where a group has what each has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub block_bitmap: u64,
    pub inode_bitmap: u64,
    pub inode_table: u64,
}

/// The blocks of something, and the tree by which they are found.
#[derive(Debug)]
pub(super) struct Extents {
    pub runs: Vec<Run>,
    /// The tree's root, in the inode.
    pub root: [u8; 60],
    /// Its other blocks.
    pub tree: Vec<(u64, Vec<u8>)>,
    /// Where what comes next begins.
    pub end: u64,
}

impl Extents {
    /// All blocks, in the unit of an inode.
    pub fn sectors(&self) -> u64 {
        let data: u64 = self.runs.iter().map(|run| run.len).sum();
        (data + self.tree.len() as u64) * 8
    }
}

/// The room of a file system.
#[derive(Debug)]
pub(super) struct Room {
    /// All blocks.
    pub blocks: u64,
    pub groups: Vec<Group>,
    /// Inodes in each group.
    pub inodes: u32,
    /// Blocks of group descriptors.
    pub descriptors: u64,
    /// Blocks of the journal.
    pub journal: u64,
    /// What every checksum begins with.
    pub seed: u32,
    /// What is not given out, in order; none touches another.
    taken: Vec<Run>,
}

impl Room {
    /// That of a file system of so many blocks and, at least, inodes.
    pub fn new(blocks: u64, inodes: u32, uuid: &[u8; 16]) -> Result<Room> {
        let count = blocks.div_ceil(u64::from(BLOCKS_PER_GROUP));
        let count = u32::try_from(count).map_err(|_| Error::Invalid("too many groups".into()))?;
        let per_group = u64::from(inodes).div_ceil(u64::from(count)).next_multiple_of(INODES).clamp(INODES, 32768);
        let mut room = Room {
            blocks,
            groups: Vec::with_capacity(count as usize),
            inodes: per_group as u32,
            descriptors: u64::from(count * 32).div_ceil(BLOCK),
            journal: journal(blocks),
            seed: csum::fs_seed(uuid),
            taken: Vec::new(),
        };
        let copies = std::iter::once(0).chain((1..count).filter(|group| has_copy(u64::from(*group))));
        room.taken = copies.map(|group| Run { start: start(group), len: 1 + room.descriptors }).collect();
        let mut taken = room.taken.clone();
        for leader in (0..count).step_by(TOGETHER as usize) {
            let members = TOGETHER.min(count - leader);
            let mut at = start(leader);
            let mut one = |room: &Room, len: u64| {
                let runs = room.take(&mut at, len, u64::MAX)?;
                Ok::<_, Error>(runs.first().filter(|_| runs.len() == 1).map(|run| run.start))
            };
            let mut bitmaps =
                || (0..members).map(|_| Ok(one(&room, 1)?.unwrap_or_default())).collect::<Result<Vec<u64>>>();
            let (blocks, inodes) = (bitmaps()?, bitmaps()?);
            let first = blocks[0];
            for (block_bitmap, inode_bitmap) in blocks.into_iter().zip(inodes) {
                // A table is in one piece: past a copy of the superblock that is in the way.
                let table = match one(&room, room.table())? {
                    Some(table) => Some(table),
                    None => one(&room, room.table())?,
                };
                let inode_table = table.ok_or_else(|| Error::Invalid("no place for an inode table".into()))?;
                room.groups.push(Group { block_bitmap, inode_bitmap, inode_table });
            }
            taken.push(Run { start: first, len: at - first });
        }
        taken.sort_unstable_by_key(|run| run.start);
        room.taken.clear();
        for run in taken {
            match room.taken.last_mut() {
                Some(last) if last.end() >= run.start => last.len = last.end().max(run.end()) - last.start,
                _ => room.taken.push(run),
            }
        }
        Ok(room)
    }

    /// Blocks of a group's inode table.
    pub fn table(&self) -> u64 {
        u64::from(self.inodes) / INODES
    }

    /// All inodes.
    pub fn all_inodes(&self) -> u32 {
        self.inodes * self.groups.len() as u32
    }

    /// The groups with a copy of the superblock, but the first.
    pub fn copies(&self) -> impl Iterator<Item = u32> {
        (1..self.groups.len() as u32).filter(|group| has_copy(u64::from(*group)))
    }

    /// The blocks of a group.
    pub fn of_group(&self, group: u32) -> Run {
        let start = start(group);
        Run { start, len: (self.blocks - start).min(u64::from(BLOCKS_PER_GROUP)) }
    }

    /// What is not given out among these blocks.
    pub fn taken_in(&self, blocks: Run) -> impl Iterator<Item = Run> {
        within(&self.taken, blocks)
    }

    /// Takes so many blocks, in runs of at most `most`.
    fn take(&self, at: &mut u64, mut count: u64, most: u64) -> Result<Vec<Run>> {
        let mut next = self.taken.partition_point(|run| run.end() <= *at);
        let mut runs = Vec::with_capacity(1);
        while count > 0 {
            if let Some(run) = self.taken.get(next).filter(|run| run.start <= *at) {
                (*at, next) = (run.end(), next + 1);
                continue;
            }
            let end = self.taken.get(next).map_or(self.blocks, |run| run.start.min(self.blocks));
            let len = count.min(end.saturating_sub(*at)).min(most);
            if len == 0 {
                return Err(Error::Invalid("image size too small for the declared namespace".into()));
            }
            runs.push(Run { start: *at, len });
            (*at, count) = (*at + len, count - len);
        }
        Ok(runs)
    }

    /// The first `count` blocks that are free from a block on, for an inode.
    pub fn extents(&self, ino: u32, mut at: u64, count: u64) -> Result<Extents> {
        let runs = self.take(&mut at, count, MOST)?;
        let (mut root, mut tree) = ([0; 60], Vec::new());
        if runs.len() <= IN_INODE {
            node(&mut root, IN_INODE, 0, &leaves(&runs));
            return Ok(Extents { runs, root, tree, end: at });
        }
        let seed = csum::inode_seed(self.seed, ino, 0);
        let most = ExtentIdx::node_capacity(BLOCK_SIZE);
        let (mut level, mut depth) = (leaves(&runs), 0);
        while level.len() > IN_INODE {
            if depth == 2 {
                return Err(Error::Unsupported("extent tree deeper than 2 levels".into()));
            }
            let blocks = self.take(&mut at, level.len().div_ceil(most) as u64, 1)?;
            let mut above = Vec::with_capacity(blocks.len());
            for (entries, block) in level.chunks(most).zip(blocks) {
                let mut bytes = vec![0; BLOCK_SIZE];
                node(&mut bytes, most, depth, entries);
                let sum = csum::extent_block(seed, &bytes);
                put(&mut bytes, BLOCK_SIZE - 4, sum);
                tree.push((block.start, bytes));
                let mut entry = [0; 12];
                let logical = u32::from_le_bytes([entries[0][0], entries[0][1], entries[0][2], entries[0][3]]);
                ExtentIdx { logical, leaf: block.start }.encode(&mut entry);
                above.push(entry);
            }
            (level, depth) = (above, depth + 1);
        }
        node(&mut root, IN_INODE, depth, &level);
        Ok(Extents { runs, root, tree, end: at })
    }
}

fn start(group: u32) -> u64 {
    u64::from(group) * u64::from(BLOCKS_PER_GROUP)
}

/// The parts of runs, which are in order, that lie among these blocks.
pub(super) fn within(runs: &[Run], blocks: Run) -> impl Iterator<Item = Run> {
    let first = runs.partition_point(|run| run.end() <= blocks.start);
    runs[first..].iter().take_while(move |run| run.start < blocks.end()).map(move |run| {
        let start = run.start.max(blocks.start);
        Run { start, len: run.end().min(blocks.end()) - start }
    })
}

/// The lowest level of an extent tree.
fn leaves(runs: &[Run]) -> Vec<[u8; 12]> {
    let mut logical = 0;
    let entry = |run: &Run| {
        let mut entry = [0; 12];
        // At most MOST, which is how the longest is said.
        Extent { logical, raw_len: run.len as u16, start: run.start }.encode(&mut entry);
        logical += run.len as u32;
        entry
    };
    runs.iter().map(entry).collect()
}

/// One node of an extent tree.
fn node(bytes: &mut [u8], most: usize, depth: u16, entries: &[[u8; 12]]) {
    ExtentHeader { entries: entries.len() as u16, max: most as u16, depth, generation: 0 }.encode(bytes);
    for (entry, place) in entries.iter().zip(bytes[ExtentHeader::LEN..].chunks_exact_mut(ExtentHeader::ENTRY_LEN)) {
        place.copy_from_slice(entry);
    }
}
