//! The blocks of a directory: names in their order or, where they are more than a block holds, in that of their hashes, with an index.

use std::io;

use mkext4::dirhash::{HashSeed, Signedness, half_md4};
use mkext4::spec::htree::{NODE_COUNT_OFFSET, ROOT_COUNT_OFFSET, node_limit, root_limit};
use mkext4::spec::{BLOCK_SIZE, dirent, file_type};
use mkext4::{Error, Result, csum};

use super::put;

/// A block ends with its checksum, in a record of its own.
const USABLE: usize = BLOCK_SIZE - 12;

/// A name, and what has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'t> {
    pub name: &'t [u8],
    pub ino: u32,
    pub kind: u8,
}

impl Name<'_> {
    fn len(&self) -> usize {
        dirent::rec_len_for(self.name.len())
    }
}

/// A directory, as long as it is looked at.
#[derive(Debug)]
pub(super) struct Directory<'t> {
    pub ino: u32,
    pub parent: u32,
    pub names: Vec<Name<'t>>,
}

/// The index of a directory.
struct Index {
    /// The names in the order of their hashes.
    order: Vec<(u32, u32, u32)>,
    /// How many of them are in each block.
    leaves: Vec<usize>,
    /// What the index says of each block: its first hash, and which it is.
    entries: Vec<(u32, u32)>,
}

impl Index {
    /// Blocks between the root and the leaves, where the root cannot hold all.
    fn nodes(&self) -> impl Iterator<Item = &[(u32, u32)]> {
        let most = usize::from(node_limit(BLOCK_SIZE));
        let few = self.entries.len() <= usize::from(root_limit(BLOCK_SIZE));
        self.entries.chunks(most).filter(move |_| !few)
    }

    fn blocks(&self) -> u64 {
        (1 + self.leaves.len() + self.nodes().count()) as u64
    }
}

impl<'t> Directory<'t> {
    /// Whether there is an index: where e2fsck makes one.
    pub fn is_indexed(&self) -> bool {
        self.names.iter().map(Name::len).sum::<usize>() >= BLOCK_SIZE - 24
    }

    /// How many blocks it has.
    pub fn blocks(&self, seed: &HashSeed) -> Result<u64> {
        if self.is_indexed() { Ok(self.index(seed)?.blocks()) } else { Ok(packed(self.linear().iter()).len() as u64) }
    }

    /// Gives its blocks one by one; `inode_seed` is what their checksums begin with.
    pub fn write(
        &self,
        seed: &HashSeed,
        inode_seed: u32,
        put_block: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<()> {
        let mut block = vec![0; BLOCK_SIZE];
        if !self.is_indexed() {
            let names = self.linear();
            let mut rest = &names[..];
            for count in packed(names.iter()) {
                let (here, more) = rest.split_at(count);
                rest = more;
                records(&mut block, here.iter(), inode_seed);
                put_block(&block)?;
            }
            return Ok(());
        }
        let index = self.index(seed)?;
        let first_node = 1 + index.leaves.len() as u32;
        let nodes: Vec<(u32, u32)> =
            index.nodes().zip(first_node..).map(|(entries, block)| (entries[0].0, block)).collect();
        self.root(&mut block, if nodes.is_empty() { &index.entries } else { &nodes }, !nodes.is_empty(), inode_seed);
        put_block(&block)?;
        let mut rest = &index.order[..];
        for count in &index.leaves {
            let (here, more) = rest.split_at(*count);
            rest = more;
            records(&mut block, here.iter().map(|(_, _, n)| &self.names[*n as usize]), inode_seed);
            put_block(&block)?;
        }
        for entries in index.nodes() {
            block.fill(0);
            // For whoever knows no index: a record that takes the whole block.
            block[4..6].copy_from_slice(&(BLOCK_SIZE as u16).to_le_bytes());
            index_entries(&mut block, NODE_COUNT_OFFSET, node_limit(BLOCK_SIZE), entries, inode_seed);
            put_block(&block)?;
        }
        Ok(())
    }

    /// The names with those of itself and its parent.
    fn linear(&self) -> Vec<Name<'t>> {
        let dot = |name, ino| Name { name, ino, kind: file_type::DIR };
        [dot(b".", self.ino), dot(b"..", self.parent)].into_iter().chain(self.names.iter().copied()).collect()
    }

