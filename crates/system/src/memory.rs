//! What is remembered from one build to the next: under which path the store has what was made from something.

use std::fs;
use std::path::{Path, PathBuf};

use cairn_store::{PathInfo, Store, StoreError, StorePath, put_in_cache};

use crate::error::SystemError;

/// One entry: a file in a folder of the cache, with the base name of a store path.
#[derive(Debug)]
pub struct Memory {
    file: PathBuf,
}

impl Memory {
    /// The entry of `key` among those of one `kind`.
    pub fn new(cache: &Path, kind: &str, key: &str) -> Memory {
        Memory { file: cache.join(kind).join(key) }
    }

    /// The path that was remembered, if the store still has it whole.
    pub fn path(&self, store: &Store) -> Result<Option<StorePath>, SystemError> {
        let Ok(text) = fs::read_to_string(&self.file) else { return Ok(None) };
        let Ok(path) = StorePath::from_basename(text.trim()) else { return Ok(None) };
        Ok(present(store, &path)?.map(|info| info.path))
    }

    /// Remembers a path.
    pub fn remember(&self, path: &StorePath) -> Result<(), SystemError> {
        if fs::read_to_string(&self.file).is_ok_and(|known| known == path.base_name()) {
            return Ok(());
        }
        put_in_cache(&self.file, path.base_name().as_bytes()).map_err(SystemError::io("writing", &self.file))
    }
}

/// The path's information, if it and all that it refers to are in the store and whole.
pub fn present(store: &Store, path: &StorePath) -> Result<Option<PathInfo>, SystemError> {
    let check = || -> Result<Option<PathInfo>, StoreError> {
        let Some(info) = store.info(path)? else { return Ok(None) };
        store.closure(std::slice::from_ref(path))?;
        store.check_quick(path)?;
        Ok(Some(info))
    };
    match check() {
        Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) => Ok(None),
        other => Ok(other?),
    }
}
