//! Removing a tree without ever following a link, or leaving its file system.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::resolve::{self, NO_LINKS};
use crate::root::names;

/// A folder of this name in an open one: no link, nothing that is mounted.
pub(crate) fn directory(parent: impl AsFd, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    resolve::open(parent, name, flags, 0, NO_LINKS | ResolveFlag::RESOLVE_NO_XDEV)
}

/// So many folders of a tree are held open at most; one above these is found again from the one below it.
const MOST_OPEN: usize = 64;

/// A folder that is being emptied, and what is left in it.
struct Level {
    name: PathBuf,
    left: Vec<OsString>,
    /// Which folder it is: its device and number.
    id: (u64, u64),
}

/// Removes what has this name in an open folder. Deep trees take no more of the stack than flat ones, and no more open files
/// than there may be.
pub(crate) fn remove_tree(parent: &impl AsFd, name: &Path) -> io::Result<()> {
    if unlink(parent.as_fd(), name)? {
        return Ok(());
    }
    let (dir, level) = enter(parent.as_fd(), name)?;
    let mut levels = vec![level];
    // The innermost of these levels, open.
    let mut open = VecDeque::from([dir]);
    while let (Some(level), Some(dir)) = (levels.last_mut(), open.back()) {
        if let Some(next) = level.left.pop() {
            let next = PathBuf::from(next);
            if !unlink(dir.as_fd(), &next)? {
                let (dir, level) = enter(dir.as_fd(), &next)?;
                levels.push(level);
                open.push_back(dir);
                if open.len() > MOST_OPEN {
                    open.pop_front();
                }
            }
            continue;
        }
        let name = std::mem::take(&mut level.name);
        levels.pop();
        let dir = open.pop_back();
        if let (Some(above), Some(dir), true) = (levels.last(), dir, open.is_empty()) {
            open.push_back(back(&dir, above.id)?);
        }
        let above = open.back().map_or(parent.as_fd(), AsFd::as_fd);
        unlinkat(above, name.as_path(), UnlinkatFlags::RemoveDir)?;
    }
    Ok(())
}

/// Removes what is no folder; says whether nothing has the name now.
fn unlink(parent: BorrowedFd<'_>, name: &Path) -> io::Result<bool> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::EISDIR | Errno::EPERM) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn enter(parent: BorrowedFd<'_>, name: &Path) -> io::Result<(OwnedFd, Level)> {
    let dir = match directory(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => closed_directory(parent, name)?,
        other => other?,
    };
    let file = File::from(dir.try_clone()?);
    let meta = file.metadata()?;
    // Store paths are read-only, and only their owner may empty them.
    if meta.permissions().mode() & 0o700 != 0o700 {
        file.set_permissions(Permissions::from_mode(0o700))?;
    }
    let left = names(dir.try_clone()?)?;
    Ok((dir, Level { name: name.to_path_buf(), left, id: (meta.dev(), meta.ino()) }))
}

/// A folder of one's own that oneself may not read, made one that may be.
fn closed_directory(parent: BorrowedFd<'_>, name: &Path) -> io::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let place = resolve::open(parent, name, flags, 0, NO_LINKS | ResolveFlag::RESOLVE_NO_XDEV)?;
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    std::fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(crate::mounts::without_proc)?;
    resolve::open(place, Path::new("."), OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0, NO_LINKS)
}

/// The folder that another lies in, if it still is the one that it was.
fn back(dir: &OwnedFd, id: (u64, u64)) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let above = openat(dir, "..", flags, Mode::empty())?;
    let meta = File::from(above.try_clone()?).metadata()?;
    if (meta.dev(), meta.ino()) != id {
        return Err(io::Error::other("somebody moved a folder away while the tree that it was in was removed"));
    }
    Ok(above)
}
