//! Locks on files, which the kernel lets go when a process ends, however it ends. Nix uses the same kind.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::StoreError;

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

/// Nix's lock on a path: a file `PATH.lock`, removed by whoever lets it go. Nix writes into a lock file that it has removed,
/// so that those who waited for it know that they have got nothing.
#[derive(Debug)]
pub(crate) struct NixLock {
    path: PathBuf,
    file: Flock<File>,
}

impl NixLock {
    /// Waits for the lock.
    pub(crate) fn take(path: &Path) -> Result<NixLock, StoreError> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let path = PathBuf::from(lock);
        loop {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
            let file = wait_for(file.map_err(StoreError::io("opening", &path))?, FlockArg::LockExclusive, &path)?;
            if file.metadata().map_err(StoreError::io("reading", &path))?.len() == 0 {
                return Ok(NixLock { path, file });
            }
        }
    }
}

impl Drop for NixLock {
    fn drop(&mut self) {
        // A file that stays is a lock that nobody holds.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.file.write_all(b"d");
    }
}
