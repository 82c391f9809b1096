//! Copying a closure out of another store. Every byte that arrives is hashed and searched for the names of store paths, and
//! nothing counts before all of it was found right: until then the trees are in scratch folders.
//!
//! What the other store says of a path's references is not believed: a reference that is in the bytes and not in its books would
//! let a later collection remove what the path needs. One that is in the books alone keeps something alive, and no more.

use std::collections::BTreeMap;
use std::io;

use cairn_process::Report;
use nix::sys::statvfs::statvfs;

use crate::canonical::{canonicalise, canonicalise_in_place};
use crate::copy_tree::{self, Copy};
use crate::hash::{Hashed, hash_tree};
use crate::info::to_hex;
use crate::publish::{REGISTRATION_TIME, Staged};
use crate::source::{CopySource, references_first};
use crate::{EntryKind, Listing, NixDb, PathInfo, Store, StoreError, StorePath};

/// What copying did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The whole closure as it is here now, sorted by path, with the signatures of both stores: what is to be registered.
    pub closure: Vec<PathInfo>,
    /// The paths that were not there before.
    pub new: Vec<StorePath>,
    /// The bytes in the files of these.
    pub bytes: u64,
}

impl Store {
    /// Brings `roots` and all that they refer to into this store. What is here already and undamaged is not copied; what
    /// is damaged is replaced. In a machine's store the new paths are on the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::SourceDamaged`] naming a path whose bytes, or the references in them, are not what the source says,
    /// [`StoreError::Missing`] when the source does not have all references, [`StoreError::Disagree`] when Nix's database
    /// here knows one of the paths with other contents, [`StoreError::Full`], [`StoreError::Io`]. This store is as it was
    /// then.
    pub fn copy_closure(
        &self,
        source: &CopySource,
        roots: &[StorePath],
        report: &dyn Report,
    ) -> Result<Copied, StoreError> {
        let free = self.free();
        let mut needed = 0;
        self.copy_missing(source, roots, &mut needed, report).map_err(|error| match error {
            StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                StoreError::Full { root: self.root().to_path_buf(), needed, free }
            }
            other => other,
        })
    }

    fn copy_missing(
        &self,
        source: &CopySource,
        roots: &[StorePath],
        needed: &mut u64,
        report: &dyn Report,
    ) -> Result<Copied, StoreError> {
        let wanted = source.closure(roots)?;
        let db = NixDb::look(self.disk())?;
        let candidates = self.candidates(source, &wanted)?;
        let mut missing = Vec::new();
        let mut staged: BTreeMap<&StorePath, Staged> = BTreeMap::new();
        for info in references_first(&wanted) {
            match self.here(source, info, &candidates)? {
                Here::Whole => continue,
                Here::Unrecorded(new) => drop(staged.insert(&info.path, *new)),
                Here::Missing => missing.push(info),
            }
            let registered = db.as_ref().map_or(Ok(None), |db| db.info(&info.path))?;
            if let Some(here) = registered.filter(|here| here.nar_hash != info.nar_hash) {
                let (database, store) = (here.nar_hash_hex(), info.nar_hash_hex());
                return Err(StoreError::Disagree { path: info.path.clone(), database, store });
            }
        }
        *needed = missing.iter().map(|i| i.nar_size).fold(0, u64::saturating_add);
        report.phase("copying store paths", Some(*needed));
        let in_place: Vec<StorePath> = staged.keys().map(|path| (*path).clone()).collect();
        for info in missing {
            let scratch = self.scratch()?;
            Copy::make(source, info, self.most(source, info)?, scratch.path(), report)?;
            let found = canonicalise(scratch.path())?;
            let before = scratch.now()?;
            let hashed = hash_tree(scratch.path(), found, &candidates)?;
            right(source, info, &hashed)?;
            let here = PathInfo { nar_size: hashed.nar_size, registration_time: REGISTRATION_TIME, ..info.clone() };
            let mut new = Staged::new(here, hashed.listing, scratch, before);
            // At once, so that there need not be room for all copies.
            let lock = self.lock()?;
            self.share(&mut new)?;
            drop(lock);
            staged.insert(&info.path, new);
        }
        let lock = self.lock()?;
        let mut placed = Vec::with_capacity(staged.len());
        for info in references_first(&wanted) {
            let Some(staged) = staged.remove(&info.path) else { continue };
            if in_place.contains(&info.path) {
                self.record_in_place(&staged)?;
            // Somebody else may have brought it meanwhile.
            } else if self.valid(&info.path).is_ok() && self.check_under(&info.path, &staged.scratch).is_ok() {
                continue;
            } else {
                self.place(&staged)?;
            }
            placed.push(staged);
        }
        self.settle(&placed)?;
        if self.machine {
            self.sync()?;
        }
        drop(lock);
        let mut closure = self.closure(roots)?;
        for info in &mut closure {
            let there = wanted.binary_search_by(|other| other.path.cmp(&info.path)).ok().map(|at| &wanted[at]);
            if let Some(there) = there.filter(|there| there.nar_hash == info.nar_hash) {
                info.signatures.extend(there.signatures.iter().cloned());
                info.signatures.sort_unstable();
                info.signatures.dedup();
            }
        }
        placed.retain(|staged| !in_place.contains(&staged.info.path));
        let bytes = placed.iter().map(|s| s.listing.total_size()).sum();
        let new = placed.iter().map(|s| s.info.path.clone()).collect();
        Ok(Copied { closure, new, bytes })
    }

    /// The bytes that the files of a path may have. A NAR has more than the files in it; when nobody knows its size, they are
    /// counted, and have to fit.
    fn most(&self, source: &CopySource, info: &PathInfo) -> Result<u64, StoreError> {
        if info.nar_size != 0 {
            return Ok(info.nar_size);
        }
        let (needed, free) = (copy_tree::size(&source.real_path(&info.path))?, self.free());
        match needed <= free {
            true => Ok(needed),
            false => Err(StoreError::Full { root: self.root().to_path_buf(), needed, free }),
        }
    }

    fn free(&self) -> u64 {
        statvfs(&self.store_dir()).map_or(0, |s| s.blocks_available().saturating_mul(s.fragment_size()))
    }

    /// The paths whose names are looked for in what is copied: all that lie in either store, one for each hash part. What the
    /// source's books leave out of the closure would not be found otherwise. In the bytes only the hash part can be searched for
    /// (the name behind it may be cut off), so two paths that share one could be taken for each other: no store makes them.
    fn candidates(&self, source: &CopySource, wanted: &[PathInfo]) -> Result<Vec<StorePath>, StoreError> {
        let mut all: BTreeMap<String, StorePath> = BTreeMap::new();
        let lying = source.lying_there()?.into_iter().chain(self.lying_there()?);
        for path in wanted.iter().map(|info| info.path.clone()).chain(lying) {
            if let Some(other) = all.insert(path.hash_part().to_string(), path.clone()).filter(|other| *other != path) {
                let what = format!("it has the same hash as {other}, so nobody can tell which of them is referred to");
                return Err(source.damaged(&path, what));
            }
        }
        Ok(all.into_values().collect())
    }

    /// Whether a path is here, undamaged: what is named by its inputs may have other bytes, and stays. One that Nix has
    /// brought and that we have no record of gets one; and so does one whose record has fewer references than the source's,
    /// although the bytes are the same.
    fn here(&self, source: &CopySource, info: &PathInfo, candidates: &[StorePath]) -> Result<Here, StoreError> {
        let here = match self.info(&info.path) {
            Ok(here) => here,
            Err(StoreError::Damaged { .. }) => return Ok(Here::Missing),
            Err(other) => return Err(other),
        };
        let Some(here) = here else {
            return match self.machine {
                true => self.in_place(source, info.clone(), candidates),
                false => Ok(Here::Missing),
            };
        };
        match self.check_quick(&info.path) {
            Ok(()) => {}
            Err(StoreError::Damaged { .. } | StoreError::Missing { .. }) => return Ok(Here::Missing),
            Err(other) => return Err(other),
        }
        if here.nar_hash != info.nar_hash || here.references.is_superset(&info.references) {
            return Ok(Here::Whole);
        }
        let references = here.references.union(&info.references).cloned().collect();
        self.in_place(source, PathInfo { references, ..here }, candidates)
    }

    /// What to record of a tree that is in its place, if it is what `info` says.
    fn in_place(&self, source: &CopySource, info: PathInfo, candidates: &[StorePath]) -> Result<Here, StoreError> {
        let real = self.real_path(&info.path);
        if real.symlink_metadata().is_err() {
            return Ok(Here::Missing);
        }
        let scratch = self.scratch()?;
        let found = canonicalise_in_place(&real)?;
        let before = scratch.now()?;
        let hashed = hash_tree(&real, found, candidates)?;
        if hashed.nar_hash != info.nar_hash {
            return Ok(Here::Missing);
        }
        all_references(source, &info, &hashed)?;
        let info = PathInfo { nar_size: hashed.nar_size, registration_time: REGISTRATION_TIME, ..info };
        Ok(Here::Unrecorded(Box::new(Staged::new(info, hashed.listing, scratch, before))))
    }
}

