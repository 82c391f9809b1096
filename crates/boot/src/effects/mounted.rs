//! A boot partition that is mounted.
//!
//! The sequences of system calls here are those that left no bad state when every write of Linux' vfat was recorded and every
//! prefix and many subsets of what was not yet flushed were replayed:
//!
//! - a new file is written under another name, synced, renamed, and synced *again*: the rename alone leaves the new name
//!   without contents;
//! - whatever loses its name (by removal, or by a rename over it) is held open until the directory is on the disk: vfat frees
//!   the clusters of a file when the last holder lets go, and a name that leads to freed clusters is worse than none;
//! - `syncfs` sends no flush to the drive on vfat; `fsync` of a directory does, so a barrier is both.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::syncfs;

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
                    File::open(self.folder_of(&path[..end]))?.sync_all()?;
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

/// The ending under which a file is written before it has its name. No loader looks at such a name.
pub(crate) const UNFINISHED: &str = ".new";

impl Mounted {
    /// Writes a file under the unfinished name, synced.
    fn write_aside(&self, path: &str, contents: &mut dyn Read) -> io::Result<(PathBuf, File)> {
        self.folders(path)?;
        let aside = self.at(&format!("{path}{UNFINISHED}"));
        // One that a power cut has left is written over as it is: it may be longer, so it is cut first.
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&aside)?;
        match copy(contents, &mut file).and_then(|()| file.sync_all()) {
            Ok(()) => Ok((aside, file)),
            Err(error) => {
                // Nothing names it; half a file would only take room.
                let _ = fs::remove_file(&aside);
                Err(error)
            }
        }
    }

    fn rename(&mut self, aside: &Path, file: &File, path: &str) -> io::Result<()> {
        fs::rename(aside, self.at(path))?;
        // Only this writes the new name's length and first cluster.
        file.sync_all()?;
        self.settle(path)
    }

    /// Everything that was done in a file's directory is on the disk.
    fn settle(&mut self, path: &str) -> io::Result<()> {
        syncfs(&self.handle)?;
        File::open(self.folder_of(path))?.sync_all()
    }
}

impl Volume for Mounted {
    fn create(&mut self, path: &str, contents: &mut dyn Read) -> io::Result<()> {
        if self.at(path).symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let (aside, file) = self.write_aside(path, contents)?;
        self.rename(&aside, &file, path)
    }

    fn replace(&mut self, path: &str, contents: &mut dyn Read) -> io::Result<()> {
        let old = File::open(self.at(path))?;
        let (aside, file) = self.write_aside(path, contents)?;
        self.rename(&aside, &file, path)?;
        drop(old);
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
