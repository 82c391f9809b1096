//! Locks on files, which the kernel lets go when a process ends, however it ends. Nix uses the same kind.

use std::fs::File;
use std::path::Path;

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
