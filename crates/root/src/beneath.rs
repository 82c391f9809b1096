//! Removing a tree without ever following a link, or leaving its file system.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::resolve::{self, NO_LINKS};
use crate::root::names;

/// A folder of this name in an open one: no link, nothing that is mounted.
pub(crate) fn directory(parent: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    resolve::open(parent, name, flags, 0, NO_LINKS | ResolveFlag::RESOLVE_NO_XDEV)
}

/// Removes what has this name in an open folder. Deep trees take no more of the stack than flat ones.
pub(crate) fn remove_tree(parent: &impl AsFd, name: &Path) -> io::Result<()> {
    struct Level {
        dir: OwnedFd,
        name: PathBuf,
        left: Vec<std::ffi::OsString>,
    }
    let enter = |parent: std::os::fd::BorrowedFd<'_>, name: &Path| -> io::Result<Level> {
        let dir = directory(parent, name)?;
        let file = File::from(dir.try_clone()?);
        // Store paths are read-only, and only their owner may empty them.
        if file.metadata()?.permissions().mode() & 0o700 != 0o700 {
            file.set_permissions(Permissions::from_mode(0o700))?;
        }
        let left = names(dir.try_clone()?)?;
        Ok(Level { dir, name: name.to_path_buf(), left })
    };
    let unlink = |parent: std::os::fd::BorrowedFd<'_>, name: &Path| -> io::Result<bool> {
        match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(true),
            Err(Errno::EISDIR | Errno::EPERM) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    };
    if unlink(parent.as_fd(), name)? {
        return Ok(());
    }
    let mut levels = vec![enter(parent.as_fd(), name)?];
    while let Some(level) = levels.last_mut() {
        if let Some(next) = level.left.pop() {
            let next = PathBuf::from(next);
            if !unlink(level.dir.as_fd(), &next)? {
                let inner = enter(level.dir.as_fd(), &next)?;
                levels.push(inner);
            }
            continue;
        }
        let name = std::mem::take(&mut level.name);
        levels.pop();
        let above = levels.last().map_or(parent.as_fd(), |level| level.dir.as_fd());
        unlinkat(above, name.as_path(), UnlinkatFlags::RemoveDir)?;
    }
    Ok(())
}
