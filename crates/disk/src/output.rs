//! A file that is either whole under its name or not there at all.
//!
//! It is written without a name (`O_TMPFILE`), so that nothing is left of it however the writing ends, a `SIGKILL` or
//! a power cut included, and gets its name when it is complete. Where the file system knows no unnamed files, a hidden
//! temporary file beside the target takes their place and is removed on every orderly end.
//!
//! What a new file takes the place of is kept under a hidden name until somebody has looked at it once more ([`Placed`]): a
//! machine may have been started from it a moment ago.

mod naming;
mod place;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};

use naming::{ALL, Abilities, hidden_name};
pub use place::{check_folder, prepare_folder};

/// Why an output cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The folder is something else.
    #[error("{} is {what}, and images are written into a folder; name one with -o. Nothing is written onto disks here", .path.display())]
    NotAFolder {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The folder is not for files.
    #[error(
        "{} is a place of the kernel's ({}), for devices and the like: images are files, and go into a folder of files; name one with \
         -o. Nothing is written onto disks here", .path.display(), .real.display()
    )]
    TheKernel {
        /// What was named.
        path: PathBuf,
        /// Where that really is.
        real: PathBuf,
    },
    /// The folder is not there, and its name is one for a file.
    #[error(
        "{} is the name of a file, and a folder is wanted; images are called HOST NAME.FORMAT in it. Make the folder first if it \
         is meant to have this name", .path.display()
    )]
    NameOfAFile {
        /// What was named.
        path: PathBuf,
    },
    /// The file's name is taken by something that is not to be replaced.
    #[error("{} is {what}, and no file to be replaced by a new one. Remove it, or choose another name or folder", .path.display())]
    NotAFile {
        /// The file's name.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Something has got the file's name since the writing began.
    #[error("{} has appeared since this began, and is left as it is", .path.display())]
    Appeared {
        /// The file's name.
        path: PathBuf,
    },
    /// The system says no.
    #[error("{doing} {}", .path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl OutputError {
    /// Whether something stands where the output should go, and the output could have been made all the same.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, OutputError::Io { .. })
    }
}

/// A file in the making.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    target: PathBuf,
    /// The hidden name, where the file system knows no unnamed files.
    hidden: Option<PathBuf>,
    can: Abilities,
}

/// A new file under its name, which can still be taken back.
#[derive(Debug)]
#[must_use = "what is not kept is taken back"]
pub struct Placed {
    target: PathBuf,
    before: Before,
    kept: bool,
}

/// What had the name before.
#[derive(Debug)]
enum Before {
    /// Nothing.
    Nothing,
    /// A file that is there yet, under this hidden name.
    Hidden(PathBuf),
    /// A file that is gone: this file system can neither exchange two names nor give a file a second one.
    Gone,
}

pub(crate) fn kind(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else if kind.is_file() {
        "a file"
    } else if kind.is_symlink() {
        "a symbolic link"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "no regular file"
    }
}

impl NewFile {
    /// Begins a file that will stand at `target`. What stands there now stays until [`NewFile::commit`].
    ///
    /// # Errors
    /// See [`OutputError`].
    pub fn create(target: &Path) -> Result<NewFile, OutputError> {
        NewFile::create_where(target, ALL)
    }

