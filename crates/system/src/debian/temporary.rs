//! Temporary folders that do not pile up: what a killed process left behind, the next one removes.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

use super::error::Error;

/// The file that its owner keeps locked for as long as it lives.
const OWNER: &str = ".owner";

/// A folder that is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    dir: TempDir,
    _owner: File,
}

impl Temporary {
    /// Makes a folder of this kind in `parent`, and removes those of dead processes.
    pub(super) fn new(parent: &Path, prefix: &str) -> Result<Temporary, Error> {
        sweep(parent, prefix);
        let making = |source| Error::io("making a temporary folder in", parent)(source);
        let dir = tempfile::Builder::new().prefix(prefix).tempdir_in(parent).map_err(making)?;
        // It gets its name when it is locked: before, another process would take the folder for a dead one's.
        let unnamed = dir.path().join(".owner.new");
        let owner = File::create(&unnamed).map_err(making)?;
        owner.lock().map_err(making)?;
        fs::rename(&unnamed, dir.path().join(OWNER)).map_err(making)?;
        Ok(Temporary { dir, _owner: owner })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes our own folders that nobody owns any more. What cannot be removed stays; it is no reason to fail.
fn sweep(parent: &Path, prefix: &str) {
    let Ok(me) = fs::metadata("/proc/self").map(|m| m.uid()) else { return };
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let named = entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix));
        let ours = entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == me);
        if !named || !ours {
            continue;
        }
        // One that has no such file yet is being made at this moment.
        if let Ok(owner) = File::open(entry.path().join(OWNER))
            && owner.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_that_are_being_made_at_the_same_time_leave_each_other_alone() {
        let parent = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let made = Temporary::new(parent.path(), "x-").unwrap();
                        assert!(made.path().join(OWNER).exists());
                    }
                });
            }
        });
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_lives_stays() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join("x-dead");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(OWNER), "").unwrap();
        fs::create_dir(parent.path().join("other")).unwrap();
        let first = Temporary::new(parent.path(), "x-").unwrap();
        let second = Temporary::new(parent.path(), "x-").unwrap();
        assert!(!dead.exists() && first.path().exists() && second.path().exists());
        assert!(parent.path().join("other").exists());
        drop(second);
        assert!(first.path().exists());
    }
}
