//! Downloaded packages that no lock names any more.

use std::collections::BTreeSet;

use cairn_machine::lock::Lock;
use cairn_root::{Folder, Kind};

use super::error::Error;
use super::fetch;

/// Where downloaded packages are, in the cache.
pub const DOWNLOADED: &str = "debs";

/// A file of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its name in the folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

/// The packages in this folder ([`DOWNLOADED`]) that none of these locks names, sorted. Files only: whatever else has such a
/// name was not downloaded.
///
/// # Errors
/// [`Error::Io`].
pub fn leftover(folder: &Folder, locks: &[Lock]) -> Result<Vec<Leftover>, Error> {
    let needed: BTreeSet<String> =
        locks.iter().flat_map(|lock| lock.debian().packages.iter().map(fetch::file_name)).collect();
    let mut found = Vec::new();
    for name in folder.names("").map_err(Error::io("reading", folder.path()))?.unwrap_or_default() {
        let Ok(name) = name.into_string() else { continue };
        if !name.ends_with(".deb") || needed.contains(&name) {
            continue;
        }
        let metadata = folder.metadata(&name).map_err(Error::io("reading", folder.shown(&name)))?;
        if let Some(metadata) = metadata.filter(|metadata| Kind::of(metadata) == Kind::File) {
            found.push(Leftover { name, bytes: metadata.len() });
        }
    }
    Ok(found)
}
