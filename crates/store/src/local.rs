//! A store in a folder: opening it, and asking it what it has.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_root::{Folder, Root};
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::canonical::below;
use crate::folders::{Folders, OWN_DIR, Part};
use crate::info::to_hex;
use crate::lock::wait_for;
use crate::missing::remove_file;
use crate::recent::Recent;
use crate::record::{self, Record, recorded_path};
use crate::scratch::remove_all_dead;
use crate::source;
use crate::{Entry, EntryKind, Listing, PathInfo, STORE_DIR, Scratch, StoreError, StorePath};

/// A store whose root folder is anywhere: the files of `/nix/store/x` are in `ROOT/nix/store/x`.
///
/// The root may be anybody's: nothing is read, made or removed through a link that leads out of it.
///
/// Any number of processes may use it at once, and threads may share it.
#[derive(Debug, Clone)]
pub struct Store {
    disk: Root,
    folders: Folders,
    recent: Recent,
    /// Nothing at all is changed.
    looks: bool,
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
    /// [`StoreError::Unusable`] when one of the folders is something else, a link say; [`StoreError::Io`] when they cannot be
    /// made.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        DirBuilder::new().recursive(true).mode(0o755).create(root).map_err(StoreError::io("making", root))?;
        Store::open_in(&open_root(root)?)
    }

    /// The same below a root that is open already.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_in(disk: &Root) -> Result<Store, StoreError> {
        Store::open_as(disk, false)
    }

    /// A store that is only looked at: nothing is made or tidied below `root`, no lock is taken, and whatever would change
    /// something is refused.
    ///
    /// # Errors
    /// [`StoreError::NoStore`] when there is none; [`StoreError::Unusable`] when one of its folders is something else, a link
    /// say; [`StoreError::Io`].
    pub fn at(root: &Path) -> Result<Store, StoreError> {
        Store::look(&open_root(root)?)
    }

    /// The same below a root that is open already.
    ///
    /// # Errors
    /// As [`Store::at`].
    pub fn look(disk: &Root) -> Result<Store, StoreError> {
        let folders = Folders::found(disk)?.ok_or_else(|| StoreError::NoStore {
            root: disk.path().to_path_buf(),
            why: "there is no folder nix/store in it".to_string(),
        })?;
        let recent = Recent::default();
        Ok(Store { disk: disk.clone(), folders, recent, looks: true, machine: false, live: false })
    }

    pub(crate) fn open_as(disk: &Root, machine: bool) -> Result<Store, StoreError> {
        let live = machine && disk.is_host();
        let (folders, recent) = (Folders::made(disk)?, Recent::default());
        let store = Store { disk: disk.clone(), folders, recent, looks: false, machine, live };
        // A store that is only read (somebody else's, a medium) has nothing to lock and nothing to tidy.
        if let Ok(tmp) = store.changed(Part::Tmp) {
            remove_all_dead(tmp, || store.lock());
        }
        Ok(store)
    }

    /// The root folder, absolute and without links: for messages, and for comparing.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.disk.path()
    }

    /// The door to the root. A running machine's is the one behind which its store can be written
    /// ([`crate::MachineStore::open`]).
    #[must_use]
    pub fn disk(&self) -> &Root {
        &self.disk
    }

    /// Where the files of `path` really are. No link is on the way there.
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
        Scratch::create(self.changed(Part::Tmp)?)
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
        source::closure(roots, self.root(), |path| self.info(path))
    }

    /// Everything that is in `path`, without reading its files.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn listing(&self, path: &StorePath) -> Result<Arc<Listing>, StoreError> {
        let record = self.valid(path)?;
        self.listing_of(path, &record)
    }

    /// What the listing of a path says of one thing in it, if anything. The others are not kept: there may be millions.
    ///
    /// # Errors
    /// As [`Store::listing`].
    pub fn listed(&self, path: &StorePath, inside: &str) -> Result<Option<Entry>, StoreError> {
        let record = self.valid(path)?;
        if let Some(listing) = self.recent.get(&record.listing) {
            return Ok(listing.get(inside).cloned());
        }
        let damaged = || self.damaged(path, format!("{} was changed", self.listing_file(path).display()));
        let text = self.listing_text(path, &record)?;
        let mut found = None;
        for entry in Listing::of_text(&text).ok_or_else(damaged)? {
            let entry = entry.ok_or_else(damaged)?;
            if entry.path == inside && found.replace(entry).is_some() {
                return Err(damaged());
            }
        }
        Ok(found)
    }

    /// The size and the SHA-256 of a file at an absolute path in the store, as the listing of its store path has it.
    ///
    /// # Errors
    /// As [`Store::listing`]; [`StoreError::NotAFile`].
    pub fn file_in(&self, path: &Path) -> Result<(u64, [u8; 32]), StoreError> {
        let not = || StoreError::NotAFile { path: path.to_path_buf() };
        let rest = path.to_str().and_then(|text| text.strip_prefix(STORE_DIR)?.strip_prefix('/'));
        let (top, inside) = rest.and_then(|rest| rest.split_once('/')).ok_or_else(not)?;
        match self.listed(&StorePath::from_basename(top)?, inside)?.map(|entry| entry.kind) {
            Some(EntryKind::File { size, sha256, .. }) => Ok((size, sha256)),
            _ => Err(not()),
        }
    }

    /// The same for a path whose record is at hand.
    pub(crate) fn listing_of(&self, path: &StorePath, record: &Record) -> Result<Arc<Listing>, StoreError> {
        if let Some(listing) = self.recent.get(&record.listing) {
            return Ok(listing);
        }
        let damaged = || self.damaged(path, format!("{} was changed", self.listing_file(path).display()));
        let listing = Listing::parse(&self.listing_text(path, record)?).map(Arc::new).ok_or_else(damaged)?;
        self.recent.keep(&record.listing, &listing);
        Ok(listing)
    }

    /// The text of the listing, which is what it was when the path was added.
    pub(crate) fn listing_text(&self, path: &StorePath, record: &Record) -> Result<String, StoreError> {
        let file = self.listing_file(path);
        let damaged = || self.damaged(path, format!("{} was changed", file.display()));
        let bytes = self.read_part(Part::Listing, path)?.ok_or_else(damaged)?;
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
        self.folders.store.sync_file_system().map_err(StoreError::io("syncing the file system of", self.store_dir()))
    }

    // What the other modules of this crate share.

    /// The paths that have an info file, whether or not they have a tree; sorted.
    pub(crate) fn recorded(&self) -> Result<Vec<StorePath>, StoreError> {
        let names = self.names(Part::Info)?;
        let mut paths: Vec<StorePath> = names.iter().filter_map(|name| recorded_path(name.to_str()?)).collect();
        paths.sort_unstable();
        Ok(paths)
    }

    /// What the info file of a path says, whether or not there is a tree; nothing when it is damaged.
    pub(crate) fn record_of(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        let text = self.read_part(Part::Info, path)?;
        Ok(text.and_then(|text| record::parse(&text)).filter(|read| read.info.path == *path).map(|read| read.info))
    }

    pub(crate) fn valid(&self, path: &StorePath) -> Result<Record, StoreError> {
        let missing = || StoreError::Missing { path: path.clone(), store: self.root().to_path_buf(), referrer: None };
        self.record(path)?.ok_or_else(missing)
    }

    pub(crate) fn record(&self, path: &StorePath) -> Result<Option<Record>, StoreError> {
        let Some(text) = self.read_part(Part::Info, path)? else { return Ok(None) };
        if self.real_path(path).symlink_metadata().is_err() {
            return Ok(None);
        }
        let damaged = || self.damaged(path, format!("{} was changed", self.info_file(path).display()));
        record::parse(&text).filter(|read| read.info.path == *path).map(Some).ok_or_else(damaged)
    }

    pub(crate) fn damaged(&self, path: &StorePath, what: String) -> StoreError {
        StoreError::Damaged { path: path.clone(), what, remove: (!self.machine).then(|| self.info_file(path)) }
    }

    /// Makes the store forget `path`. The store's lock must be held.
    pub(crate) fn invalidate(&self, path: &StorePath) -> Result<(), StoreError> {
        // The info goes first: from here on the path is not valid, whatever else is still there.
        if remove_file(&self.info_file(path))? && self.machine {
            self.sync()?;
        }
        remove_file(&self.fingerprint_file(path))?;
        remove_file(&self.listing_file(path))?;
        Ok(())
    }

    /// Waits until no other process changes the store, and keeps others waiting while the result lives.
    pub(crate) fn lock(&self) -> Result<Flock<File>, StoreError> {
        let path = self.meta("lock");
        let file = self.own()?.lock_file("lock", 0o644).map_err(StoreError::io("opening", &path))?;
        wait_for(file, FlockArg::LockExclusive, &path)
    }

    /// What stands in a path's file of one kind; nothing when there is none.
    pub(crate) fn read_part(&self, part: Part, path: &StorePath) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(folder) = self.folders.part(part) else { return Ok(None) };
        let name = file_name(part, path);
        folder.read(&name, part.most()).map_err(StoreError::io("reading", folder.shown(&name)))
    }

    /// A text of Cairn's own that nothing depends on; nothing when it cannot be read.
    pub(crate) fn own_text(&self, name: &str, most: u64) -> Option<String> {
        String::from_utf8(self.folders.own.as_ref()?.read(name, most).ok()??).ok()
    }

    /// The names in one of the folders.
    pub(crate) fn names(&self, part: Part) -> Result<Vec<std::ffi::OsString>, StoreError> {
        let Some(folder) = self.folders.part(part) else { return Ok(Vec::new()) };
        let names = folder.names("").map_err(StoreError::io("reading", folder.path()))?;
        Ok(names.unwrap_or_default())
    }

    /// The folder of everything of Cairn's own, to change something in it.
    pub(crate) fn own(&self) -> Result<&Folder, StoreError> {
        self.folders.own.as_ref().filter(|_| !self.looks).ok_or_else(|| self.only_looked_at())
    }

    /// One of the folders, to change something in it.
    pub(crate) fn changed(&self, part: Part) -> Result<&Folder, StoreError> {
        self.folders.part(part).filter(|_| !self.looks).ok_or_else(|| self.only_looked_at())
    }

    fn only_looked_at(&self) -> StoreError {
        let source = io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "this store is only looked at");
        StoreError::Io { action: "changing", path: self.meta(""), source }
    }

    /// Where a path's info file is; names in this folder are real, so they may be renamed to and removed.
    pub(crate) fn info_file(&self, path: &StorePath) -> PathBuf {
        self.file(Part::Info, path)
    }

    pub(crate) fn listing_file(&self, path: &StorePath) -> PathBuf {
        self.file(Part::Listing, path)
    }

    pub(crate) fn fingerprint_file(&self, path: &StorePath) -> PathBuf {
        self.file(Part::Fingerprint, path)
    }

    fn file(&self, part: Part, path: &StorePath) -> PathBuf {
        self.meta(part.name()).join(file_name(part, path))
    }

    pub(crate) fn has_records(&self) -> bool {
        self.folders.part(Part::Info).is_some()
    }

    /// What is called like a store path in the store's folder, whether or not anything is known about it.
    pub(crate) fn lying_there(&self) -> Result<Vec<StorePath>, StoreError> {
        let folder = self.store_folder();
        let names = folder.names("").map_err(StoreError::io("reading", folder.path()))?.unwrap_or_default();
        Ok(names.iter().filter_map(|name| StorePath::from_basename(name.to_str()?).ok()).collect())
    }

    pub(crate) fn store_folder(&self) -> &Folder {
        &self.folders.store
    }

    pub(crate) fn store_dir(&self) -> PathBuf {
        self.folders.store.path().to_path_buf()
    }

    /// A name in Cairn's own folder. Where there is none, nothing may be opened by it.
    pub(crate) fn meta(&self, name: &str) -> PathBuf {
        match &self.folders.own {
            Some(own) => own.shown(name),
            None => self.disk.shown(OWN_DIR).join(name),
        }
    }
}

/// Opens the root that somebody named.
pub(crate) fn open_root(root: &Path) -> Result<Root, StoreError> {
    Root::open(root).map_err(StoreError::io("opening", root))
}

fn file_name(part: Part, path: &StorePath) -> String {
    match part {
        Part::Info => format!("{}.json", path.base_name()),
        _ => path.base_name().to_string(),
    }
}
