//! A folder of ours into which files of a stranger's go. Everything is made below one handle and through no link, whoever
//! made it: no name, and no two names together, lead out.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, UtimensatFlags, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::symlinkat;

/// The folder.
#[derive(Debug)]
pub struct Below {
    folder: OwnedFd,
}

impl Below {
    /// A folder that is there and nobody else's.
    pub fn new(path: &Path) -> io::Result<Below> {
        Ok(Below { folder: File::open(path)?.into() })
    }

    fn open(&self, at: impl AsFd, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .mode(if flags.contains(OFlag::O_CREAT) { Mode::from_bits_truncate(0o600) } else { Mode::empty() })
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(at, path, how)
    }

    /// Opens the folder at a path; what is missing of it is made.
    pub fn folder(&self, path: &str) -> io::Result<OwnedFd> {
        let mut at = self.folder.try_clone()?;
        for part in parts(path)? {
            let open = || self.open(&at, Path::new(part), OFlag::O_PATH | OFlag::O_DIRECTORY);
            let next = match open() {
                Err(Errno::ENOENT) => {
                    mkdirat(&at, part, Mode::from_bits_truncate(0o700))?;
                    open()?
                }
                // A link, which says "not a folder" where it is not to be followed.
                Err(Errno::ENOTDIR | Errno::ELOOP) => {
                    return Err(io::Error::other("it leads through a link or a file"));
                }
                other => other?,
            };
            at = next;
        }
        Ok(at)
    }

    /// Makes a file; `None` when something of this name is there.
    pub fn file(&self, path: &str) -> io::Result<Option<File>> {
        let (folder, name) = self.parent(path)?;
        match self.open(&folder, Path::new(name), OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL) {
            Ok(file) => Ok(Some(file.into())),
            Err(Errno::EEXIST) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a link, with a time of its own in seconds since 1970.
    pub fn link(&self, path: &str, target: &str, time: Option<i64>) -> io::Result<()> {
        let (folder, name) = self.parent(path)?;
        symlinkat(target, &folder, name)?;
        if let Some(time) = time {
            let time = TimeSpec::new(time, 0);
            utimensat(&folder, name, &time, &time, UtimensatFlags::NoFollowSymlink)?;
        }
        Ok(())
    }

    fn parent<'p>(&self, path: &'p str) -> io::Result<(OwnedFd, &'p str)> {
        let path = path.trim_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        parts(path)?;
        Ok((self.folder(folder)?, name))
    }
}

/// The names in a path, all of them plain.
fn parts(path: &str) -> io::Result<Vec<&str>> {
    let parts = Path::new(path.trim_start_matches('/')).components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    });
    parts.collect::<Option<_>>().ok_or_else(|| io::Error::other("it is no path of a machine"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_leads_out() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let below = Below::new(dir.path()).unwrap();
        below.file("/a/b/file").unwrap().unwrap().write_all(b"x").unwrap();
        assert!(below.file("/a/b/file").unwrap().is_none());
        assert_eq!(std::fs::read(dir.path().join("a/b/file")).unwrap(), b"x");
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink("a", dir.path().join("in")).unwrap();
        symlink(outside.path().join("new"), dir.path().join("a/last")).unwrap();
        for path in ["/out/x", "/in/x", "/../x", "/a/../../x", "/a/b/file/x"] {
            assert!(below.file(path).is_err(), "{path}");
            assert!(below.link(path, "target", None).is_err(), "{path}");
        }
        assert!(below.file("/a/last").unwrap().is_none(), "a link in the way is something in the way");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        below.link("/a/l", "/nowhere", Some(7)).unwrap();
        let made = dir.path().join("a/l").symlink_metadata().unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mtime(&made), 7);
    }
}
