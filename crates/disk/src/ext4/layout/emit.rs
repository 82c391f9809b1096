//! All metadata, from the first block to the last, each made when its turn comes. What is neither metadata nor data of files is zeros.

use std::iter::Peekable;
use std::vec::IntoIter;

use mkext4::spec::{BLOCK_SIZE, file_type};
use mkext4::{RegionSink, Result};

use super::directory::{Name, records};
use super::groups::Summary;
use super::inode::IN_BLOCK;
use super::room::{Extents, Run};
use super::{JOURNAL, LOST_AND_FOUND, LOST_BLOCKS, Layout, ROOT, SHORT_TARGET, ino};
use crate::ext4::BLOCK;
use crate::tree::Node;

/// What has its place whatever the tree has.
#[derive(Debug, Clone, Copy)]
enum Fixed {
    Superblock(u32),
    Descriptors,
    BlockBitmap(u32),
    InodeBitmap(u32),
    Inodes(u32),
}

struct Emitter<'e, S> {
    layout: &'e Layout<'e>,
    sink: &'e mut S,
    used_by_itself: &'e [Run],
    summary: &'e Summary,
    fixed: Peekable<IntoIter<(u64, Fixed)>>,
    /// The first block that was not met yet.
    at: u64,
}

impl Layout<'_> {
    /// Writes all that is not data of files.
    pub(crate) fn emit<S: RegionSink>(&self, sink: &mut S) -> Result<()> {
        let used_by_itself = self.used_by_itself();
        let summary = self.summary(&used_by_itself)?;
        let fixed = self.fixed().into_iter().peekable();
        let (layout, used_by_itself, summary) = (self, &used_by_itself[..], &summary);
        Emitter { layout, sink, used_by_itself, summary, fixed, at: 0 }.all()
    }

    fn fixed(&self) -> Vec<(u64, Fixed)> {
        let copies = std::iter::once(0).chain(self.room.copies()).flat_map(|group| {
            let start = self.room.of_group(group).start;
            [(start, Fixed::Superblock(group)), (start + 1, Fixed::Descriptors)]
        });
        let of_groups = (0..).zip(&self.room.groups).flat_map(|(group, at)| {
            [
                (at.block_bitmap, Fixed::BlockBitmap(group)),
                (at.inode_bitmap, Fixed::InodeBitmap(group)),
                (at.inode_table, Fixed::Inodes(group)),
            ]
        });
        let mut all: Vec<(u64, Fixed)> = copies.chain(of_groups).collect();
        all.sort_unstable_by_key(|(block, _)| *block);
        all
    }
}

impl<S: RegionSink> Emitter<'_, S> {
    fn all(mut self) -> Result<()> {
        let layout = self.layout;
        let journal = layout.room.extents(JOURNAL, layout.journal, layout.room.journal)?;
        self.blocks(&layout.journal_block(), layout.journal)?;
        self.tree(&journal)?;
        self.lost_and_found()?;
        for number in 0..layout.inodes.len() as u32 {
            match layout.node(number) {
                None | Some(Node::Dir) => self.directory(number)?,
                Some(Node::Symlink(target)) if target.len() > SHORT_TARGET => {
                    let mut block = vec![0; BLOCK_SIZE];
                    block[..target.len()].copy_from_slice(target.as_bytes());
                    self.blocks(&block, u64::from(layout.inodes[number as usize].start))?;
                }
                _ => {}
            }
        }
        for file in layout.files() {
            let extents = layout.extents(file.inode)?;
            for run in &extents.runs {
                self.until(run.start)?;
                self.at = run.end();
            }
            self.tree(&extents)?;
        }
        self.until(layout.room.blocks)
    }

    /// Goes on to a block: what has its place before it, and zeros.
    fn until(&mut self, block: u64) -> Result<()> {
        while let Some((at, fixed)) = self.fixed.next_if(|(at, _)| *at < block) {
            self.gap(at)?;
            self.fixed(at, fixed)?;
        }
        self.gap(block)
    }

    fn gap(&mut self, until: u64) -> Result<()> {
        if until > self.at {
            self.sink.zeros(self.at * BLOCK, (until - self.at) * BLOCK)?;
            self.at = until;
        }
        Ok(())
    }

    /// Whole blocks, at the one that comes next or behind it.
    fn blocks(&mut self, bytes: &[u8], block: u64) -> Result<()> {
        self.until(block)?;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.data(self.at * BLOCK, bytes)?;
        self.at += bytes.len() as u64 / BLOCK;
        Ok(())
    }

    fn tree(&mut self, extents: &Extents) -> Result<()> {
        extents.tree.iter().try_for_each(|(block, bytes)| self.blocks(bytes, *block))
    }

    fn fixed(&mut self, at: u64, fixed: Fixed) -> Result<()> {
        let layout = self.layout;
        match fixed {
            Fixed::Superblock(group) => self.put(&self.summary.block(group)),
            Fixed::Descriptors => self.put(&self.summary.descriptors),
            Fixed::BlockBitmap(group) => self.put(&layout.block_bitmap(group, self.used_by_itself).0),
            Fixed::InodeBitmap(group) => self.put(&layout.inode_bitmap(group)),
            Fixed::Inodes(group) => {
                let (first, used) = (group * layout.room.inodes + 1, layout.used_inodes(group));
                let mut block = Vec::with_capacity(BLOCK_SIZE);
                for from in (0..used).step_by(IN_BLOCK as usize) {
                    block.clear();
                    for ino in from..used.min(from + IN_BLOCK) {
                        block.extend(layout.inode(first + ino)?);
                    }
                    block.resize(BLOCK_SIZE, 0);
                    self.put(&block)?;
                }
                self.gap(at + layout.room.table())
            }
        }
    }

    fn lost_and_found(&mut self) -> Result<()> {
        let layout = self.layout;
        let extents = layout.room.extents(LOST_AND_FOUND, layout.lost_and_found, LOST_BLOCKS)?;
        let seed = layout.inode_seed(LOST_AND_FOUND);
        let dot = |name, ino| Name { name, ino, kind: file_type::DIR };
        let mut names = vec![dot(b".", LOST_AND_FOUND), dot(b"..", ROOT)];
        let mut block = vec![0; BLOCK_SIZE];
        for at in extents.runs.iter().flat_map(|run| run.start..run.end()) {
            records(&mut block, std::mem::take(&mut names).iter(), seed);
            self.blocks(&block, at)?;
        }
        self.tree(&extents)
    }

    fn directory(&mut self, number: u32) -> Result<()> {
        let layout = self.layout;
        let extents = layout.extents(number)?;
        let mut places = extents.runs.iter().flat_map(|run| run.start..run.end());
        let seed = layout.inode_seed(ino(number));
        let (directory, hash_seed) = (layout.directory(number), &layout.hash_seed);
        directory.write(hash_seed, seed, &mut |block| {
            // There are as many places as blocks: they were counted the same way.
            let place = places.next().ok_or(std::io::ErrorKind::StorageFull)?;
            self.blocks(block, place).map_err(|error| match error {
                mkext4::Error::Io(error) => error,
                other => std::io::Error::other(other),
            })
        })?;
        self.tree(&extents)
    }
}
