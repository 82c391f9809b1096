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
//! How a path is resolved is no part of a sequence: every one is opened below the partition's root, which is held open.
//!
//! `tests/proved_calls` compares the calls that are made here with those that were recorded.
//!
//! What a cut costs at most: clusters that are taken and that no name leads to.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use cairn_root::{Folder, Kind as Found, Root};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::writeout::{reserve, write_data};
use crate::installation::UNFINISHED;
use crate::present::Space;
use crate::volume::{Kind, ReadVolume, Volume};

/// A directory that is a boot partition's root. No path in it goes over a link: FAT has none, and what is mounted there may be
/// anybody's.
#[derive(Debug)]
pub struct Mounted {
    root: Folder,
}

impl Mounted {
    /// The partition that is mounted at this directory, which is the caller's own word.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Mounted> {
        Mounted::of(&|| Ok(Root::open(path)?.top()))
    }

    /// The partition that is mounted at a path of a machine, which is no link itself. An automount point mounts it now. Whose it
    /// is, the caller has to look at: anything may be mounted there.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotFound`] when there is no such directory.
    pub fn at(machine: &Root, path: &str) -> io::Result<Mounted> {
        let machine = machine.with_mounts();
        Mounted::of(&|| machine.own(path))
    }

    fn of(open: &dyn Fn() -> io::Result<Folder>) -> io::Result<Mounted> {
        // Opening the directory itself does not trigger every automount; looking at what is in it does.
        open()?.names("")?;
        Ok(Mounted { root: open()? })
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The folder that it is mounted at, open.
    pub fn folder(&self) -> &Folder {
        &self.root
    }

    /// The device that it is on.
    ///
    /// # Errors
    /// The system's.
    pub fn device(&self) -> io::Result<u64> {
        Ok(self.root.metadata("")?.ok_or(ErrorKind::NotFound)?.dev())
    }

    /// Whether it can only be read.
    ///
    /// # Errors
    /// The system's.
    pub fn is_read_only(&self) -> io::Result<bool> {
        Ok(fstatvfs(&self.root)?.flags().contains(FsFlags::ST_RDONLY))
    }

    /// Makes the directories on the way to a file, each on the disk before the next.
    fn folders(&self, path: &str) -> io::Result<()> {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            match self.root.make_bare_folder(folder) {
                Ok(()) => {
                    self.root.sync_folder(folder)?;
                    self.settle(folder)?;
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists && self.is_folder(folder)? => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_folder(&self, path: &str) -> io::Result<bool> {
        Ok(self.root.kind(path)? == Some(Found::Folder))
    }

    /// A file that is about to lose its name, held. What is no file has no clusters that could be freed too early.
    fn held(&self, path: &str) -> io::Result<Option<File>> {
        match self.root.open_file(path) {
            Err(error) if error.kind() == ErrorKind::InvalidInput && !self.is_folder(path)? => Ok(None),
            other => other.map(Some),
        }
    }
}

impl ReadVolume for Mounted {
    fn list(&self, directory: &str) -> io::Result<Vec<(String, Kind)>> {
        let names = self.root.names(directory).map_err(|error| match error.kind() {
            // It, or something on the way to it, is a file or a link.
            ErrorKind::InvalidInput => io::Error::new(ErrorKind::NotADirectory, error),
            _ => error,
        })?;
        let mut found = Vec::new();
        for name in names.unwrap_or_default() {
            // What has no name in UTF-8 is not ours.
            let Ok(name) = name.into_string() else { continue };
            let kind = match self.root.metadata(Path::new(directory).join(&name)) {
                Ok(Some(meta)) if meta.is_dir() => Kind::Directory,
                Ok(Some(meta)) => Kind::File(meta.len()),
                // Damaged entries are listed and cannot be looked at.
                Ok(None) | Err(_) => Kind::File(0),
            };
            found.push((name, kind));
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        Ok(Box::new(self.root.open_file(path)?))
    }

    fn space(&self) -> io::Result<Space> {
        let stat = fstatvfs(&self.root)?;
        Ok(Space { cluster: stat.fragment_size(), free: stat.blocks_free() * stat.fragment_size() })
    }
}

/// What lost its name, or is about to: its path, and the file while it is held.
type Left = (String, Option<File>);

impl Mounted {
    /// Writes a file under a name that is free. At every moment there is nothing under it, or an empty file, or all of it.
    fn write_new(&self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<File> {
        self.folders(path)?;
        let mut file = self.root.create_bare(path)?;
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
                let _ = self.root.remove_file(path).and_then(|()| self.settle(path));
                Err(error)
            }
        }
    }

    /// The FAT, and what was written of files, is on the disk.
    fn flush(&self, path: &str) -> io::Result<()> {
        self.root.sync_folder(path.rsplit_once('/').map_or("", |(folder, _)| folder))
    }

    /// Everything that was done in a file's directory is on the disk.
    fn settle(&self, path: &str) -> io::Result<()> {
        self.root.sync_file_system()?;
        self.flush(path)
    }

    /// Files that a power cut has left beside one that was to be replaced, and a free name for another.
    fn unfinished(&self, path: &str) -> io::Result<(Vec<Left>, String)> {
        let mut found = Vec::new();
        for n in 0.. {
            let name = if n == 0 { format!("{path}{UNFINISHED}") } else { format!("{path}-{n}{UNFINISHED}") };
            match self.held(&name) {
                Ok(file) => found.push((name, file)),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok((found, name)),
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

impl Volume for Mounted {
    fn create(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()> {
        self.write_new(path, contents, len).map(drop)
    }

    fn replace(&mut self, path: &str, contents: &mut dyn Read, len: u64) -> io::Result<()> {
        let old = self.held(path)?;
        // One that is left may own the old file's clusters, so none of these may be freed before there is a new one.
        let (left, aside) = self.unfinished(path)?;
        let file = self.write_new(&aside, contents, len)?;
        self.root.rename(&aside, path)?;
        // Only this writes the length and the first cluster under the name.
        file.sync_all()?;
        self.settle(path)?;
        for (path, _) in &left {
            self.root.remove_file(path)?;
        }
        self.settle(path)?;
        drop((old, left));
        self.settle(path)
    }

    fn overwrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let file = self.root.open_to_change(path)?;
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let held = self.held(path)?;
        self.root.remove_file(path)?;
        self.settle(path)?;
        drop(held);
        self.settle(path)
    }

    fn barrier(&mut self) -> io::Result<()> {
        self.root.sync_file_system()?;
        self.root.sync()
    }

    fn open_on_disk(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let file = self.root.open_file(path)?;
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
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