    fn create_where(target: &Path, can: Abilities) -> Result<NewFile, OutputError> {
        if let Ok(metadata) = target.symlink_metadata()
            && !metadata.is_file()
        {
            return Err(OutputError::NotAFile { path: target.into(), what: kind(metadata.file_type()) });
        }
        let folder = folder_of(target);
        if folder.is_dir() {
            place::is_for_files(folder, target)?;
        }
        let (file, hidden) = match can.open_unnamed(folder) {
            Ok(file) => (file, None),
            Err(e)
                if [nix::libc::EOPNOTSUPP, nix::libc::EISDIR, nix::libc::ENOENT]
                    .contains(&e.raw_os_error().unwrap_or(0))
                    && folder.is_dir() =>
            {
                let hidden = hidden_name(target, "new");
                // One that is there is somebody else's.
                let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&hidden);
                (
                    file.map_err(|source| OutputError::Io { doing: "creating", path: hidden.clone(), source })?,
                    Some(hidden),
                )
            }
            Err(source) => {
                return Err(OutputError::Io { doing: "writing into the folder", path: folder.into(), source });
            }
        };
        Ok(NewFile { file, target: target.into(), hidden, can })
    }

    /// The file, to be written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, in place of what stood there. Its bytes are on the disk before, and the name when this
    /// returns: a power cut leaves the one file or the other. For files that are small enough to wait for.
    ///
    /// # Errors
    /// The system's answer; what stood there before stays.
    pub fn commit(self) -> Result<(), OutputError> {
        let target = self.target.clone();
        self.sync()?;
        self.place()?.keep()?;
        sync_folder(&target)
    }

    /// The same for a name that nothing may have.
    ///
    /// # Errors
    /// [`OutputError::Appeared`], and the system's answer.
    pub fn commit_new(self) -> Result<(), OutputError> {
        let target = self.target.clone();
        self.sync()?;
        self.place_new()?.keep()?;
        sync_folder(&target)
    }

    fn sync(&self) -> Result<(), OutputError> {
        self.file.sync_all().map_err(|source| OutputError::Io { doing: "writing", path: self.target.clone(), source })
    }

    /// Gives the file its name, and nothing waits for the disk. What stood there is still to be had.
    ///
    /// # Errors
    /// The system's answer; what stood there before stays.
    pub fn place(mut self) -> Result<Placed, OutputError> {
        let target = self.target.clone();
        let io = |source: Errno| OutputError::Io { doing: "naming", path: target.clone(), source: source.into() };
        let hidden = self.named().map_err(io)?;
        let before = match self.can.exchange(&hidden, &target) {
            Ok(()) => Before::Hidden(hidden),
            Err(Errno::ENOENT) => {
                self.hidden = Some(hidden);
                return self.place_new();
            }
            // Not every file system can exchange two names: the old file is kept by a second name, or not at all.
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
                if target.symlink_metadata().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
                    self.hidden = Some(hidden);
                    return self.place_new();
                }
                let old = hidden_name(&target, "old");
                let kept = self.can.link(&target, &old).is_ok();
                if let Err(source) = std::fs::rename(&hidden, &target) {
                    let _ = std::fs::remove_file(&hidden);
                    if kept {
                        let _ = std::fs::remove_file(&old);
                    }
                    return Err(OutputError::Io { doing: "naming", path: target, source });
                }
                if kept { Before::Hidden(old) } else { Before::Gone }
            }
            Err(error) => {
                let _ = std::fs::remove_file(&hidden);
                return Err(io(error));
            }
        };
        Ok(Placed { target, before, kept: false })
    }

    /// Gives the file a name that nothing has.
    ///
    /// # Errors
    /// [`OutputError::Appeared`] when something has it.
    pub fn place_new(mut self) -> Result<Placed, OutputError> {
        let target = self.target.clone();
        let hidden =
            self.named().map_err(|e| OutputError::Io { doing: "naming", path: target.clone(), source: e.into() })?;
        let named = match self.can.rename_new(&hidden, &target) {
            Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => self.take_new(&hidden),
            other => other,
        };
        named.map_err(|error| {
            let _ = std::fs::remove_file(&hidden);
            match error {
                Errno::EEXIST => OutputError::Appeared { path: target.clone() },
                error => OutputError::Io { doing: "naming", path: target.clone(), source: error.into() },
            }
        })?;
        Ok(Placed { target, before: Before::Nothing, kept: false })
    }

    /// Gives what has a hidden name one that nothing has, where renaming may put it over something.
    fn take_new(&self, hidden: &Path) -> Result<(), Errno> {
        let errno = |e: io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(nix::libc::EIO));
        match self.can.link(hidden, &self.target).map_err(errno) {
            Ok(()) => std::fs::remove_file(hidden).map_err(errno),
            // Whoever makes the name has it.
            Err(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EMLINK) => {
                OpenOptions::new().write(true).create_new(true).open(&self.target).map_err(errno)?;
                std::fs::rename(hidden, &self.target).map_err(|error| {
                    let _ = std::fs::remove_file(&self.target);
                    errno(error)
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The hidden name of the file; one without a name cannot be renamed over another, so it gets one first.
    fn named(&mut self) -> Result<PathBuf, Errno> {
        if let Some(hidden) = self.hidden.take() {
            return Ok(hidden);
        }
        let hidden = hidden_name(&self.target, "new");
        let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        nix::unistd::linkat(AT_FDCWD, unnamed.as_str(), AT_FDCWD, &hidden, AtFlags::AT_SYMLINK_FOLLOW)?;
        Ok(hidden)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(hidden) = self.hidden.take() {
            let _ = std::fs::remove_file(hidden);
        }
    }
}

impl Placed {
    /// What stood there before, where it is now. Nobody finds it there who has not had it open already. `None` also where it is
    /// gone, since the file system could not keep it.
    pub fn replaced(&self) -> Option<&Path> {
        match &self.before {
            Before::Hidden(old) => Some(old),
            Before::Nothing | Before::Gone => None,
        }
    }

    /// Lets the new file stand, and the old one go.
    ///
    /// # Errors
    /// The system's answer.
    pub fn keep(mut self) -> Result<(), OutputError> {
        self.kept = true;
        match self.replaced() {
            Some(old) => std::fs::remove_file(old).map_err(|source| OutputError::Io {
                doing: "removing",
                path: old.into(),
                source,
            }),
            None => Ok(()),
        }
    }
}

impl Drop for Placed {
    /// What is not kept is taken back: the old file gets its name again, if it is there yet.
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let _ = match &self.before {
            Before::Hidden(old) => std::fs::rename(old, &self.target),
            Before::Nothing => std::fs::remove_file(&self.target),
            // The new one is all that there is.
            Before::Gone => Ok(()),
        };
    }
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn sync_folder(target: &Path) -> Result<(), OutputError> {
    let folder = folder_of(target);
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A folder that may be written and not read, and file systems that keep nothing on a disk.
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => Ok(()),
        other => other.map_err(|source| OutputError::Io { doing: "writing the folder", path: folder.into(), source }),
    }
}

#[cfg(test)]
mod tests;
