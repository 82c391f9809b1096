//! Folders in which trees are made before they go into the store, and the removal of those whose owner is gone.
//!
//! Each is `nix/var/cairn/tmp/<process>-<n>` with a file `owner` in it, locked by the process that made it: the kernel lets the
//! lock go when the process ends, however it ends, so a folder whose owner file can be locked belongs to nobody.
//! Making one and judging one happen under the store's lock, else a folder could be judged before it is locked. What
//! was judged gets another name at once, so that a new folder never has the name of one that somebody still removes.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_root::{Folder, Kind};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use crate::StoreError;
use crate::missing::if_there;

/// A name that this process has not used before.
fn new_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A folder of one's own on the store's file system. Dropped, it is gone, read-only files and all.
#[derive(Debug)]
pub struct Scratch {
    /// What it lies in, and its name there.
    tmp: Folder,
    name: String,
    folder: Folder,
    tree: PathBuf,
    owner: Flock<File>,
}

impl Scratch {
    /// The folder to make a tree in: empty, mode 0755. Whoever wants a store path that is a single file removes it
    /// and puts a file in its place.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.tree
    }

    /// Makes one in `tmp`. The store's lock must be held.
    pub(crate) fn create(tmp: &Folder) -> Result<Scratch, StoreError> {
        let name = loop {
            let name = new_name();
            // Another process with our number may have left one, or be on another machine.
            if tmp.kind(&name).map_err(StoreError::io("making", tmp.shown(&name)))?.is_none() {
                break name;
            }
        };
        // Whatever the umask says: programs that run as somebody else may have to work in there.
        let made = || {
            tmp.make_folder(&name, 0o755)?;
            tmp.folder(&name)
        };
        let folder = made().map_err(StoreError::io("making", tmp.shown(&name)))?;
        let owner = folder.shown("owner");
        let file = folder.create_new("owner", 0o644).map_err(StoreError::io("making", &owner))?;
        let owner = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| StoreError::errno("locking", owner)(errno))?;
        let tree = folder.shown("tree");
        folder.make_folder("tree", 0o755).map_err(StoreError::io("making", &tree))?;
        Ok(Scratch { tmp: tmp.clone(), name, folder, tree, owner })
    }

    /// A place beside the tree, for something that is to be renamed to somewhere else, or to go away.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.folder.shown(name)
    }

    /// The folder that the tree lies in.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// What time the file system says it is, in nanoseconds. This, and not the clock, is what a file's change time
    /// can be compared with.
    pub(crate) fn now(&self) -> Result<i128, StoreError> {
        let error = |source| StoreError::Io { action: "touching", path: self.beside("owner"), source };
        futimens(&*self.owner, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW).map_err(|e| error(e.into()))?;
        let meta = self.owner.metadata().map_err(error)?;
        Ok(i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is left for the next process that opens the store.
        let _ = remove_dead(&self.tmp, &self.name, &self.folder);
    }
}

/// Removes the folders in `tmp` whose owners are gone, each as soon as it is claimed: there may be more than files that may be
/// open. The store's lock is held for judging one, not while it is removed.
pub(crate) fn remove_all_dead<L>(tmp: &Folder, lock: impl Fn() -> Result<L, StoreError>) {
    for name in tmp.names("").ok().flatten().unwrap_or_default() {
        let Ok(held) = lock() else { return };
        let dead = name.to_str().and_then(|name| Dead::claim(tmp, name));
        drop(held);
        if let Some(dead) = dead {
            dead.remove();
        }
    }
}

/// A left-over folder that nobody else can claim while this exists.
struct Dead {
    tmp: Folder,
    name: String,
    folder: Folder,
    _owner: Option<Flock<File>>,
}

impl Dead {
    /// A folder that lies there and is no link: what somebody else may have put there is left alone.
    fn claim(tmp: &Folder, name: &str) -> Option<Dead> {
        if tmp.kind(name).ok()? != Some(Kind::Folder) {
            return None;
        }
        let folder = tmp.folder(name).ok()?;
        let owner = match if_there(folder.open_file("owner")).ok()? {
            // In use (EWOULDBLOCK), or it cannot be judged.
            Some(file) => Some(Flock::lock(file, FlockArg::LockExclusiveNonblock).ok()?),
            // Killed before the owner file was made, or after it was removed.
            None => None,
        };
        let renamed = format!("dead-{}", new_name());
        if tmp.kind(&renamed).ok()?.is_some() {
            return None;
        }
        tmp.rename(name, &renamed).ok()?;
        Some(Dead { tmp: tmp.clone(), name: renamed, folder, _owner: owner })
    }

    /// Removes it. What cannot be removed (somebody else's files, what is mounted there) stays.
    fn remove(self) {
        let _ = remove_dead(&self.tmp, &self.name, &self.folder);
    }
}

/// Removes everything but the owner file first, so that the folder stays claimed until it is empty.
fn remove_dead(tmp: &Folder, name: &str, folder: &Folder) -> io::Result<()> {
    for inner in folder.names("")?.unwrap_or_default() {
        if inner != "owner" {
            folder.remove_tree(&inner)?;
        }
    }
    tmp.remove_tree(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_the_file_system_s() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(&cairn_root::Root::open(dir.path()).unwrap().top()).unwrap();
        let now = scratch.now().unwrap();
        let meta = scratch.beside("owner").metadata().unwrap();
        assert_eq!((now / 1_000_000_000, now % 1_000_000_000), (meta.ctime().into(), meta.ctime_nsec().into()));
    }
}
