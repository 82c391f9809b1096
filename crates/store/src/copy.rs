//! Copying a closure out of another store. Every byte that arrives is hashed, and nothing counts before all of it was
//! found right: until then the trees are in scratch folders.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cairn_process::Report;
use nix::sys::statvfs::statvfs;

use crate::canonical::{canonicalise, canonicalise_in_place};
use crate::hash::{Hashed, hash_tree};
use crate::info::to_hex;
use crate::publish::{REGISTRATION_TIME, Staged};
use crate::source::{Source, references_first};
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
    /// [`StoreError::SourceDamaged`] naming a path whose bytes are not what the source's database says,
    /// [`StoreError::Missing`] when the source does not have all references, [`StoreError::Disagree`] when Nix's database
    /// here knows one of the paths with other contents, [`StoreError::Full`], [`StoreError::Io`]. This store is as it was
    /// then.
    pub fn copy_closure(
        &self,
        source: &Source,
        roots: &[StorePath],
        report: &dyn Report,
    ) -> Result<Copied, StoreError> {
        let free = statvfs(&self.store_dir()).map_or(0, |s| s.blocks_available() * s.fragment_size());
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
        source: &Source,
        roots: &[StorePath],
        needed: &mut u64,
        report: &dyn Report,
    ) -> Result<Copied, StoreError> {
        let wanted = source.closure(roots)?;
        let db = NixDb::read(self.root())?;
        let mut missing = Vec::new();
        for info in references_first(&wanted) {
            if self.has(info)? {
                continue;
            }
            let registered = db.as_ref().map_or(Ok(None), |db| db.info(&info.path))?;
            if let Some(here) = registered.filter(|here| here.nar_hash != info.nar_hash) {
                let (database, store) = (here.nar_hash_hex(), info.nar_hash_hex());
                return Err(StoreError::Disagree { path: info.path.clone(), database, store });
            }
            missing.push(info);
        }
        *needed = missing.iter().map(|i| i.nar_size).sum();
        report.phase("copying store paths", Some(*needed));
        let mut staged = Vec::with_capacity(missing.len());
        for info in missing {
            let scratch = self.scratch()?;
            copy_tree(&source.real_path(&info.path), scratch.path(), report)?;
            let found = canonicalise(scratch.path())?;
            let before = scratch.now()?;
            let hashed = hash_tree(scratch.path(), found, &[])?;
            right(source, info, &hashed)?;
            let info = PathInfo { nar_size: hashed.nar_size, registration_time: REGISTRATION_TIME, ..info.clone() };
            let mut new = Staged::new(info, hashed.listing, scratch, before);
            // At once, so that there need not be room for all copies.
            let lock = self.lock()?;
            self.share(&mut new)?;
            drop(lock);
            staged.push(new);
        }
        let lock = self.lock()?;
        let mut placed = Vec::with_capacity(staged.len());
        for staged in staged {
            // Somebody else may have brought it meanwhile.
            if self.valid(&staged.info.path).is_ok() && self.check_under(&staged.info.path, &staged.scratch).is_ok() {
                continue;
            }
            self.place(&staged)?;
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
        let bytes = placed.iter().map(|s| s.listing.total_size()).sum();
        let new = placed.iter().map(|s| s.info.path.clone()).collect();
        Ok(Copied { closure, new, bytes })
    }

    /// Whether a path is here, undamaged: what is named by its inputs may have other bytes, and stays. One that Nix has
    /// brought and that we have no record of gets one.
    fn has(&self, info: &PathInfo) -> Result<bool, StoreError> {
        match self.info(&info.path) {
            Ok(Some(_)) => {}
            Err(StoreError::Damaged { .. }) => return Ok(false),
            Ok(None) => return self.adopt(info),
            Err(other) => return Err(other),
        }
        match self.check_quick(&info.path) {
            Ok(()) => Ok(true),
            Err(StoreError::Damaged { .. } | StoreError::Missing { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// Makes records for a tree that is in its place, if it is what `info` says.
    fn adopt(&self, info: &PathInfo) -> Result<bool, StoreError> {
        let real = self.real_path(&info.path);
        if !self.machine || real.symlink_metadata().is_err() {
            return Ok(false);
        }
        let scratch = self.scratch()?;
        let found = canonicalise_in_place(&real)?;
        let before = scratch.now()?;
        let hashed = hash_tree(&real, found, &[])?;
        if hashed.nar_hash != info.nar_hash {
            return Ok(false);
        }
        let info = PathInfo { nar_size: hashed.nar_size, registration_time: REGISTRATION_TIME, ..info.clone() };
        let staged = Staged::new(info, hashed.listing, scratch, before);
        let _lock = self.lock()?;
        self.record_in_place(&staged)?;
        self.settle(std::slice::from_ref(&staged))?;
        Ok(true)
    }
}

/// Whether a copied tree is what the source says, and bears the right name.
fn right(source: &Source, info: &PathInfo, hashed: &Hashed) -> Result<(), StoreError> {
    let path = &info.path;
    let same_size = info.nar_size == 0 || info.nar_size == hashed.nar_size;
    if hashed.nar_hash != info.nar_hash || !same_size {
        let (expected, found) = (to_hex(&info.nar_hash), to_hex(&hashed.nar_hash));
        let file = source.listing(path).and_then(|listing| first_difference(&listing, &hashed.listing));
        let file = file.map(|f| format!("{f} differs; ")).unwrap_or_default();
        return Err(source.damaged(path, format!("{file}its NAR has sha256 {found} instead of {expected}")));
    }
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

/// Copies a tree to `to`, which is an empty folder. The kernel copies (and lets files share their blocks where it can).
fn copy_tree(from: &Path, to: &Path, report: &dyn Report) -> Result<(), StoreError> {
    let meta = fs::symlink_metadata(from).map_err(StoreError::io("reading", from))?;
    if meta.is_dir() {
        if !to.is_dir() {
            fs::create_dir(to).map_err(StoreError::io("making", to))?;
            // Whatever the umask says.
            fs::set_permissions(to, fs::Permissions::from_mode(0o755)).map_err(StoreError::io("making", to))?;
        }
        for entry in fs::read_dir(from).map_err(StoreError::io("reading", from))? {
            let name = entry.map_err(StoreError::io("reading", from))?.file_name();
            copy_tree(&from.join(&name), &to.join(&name), report)?;
        }
        return Ok(());
    }
    if to.is_dir() {
        fs::remove_dir(to).map_err(StoreError::io("removing", to))?;
    }
    if meta.is_symlink() {
        let target = fs::read_link(from).map_err(StoreError::io("reading", from))?;
        symlink(target, to).map_err(StoreError::io("making", to))
    } else if meta.is_file() {
        let mut reader = fs::File::open(from).map_err(StoreError::io("reading", from))?;
        let mut writer = fs::File::create_new(to).map_err(StoreError::io("making", to))?;
        let copied = io::copy(&mut reader, &mut writer).map_err(|source| copying(from, to, source))?;
        let mode = if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        writer.set_permissions(fs::Permissions::from_mode(mode)).map_err(StoreError::io("making", to))?;
        report.advance(copied);
        Ok(())
    } else {
        let why = "it is no file, folder or symbolic link, and a store path holds nothing else".to_string();
        Err(StoreError::Unsupported { path: from.to_path_buf(), why })
    }
}

/// Names the side that is at fault.
fn copying(from: &Path, to: &Path, source: io::Error) -> StoreError {
    let written = matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::ReadOnlyFilesystem
    );
    let (action, path) = if written { ("writing", to) } else { ("copying", from) };
    StoreError::Io { action, path: path.to_path_buf(), source }
}
