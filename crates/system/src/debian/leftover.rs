//! Downloaded packages that no lock names any more.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cairn_machine::lock::Lock;

use super::error::Error;
use super::fetch;

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// The packages in `cache/debs` that none of these locks names, sorted.
///
/// # Errors
/// [`Error::Io`].
pub fn leftover(cache: &Path, locks: &[Lock]) -> Result<Vec<Leftover>, Error> {
    let debs = cache.join("debs");
    let entries = match fs::read_dir(&debs) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("reading", debs)(e)),
    };
    let needed: BTreeSet<String> =
        locks.iter().flat_map(|lock| lock.debian.packages.iter().map(fetch::file_name)).collect();
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("reading", &debs))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".deb") && !needed.contains(&*name) {
            let bytes = path.metadata().map_err(Error::io("reading", &path))?.len();
            found.push(Leftover { path, bytes });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
