//! A boot partition that is mounted.
//!
//! What a call leaves on the disk after a power cut was measured for Linux' vfat: a new file is on the disk after `fsync` of
//! the file and of its directory; `syncfs` alone sends no flush to the drive, `fsync` of a directory does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, RenameFlags, posix_fadvise, renameat2};
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

impl Volume for Mounted {
    fn create(&mut self, path: &str, contents: &mut dyn Read) -> io::Result<()> {
        self.folders(path)?;
        let at = self.at(path);
        let mut file = OpenOptions::new().write(true).create_new(true).open(&at)?;
        let written = copy(contents, &mut file).and_then(|()| file.sync_all());
        if let Err(error) = written {
            // Nothing names it yet; half a file would only take room.
            let _ = fs::remove_file(&at);
            return Err(error);
        }
        File::open(self.folder_of(path))?.sync_all()
    }

    fn overwrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.at(path))?;
        match file.write_at(bytes, 0)? {
            count if count == bytes.len() => file.sync_all(),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn exchange(&mut self, one: &str, other: &str) -> io::Result<()> {
        let (first, second) = (self.at(one), self.at(other));
        let flags = RenameFlags::RENAME_EXCHANGE;
        renameat2(self.handle.as_fd(), &first, self.handle.as_fd(), &second, flags)?;
        // Both files before the directory: a name is written with its file's size and place only by the file's own sync.
        File::open(second)?.sync_all()?;
        File::open(first)?.sync_all()?;
        self.barrier()?;
        File::open(self.folder_of(one))?.sync_all()
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        fs::remove_file(self.at(path))
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
