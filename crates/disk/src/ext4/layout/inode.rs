//! Inodes, each made when it is written.

use mkext4::spec::{self, BLOCK_SIZE, INODE_SIZE, iflags};
use mkext4::{Result, csum};

use super::room::Extents;
use super::{JOURNAL, LOST_AND_FOUND, LOST_BLOCKS, Layout, MOST_LINKS, SHORT_TARGET, put};
use crate::ext4::BLOCK;
use crate::tree::{Entry, Node};

/// The kinds of inodes, as their modes have them.
const DIRECTORY: u16 = 0o04 << 12;
const FILE: u16 = 0o10 << 12;
const SYMLINK: u16 = 0o12 << 12;

impl Layout<'_> {
    /// An inode as it is on the disk.
    pub(super) fn inode(&self, ino: u32) -> Result<[u8; INODE_SIZE]> {
        match ino {
            super::ROOT => self.numbered(0),
            JOURNAL => {
                let extents = self.room.extents(ino, self.journal, self.room.journal)?;
                Ok(self.own(ino, FILE | 0o600, 1, &extents, self.room.journal))
            }
            LOST_AND_FOUND => {
                let extents = self.room.extents(ino, self.lost_and_found, LOST_BLOCKS)?;
                Ok(self.own(ino, DIRECTORY | 0o700, 2, &extents, LOST_BLOCKS))
            }
            reserved if reserved < LOST_AND_FOUND => Ok(self.reserved(reserved)),
            other => self.numbered(other - LOST_AND_FOUND),
        }
    }

    /// Those that ext4 keeps for itself and that are nothing. The first, of bad blocks, has times.
    fn reserved(&self, ino: u32) -> [u8; INODE_SIZE] {
        let mut bytes = [0; INODE_SIZE];
        if ino == 1 {
            let (seconds, _) = spec::Inode::encode_timestamp(self.making.epoch, 0);
            [0x08, 0x0C, 0x10].into_iter().for_each(|at| put(&mut bytes, at, seconds));
        }
        let sum = csum::inode(self.room.seed, ino, 0, &bytes);
        bytes[0x7C..0x7E].copy_from_slice(&(sum as u16).to_le_bytes());
        bytes
    }

    /// What a file system has besides what is in the tree.
    fn own(&self, ino: u32, mode: u16, links: u16, extents: &Extents, blocks: u64) -> [u8; INODE_SIZE] {
        let inode = spec::Inode {
            links_count: links,
            size: blocks * BLOCK,
            blocks: extents.sectors(),
            flags: iflags::EXTENTS,
            block: extents.root,
            ..plain(mode, (0, 0), self.making.epoch)
        };
        self.sealed(ino, inode)
    }

    fn numbered(&self, number: u32) -> Result<[u8; INODE_SIZE]> {
        let entry = self.entry(number);
        let of = |kind: u16| match entry {
            Some(Entry { mode, uid, gid, mtime, .. }) => plain(kind | (mode & 0o7777), (*uid, *gid), *mtime),
            None => plain(kind | 0o755, (0, 0), self.making.epoch),
        };
        let links = self.inodes[number as usize].links;
        let inode = match entry.map(|entry| &entry.node) {
            Some(Node::Symlink(target)) if target.len() <= SHORT_TARGET => {
                let mut block = [0; 60];
                block[..target.len()].copy_from_slice(target.as_bytes());
                spec::Inode { links_count: links as u16, size: target.len() as u64, block, ..of(SYMLINK) }
            }
            Some(Node::Symlink(target)) => {
                let extents = self.extents(number)?;
                mapped(of(SYMLINK), links, target.len() as u64, &extents)
            }
            Some(Node::File { len, .. }) => mapped(of(FILE), links, *len, &self.extents(number)?),
            None | Some(Node::Dir | Node::Hardlink(_)) => {
                let within = |child: &&u32| self.is_directory(self.inode_of[**child as usize]);
                let within = self.children(number).iter().filter(within).count() as u32;
                // Its own name, its ".", and the ".." of each in it; the root has lost+found too.
                let links = 2 + within + u32::from(number == 0);
                // More than can be counted is told as one.
                let links = if links > MOST_LINKS { 1 } else { links };
                let size = u64::from(self.inodes[number as usize].blocks) * BLOCK;
                let mut inode = mapped(of(DIRECTORY), links, size, &self.extents(number)?);
                inode.flags |= if self.directory(number).is_indexed() { iflags::INDEX } else { 0 };
                inode
            }
        };
        Ok(self.sealed(super::ino(number), inode))
    }

    fn sealed(&self, ino: u32, mut inode: spec::Inode) -> [u8; INODE_SIZE] {
        let mut bytes = [0; INODE_SIZE];
        inode.encode(&mut bytes);
        inode.checksum = csum::inode(self.room.seed, ino, 0, &bytes);
        inode.encode(&mut bytes);
        bytes
    }
}

/// One whose blocks are found by extents.
fn mapped(inode: spec::Inode, links: u32, size: u64, extents: &Extents) -> spec::Inode {
    let blocks = extents.sectors();
    spec::Inode { links_count: links as u16, size, blocks, flags: iflags::EXTENTS, block: extents.root, ..inode }
}

/// One of nothing.
fn plain(mode: u16, (uid, gid): (u32, u32), time: i64) -> spec::Inode {
    let (seconds, more) = spec::Inode::encode_timestamp(time, 0);
    spec::Inode {
        mode,
        uid,
        gid,
        size: 0,
        atime: seconds,
        ctime: seconds,
        mtime: seconds,
        dtime: 0,
        links_count: 1,
        blocks: 0,
        flags: 0,
        version: 0,
        block: [0; 60],
        generation: 0,
        file_acl: 0,
        extra_isize: 32,
        checksum: 0,
        ctime_extra: more,
        mtime_extra: more,
        atime_extra: more,
        crtime: seconds,
        crtime_extra: more,
        projid: 0,
        ibody: Vec::new(),
    }
}

/// A block of the inode table has so many.
pub(super) const IN_BLOCK: u32 = (BLOCK_SIZE / INODE_SIZE) as u32;
