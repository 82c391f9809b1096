//! A file that is either whole under its name or not there at all.
//!
//! It is written without a name (`O_TMPFILE`), so that nothing is left of it however the writing ends, a `SIGKILL` or
//! a power cut included, and gets its name when it is complete. Where the file system knows no unnamed files, a hidden
//! temporary file beside the target takes their place and is removed on every orderly end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};

/// Why an output cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The folder is something else.
    #[error("{} is {what}, and images are written into a folder; name one with -o", .path.display())]
    NotAFolder {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// The file's name is taken by something that is not to be replaced.
    #[error("{} is {what}; an image would replace it. Remove it, or choose another folder with -o", .path.display())]
    NotAFile {
        /// The file's name.
        path: PathBuf,
        /// What it is.
        what: &'static str,
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

/// A file in the making.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    target: PathBuf,
    /// The hidden name, where the file system knows no unnamed files.
    hidden: Option<PathBuf>,
}

/// Makes the folder for outputs, if it is not there, and refuses what is no folder.
///
/// # Errors
/// [`OutputError::NotAFolder`], or the system's answer.
pub fn prepare_folder(path: &Path) -> Result<(), OutputError> {
    if let Ok(metadata) = path.metadata() {
        return if metadata.is_dir() {
            Ok(())
        } else {
            Err(OutputError::NotAFolder { path: path.into(), what: kind(metadata.file_type()) })
        };
    }
    std::fs::create_dir_all(path).map_err(|source| OutputError::Io {
        doing: "making the folder",
        path: path.into(),
        source,
    })
}

fn kind(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_block_device() || kind.is_char_device() {
        "a device"
    } else if kind.is_file() {
        "a file"
    } else if kind.is_symlink() {
        "a symbolic link"
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
        if let Ok(metadata) = target.symlink_metadata()
            && !metadata.is_file()
        {
            return Err(OutputError::NotAFile { path: target.into(), what: kind(metadata.file_type()) });
        }
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let unnamed =
            OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_TMPFILE.bits()).mode(0o644).open(folder);
        let (file, hidden) = match unnamed {
            Ok(file) => (file, None),
            Err(e)
                if [nix::libc::EOPNOTSUPP, nix::libc::EISDIR, nix::libc::ENOENT]
                    .contains(&e.raw_os_error().unwrap_or(0))
                    && folder.is_dir() =>
            {
                let hidden = hidden_name(target);
                let file =
                    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o644).open(&hidden);
                (
                    file.map_err(|source| OutputError::Io { doing: "creating", path: hidden.clone(), source })?,
                    Some(hidden),
                )
            }
            Err(source) => {
                return Err(OutputError::Io { doing: "writing into the folder", path: folder.into(), source });
            }
        };
        Ok(NewFile { file, target: target.into(), hidden })
    }

    /// The file, to be written.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name, in place of what stood there.
    ///
    /// # Errors
    /// The system's answer; what stood there before stays.
    pub fn commit(mut self) -> Result<(), OutputError> {
        let hidden = match self.hidden.take() {
            Some(hidden) => hidden,
            None => {
                // A file without a name cannot be renamed over another: it gets a hidden name first.
                let hidden = hidden_name(&self.target);
                let _ = std::fs::remove_file(&hidden);
                let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
                nix::unistd::linkat(AT_FDCWD, unnamed.as_str(), AT_FDCWD, &hidden, AtFlags::AT_SYMLINK_FOLLOW)
                    .map_err(|e| OutputError::Io { doing: "naming", path: self.target.clone(), source: e.into() })?;
                hidden
            }
        };
        std::fs::rename(&hidden, &self.target).map_err(|source| {
            let _ = std::fs::remove_file(&hidden);
            OutputError::Io { doing: "naming", path: self.target.clone(), source }
        })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(hidden) = self.hidden.take()
            && let Err(e) = std::fs::remove_file(&hidden)
        {
            let _ = writeln!(std::io::stderr(), "cairn: removing {}: {e}", hidden.display());
        }
    }
}

fn hidden_name(target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{}.new", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            folder.read_dir().unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_there_before_the_commit_and_the_whole_file_after() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.raw");
        let new = NewFile::create(&target).unwrap();
        new.file().write_all(b"whole").unwrap();
        assert!(!target.exists());
        new.commit().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["a.raw"]);
    }

    #[test]
    fn an_abandoned_file_leaves_the_old_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.raw");
        std::fs::write(&target, "old").unwrap();
        let new = NewFile::create(&target).unwrap();
        new.file().write_all(b"half").unwrap();
        drop(new);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["a.raw"]);
    }

    #[test]
    fn a_folder_or_a_device_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let error = NewFile::create(folder.path()).unwrap_err();
        assert!(error.to_string().contains("is a folder; an image would replace it"), "{error}");
        let error = NewFile::create(Path::new("/dev/null")).unwrap_err();
        assert!(error.to_string().contains("is a device"), "{error}");
        let error = prepare_folder(Path::new("/dev/null")).unwrap_err();
        assert!(error.to_string().contains("/dev/null is a device, and images are written into a folder"), "{error}");
    }
}