    fn index(&self, seed: &HashSeed) -> Result<Index> {
        let hashed = |(name, n): (&Name<'_>, u32)| {
            let (hash, minor) = half_md4(seed, Signedness::Signed, name.name);
            (hash, minor, n)
        };
        let mut order: Vec<(u32, u32, u32)> = self.names.iter().zip(0..).map(hashed).collect();
        order.sort_unstable();
        let leaves = packed(order.iter().map(|(_, _, n)| &self.names[*n as usize]));
        let mut entries = Vec::with_capacity(leaves.len());
        let mut first = 0;
        for (count, block) in leaves.iter().zip(1..) {
            let hash = order[first].0;
            // A hash that began in the block before goes on in this one.
            let goes_on = first > 0 && order[first - 1].0 == hash;
            entries.push((if goes_on { hash | 1 } else { hash }, block));
            first += count;
        }
        let index = Index { order, leaves, entries };
        if index.nodes().count() > usize::from(root_limit(BLOCK_SIZE)) {
            return Err(Error::Unsupported("directory needs more than a 2-level htree (largedir)".into()));
        }
        Ok(index)
    }

    /// The first block of an index.
    fn root(&self, block: &mut [u8], entries: &[(u32, u32)], has_nodes: bool, inode_seed: u32) {
        block.fill(0);
        record(&mut block[..12], &Name { name: b".", ino: self.ino, kind: file_type::DIR });
        record(&mut block[12..], &Name { name: b"..", ino: self.parent, kind: file_type::DIR });
        // What follows is hidden in the record of "..", which goes on to the end: half MD4, of eight bytes, and how deep it is.
        block[16..18].copy_from_slice(&(USABLE as u16).to_le_bytes());
        block[0x1C..0x1F].copy_from_slice(&[1, 8, u8::from(has_nodes)]);
        index_entries(block, ROOT_COUNT_OFFSET, root_limit(BLOCK_SIZE), entries, inode_seed);
    }
}

/// How many names fit into each block.
fn packed<'a, 't: 'a>(names: impl Iterator<Item = &'a Name<'t>>) -> Vec<usize> {
    let mut blocks = vec![0];
    let mut used = 0;
    for name in names {
        if used + name.len() > USABLE {
            blocks.push(0);
            used = 0;
        }
        used += name.len();
        if let Some(last) = blocks.last_mut() {
            *last += 1;
        }
    }
    blocks
}

/// A block of names; the last one's record goes on to the end. Without any it is one unused record.
pub(super) fn records<'a, 't: 'a>(block: &mut [u8], names: impl Iterator<Item = &'a Name<'t>>, inode_seed: u32) {
    block.fill(0);
    let (mut at, mut last) = (0, 0);
    for name in names {
        record(&mut block[at..], name);
        last = at;
        at += name.len();
    }
    block[last + 4..last + 6].copy_from_slice(&((USABLE - last) as u16).to_le_bytes());
    block[USABLE + 4..USABLE + 8].copy_from_slice(&[12, 0, 0, 0xDE]);
    let sum = csum::dirent_block(inode_seed, block);
    put(block, BLOCK_SIZE - 4, sum);
}

fn record(place: &mut [u8], name: &Name<'_>) {
    put(place, 0, name.ino);
    place[4..6].copy_from_slice(&(name.len() as u16).to_le_bytes());
    // A name has at most 255 bytes.
    place[6..8].copy_from_slice(&[name.name.len() as u8, name.kind]);
    place[8..8 + name.name.len()].copy_from_slice(name.name);
}

/// The entries of an index, and their checksum. The first one's hash is not said: it is the least.
fn index_entries(block: &mut [u8], at: usize, most: u16, entries: &[(u32, u32)], inode_seed: u32) {
    let count = entries.len() as u16;
    for ((hash, number), place) in entries.iter().zip(block[at..].chunks_exact_mut(8)) {
        put(place, 0, *hash);
        put(place, 4, *number);
    }
    block[at..at + 2].copy_from_slice(&most.to_le_bytes());
    block[at + 2..at + 4].copy_from_slice(&count.to_le_bytes());
    let sum = csum::dx_block(inode_seed, block, at, count, most);
    put(block, at + usize::from(most) * 8 + 4, sum);
}
