//! Where a file's blocks are: its extent tree as a list. As `e2fsck` demands it, each piece begins where the one before
//! it ended or behind; a tree that does not is refused at once, so that no tree takes longer than its file is long.

use mkext4::spec::{Extent, ExtentHeader, ExtentIdx, Inode, extent};

use super::volume::{Volume, wrong};
use crate::error::DiskError;

/// The kernel's own bound.
const MOST_DEPTH: u16 = 5;
/// Pieces of one file. One of 1 GiB with a piece for each block has as many.
const MOST_PIECES: usize = 1 << 18;
/// The file's data are in its inode.
const INLINE: u32 = 0x1000_0000;

/// Blocks that follow on each other, in the file and on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// The first of them in the file.
    pub logical: u64,
    /// The first of them on the disk; `None` for those that read as zeros.
    pub physical: Option<u64>,
    /// How many there are.
    pub len: u64,
}

impl Piece {
    pub fn end(&self) -> u64 {
        self.logical + self.len
    }
}

/// The pieces of a file in their order. What is between them reads as zeros.
pub(super) fn of(volume: &Volume<'_>, ino: u32, inode: &Inode) -> Result<Vec<Piece>, DiskError> {
    let unknown = |why: &str| Err(DiskError::Unknown { what: "ext4", why: why.to_string() });
    if inode.flags & INLINE != 0 {
        return unknown("files within inodes");
    }
    if !inode.uses_extents() && inode.size > 0 {
        return unknown("files without extents");
    }
    let mut walk = Walk { volume, ino, inode, pieces: Vec::new(), next: 0 };
    if inode.uses_extents() {
        walk.node(&inode.block, None)?;
    }
    Ok(walk.pieces)
}

struct Walk<'a> {
    volume: &'a Volume<'a>,
    ino: u32,
    inode: &'a Inode,
    pieces: Vec<Piece>,
    /// Where in the file the next piece may begin.
    next: u64,
}

impl Walk<'_> {
    fn wrong<T>(&self, why: &str) -> Result<T, DiskError> {
        Err(wrong(format!("the extent tree of inode {} {why}", self.ino)))
    }

    /// A node of the tree; `depth` is what its parent says of it.
    fn node(&mut self, node: &[u8], depth: Option<u16>) -> Result<(), DiskError> {
        let Ok(header) = ExtentHeader::decode(node) else { return self.wrong("has a node that is none") };
        let entries = usize::from(header.entries);
        let room = (node.len() - ExtentHeader::LEN) / ExtentHeader::ENTRY_LEN;
        if header.depth > MOST_DEPTH || depth.is_some_and(|depth| depth != header.depth) {
            return self.wrong("is deeper than it may be");
        }
        // Only a file without any blocks has a node without entries, its root.
        if entries > usize::from(header.max).min(room) || (entries == 0 && depth.is_some()) {
            return self.wrong("has a node with an impossible number of entries");
        }
        for entry in (0..entries).map(|i| extent::entry(node, i)) {
            if header.depth == 0 {
                self.leaf(Extent::decode(entry))?;
                continue;
            }
            let index = ExtentIdx::decode(entry);
            if u64::from(index.logical) < self.next {
                return self.wrong("leads back to where it was");
            }
            self.next = u64::from(index.logical);
            let child = self.volume.extent_block(index.leaf, self.ino, self.inode)?;
            self.node(&child, Some(header.depth - 1))?;
        }
        Ok(())
    }

    fn leaf(&mut self, extent: Extent) -> Result<(), DiskError> {
        let (logical, len) = (u64::from(extent.logical), u64::from(extent.len()));
        if len == 0 || logical < self.next {
            return self.wrong("has pieces that lie over each other");
        }
        if extent.start.checked_add(len).is_none_or(|end| end > self.volume.sb.blocks_count) {
            return self.wrong("leads beyond the end of the file system");
        }
        if self.pieces.len() == MOST_PIECES {
            return self.wrong("has more pieces than any file");
        }
        self.next = logical + len;
        let physical = (!extent.is_unwritten()).then_some(extent.start);
        self.pieces.push(Piece { logical, physical, len });
        Ok(())
    }
}
