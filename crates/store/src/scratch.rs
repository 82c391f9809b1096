//! Folders in which trees are made before they go into the store, and the removal of those whose owner is gone.
//!
//! Each is `nix/var/cairn/tmp/<process>-<n>` with a file `owner` in it, locked by the process that made it: the kernel lets the
//! lock go when the process ends, however it ends, so a folder whose owner file can be locked belongs to nobody.
//! Making one and judging one happen under the store's lock, else a folder could be judged before it is locked. What
//! was judged gets another name at once, so that a new folder never has the name of one that somebody still removes.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::futimens;
use nix::sys::time::TimeSpec;

use crate::StoreError;
use crate::remove::remove_tree;

/// A name that this process has not used before.
fn new_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A folder of one's own on the store's file system. Dropped, it is gone, read-only files and all.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
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

    /// Makes one below `tmp`. The store's lock must be held.
    pub(crate) fn create(tmp: &Path) -> Result<Scratch, StoreError> {
        let dir = loop {
            let dir = tmp.join(new_name());
            match fs::create_dir(&dir) {
                Ok(()) => break dir,
                // Another process with our number: left over, or on another machine.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(StoreError::io("making", dir)(e)),
            }
        };
        let owner = dir.join("owner");
        let file = File::create(&owner).map_err(StoreError::io("making", &owner))?;
        let owner = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| StoreError::errno("locking", owner)(errno))?;
        let tree = dir.join("tree");
        fs::create_dir(&tree).map_err(StoreError::io("making", &tree))?;
        // Whatever the umask says: programs that run as somebody else may have to work in there.
        for dir in [&dir, &tree] {
            fs::set_permissions(dir, Permissions::from_mode(0o755)).map_err(StoreError::io("making", dir))?;
        }
        Ok(Scratch { dir, tree, owner })
    }

    /// A place beside the tree, for something that is to be renamed to somewhere else, or to go away.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.join(name)
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
        let _ = remove_dead(&self.dir);
    }
}

/// The folders below `tmp` whose owners are gone, now locked by us. The store's lock must be held.
pub(crate) fn claim_dead(tmp: &Path) -> Vec<Dead> {
    let Ok(entries) = fs::read_dir(tmp) else { return Vec::new() };
    entries.filter_map(|entry| Dead::claim(entry.ok()?.path())).collect()
}

/// A left-over folder that nobody else can claim while this exists.
pub(crate) struct Dead {
    dir: PathBuf,
    _owner: Option<Flock<File>>,
}

impl Dead {
    fn claim(dir: PathBuf) -> Option<Dead> {
        let owner = match File::open(dir.join("owner")) {
            Ok(file) => match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => Some(lock),
                // In use (EWOULDBLOCK), or it cannot be judged.
                Err(_) => return None,
            },
            // Killed before the owner file was made, or after it was removed.
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(_) => return None,
        };
        let renamed = dir.with_file_name(format!("dead-{}", new_name()));
        fs::rename(&dir, &renamed).ok()?;
        Some(Dead { dir: renamed, _owner: owner })
    }

    /// Removes it. What cannot be removed (somebody else's files) stays.
    pub(crate) fn remove(self) {
        let _ = remove_dead(&self.dir);
    }
}

/// Removes everything but the owner file first, so that the folder stays claimed until it is empty.
fn remove_dead(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|n| n != "owner") {
            remove_tree(&path)?;
        }
    }
    remove_tree(dir)
}
