//! How the /etc of two systems differs, file by file.

use std::collections::BTreeMap;

use cairn_store::{EntryKind, Listing};
use image_builder::view::{Files, Kind, ViewError};
use serde::Serialize;

use super::lines;

/// What is read into memory at most: a listing, or a file that is compared.
const MOST: u64 = 64 << 20;
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
    /// By its hash, where the store has written it down, and whether it can be run.
    Hashed([u8; 32], bool),
    Bytes(Vec<u8>),
}

/// The files that differ between two trees of /etc, given as they are in the store. `contents`: with the lines.
pub fn differences(files: &dyn Files, old: &str, new: &str, contents: bool) -> Result<Vec<FileChange>, ViewError> {
    if old == new {
        return Ok(Vec::new());
    }
    let (before, after) = match (listing(files, old)?, listing(files, new)?) {
        (Some(a), Some(b)) => (a, b),
        // Hashes of one and bytes of the other would never be the same.
        _ => (walk(files, old)?, walk(files, new)?),
    };
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut found = Vec::new();
    for path in paths {
        let change = match (before.get(path), after.get(path)) {
            (None, _) => Kinds::Added,
            (_, None) => Kinds::Removed,
            (a, b) if a == b => continue,
            _ => Kinds::Changed,
        };
        let diff = if contents { text_of(files, old, new, path)? } else { None };
        found.push(FileChange { path: format!("/etc/{path}"), change, diff });
    }
    Ok(found)
}

/// What the store has written down about a path.
fn listing(files: &dyn Files, path: &str) -> Result<Option<BTreeMap<String, Stands>>, ViewError> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some(bytes) = files.read(&format!("/nix/var/cairn/listing/{name}"), MOST)? else { return Ok(None) };
    let Some(listing) = Listing::parse(&String::from_utf8_lossy(&bytes)) else { return Ok(None) };
    let stands = listing.into_iter().filter_map(|entry| {
        let stands = match &entry.kind {
            EntryKind::Directory => return None,
            EntryKind::Symlink { target } => Stands::Link(target.clone()),
            EntryKind::File { executable, sha256, .. } => Stands::Hashed(*sha256, *executable),
        };
        Some((entry.path.clone(), stands))
    });
    Ok(Some(stands.collect()))
}

fn walk(files: &dyn Files, top: &str) -> Result<BTreeMap<String, Stands>, ViewError> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![String::new()];
    while let Some(folder) = waiting.pop() {
        for name in files.list(&format!("{top}/{folder}"))?.unwrap_or_default() {
            let path = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            let real = format!("{top}/{path}");
            if let Some(target) = files.link(&real)? {
                found.insert(path, Stands::Link(target));
            } else if files.kind(&real)? == Some(Kind::Folder) {
                waiting.push(path);
            } else if let Some(bytes) = files.read(&real, MOST)? {
                found.insert(path, Stands::Bytes(bytes));
            }
        }
    }
    Ok(found)
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
            Err(ViewError::TooLarge { .. } | ViewError::Disk { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(String::from_utf8(bytes).ok().filter(|text| !text.contains('\0')))
    };
    let (Some(before), Some(after)) = (text(old)?, text(new)?) else { return Ok(None) };
    Ok(Some(lines::unified(&before, &after)))
}
