//! Bringing a tree into the store: canonical, hashed, named, moved into its place by one rename.
//!
//! The order makes every moment a good one to be killed at: the tree, its fingerprint, its listing, and last of all
//! the info, without which the rest does not count. In a machine's store every moment is a good one for a power cut as
//! well: the info, already written under another name, gets its own by a rename when all the rest is on the disk
//! (`syncfs`), and a tree that is replaced loses its info, on the disk, before it is touched. So an info that is there
//! describes a whole tree, whichever of the later changes got to the disk; [`Store::sync`] makes the infos last.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::canonical::{below, canonicalise, seal};
use crate::fingerprint::{self, Stamp};
use crate::folders::Part;
use crate::hash::{Hashed, hash_tree};
use crate::local::Store;
use crate::missing::if_there;
use crate::record::info_text;
use crate::{Entry, Listing, PathInfo, Scratch, SigningKey, StoreError, StorePath};

/// Every path was registered one second after 1970: an image's bytes must not tell when it was made.
pub(crate) const REGISTRATION_TIME: i64 = 1;

/// The name of the info in the scratch folder, before it counts.
const INFO: &str = "info";

/// A tree that is to be valid, in a scratch folder or already in its place.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) info: PathInfo,
    pub(crate) listing: Listing,
    pub(crate) scratch: Scratch,
    /// The file system's time before the tree was read.
    pub(crate) before: i128,
    /// The entries that are linked to twins, whose contents are known to be right.
    pub(crate) shared: HashSet<usize>,
}

impl Staged {
    pub(crate) fn new(info: PathInfo, listing: Listing, scratch: Scratch, before: i128) -> Staged {
        Staged { info, listing, scratch, before, shared: HashSet::new() }
    }
}

impl Store {
    /// Brings a tree into the store under a name made of its bytes (`fixed:r:sha256`). The same tree gets the same path
    /// on every machine and as every user. `candidates` are the paths it may refer to; those whose hash parts occur
    /// in it become its references.
    ///
    /// A tree that is there already and is undamaged is taken as it is; a damaged one is replaced.
    ///
    /// # Errors
    /// [`StoreError::Unsupported`] for what a store path cannot hold (special files, names that are not UTF-8),
    /// [`StoreError::SelfReference`] when the tree holds the very path it gets, [`StoreError::BadName`] when `name` is
    /// no name, [`StoreError::Io`]. The store is as it was then, and the scratch folder is gone.
    pub fn add(&self, name: &str, scratch: Scratch, candidates: &[StorePath]) -> Result<PathInfo, StoreError> {
        // A wrong name is found before the work.
        StorePath::content_addressed(name, [0; 32], [])?;
        let (hashed, before) = self.read(&scratch, candidates)?;
        let (path, ca) = StorePath::content_addressed(name, hashed.nar_hash, &hashed.references)?;
        // A tree cannot hold the path that its own bytes give, short of a broken hash; Nix versions would disagree
        // about such a path, so it is refused rather than believed impossible.
        if hashed.references.contains(&path) {
            return Err(StoreError::SelfReference { path });
        }
        self.publish(path, Some(ca), hashed, scratch, before)
    }

    /// Brings a tree into the store under the path that [`StorePath::input_addressed`] gave. It may name itself.
    /// The result is signed when there is a key; the store itself keeps no signature (see [`PathInfo::sign`]).
    ///
    /// A tree that is there already and is undamaged is taken as it is; a damaged one is replaced.
    ///
    /// # Errors
    /// As [`Store::add`].
    pub fn add_input_addressed(
        &self,
        path: &StorePath,
        scratch: Scratch,
        candidates: &[StorePath],
        key: Option<&SigningKey>,
    ) -> Result<PathInfo, StoreError> {
        let candidates: BTreeSet<&StorePath> = candidates.iter().chain([path]).collect();
        let candidates: Vec<StorePath> = candidates.into_iter().cloned().collect();
        let (hashed, before) = self.read(&scratch, &candidates)?;
        let mut info = self.publish(path.clone(), None, hashed, scratch, before)?;
        if let Some(key) = key {
            info.sign(key);
        }
        Ok(info)
    }

    /// The path that something made from `inputs` will have; see [`StorePath::input_addressed`].
    ///
    /// # Errors
    /// [`StoreError::BadName`] when `name` is no name.
    pub fn input_addressed_path(name: &str, inputs: &[u8]) -> Result<StorePath, StoreError> {
        StorePath::input_addressed(name, inputs)
    }

    /// Makes the tree canonical and reads it. The time is the file system's between the two: whatever was changed
    /// later than that may not be what was read.
    fn read(&self, scratch: &Scratch, candidates: &[StorePath]) -> Result<(Hashed, i128), StoreError> {
        let found = canonicalise(scratch.path())?;
        let before = scratch.now()?;
        Ok((hash_tree(scratch.path(), found, candidates)?, before))
    }

