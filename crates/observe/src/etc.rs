//! How the /etc of two systems differs, file by file.

use std::collections::BTreeMap;

use cairn_disk::Spent;
use cairn_store::{EntryKind, Listing};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::lines;
use crate::view::{Files, Found, ViewError, walk};

/// The largest listing of an /etc.
const MOST: u64 = 4 << 20;
/// The largest file that is compared.
const MOST_FILE: u64 = 64 << 20;
/// Text that is larger is not shown line by line.
const MOST_TEXT: u64 = 64 << 10;

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// Its path on the machine.
    pub path: String,
    /// Whether it is new, gone, or another.
    pub change: Kinds,
    /// The lines that differ, where they were asked for and it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kinds {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
}

/// What stands at a path, so far as two of them can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stands {
    Link(String),
    /// By its hash, and whether it can be run, where the store has written it down.
    File([u8; 32], Option<bool>),
}

/// The files that differ between two trees of /etc, given as they are in the store. `contents`: with the lines.
pub fn differences(files: &dyn Files, old: &str, new: &str, contents: bool) -> Result<Vec<FileChange>, ViewError> {
    if old == new {
        return Ok(Vec::new());
    }
    let (before, after) = match (listing(files, old)?, listing(files, new)?) {
        (Some(before), Some(after)) => (before, after),
        // Only one of them would say what can be run.
        _ => (looked_at(files, old)?, looked_at(files, new)?),
    };
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let budget = files.budget();
    let endless = |why: Spent| ViewError::Endless { path: new.to_string(), why };
    let mut found = Vec::new();
    for path in paths {
        let change = match (before.get(path), after.get(path)) {
            (None, _) => Kinds::Added,
            (_, None) => Kinds::Removed,
            (a, b) if a == b => continue,
            _ => Kinds::Changed,
        };
        let diff = if contents { text_of(files, old, new, path)? } else { None };
        budget.keep(path.len() + diff.as_ref().map_or(0, String::len)).map_err(endless)?;
        found.push(FileChange { path: format!("/etc/{path}"), change, diff });
    }
    Ok(found)
}

/// What the store has written down about a path.
fn listing(files: &dyn Files, path: &str) -> Result<Option<BTreeMap<String, Stands>>, ViewError> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some(bytes) = files.read(&format!("/nix/var/cairn/listing/{name}"), MOST)? else { return Ok(None) };
    files.budget().keep(bytes.len()).map_err(|why| ViewError::Endless { path: path.to_string(), why })?;
    let Some(listing) = std::str::from_utf8(&bytes).ok().and_then(Listing::parse) else { return Ok(None) };
    let stands = listing.into_iter().filter_map(|entry| {
        let stands = match &entry.kind {
            EntryKind::Directory => return None,
            EntryKind::Symlink { target } => Stands::Link(target.clone()),
            EntryKind::File { executable, sha256, .. } => Stands::File(*sha256, Some(*executable)),
        };
        Some((entry.path.clone(), stands))
    });
    Ok(Some(stands.collect()))
}

/// What there is, looked at file by file. Contents are compared by their hashes: nobody says how many there are.
fn looked_at(files: &dyn Files, top: &str) -> Result<BTreeMap<String, Stands>, ViewError> {
    let budget = files.budget();
    let mut all = BTreeMap::new();
    walk(files, top, |path, found| {
        let real = format!("{top}/{path}");
        let stands = match found {
            Found::Link(target) => Stands::Link(target.to_string()),
            Found::Folder | Found::Other => return Ok(()),
            Found::File => {
                let mut hasher = Sha256::new();
                if files.copy(&real, MOST_FILE, &mut hasher)?.is_none() {
                    return Ok(());
                }
                Stands::File(hasher.finalize().into(), None)
            }
        };
        let size = path.len() + if let Stands::Link(target) = &stands { target.len() } else { 32 };
        budget.keep(size).map_err(|why| ViewError::Endless { path: real, why })?;
        all.insert(path.to_string(), stands);
        Ok::<(), ViewError>(())
    })?;
    Ok(all)
}

/// The lines that differ; `None` where there is no text to compare.
fn text_of(files: &dyn Files, old: &str, new: &str, path: &str) -> Result<Option<String>, ViewError> {
    let text = |top: &str| -> Result<Option<String>, ViewError> {
        let real = format!("{top}/{path}");
        if let Some(target) = files.link(&real)? {
            return Ok(Some(format!("-> {target}\n")));
        }
        let bytes = match files.read(&real, MOST_TEXT) {
            Ok(bytes) => bytes.unwrap_or_default(),
            Err(ViewError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
    };
    let (Some(before), Some(after)) = (text(old)?, text(new)?) else { return Ok(None) };
    // Comparing is a table of all lines by all lines, and there may be any number of files.
    files
        .budget()
        .steps(lines::cost(&before, &after))
        .map_err(|why| ViewError::Endless { path: format!("{new}/{path}"), why })?;
    Ok(Some(lines::unified(&before, &after)))
}
