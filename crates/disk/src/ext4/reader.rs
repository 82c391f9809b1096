//! Reading ext4, for those who ask what is in an image. Never writes, and does not replay a journal.
//!
//! The formats are `mkext4`'s; the ways through them are ours, for an image may be anybody's: each way has an end of its
//! own, and what it costs is put on the image's account ([`Budget`]).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::rc::Rc;

use mkext4::spec::inode::FileType;
use mkext4::spec::{DirentIter, Inode};
use uuid::Uuid;

use super::extents::{self, Piece};
use super::volume::{Volume, endless, wrong};
use crate::budget::Budget;
use crate::error::DiskError;
use crate::source::Region;

const ROOT: u32 = 2;
/// As the kernel has it.
const MOST_LINKS: u32 = 40;
/// More than a hundred thousand names. A directory's length is whatever its inode says.
const MOST_FOLDER: u64 = 16 << 20;
/// How much of a file is read at a time.
const PIECE: usize = 256 << 10;

/// What an ext4 file system says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ext4Info {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its label.
    pub label: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// The bytes that are not in use.
    pub free: u64,
    /// All inodes.
    pub inodes: u64,
    /// The inodes that are not in use.
    pub free_inodes: u64,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A device, a socket, a pipe.
    Other,
}

/// The names in a directory, and the inodes that they name.
type Names = BTreeMap<Box<[u8]>, u32>;

/// What takes the bytes of a file, piece by piece, with the place of each.
type Take<'a> = dyn FnMut(u64, &[u8]) -> Result<(), DiskError> + 'a;