/// What there is of a path here.
enum Here {
    /// All of it.
    Whole,
    /// The tree, to be recorded.
    Unrecorded(Box<Staged>),
    /// Nothing, or something damaged.
    Missing,
}

/// Whether the books have all the references that are in the bytes.
fn all_references(source: &CopySource, info: &PathInfo, hashed: &Hashed) -> Result<(), StoreError> {
    let known = |found: &StorePath| info.references.contains(found);
    match hashed.references.iter().find(|found| !known(found)) {
        None => Ok(()),
        Some(found) => {
            let what = format!("its files name {found}, and the store's books do not say that it refers to that");
            Err(source.damaged(&info.path, what))
        }
    }
}

/// Whether a copied tree is what the source says, and bears the right name.
fn right(source: &CopySource, info: &PathInfo, hashed: &Hashed) -> Result<(), StoreError> {
    let path = &info.path;
    if hashed.nar_hash != info.nar_hash {
        let (expected, found) = (to_hex(&info.nar_hash), to_hex(&hashed.nar_hash));
        let file = source.listing(path).and_then(|listing| first_difference(&listing, &hashed.listing));
        let file = file.map(|f| format!("{f} differs; ")).unwrap_or_default();
        return Err(source.damaged(path, format!("{file}its NAR has sha256 {found} instead of {expected}")));
    }
    // A source may have no word on the size.
    if info.nar_size != 0 && info.nar_size != hashed.nar_size {
        let what = format!("its NAR has {} bytes instead of {}", hashed.nar_size, info.nar_size);
        return Err(source.damaged(path, what));
    }
    all_references(source, info, hashed)?;
    // The rule for paths that refer to themselves is not the same in all versions of Nix.
    let by_bytes = info.ca.as_ref().is_some_and(|ca| ca.starts_with("fixed:r:sha256:"));
    if by_bytes && !info.references.contains(path) {
        let (named, ca) = StorePath::content_addressed(path.name(), info.nar_hash, &info.references)?;
        if named != *path || info.ca.as_ref() != Some(&ca) {
            return Err(source.damaged(path, format!("its bytes make it {named}")));
        }
    }
    Ok(())
}