    fn publish(
        &self,
        path: StorePath,
        ca: Option<String>,
        hashed: Hashed,
        scratch: Scratch,
        before: i128,
    ) -> Result<PathInfo, StoreError> {
        let lock = self.lock()?;
        match self.valid(&path).and_then(|record| self.check_under(&path, &scratch).map(|()| record.info)) {
            // The same bytes have the same references; a record with fewer is not to be kept.
            Ok(info) if info.nar_hash != hashed.nar_hash || info.references.is_superset(&hashed.references) => {
                drop(lock);
                return Ok(info);
            }
            Ok(_) | Err(StoreError::Missing { .. } | StoreError::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
        let info = PathInfo {
            path,
            nar_hash: hashed.nar_hash,
            nar_size: hashed.nar_size,
            references: hashed.references,
            ca,
            signatures: Vec::new(),
            registration_time: REGISTRATION_TIME,
        };
        let mut staged = Staged::new(info, hashed.listing, scratch, before);
        self.share(&mut staged)?;
        self.place(&staged)?;
        self.settle(std::slice::from_ref(&staged))?;
        // The scratch folder may hold a damaged tree now, whose removal takes a while.
        drop(lock);
        Ok(staged.info)
    }

    /// Moves a tree into its place, with everything that belongs to it but its info. The store's lock must be held.
    pub(crate) fn place(&self, staged: &Staged) -> Result<(), StoreError> {
        let path = &staged.info.path;
        self.text_of(path, &staged.listing)?;
        self.invalidate(path)?;
        self.move_away(path, &staged.scratch)?;
        let real = self.real_path(path);
        fs::rename(staged.scratch.path(), &real).map_err(StoreError::io("making", &real))?;
        seal(&real)?;
        self.record_in_place(staged)
    }

    /// Writes everything that belongs to a tree that is in its place, and keeps its info back until [`Store::settle`].
    pub(crate) fn record_in_place(&self, staged: &Staged) -> Result<(), StoreError> {
        let Staged { info, listing, scratch, before, shared } = staged;
        let path = &info.path;
        let stamps = stamp(&self.real_path(path), listing, *before, shared)?;
        put(scratch, &self.fingerprint_file(path), &fingerprint::to_text(&stamps))?;
        let listing = self.text_of(path, listing)?;
        put(scratch, &self.listing_file(path), &listing)?;
        write(&scratch.beside(INFO), &info_text(info, &listing), &self.info_file(path))
    }

    /// A listing's text, if it is one that is read again.
    fn text_of(&self, path: &StorePath, listing: &Listing) -> Result<String, StoreError> {
        let unsupported = |why| StoreError::Unsupported { path: self.real_path(path), why };
        at_most(listing.to_text(), Part::Listing.most()).map_err(unsupported)
    }

    /// Makes trees valid that are in their places; references should come before what refers to them. The store's lock
    /// must be held.
    pub(crate) fn settle(&self, staged: &[Staged]) -> Result<(), StoreError> {
        if self.machine {
            self.sync()?;
        }
        for Staged { info, scratch, .. } in staged {
            let file = self.info_file(&info.path);
            fs::rename(scratch.beside(INFO), &file).map_err(StoreError::io("writing", file))?;
        }
        Ok(())
    }

    /// Moves what is at `path` into the scratch folder, where it goes away; or aside, when the machine may be running from
    /// it. The store's lock must be held.
    pub(crate) fn move_away(&self, path: &StorePath, scratch: &Scratch) -> Result<(), StoreError> {
        let away = if self.live { self.set_aside(path)? } else { scratch.beside("old") };
        self.move_to(path, &away).map(drop)
    }

    /// Moves what is at `path` out of the store folder; says whether there was something.
    pub(crate) fn move_to(&self, path: &StorePath, away: &Path) -> Result<bool, StoreError> {
        let real = self.real_path(path);
        let meta = if_there(fs::symlink_metadata(&real)).map_err(StoreError::io("reading", &real))?;
        let Some(meta) = meta else { return Ok(false) };
        if meta.is_dir() {
            // An ordinary user cannot rename a folder that is read-only: its ".." changes.
            fs::set_permissions(&real, fs::Permissions::from_mode(0o700))
                .map_err(StoreError::io("changing the mode of", &real))?;
        }
        fs::rename(&real, away).map_err(StoreError::io("removing", real))?;
        Ok(true)
    }
}

/// A listing's text, or what is wrong with it.
fn at_most(text: String, most: u64) -> Result<String, String> {
    if text.len() as u64 > most {
        return Err(format!("it has so many files that their list is longer than {most} bytes"));
    }
    Ok(text)
}

/// The stamps of a tree that is in its place.
fn stamp(top: &Path, listing: &Listing, before: i128, shared: &HashSet<usize>) -> Result<Vec<Stamp>, StoreError> {
    let stamp = |(index, entry): (usize, &Entry)| {
        let real = below(top, &entry.path);
        let meta = fs::symlink_metadata(&real).map_err(StoreError::io("reading", real))?;
        // The new name has changed it, and nothing else since it was known to be right.
        let before = if shared.contains(&index) { i128::MAX } else { before };
        Ok(Stamp::new(&meta, before))
    };
    listing.iter().enumerate().map(stamp).collect()
}

/// Writes a small file at once: it is there completely, or as it was before.
pub(crate) fn put(scratch: &Scratch, to: &Path, text: &str) -> Result<(), StoreError> {
    let new = scratch.beside("new");
    write(&new, text, to)?;
    fs::rename(&new, to).map_err(StoreError::io("writing", to))
}

/// Writes a file that is to be another one.
fn write(new: &Path, text: &str, to: &Path) -> Result<(), StoreError> {
    fs::write(new, text).map_err(StoreError::io("writing", to))?;
    fs::set_permissions(new, fs::Permissions::from_mode(0o644)).map_err(StoreError::io("writing", to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_as_long_as_it_may_be_is_taken() {
        assert_eq!(at_most("abc".into(), 3), Ok("abc".into()));
        assert!(at_most("abcd".into(), 3).unwrap_err().contains("longer than 3 bytes"));
    }
}
