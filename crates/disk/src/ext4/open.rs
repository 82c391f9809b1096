//! Opening files one after the other as they lie in a tree: the folders on the way to the last one stay open, and the next one is
//! looked up from the nearest of them. The whole path would be looked up anew for each folder, and on a medium of a computer, each part
//! of it asked for.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

/// Trees are no deeper, as a rule. What is, is looked up from here on.
const MOST: usize = 48;

/// The folders that stay open.
#[derive(Debug, Default)]
pub struct Folders {
    /// The path of the last one.
    path: Vec<u8>,
    /// Each lies in the one before: how much of the path leads to it. The first is the root.
    open: Vec<(usize, OwnedFd)>,
}

impl Folders {
    /// Opens a file. It was one when the tree was read: no link in its place or on the way is followed, and nothing waits for a pipe.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&mut self, path: &Path) -> io::Result<File> {
        let bytes = path.as_os_str().as_bytes();
        let Some(slash) = bytes.iter().rposition(|byte| *byte == b'/').filter(|slash| *slash > 0) else {
            return file(AT_FDCWD, path.as_os_str());
        };
        file(self.folder(&bytes[..slash])?, OsStr::from_bytes(&bytes[slash + 1..]))
    }

    fn folder(&mut self, folder: &[u8]) -> io::Result<BorrowedFd<'_>> {
        let leads = |at: &[u8]| folder.strip_prefix(at).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        while self.open.pop_if(|(end, _)| !leads(&self.path[..*end])).is_some() {}
        folder.clone_into(&mut self.path);
        if self.open.is_empty() {
            let (top, end): (&[u8], _) = if folder.starts_with(b"/") { (b"/", 0) } else { (folder, folder.len()) };
            self.open.push((end, enter(AT_FDCWD, top)?));
        }
        loop {
            let from = self.open.last().map_or(0, |(end, _)| *end);
            let name = folder[from..].iter().position(|byte| *byte != b'/').map(|slashes| from + slashes);
            // The last one is the folder.
            let (Some(start), Some((_, last))) = (name, self.open.last()) else { break };
            let end = folder[start..].iter().position(|byte| *byte == b'/').map_or(folder.len(), |len| start + len);
            let end = if self.open.len() < MOST { end } else { folder.len() };
            let next = enter(last.as_fd(), &folder[start..end])?;
            self.open.push((end, next));
        }
        self.open.last().map(|(_, folder)| folder.as_fd()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// A folder. Paths of a tree have no links on the way: one that is there now was put there since the tree was read.
fn enter(at: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
    Ok(openat2(at, OsStr::from_bytes(path), how.resolve(ResolveFlag::RESOLVE_NO_SYMLINKS))?)
}

fn file(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::openat(folder, name, flags, Mode::empty())?.into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_path_leads_to_its_file_whichever_was_before() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        let deep = (0..MOST + 20).fold(String::from("deep"), |path, n| format!("{path}/{n}"));
        let names = ["x", "a/x", "a/b/x", "ab/x", "a/b/c/d/x", "a/bc/x", &format!("{deep}/x"), &format!("{deep}/y/x")];
        for name in names {
            fs::create_dir_all(top.join(name).parent().unwrap()).unwrap();
            fs::write(top.join(name), name).unwrap();
        }
        let mut folders = Folders::default();
        for first in names {
            for second in names {
                for name in [first, second] {
                    let file = folders.open(&top.join(name)).unwrap();
                    assert_eq!(io::read_to_string(file).unwrap(), name);
                }
            }
        }
        let odd = format!("{}//a///b/x", top.display());
        assert_eq!(io::read_to_string(folders.open(Path::new(&odd)).unwrap()).unwrap(), "a/b/x");
        assert!(folders.open(&top.join("a/none/x")).is_err());
        assert!(folders.open(&top.join("a/x")).is_ok(), "after one that is not there");
        assert!(folders.open(Path::new("src/lib.rs")).is_ok() && folders.open(Path::new("Cargo.toml")).is_ok());
        assert!(folders.open(Path::new("/proc/sys/kernel/ostype")).is_ok());
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        fs::create_dir(top.join("a")).unwrap();
        fs::write(top.join("a/x"), "x").unwrap();
        std::os::unix::fs::symlink("a", top.join("link")).unwrap();
        std::os::unix::fs::symlink("x", top.join("a/link")).unwrap();
        let mut folders = Folders::default();
        for name in ["link/x", "a/link"] {
            assert!(folders.open(&top.join(name)).is_err(), "{name}");
        }
        assert!(folders.open(&top.join("a/x")).is_ok());
    }
}
