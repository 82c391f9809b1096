//! Reading ext4, for those who ask what is in an image. Never writes, and does not replay a journal.

use std::fmt;

use mkext4::reader::Fs;
use mkext4::spec::inode::FileType;
use uuid::Uuid;

use crate::error::DiskError;
use crate::source::{Region, Source};

const ROOT: u32 = 2;
/// As the kernel has it.
const MOST_LINKS: u32 = 40;

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

/// An open ext4 file system.
pub struct Reader<'a> {
    fs: Fs<Region<'a>>,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fs.fmt(f)
    }
}

impl<'a> Reader<'a> {
    /// Opens the file system in a region.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`] when it is damaged or uses what the reader does not know.
    pub fn open(region: Region<'a>) -> Result<Reader<'a>, DiskError> {
        plausible(region)?;
        Ok(Reader { fs: Fs::open(region).map_err(bad)? })
    }

    /// What it says of itself.
    pub fn info(&self) -> Ext4Info {
        let sb = self.fs.superblock();
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

    /// The names in a directory with the kinds of what they name, sorted; without `.` and `..`. `None` when there is
    /// no such directory.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`].
    pub fn list(&self, path: &str) -> Result<Option<Vec<String>>, DiskError> {
        let Some(ino) = self.find(path, true)? else { return Ok(None) };
        if self.fs.inode(ino).map_err(bad)?.file_type() != FileType::Dir {
            return Ok(None);
        }
        let entries = self.fs.read_dir(ino).map_err(bad)?;
        let mut names: Vec<String> = entries
            .into_iter()
            .filter(|e| e.inode != 0 && e.name != b"." && e.name != b"..")
            .map(|e| String::from_utf8_lossy(&e.name).into_owned())
            .collect();
        names.sort_unstable();
        Ok(Some(names))
    }

    /// A file's contents, if it is there and has at most `most` bytes. Links are followed inside the file system.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`], also for a file that is larger.
    pub fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let Some(ino) = self.find(path, true)? else { return Ok(None) };
        let inode = self.fs.inode(ino).map_err(bad)?;
        if inode.file_type() != FileType::Regular {
            return Ok(None);
        }
        if inode.size > most {
            let why = format!("{path} has {} bytes, which is too large to be looked into", inode.size);
            return Err(DiskError::BadFileSystem { what: "ext4", why });
        }
        self.fs.read_file(ino).map(Some).map_err(bad)
    }

    /// Where a symbolic link points; `None` when there is none of this name.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`].
    pub fn link(&self, path: &str) -> Result<Option<String>, DiskError> {
        let Some(ino) = self.find(path, false)? else { return Ok(None) };
        if self.fs.inode(ino).map_err(bad)?.file_type() != FileType::Symlink {
            return Ok(None);
        }
        let target = self.fs.symlink_target(ino).map_err(bad)?;
        Ok(Some(String::from_utf8_lossy(&target).into_owned()))
    }

    /// What stands at a path; links are followed. `None` when there is nothing.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`].
    pub fn kind(&self, path: &str) -> Result<Option<EntryKind>, DiskError> {
        let Some(ino) = self.find(path, true)? else { return Ok(None) };
        Ok(Some(match self.fs.inode(ino).map_err(bad)?.file_type() {
            FileType::Dir => EntryKind::Directory,
            FileType::Regular => EntryKind::File,
            _ => EntryKind::Other,
        }))
    }

    /// When what stands at a path was last changed, in seconds since 1970; of a link its own time. `None` when there
    /// is nothing.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`].
    pub fn modified(&self, path: &str) -> Result<Option<i64>, DiskError> {
        let Some(ino) = self.find(path, false)? else { return Ok(None) };
        let inode = self.fs.inode(ino).map_err(bad)?;
        // The seconds are signed; two more bits say how often they have gone round (2038, 2106, ...).
        let rounds = i64::from(inode.mtime_extra & 3) << 32;
        Ok(Some(i64::from(inode.mtime.cast_signed()) + rounds))
    }

    /// Walks a path from the root; follows links, the last one only if asked to. A link that leads out of the file
    /// system by `..` stays at its root, as the kernel does it.
    fn find(&self, path: &str, follow_last: bool) -> Result<Option<u32>, DiskError> {
        let mut left: Vec<String> = path.split('/').rev().filter(|p| !p.is_empty()).map(str::to_string).collect();
        let mut at = vec![ROOT];
        let mut followed = 0;
        while let Some(part) = left.pop() {
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
            if self.fs.inode(dir).map_err(bad)?.file_type() != FileType::Dir {
                return Ok(None);
            }
            let Some(ino) = self.fs.lookup(dir, part.as_bytes()).map_err(bad)? else { return Ok(None) };
            let is_link = self.fs.inode(ino).map_err(bad)?.file_type() == FileType::Symlink;
            if !is_link || (left.is_empty() && !follow_last) {
                at.push(ino);
                continue;
            }
            followed += 1;
            if followed > MOST_LINKS {
                return Ok(None);
            }
            let target = self.fs.symlink_target(ino).map_err(bad)?;
            let target = String::from_utf8_lossy(&target).into_owned();
            if target.starts_with('/') {
                at.truncate(1);
            }
            left.extend(target.split('/').rev().filter(|p| !p.is_empty()).map(str::to_string));
        }
        Ok(at.last().copied())
    }
}

/// Looks at what the crate calculates with before it looks at it itself.
fn plausible(region: Region<'_>) -> Result<(), DiskError> {
    let wrong = |why: &str| DiskError::BadFileSystem { what: "ext4", why: why.to_string() };
    let mut sb = [0; 1024];
    region.read_at(1024, &mut sb).map_err(|_| wrong("it has no superblock"))?;
    let n = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| sb[at + i]));
    let checksums = n(0x64) & 0x400 != 0;
    if checksums && mkext4::csum::superblock(&sb) != n(0x3fc) {
        return Err(wrong("the checksum of its superblock is wrong"));
    }
    // First block, log2 of the block size, blocks in a group, size of a descriptor.
    let sizes = n(0x14) <= 1 && n(0x14) < n(4) && n(0x18) <= 6 && n(0x20) > 0 && matches!(sb[0xfe], 0 | 32 | 64);
    if sizes { Ok(()) } else { Err(wrong("its superblock has impossible numbers")) }
}

fn bad(error: mkext4::Error) -> DiskError {
    DiskError::BadFileSystem { what: "ext4", why: error.to_string() }
}