/// An open ext4 file system.
pub struct Reader<'a> {
    volume: Volume<'a>,
    /// The directories that were read: names are looked up in them again and again.
    folders: RefCell<BTreeMap<u32, Rc<Names>>>,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("uuid", &Uuid::from_bytes(self.volume.sb.uuid)).finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    /// Opens the file system in a region.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`] when it is damaged, [`DiskError::Unknown`] when it uses what the reader does not know,
    /// [`DiskError::Endless`] when nothing is left to spend; as all that read from it.
    pub fn open(region: Region<'a>) -> Result<Reader<'a>, DiskError> {
        Ok(Reader { volume: Volume::open(region)?, folders: RefCell::default() })
    }

    /// The account on which it draws.
    pub fn budget(&self) -> &Budget {
        &self.volume.budget
    }

    /// What it says of itself.
    pub fn info(&self) -> Ext4Info {
        let sb = &self.volume.sb;
        let end = sb.volume_name.iter().position(|b| *b == 0).unwrap_or(sb.volume_name.len());
        Ext4Info {
            uuid: Uuid::from_bytes(sb.uuid),
            label: String::from_utf8_lossy(&sb.volume_name[..end]).into_owned(),
            bytes: sb.blocks_count.saturating_mul(sb.block_size()),
            free: sb.free_blocks_count.saturating_mul(sb.block_size()),
            inodes: u64::from(sb.inodes_count),
            free_inodes: u64::from(sb.free_inodes_count),
        }
    }

    /// The names in a directory, sorted; without `.` and `..`. `None` when there is no such directory.
    ///
    /// # Errors
    /// See [`Reader::open`].
    pub fn list(&self, path: &str) -> Result<Option<Vec<String>>, DiskError> {
        let Some(ino) = self.find(path, true)? else { return Ok(None) };
        let inode = self.volume.inode(ino)?;
        if inode.file_type() != FileType::Dir {
            return Ok(None);
        }
        let folder = self.folder(ino, &inode)?;
        self.volume.budget.steps(folder.len() as u64).map_err(endless)?;
        let mut names: Vec<String> = folder.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        names.sort_unstable();
        Ok(Some(names))
    }

    /// A file's contents; `None` when there is no such file. Links are followed inside the file system.
    ///
    /// # Errors
    /// See [`Reader::open`]; [`DiskError::TooLarge`] for a file of more than `most` bytes.
    pub fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let mut bytes = Vec::new();
        Ok(self.copy(path, most, &mut bytes)?.map(|()| bytes))
    }

    /// The same, written piece by piece, of a file that is not to be in memory.
    ///
    /// # Errors
    /// See [`Reader::read`]; [`DiskError::Write`].
    pub fn copy(&self, path: &str, most: u64, to: &mut dyn Write) -> Result<Option<()>, DiskError> {
        let Some(ino) = self.find(path, true)? else { return Ok(None) };
        let inode = self.volume.inode(ino)?;
        if inode.file_type() != FileType::Regular {
            return Ok(None);
        }
        if inode.size > most {
            return Err(DiskError::TooLarge { path: path.to_string(), bytes: inode.size });
        }
        self.contents(ino, &inode, &mut |at, piece| {
            to.write_all(piece).map_err(|error| DiskError::write(&format!("the copy of {path}"), at, error))
        })?;
        Ok(Some(()))
    }

    /// Where a symbolic link points; `None` when there is none of this name.
    ///
    /// # Errors
    /// See [`Reader::open`].
    pub fn link(&self, path: &str) -> Result<Option<String>, DiskError> {
        let Some(ino) = self.find(path, false)? else { return Ok(None) };
        let inode = self.volume.inode(ino)?;
        if inode.file_type() != FileType::Symlink {
            return Ok(None);
        }
        self.target(ino, &inode).map(Some)
    }

    /// What stands at a path; links are followed. `None` when there is nothing.
    ///
    /// # Errors
    /// See [`Reader::open`].
    pub fn kind(&self, path: &str) -> Result<Option<EntryKind>, DiskError> {
        let Some(ino) = self.find(path, true)? else { return Ok(None) };
        Ok(Some(match self.volume.inode(ino)?.file_type() {
            FileType::Dir => EntryKind::Directory,
            FileType::Regular => EntryKind::File,
            _ => EntryKind::Other,
        }))
    }

    /// What tells a directory from every other: the number of its inode. `None` when there is nothing at the path.
    ///
    /// # Errors
    /// See [`Reader::open`].
    pub fn identity(&self, path: &str) -> Result<Option<u64>, DiskError> {
        Ok(self.find(path, true)?.map(u64::from))
    }

    /// When what stands at a path was last changed, in seconds since 1970; of a link its own time. `None` when there
    /// is nothing.
    ///
    /// # Errors
    /// See [`Reader::open`].
    pub fn modified(&self, path: &str) -> Result<Option<i64>, DiskError> {
        let Some(ino) = self.find(path, false)? else { return Ok(None) };
        let inode = self.volume.inode(ino)?;
        // The seconds are signed; two more bits say how often they have gone round (2038, 2106, ...).
        let rounds = i64::from(inode.mtime_extra & 3) << 32;
        Ok(Some(i64::from(inode.mtime.cast_signed()) + rounds))
    }

    /// Walks a path from the root; follows links, the last one only if asked to. A link that leads out of the file
    /// system by `..` stays at its root, as the kernel does it.
    fn find(&self, path: &str, follow_last: bool) -> Result<Option<u32>, DiskError> {
        let parts =
            |path: &str| path.split('/').rev().filter(|p| !p.is_empty()).map(str::to_string).collect::<Vec<_>>();
        let mut left = parts(path);
        let mut at = vec![ROOT];
        let mut followed = 0;
        while let Some(part) = left.pop() {
            self.volume.budget.step().map_err(endless)?;
            match part.as_str() {
                "." => continue,
                ".." => {
                    if at.len() > 1 {
                        at.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let dir = at.last().copied().unwrap_or(ROOT);
            let folder = self.volume.inode(dir)?;
            if folder.file_type() != FileType::Dir {
                return Ok(None);
            }
            let Some(ino) = self.folder(dir, &folder)?.get(part.as_bytes()).copied() else { return Ok(None) };
            let inode = self.volume.inode(ino)?;
            if inode.file_type() != FileType::Symlink || (left.is_empty() && !follow_last) {
                at.push(ino);
                continue;
            }
            followed += 1;
            if followed > MOST_LINKS {
                return Ok(None);
            }
            let target = self.target(ino, &inode)?;
            if target.starts_with('/') {
                at.truncate(1);
            }
            left.extend(parts(&target));
        }
        Ok(at.last().copied())
    }

    /// What a link says.
    fn target(&self, ino: u32, inode: &Inode) -> Result<String, DiskError> {
        if let Some(target) = inode.fast_symlink_target() {
            return Ok(String::from_utf8_lossy(target).into_owned());
        }
        if inode.size >= self.volume.sb.block_size() {
            return Err(wrong(format!("the link of inode {ino} is longer than a link can be")));
        }
        let mut bytes = Vec::new();
        self.contents(ino, inode, &mut |_, piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Gives out the bytes of an inode, piece by piece, with the place of each.
    fn contents(&self, ino: u32, inode: &Inode, take: &mut Take<'_>) -> Result<(), DiskError> {
        let size = self.volume.sb.block_size();
        if inode.size > self.volume.sb.blocks_count.saturating_mul(size) {
            return Err(wrong(format!("inode {ino} is larger than the file system")));
        }
        let pieces = extents::of(&self.volume, ino, inode)?;
        let mut pieces = pieces.iter().peekable();
        let mut buffer = vec![0; PIECE.min(usize::try_from(inode.size).unwrap_or(PIECE))];
        let mut at = 0;
        while at < inode.size {
            while pieces.next_if(|piece| piece.end() * size <= at).is_some() {}
            let (source, until) = match pieces.peek() {
                Some(piece) if piece.logical * size <= at => {
                    (piece.physical.map(|block| (block, at - piece.logical * size)), piece.end() * size)
                }
                Some(Piece { logical, .. }) => (None, logical * size),
                None => (None, inode.size),
            };
            let len = usize::try_from(until.min(inode.size) - at).unwrap_or(PIECE).min(PIECE);
            let piece = &mut buffer[..len];
            match source {
                Some((block, into)) => self.volume.read(block, into, piece)?,
                None => {
                    // A hole costs nothing to store, and as much as the rest to hand on.
                    self.volume.budget.read(len as u64).map_err(endless)?;
                    piece.fill(0);
                }
            }
            take(at, piece)?;
            at += len as u64;
        }
        Ok(())
    }

    /// The names in a directory. One with an index is read like any other: the index looks like unused entries.
    fn folder(&self, ino: u32, inode: &Inode) -> Result<Rc<Names>, DiskError> {
        if let Some(known) = self.folders.borrow().get(&ino) {
            return Ok(Rc::clone(known));
        }
        let budget = &self.volume.budget;
        let size = self.volume.sb.block_size();
        if inode.size > MOST_FOLDER || !inode.size.is_multiple_of(size) {
            return Err(wrong(format!("the folder of inode {ino} has an impossible length ({} bytes)", inode.size)));
        }
        let pieces = extents::of(&self.volume, ino, inode)?;
        let mut names = Names::new();
        let mut block = vec![0; self.volume.block_size()];
        for logical in 0..inode.size / size {
            let piece = pieces.iter().find(|piece| (piece.logical..piece.end()).contains(&logical));
            budget.steps(pieces.len() as u64).map_err(endless)?;
            let Some(physical) = piece.and_then(|piece| Some(piece.physical? + (logical - piece.logical))) else {
                return Err(wrong(format!("the folder of inode {ino} has a hole")));
            };
            self.volume.read(physical, 0, &mut block)?;
            for entry in DirentIter::new(&block) {
                let entry = entry.map_err(|error| wrong(format!("the folder of inode {ino}: {error}")))?;
                budget.entry().map_err(endless)?;
                if entry.name.is_empty() || entry.name.contains(&b'/') || entry.name.contains(&0) {
                    return Err(wrong(format!("the folder of inode {ino} has a name that is none")));
                }
                if entry.name != b"." && entry.name != b".." {
                    names.entry(entry.name.into()).or_insert(entry.inode);
                }
            }
        }
        let names = Rc::new(names);
        self.folders.borrow_mut().insert(ino, Rc::clone(&names));
        Ok(names)
    }
}
