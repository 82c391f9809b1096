//! Locks on files, which the kernel lets go when a process ends, however it ends. Nix uses the same kind.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use cairn_root::Folder;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::StoreError;
use crate::missing::if_there;

/// Waits for the lock, whatever signals come.
pub(crate) fn wait_for(mut file: File, how: FlockArg, path: &Path) -> Result<Flock<File>, StoreError> {
    loop {
        match Flock::lock(file, how) {
            Ok(lock) => return Ok(lock),
            Err((again, Errno::EINTR)) => file = again,
            Err((_, errno)) => return Err(StoreError::errno("locking", path)(errno)),
        }
    }
}

/// The lock, if nobody has it otherwise.
pub(crate) fn try_for(mut file: File, how: FlockArg, path: &Path) -> Result<Option<Flock<File>>, StoreError> {
    let how = match how {
        FlockArg::LockShared => FlockArg::LockSharedNonblock,
        _ => FlockArg::LockExclusiveNonblock,
    };
    loop {
        match Flock::lock(file, how) {
            Ok(lock) => return Ok(Some(lock)),
            Err((again, Errno::EINTR)) => file = again,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(StoreError::errno("locking", path)(errno)),
        }
    }
}

/// Nix's lock on a path: a file `NAME.lock` beside it, removed by whoever lets it go. Nix writes into a lock file that it has removed,
/// so that those who waited for it know that they have got nothing.
#[derive(Debug)]
pub(crate) struct NixLock {
    folder: Folder,
    name: String,
    file: Flock<File>,
}

impl NixLock {
    /// Waits for the lock on a name in a folder.
    pub(crate) fn take(folder: &Folder, name: &str) -> Result<NixLock, StoreError> {
        let name = format!("{name}.lock");
        let path = folder.shown(&name);
        loop {
            let file = if_there(folder.lock_file(&name, 0o600)).map_err(StoreError::io("opening", &path))?;
            // Without one whoever had it has removed it this moment.
            let Some(file) = file else { continue };
            let file = wait_for(file, FlockArg::LockExclusive, &path)?;
            let held = file.metadata().map_err(StoreError::io("reading", &path))?;
            if held.len() == 0 {
                return Ok(NixLock { folder: folder.clone(), name, file });
            }
            // One that has been let go still has its name when its owner ended a moment too early. We hold it, so nobody else
            // does, and those who wait for it will see what we have seen.
            let named = folder.metadata(&name).map_err(StoreError::io("reading", &path))?;
            if named.is_some_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino())) {
                folder.remove_file(&name).map_err(StoreError::io("removing", &path))?;
            }
        }
    }
}

impl Drop for NixLock {
    fn drop(&mut self) {
        // A file that stays is a lock that nobody holds.
        let _ = self.folder.remove_file(&self.name);
        let _ = self.file.write_all(b"d");
    }
}
