//! The new root, seen from outside of it. In the initrd an absolute link of the machine's leads into the initrd itself:
//! here every path is resolved inside of the root, and a file is looked at before it is opened.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::fstat;

use crate::folder::{self, Folder, Kind};

/// How often a path is tried while something else is being mounted or renamed in the system.
const TRIES: usize = 64;

/// A root file system, open.
#[derive(Debug)]
pub struct Root(Folder);

impl Root {
    /// Opens the folder that is going to be the root.
    pub fn open(path: &Path) -> io::Result<Root> {
        Folder::open(path).map(Root)
    }

    /// The root as a folder.
    pub fn top(&self) -> &Folder {
        &self.0
    }

    fn get(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        resolve(&self.0, path, flags, ResolveFlag::RESOLVE_IN_ROOT)
    }

    /// A folder; links on the way are followed as the running machine would.
    pub fn folder(&self, path: &Path) -> io::Result<Folder> {
        self.get(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY).map(Folder::of)
    }

    /// The folder that a path's last name is in, and that name.
    pub fn parent<'a>(&self, path: &'a Path) -> io::Result<(Folder, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(path.parent().unwrap_or(Path::new("/")))?, name))
    }

    /// The same, with what is missing of the folders on the way made.
    pub fn made_parent<'a>(&self, path: &'a Path) -> io::Result<(Folder, &'a OsStr)> {
        let folders: Vec<&Path> = path.ancestors().skip(1).collect();
        for folder in folders.into_iter().rev().filter(|folder| folder.file_name().is_some()) {
            if matches!(self.folder(folder), Err(e) if e.kind() == io::ErrorKind::NotFound) {
                let (parent, name) = self.parent(folder)?;
                parent.make(name, 0o755)?;
            }
        }
        self.parent(path)
    }

    /// Where a folder really is, as this process names it, for who takes nothing but a name: mount(2).
    pub fn real(&self, path: &Path) -> io::Result<PathBuf> {
        let found = self.get(path, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        std::fs::read_link(folder::by_number(&found))
    }

    /// What is there; a link is a link.
    pub fn kind(&self, path: &Path) -> io::Result<Kind> {
        let found = self.get(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        Ok(Kind::of(fstat(&found)?.st_mode))
    }

    /// What a link says.
    pub fn link(&self, path: &Path) -> io::Result<PathBuf> {
        let link = self.get(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        // Of what is no link the kernel says that there is none of that name.
        readlinkat(&link, "").map(PathBuf::from).map_err(|e| match e {
            Errno::ENOENT => io::ErrorKind::InvalidInput.into(),
            e => e.into(),
        })
    }

    /// A plain file, open for reading.
    pub fn file(&self, path: &Path) -> io::Result<File> {
        folder::plain(self.get(path, OFlag::O_PATH)?)
    }

    /// The text of a plain file of reasonable length.
    pub fn text(&self, path: &Path) -> io::Result<String> {
        folder::text_of(self.file(path)?, folder::MOST_TEXT)
    }
}

/// Opens `path` from `folder` on, by a rule of resolution.
pub(crate) fn resolve(folder: &Folder, path: &Path, flags: OFlag, rule: ResolveFlag) -> io::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK)
        .resolve(rule | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    // O_PATH takes few flags beside it.
    let how = if flags.contains(OFlag::O_PATH) { how.flags(flags | OFlag::O_CLOEXEC) } else { how };
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for _ in 0..TRIES {
        match openat2(folder.as_fd(), path, how) {
            Err(Errno::EAGAIN) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::EAGAIN.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_never_lead_out_of_the_root() {
        let dir = std::env::temp_dir().join(format!("cairn-stage1-root-{}", std::process::id()));
        let top = dir.join("root");
        fs::create_dir_all(top.join("srv/log")).unwrap();
        fs::write(dir.join("secret"), "outside").unwrap();
        fs::write(top.join("srv/log/a"), "inside").unwrap();
        symlink("/srv/log", top.join("absolute")).unwrap();
        symlink("../../../../../srv/log", top.join("relative")).unwrap();
        symlink(dir.join("secret"), top.join("victim")).unwrap();
        symlink("loop", top.join("loop")).unwrap();
        let root = Root::open(&top).unwrap();
        for link in ["absolute", "relative"] {
            assert_eq!(root.text(&Path::new("/").join(link).join("a")).unwrap(), "inside");
            assert_eq!(root.real(Path::new(link)).unwrap(), top.canonicalize().unwrap().join("srv/log"));
        }
        assert_eq!(root.text(Path::new("victim")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(root.folder(Path::new("loop")).is_err() && root.kind(Path::new("loop")).unwrap() == Kind::Link);
        assert_eq!(root.link(Path::new("srv")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let (_, name) = root.made_parent(Path::new("/absolute/new/b")).unwrap();
        assert_eq!(name, "b");
        assert!(top.join("srv/log/new").is_dir());
        fs::remove_dir_all(&dir).unwrap();
    }
}
