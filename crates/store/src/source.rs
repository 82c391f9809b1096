//! A store to copy from: a machine's disk, an image's root, a cache of Cairn's. Nothing in it is changed, so a disk that is
//! mounted read-only will do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_root::Root;

use crate::database::DATABASE_DIR;
use crate::local::open_root;
use crate::{NixDb, PathInfo, Store, StoreError, StorePath};

/// A store to copy from.
#[derive(Debug)]
pub struct CopySource {
    store: Store,
    db: Option<NixDb>,
}

impl CopySource {
    /// Looks for a store below `root`: Nix's database, Cairn's records, or both.
    ///
    /// # Errors
    /// [`StoreError::NoStore`] when there is neither, and as [`Store::at`] and [`NixDb::read`].
    pub fn open(root: &Path) -> Result<CopySource, StoreError> {
        CopySource::of(&open_root(root)?)
    }

    /// The same below a root that is open already.
    ///
    /// # Errors
    /// As [`CopySource::open`].
    pub fn of(disk: &Root) -> Result<CopySource, StoreError> {
        let store = Store::look(disk)?;
        let db = NixDb::look(disk)?;
        if db.is_none() && !store.has_records() {
            let why = format!("there is neither {DATABASE_DIR}/db.sqlite nor nix/var/cairn/info in it");
            return Err(StoreError::NoStore { root: disk.path().to_path_buf(), why });
        }
        Ok(CopySource { store, db })
    }

    /// The door to the root.
    #[must_use]
    pub fn disk(&self) -> &Root {
        self.store.disk()
    }

    /// The root folder, absolute.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.store.root()
    }

    /// Where the files of `path` really are.
    #[must_use]
    pub fn real_path(&self, path: &StorePath) -> PathBuf {
        self.store.real_path(path)
    }

    /// What is known about `path`: what the database says, with the signatures of Cairn's record as well. Nothing when it
    /// is not there.
    ///
    /// # Errors
    /// [`StoreError::SourceDamaged`] when database and record say different things, and as [`Store::info`] and
    /// [`NixDb::info`].
    pub fn info(&self, path: &StorePath) -> Result<Option<PathInfo>, StoreError> {
        if self.real_path(path).symlink_metadata().is_err() {
            return Ok(None);
        }
        let from_db = self.db.as_ref().map_or(Ok(None), |db| db.info(path))?;
        let record = match self.store.info(path) {
            // The database is enough.
            Err(StoreError::Damaged { .. }) if from_db.is_some() => None,
            other => other?,
        };
        let (Some(mut info), Some(record)) = (from_db.clone(), record.clone()) else { return Ok(from_db.or(record)) };
        let same = info.nar_hash == record.nar_hash && info.references == record.references;
        if !same {
            return Err(self.damaged(path, "Nix's database and Cairn's record say different things about it".into()));
        }
        info.nar_size = record.nar_size;
        info.signatures.extend(record.signatures);
        info.signatures.sort_unstable();
        info.signatures.dedup();
        Ok(Some(info))
    }

    /// `roots` and all that they refer to, directly or not, sorted by path.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when one of them is not there, and as [`CopySource::info`].
    pub fn closure(&self, roots: &[StorePath]) -> Result<Vec<PathInfo>, StoreError> {
        closure(roots, self.root(), |path| self.info(path))
    }

    /// The file in which a tree differs from the listing, where there is one.
    pub(crate) fn listing(&self, path: &StorePath) -> Option<Arc<crate::Listing>> {
        self.store.listing(path).ok()
    }

    /// What is called like a path in its folder.
    pub(crate) fn lying_there(&self) -> Result<Vec<StorePath>, StoreError> {
        self.store.lying_there()
    }

    pub(crate) fn damaged(&self, path: &StorePath, what: String) -> StoreError {
        StoreError::SourceDamaged { path: path.clone(), root: self.root().to_path_buf(), what }
    }
}

/// `roots` and all that they refer to in a store, sorted by path.
pub(crate) fn closure(
    roots: &[StorePath],
    store: &Path,
    info: impl Fn(&StorePath) -> Result<Option<PathInfo>, StoreError>,
) -> Result<Vec<PathInfo>, StoreError> {
    let mut infos: BTreeMap<StorePath, PathInfo> = BTreeMap::new();
    let mut waiting: Vec<(StorePath, Option<StorePath>)> = roots.iter().map(|p| (p.clone(), None)).collect();
    while let Some((path, referrer)) = waiting.pop() {
        if infos.contains_key(&path) {
            continue;
        }
        let Some(found) = info(&path)? else {
            return Err(StoreError::Missing { path, store: store.to_path_buf(), referrer });
        };
        waiting.extend(found.references.iter().map(|r| (r.clone(), Some(path.clone()))));
        infos.insert(path, found);
    }
    Ok(infos.into_values().collect())
}

/// The same infos, each after those that it refers to.
pub(crate) fn references_first(infos: &[PathInfo]) -> Vec<&PathInfo> {
    let mut waiting: BTreeMap<&StorePath, &PathInfo> = infos.iter().map(|i| (&i.path, i)).collect();
    let mut ordered = Vec::with_capacity(infos.len());
    for info in infos {
        let mut stack = vec![(&info.path, false)];
        while let Some((path, seen)) = stack.pop() {
            if seen {
                ordered.extend(infos.binary_search_by(|i| i.path.cmp(path)).ok().map(|i| &infos[i]));
            } else if let Some(info) = waiting.remove(path) {
                stack.push((path, true));
                stack.extend(info.references.iter().rev().map(|r| (r, false)));
            }
        }
    }
    ordered
}
