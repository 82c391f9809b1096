//! A boot partition that is mounted.
//!
//! The sequences of system calls here are those that left no bad state when every write of Linux' vfat was recorded and every
//! prefix and many subsets of what was not yet flushed were replayed, and from each of whose states another run came to the
//! same end:
//!
//! - a new file is written under its own name, and its slot in the directory says `empty` until all else is on the disk: its
//!   clusters first ([`reserve`]), then its data ([`write_data`]), then, by `fsync`, the one sector with the slot. A second
//!   name would not help: if its slot lies in another sector than that of the final name, a cut can leave both names with
//!   the same clusters, and whoever removes the one frees those of the other. And `write`, `fsync` alone can leave a slot
//!   that leads to free clusters, for which vfat turns the whole partition read-only when the file is removed (so it is
//!   mounted with `errors=continue`);
//! - whatever loses its name (by removal, or by a rename over it) is held open until the directory is on the disk: vfat frees
//!   the clusters of a file when the last holder lets go, and a name that leads to freed clusters is worse than none;
//! - `fsync` of a directory writes the FAT and flushes, but not the names in the directory; `syncfs` writes these, but does
//!   not flush; so a barrier is both.
//!
//! What a cut costs at most: clusters that are taken and that no name leads to.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::syncfs;

use super::writeout::{reserve, write_data};
use crate::present::Space;
use crate::volume::{Kind, ReadVolume, Volume};

/// A directory that is a boot partition's root.
#[derive(Debug)]
pub struct Mounted {
    root: PathBuf,
    handle: File,
}

impl Mounted {
    /// The partition that is mounted at `root`. An automount point mounts it now.
    ///
    /// # Errors
    /// The system's.
    pub fn open(root: &Path) -> io::Result<Mounted> {
        // Opening the directory itself does not trigger an automount; looking at what is in it does.
        fs::read_dir(root)?.next();
        Ok(Mounted { root: root.to_path_buf(), handle: File::open(root)? })
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    fn folder_of(&self, path: &str) -> PathBuf {
        self.at(path.rsplit_once('/').map_or("", |(folder, _)| folder))
    }

    /// Makes the directories on the way to a file, each on the disk before the next.
    fn folders(&self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/') {
            let folder = self.at(&path[..end]);
            match fs::create_dir(&folder) {
                Ok(()) => {
                    File::open(&folder)?.sync_all()?;
                    self.settle(&path[..end])?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ReadVolume for Mounted {
    fn list(&self, directory: &str) -> io::Result<Vec<(String, Kind)>> {
        let entries = match fs::read_dir(self.at(directory)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            // What has no name in UTF-8 is not ours.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // Damaged entries are listed and cannot be looked at.
                Err(_) => {
                    found.push((name, Kind::File(0)));
                    continue;
                }
            };
            found.push((name, if meta.is_dir() { Kind::Directory } else { Kind::File(meta.len()) }));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(self.at(path))?))
    }

    fn space(&self) -> io::Result<Space> {
        let stat = fstatvfs(&self.handle)?;
        Ok(Space { cluster: stat.fragment_size(), free: stat.blocks_free() * stat.fragment_size() })
    }
}

/// The ending of the name under which a file is written that is to replace another. No loader looks at such a name.
pub(crate) const UNFINISHED: &str = ".new";

impl Mounted {
    /// Writes a file under a name that is free. At every moment there is nothing under it, or an empty file, or all of it.
    fn write_new(&self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<File> {
        self.folders(path)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(self.at(path))?;
        let mut write = || {
            reserve(&file, len)?;
            self.flush(path)?;
            copy(contents, &mut file)?;
            write_data(&file)?;
            self.flush(path)?;
            file.sync_all()?;
            self.settle(path)
        };
        match write() {
            Ok(()) => Ok(file),
            Err(error) => {
                // Half a file would only take room.
                let _ = fs::remove_file(self.at(path)).and_then(|()| self.settle(path));
                Err(error)
            }
        }
    }

    /// The FAT, and what was written of files, is on the disk.
    fn flush(&self, path: &str) -> io::Result<()> {
        File::open(self.folder_of(path))?.sync_all()
    }

    /// Everything that was done in a file's directory is on the disk.
    fn settle(&self, path: &str) -> io::Result<()> {
        syncfs(&self.handle)?;
        self.flush(path)
    }

    /// Files that a power cut has left beside one that was to be replaced, and a free name for another.
    fn unfinished(&self, path: &str) -> io::Result<(Vec<(PathBuf, File)>, String)> {
        let mut found = Vec::new();
        for n in 0.. {
            let name = if n == 0 { format!("{path}{UNFINISHED}") } else { format!("{path}-{n}{UNFINISHED}") };
            match File::open(self.at(&name)) {
                Ok(file) => found.push((self.at(&name), file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((found, name)),
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Volume for Mounted {
    fn create(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()> {
        self.write_new(path, contents, len).map(drop)
    }

    fn replace(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()> {
        let old = File::open(self.at(path))?;
        // One that is left may own the old file's clusters, so none of these may be freed before there is a new one.
        let (left, aside) = self.unfinished(path)?;
        let file = self.write_new(&aside, contents, len)?;
        fs::rename(self.at(&aside), self.at(path))?;
        // Only this writes the length and the first cluster under the name.
        file.sync_all()?;
        self.settle(path)?;
        for (path, _) in &left {
            fs::remove_file(path)?;
        }
        self.settle(path)?;
        drop((old, left));
        self.settle(path)
    }

    fn overwrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.at(path))?;
        match file.write_at(bytes, 0)? {
            count if count == bytes.len() => file.sync_all(),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let held = File::open(self.at(path))?;
        fs::remove_file(self.at(path))?;
        self.settle(path)?;
        drop(held);
        self.settle(path)
    }

    fn barrier(&mut self) -> io::Result<()> {
        syncfs(&self.handle)?;
        self.handle.sync_all()
    }

    fn open_on_disk(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let file = File::open(self.at(path))?;
        // After a sync nothing in memory is newer than the disk, so all of it can go.
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        Ok(Box::new(file))
    }
}

fn copy(from: &mut dyn Read, to: &mut File) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
