//! The store of a machine, opened to be changed: what the machine runs from.
//!
//! On a running machine `/nix/store` is a read-only bind mount of itself. Whoever writes needs it gone, for a tree is
//! moved in by a rename, which does not work from mount to mount. So the calling thread gets a mount namespace of its
//! own, in which that bind is taken away; nobody else sees a change but the new paths. Mounts that others make later are
//! seen here too; those that are made here are not seen by others, and go with the thread.

use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cairn_root::Root;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::database::DATABASE_DIR;
use crate::folders::{Part, own, unusable};
use crate::local::open_root;
use crate::lock::try_for;
use crate::missing::if_there;
use crate::profile::PROFILES_DIR;
use crate::uncover::uncover;
use crate::{STORE_DIR, Store, StoreError, StorePath};

/// Where Nix keeps what it must remember.
pub(crate) const NIX_STATE: &str = "nix/var/nix";

/// Nix's lock against its garbage collector, in there.
pub(crate) const NIX_GC_LOCK: &str = "gc.lock";

/// Where trees are that were replaced under a running machine.
const ASIDE: &str = "aside";

/// The store of a machine, opened to be changed; it is used as the [`Store`] that it is. While it exists, neither Nix
/// nor Cairn collects garbage on it, so what was added and is not yet named by anything stays.
///
/// What is added is safe from power cuts: it counts only once it is on the disk. Call [`Store::sync`] before anything
/// is to name it.
#[derive(Debug)]
pub struct MachineStore {
    store: Store,
    pub(crate) users: Flock<File>,
    pub(crate) nix: Option<Flock<File>>,
}

impl MachineStore {
    /// Opens the store of the machine whose disk is at `root`: `/`, or where it is mounted.
    ///
    /// Call it on the thread that works with the store, or before it is started: threads that exist already do not get
    /// into the namespace of the caller.
    ///
    /// # Errors
    /// [`StoreError::NotRoot`], [`StoreError::ReadOnly`], [`StoreError::SeparateStore`], [`StoreError::InUse`] when
    /// somebody collects garbage, [`StoreError::Unusable`] when a folder that is to be written in is something else, a link
    /// say; [`StoreError::Io`].
    pub fn open(root: &Path) -> Result<MachineStore, StoreError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(StoreError::NotRoot { root: root.to_path_buf() });
        }
        let disk = open_root(root)?;
        // All that an upgrade writes in, before anything is written anywhere.
        let dir = own(&disk, STORE_DIR)?.map(|dir| dir.path().to_path_buf());
        for path in [DATABASE_DIR, PROFILES_DIR] {
            own(&disk, path)?;
        }
        if let Some(dir) = &dir {
            uncover(dir)?;
        }
        // What was opened before looks at the mounts as they were.
        let disk = open_root(disk.path())?;
        let root = disk.path().to_path_buf();
        let place = dir.as_ref().unwrap_or(&root);
        let flags = statvfs(place).map_err(StoreError::errno("reading", place))?.flags();
        if flags.contains(FsFlags::ST_RDONLY) {
            return Err(StoreError::ReadOnly { root });
        }
        let store = Store::open_as(&disk, true)?;
        let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).map_err(StoreError::io("reading", path));
        let records = store.changed(Part::Info)?.path();
        if device(&store.store_dir())? != device(records)? {
            return Err(StoreError::SeparateStore { store: store.store_dir() });
        }
        let users = store.meta("users");
        let file = store.own()?.lock_file("users", 0o600).map_err(StoreError::io("opening", &users))?;
        let users = try_for(file, FlockArg::LockShared, &users)?
            .ok_or_else(|| in_use(&root, "another `cairn gc` is at work"))?;
        let nix = match gc_lock(&disk)? {
            Some((file, path)) => {
                let lock = try_for(file, FlockArg::LockShared, &path)?;
                Some(lock.ok_or_else(|| in_use(&root, "Nix collects garbage"))?)
            }
            // No Nix has ever been at work here.
            None => None,
        };
        store.forget_what_was_set_aside()?;
        Ok(MachineStore { store, users, nix })
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}

