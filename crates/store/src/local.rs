//! A store in a folder: opening it, and asking it what it has.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::canonical::below;
use crate::durable::sync_file_system;
use crate::info::to_hex;
use crate::lock::wait_for;
use crate::record::{self, Record, recorded_path};
use crate::scratch::claim_dead;
use crate::source;
use crate::{Entry, Listing, PathInfo, STORE_DIR, Scratch, StoreError, StorePath};

/// A store whose root folder is anywhere: the files of `/nix/store/x` are in `ROOT/nix/store/x`.
///
/// Any number of processes may use it at once, and threads may share it.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// A machine lives on it: what is added is on the disk before it counts, and what is there already is shared.
    pub(crate) machine: bool,
    /// The machine runs from it at this moment.
    pub(crate) live: bool,
}

impl Store {
    /// Opens the store below `root`, making its folders when they are missing, and removes what processes that were
    /// killed have left in it.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folders cannot be made.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        Store::open_as(root, false)
    }

    /// A store that is only looked at: nothing is made below `root`, nothing is tidied.
    ///
    /// # Errors
    /// [`StoreError::Io`] when there is no way to say where `root` is.
    pub fn at(root: &Path) -> Result<Store, StoreError> {
        let root = std::path::absolute(root).map_err(StoreError::io("opening the store at", root))?;
        Ok(Store { root, machine: false, live: false })
    }

    pub(crate) fn open_as(root: &Path, machine: bool) -> Result<Store, StoreError> {
        let store = Store::at(root)?;
        let live = machine && store.root == Path::new("/");
        let store = Store { machine, live, ..store };
        for dir in
            [store.store_dir(), store.tmp(), store.meta("info"), store.meta("listing"), store.meta("fingerprint")]
        {
            DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(StoreError::io("making", dir))?;
        }
        // A store that is only read (somebody else's, a medium) has nothing to lock and nothing to tidy.
        let dead = store.lock().map(|_lock| claim_dead(&store.tmp())).unwrap_or_default();
        dead.into_iter().for_each(crate::scratch::Dead::remove);
        Ok(store)
    }

    /// The root folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the files of `path` really are.
    #[must_use]
    pub fn real_path(&self, path: &StorePath) -> PathBuf {
        self.store_dir().join(path.base_name())
    }

    /// Where an entry of the listing of `path` really is.
    #[must_use]
    pub fn real_entry(&self, path: &StorePath, entry: &Entry) -> PathBuf {
        below(&self.real_path(path), &entry.path)
    }

    /// A folder to make a tree in, on the store's file system.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let _lock = self.lock()?;
        Scratch::create(&self.tmp())
    }

    /// What is known about `path`; nothing when it is not (or not completely) in the store. Its signatures are those
    /// it was brought with; see [`PathInfo::sign`].
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the metadata were changed, [`StoreError::Io`].
    pub fn info(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        Ok(self.record(path)?.map(|r| r.info))
    }

    /// The paths that are valid, sorted.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn paths(&self) -> Result<Vec<StorePath>, StoreError> {
        let mut paths = self.recorded()?;
        paths.retain(|path| self.real_path(path).symlink_metadata().is_ok());
        Ok(paths)
    }

    /// `roots` and all that they refer to, directly or not, sorted by path.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when one of them is not in the store, and as [`Store::info`].
    pub fn closure(&self, roots: &[StorePath]) -> Result<Vec<PathInfo>, StoreError> {
        source::closure(roots, &self.root, |path| self.info(path))
    }

    /// Everything that is in `path`, without reading its files.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn listing(&self, path: &StorePath) -> Result<Listing, StoreError> {
        let record = self.valid(path)?;
        self.listing_of(path, &record)
    }

    /// The same for a path whose record is at hand.
    pub(crate) fn listing_of(&self, path: &StorePath, record: &Record) -> Result<Listing, StoreError> {
        let damaged = || self.damaged(path, format!("{} was changed", self.listing_file(path).display()));
        Listing::parse(&self.listing_text(path, record)?).ok_or_else(damaged)
    }

    /// The text of the listing, which is what it was when the path was added.
    pub(crate) fn listing_text(&self, path: &StorePath, record: &Record) -> Result<String, StoreError> {
        let file = self.listing_file(path);
        let damaged = || self.damaged(path, format!("{} was changed", file.display()));
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(damaged()),
            Err(e) => return Err(StoreError::io("reading", &file)(e)),
        };
        if to_hex(&Sha256::digest(&bytes)) != record.listing {
            return Err(damaged());
        }
        String::from_utf8(bytes).map_err(|_| damaged())
    }

    /// Takes `path` out of the store, whether or not something else refers to it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remove(&self, path: &StorePath) -> Result<(), StoreError> {
        let scratch = self.scratch()?;
        let _lock = self.lock()?;
        self.invalidate(path)?;
        self.move_away(path, &scratch)
    }

    /// Waits until everything in the store is on the disk. Whatever is to name a path (Nix's database, a generation's
    /// link, a boot entry) is written after this.
    ///
    /// # Errors
    /// [`StoreError::Io`], also when something written earlier could not be put on the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        sync_file_system(&self.store_dir())
    }

    // What the other modules of this crate share.

    /// The paths that have an info file, whether or not they have a tree; sorted.
    pub(crate) fn recorded(&self) -> Result<Vec<StorePath>, StoreError> {
        let dir = self.meta("info");
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::io("reading", dir)(e)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let name = entry.map_err(StoreError::io("reading", &dir))?.file_name();
            paths.extend(name.to_str().and_then(recorded_path));
        }
        paths.sort_unstable();
        Ok(paths)
    }

    /// What the info file of a path says, whether or not there is a tree; nothing when it is damaged.
    pub(crate) fn record_of(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        let file = self.info_file(path);
        match fs::read(&file) {
            Ok(text) => Ok(record::parse(&text).filter(|read| read.info.path == *path).map(|read| read.info)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(StoreError::io("reading", file)(e)),
        }
    }

    pub(crate) fn valid(&self, path: &StorePath) -> Result<Record, StoreError> {
        let missing = || StoreError::Missing { path: path.clone(), store: self.root.clone(), referrer: None };
        self.record(path)?.ok_or_else(missing)
    }

    pub(crate) fn record(&self, path: &StorePath) -> Result<Option<Record>, StoreError> {
        let file = self.info_file(path);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("reading", file)(e)),
        };
        if self.real_path(path).symlink_metadata().is_err() {
            return Ok(None);
        }
        let damaged = || self.damaged(path, format!("{} was changed", file.display()));
        record::parse(&text).filter(|read| read.info.path == *path).map(Some).ok_or_else(damaged)
    }

    pub(crate) fn damaged(&self, path: &StorePath, what: String) -> StoreError {
        StoreError::Damaged { path: path.clone(), what, remove: (!self.machine).then(|| self.info_file(path)) }
    }

    /// Makes the store forget `path`. The store's lock must be held.
    pub(crate) fn invalidate(&self, path: &StorePath) -> Result<(), StoreError> {
        let remove = |file: PathBuf| match fs::remove_file(&file) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(StoreError::io("removing", file)(e)),
        };
        // The info goes first: from here on the path is not valid, whatever else is still there.
        if remove(self.info_file(path))? && self.machine {
            self.sync()?;
        }
        remove(self.fingerprint_file(path))?;
        remove(self.listing_file(path))?;
        Ok(())
    }

    /// Waits until no other process changes the store, and keeps others waiting while the result lives.
    pub(crate) fn lock(&self) -> Result<Flock<File>, StoreError> {
        let path = self.meta("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StoreError::io("opening", &path))?;
        wait_for(file, FlockArg::LockExclusive, &path)
    }

    pub(crate) fn info_file(&self, path: &StorePath) -> PathBuf {
        self.meta("info").join(format!("{}.json", path.base_name()))
    }

    pub(crate) fn listing_file(&self, path: &StorePath) -> PathBuf {
        self.meta("listing").join(path.base_name())
    }

    pub(crate) fn fingerprint_file(&self, path: &StorePath) -> PathBuf {
        self.meta("fingerprint").join(path.base_name())
    }

    pub(crate) fn store_dir(&self) -> PathBuf {
        self.root.join(STORE_DIR.trim_start_matches('/'))
    }

    fn tmp(&self) -> PathBuf {
        self.meta("tmp")
    }

    pub(crate) fn meta(&self, name: &str) -> PathBuf {
        self.root.join("nix/var/cairn").join(name)
    }
}