/// The first entry in which two listings differ.
fn first_difference(expected: &Listing, found: &Listing) -> Option<String> {
    let (a, b) = (expected.entries(), found.entries());
    let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let entry = match (a.get(at), b.get(at)) {
        // What is missing in one of them comes first in the other.
        (Some(a), Some(b)) if a.path != b.path => {
            if a.path < b.path {
                a
            } else {
                b
            }
        }
        (a, b) => a.or(b)?,
    };
    // A file and a folder differ by their entries; the top has no name.
    let top = if matches!(entry.kind, EntryKind::File { .. }) { "its only file" } else { "its top" };
    Some(if entry.path.is_empty() { top.to_string() } else { entry.path.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_differs_is_named() {
        let listing = |text: &str| Listing::parse(&format!("cairn-listing 1\n{text}")).unwrap();
        let file = |path: &str| format!("f 1 {} {path}\n", "0".repeat(64));
        let folder =
            |entries: &[&str]| listing(&entries.iter().fold("d \n".to_string(), |all, path| all + &file(path)));
        let alone = listing(&file(""));
        for (expected, found, named) in [
            (folder(&["a", "b"]), folder(&["a", "b"]), None),
            (folder(&["a", "b"]), folder(&["b"]), Some("a")),
            (folder(&["b"]), folder(&["a", "b"]), Some("a")),
            (folder(&["a"]), folder(&["a", "b"]), Some("b")),
            (folder(&["a", "b"]), folder(&["a"]), Some("b")),
            (folder(&["a", "b"]), listing(&format!("d \n{}l b\tx\n", file("a"))), Some("b")),
            (alone.clone(), listing(&file("").replace("f 1", "f 2")), Some("its only file")),
            (alone.clone(), folder(&[]), Some("its only file")),
            (folder(&[]), alone, Some("its top")),
        ] {
            assert_eq!(first_difference(&expected, &found).as_deref(), named, "{expected:?} {found:?}");
        }
    }
}