impl Store {
    /// Where a tree goes that is replaced while the machine runs: `/usr` may be made of it, and an overlay keeps its
    /// layers when they are renamed, but not when they are removed. It goes after the next boot.
    pub(crate) fn set_aside(&self, path: &StorePath) -> Result<PathBuf, StoreError> {
        let own = self.own()?;
        let dir = own.folder_or_new(ASIDE, 0o755).map_err(unusable(own.shown(ASIDE)))?;
        let boot = boot_id();
        let names = (0_u32..).map(|n| dir.path().join(format!("{boot}.{n}.{}", path.base_name())));
        let mut free = names.filter(|name| name.symlink_metadata().is_err());
        // There are more numbers than there can be files.
        Ok(free.next().unwrap_or_else(|| dir.path().to_path_buf()))
    }

    /// Removes what was set aside before this boot, or by a machine that does not run.
    fn forget_what_was_set_aside(&self) -> Result<(), StoreError> {
        let own = self.own()?;
        let Some(dir) = if_there(own.folder(ASIDE)).map_err(unusable(own.shown(ASIDE)))? else { return Ok(()) };
        let boot = format!("{}.", boot_id());
        for name in dir.names("").map_err(StoreError::io("reading", dir.path()))?.unwrap_or_default() {
            if !self.live || !name.to_string_lossy().starts_with(&boot) {
                dir.remove_tree(&name).map_err(StoreError::io("removing", dir.shown(&name)))?;
            }
        }
        Ok(())
    }
}

/// What the kernel calls the time since it was started.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_string()
}

impl Deref for MachineStore {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) fn in_use(root: &Path, what: &'static str) -> StoreError {
    StoreError::InUse { root: root.to_path_buf(), what }
}

/// Nix's lock against its garbage collector; nothing when there is none.
fn gc_lock(disk: &Root) -> Result<Option<(File, PathBuf)>, StoreError> {
    let opening = || StoreError::io("opening", disk.shown(NIX_STATE));
    let Some(folder) = disk.folder(NIX_STATE).map_err(opening())? else { return Ok(None) };
    let path = folder.shown(NIX_GC_LOCK);
    let file = if_there(folder.open_to_change(NIX_GC_LOCK)).map_err(StoreError::io("opening", &path))?;
    Ok(file.map(|file| (file, path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_running_machine_may_use_goes_after_the_next_boot() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path()).unwrap();
        store.live = true;
        let add = |text: &str| {
            let scratch = store.scratch().unwrap();
            fs::write(scratch.path().join("file"), text).unwrap();
            let path = Store::input_addressed_path("base", b"").unwrap();
            store.add_input_addressed(&path, scratch, &[], None).unwrap().path
        };
        // As the kernel writes a UUID.
        assert_eq!((boot_id().len(), boot_id().matches('-').count()), (36, 4));
        let path = add("one");
        let held = File::open(store.real_path(&path)).unwrap();
        for text in ["two", "three"] {
            store.remove(&path).unwrap();
            assert_eq!(add(text), path);
        }
        store.forget_what_was_set_aside().unwrap();
        assert_eq!(fs::read_dir(store.meta(ASIDE)).unwrap().count(), 2, "removed under the running machine");
        assert!(held.metadata().unwrap().nlink() > 0);
        // Of an earlier boot.
        for entry in fs::read_dir(store.meta(ASIDE)).unwrap() {
            let old = entry.unwrap().path();
            let name = old.file_name().unwrap().to_string_lossy().replace(&boot_id(), "another");
            fs::rename(&old, old.with_file_name(name)).unwrap();
        }
        store.forget_what_was_set_aside().unwrap();
        assert_eq!(fs::read_dir(store.meta(ASIDE)).unwrap().count(), 0);
        assert_eq!(fs::read(store.real_path(&path).join("file")).unwrap(), b"three");
    }
}
