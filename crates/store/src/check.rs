//! Is a path still what was put there? Quickly, by what `lstat` says of each file; or thoroughly, by reading all.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::canonical::below;
use crate::fingerprint::{self, Stamp};
use crate::hash::{buffer, hash_file, nar_hash};
use crate::info::to_hex;
use crate::local::Store;
use crate::publish::put;
use crate::{Entry, EntryKind, Listing, Scratch, StoreError, StorePath};

/// From how many entries on a second thread is worth it.
const TWO_THREADS: usize = 4096;

impl Store {
    /// Finds out whether `path` is as it was when it was added, reading only the files that somebody has touched since.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] naming the first file that differs, [`StoreError::Missing`], [`StoreError::Io`].
    pub fn check_quick(&self, path: &StorePath) -> Result<(), StoreError> {
        let suspects = self.suspects(path)?;
        if suspects.indices.is_empty() {
            return Ok(());
        }
        let before = match self.scratch() {
            Ok(scratch) => Some((scratch.now()?, scratch)),
            // A store that cannot be written to is checked all the same; what was found out is not kept.
            Err(_) => None,
        };
        self.compare(path, suspects, before.as_ref().map(|(now, scratch)| (*now, scratch)))
    }

    /// The same with a scratch folder at hand, while the store's lock is held.
    pub(crate) fn check_under(&self, path: &StorePath, scratch: &Scratch) -> Result<(), StoreError> {
        let suspects = self.suspects(path)?;
        let now = scratch.now()?;
        self.compare(path, suspects, Some((now, scratch)))
    }

    /// Finds out whether `path` is as it was when it was added, by reading all of it.
    ///
    /// # Errors
    /// As [`Store::check_quick`].
    pub fn check_contents(&self, path: &StorePath) -> Result<(), StoreError> {
        let record = self.valid(path)?;
        let nar = nar_hash(&self.real_path(path), &[])?;
        if nar.nar_sha256 == record.info.nar_hash {
            return Ok(());
        }
        // The listing can name the file.
        let listing = self.listing(path)?;
        let indices = (0..listing.entries().len()).collect();
        self.compare(path, Suspects { listing, stamps: None, indices }, None)?;
        let (expected, found) = (to_hex(&record.info.nar_hash), to_hex(&nar.nar_sha256));
        Err(self.damaged(path, format!("its NAR differs (expected sha256 {expected}, found {found})")))
    }

    /// The entries of which `lstat` does not say what it said before.
    fn suspects(&self, path: &StorePath) -> Result<Suspects, StoreError> {
        let listing = self.listing(path)?;
        let stamps = fs::read_to_string(self.fingerprint_file(path)).ok().and_then(|t| fingerprint::parse(&t));
        let stamps = stamps.filter(|s| s.len() == listing.entries().len());
        let indices = match &stamps {
            None => (0..listing.entries().len()).collect(),
            Some(stamps) => {
                let top = self.real_path(path);
                let all: Vec<_> = listing.iter().zip(stamps).enumerate().collect();
                let look = |part: &[(usize, (&Entry, &Stamp))]| -> Vec<usize> {
                    let holds = |entry: &Entry, stamp: &Stamp| {
                        fs::symlink_metadata(below(&top, &entry.path)).is_ok_and(|meta| stamp.still_holds(&meta))
                    };
                    part.iter().filter(|(_, (entry, stamp))| !holds(entry, stamp)).map(|(index, _)| *index).collect()
                };
                if all.len() < TWO_THREADS {
                    look(&all)
                } else {
                    let (left, right) = all.split_at(all.len() / 2);
                    std::thread::scope(|scope| {
                        let other = scope.spawn(|| look(right));
                        let mut indices = look(left);
                        indices.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                        indices
                    })
                }
            }
        };
        Ok(Suspects { listing, stamps, indices })
    }

    /// Reads the suspects; if they are what they should be, their stamps are renewed.
    fn compare(&self, path: &StorePath, suspects: Suspects, renew: Option<(i128, &Scratch)>) -> Result<(), StoreError> {
        let Suspects { listing, stamps, indices } = suspects;
        if indices.is_empty() {
            return Ok(());
        }
        let top = self.real_path(path);
        let mut buffer = buffer();
        let mut renewed = Vec::with_capacity(indices.len());
        for index in &indices {
            let real = below(&top, &listing.entries()[*index].path);
            let meta = match fs::symlink_metadata(&real) {
                Ok(meta) => meta,
                Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Err(self.damaged(path, format!("{} is missing", shown(&listing.entries()[*index]))));
                }
                Err(e) => return Err(StoreError::io("reading", real)(e)),
            };
            if let Some(what) = difference(&listing, *index, &real, &meta, &mut buffer)? {
                return Err(self.damaged(path, what));
            }
            renewed.push((*index, meta));
        }
        if let Some((before, scratch)) = renew {
            let mut stamps = match stamps {
                Some(stamps) => stamps,
                None => renewed.iter().map(|(_, meta)| Stamp::new(meta, before)).collect(),
            };
            for (index, meta) in &renewed {
                stamps[*index] = Stamp::new(meta, before);
            }
            put(scratch, &self.fingerprint_file(path), &fingerprint::to_text(&stamps))?;
        }
        Ok(())
    }
}

/// What is to be looked at more closely.
struct Suspects {
    listing: Listing,
    stamps: Option<Vec<Stamp>>,
    /// Of entries, ascending.
    indices: Vec<usize>,
}

fn shown(entry: &Entry) -> &str {
    if entry.path.is_empty() { "the top" } else { &entry.path }
}

/// How an entry differs from what the listing says, if it does.
fn difference(
    listing: &Listing,
    index: usize,
    real: &Path,
    meta: &Metadata,
    buffer: &mut [u8],
) -> Result<Option<String>, StoreError> {
    let entry = &listing.entries()[index];
    let name = shown(entry);
    match &entry.kind {
        EntryKind::Directory if meta.is_dir() => stranger(listing, index, real),
        EntryKind::Symlink { target } if meta.is_symlink() => {
            let found = fs::read_link(real).map_err(StoreError::io("reading", real))?;
            let what = || format!("{name} differs (expected a link to {target}, found one to {})", found.display());
            Ok((found.as_os_str() != target.as_str()).then(what))
        }
        EntryKind::File { size, executable, sha256 } if meta.is_file() => {
            if (meta.mode() & 0o100 != 0) != *executable {
                let not = if *executable { "" } else { "not " };
                return Ok(Some(format!("{name} differs (it should {not}be executable)")));
            }
            let (found_size, found) = hash_file(real, buffer)?;
            if found == *sha256 {
                return Ok(None);
            }
            let (expected, found) = (to_hex(sha256), to_hex(&found));
            let sizes = if found_size == *size { String::new() } else { format!(", {size} bytes, now {found_size}") };
            Ok(Some(format!("{name} differs (expected sha256 {expected}, found {found}{sizes})")))
        }
        EntryKind::Directory => Ok(Some(format!("{name} is no longer a folder"))),
        EntryKind::Symlink { .. } => Ok(Some(format!("{name} is no longer a symbolic link"))),
        EntryKind::File { .. } => Ok(Some(format!("{name} is no longer a regular file"))),
    }
}

/// A name in a folder that the listing does not have there. One that is missing is found as an entry of its own.
fn stranger(listing: &Listing, index: usize, real: &Path) -> Result<Option<String>, StoreError> {
    let dir = &listing.entries()[index].path;
    let child = |path: &str| -> Option<String> {
        let rest = if dir.is_empty() { path } else { path.strip_prefix(dir.as_str())?.strip_prefix('/')? };
        Some(rest.to_string())
    };
    // A folder's descendants follow it without a gap.
    let below = listing.entries()[index + 1..].iter().map_while(|e| child(&e.path));
    let known: std::collections::BTreeSet<String> = below.filter(|rest| !rest.contains('/')).collect();
    for entry in fs::read_dir(real).map_err(StoreError::io("reading", real))? {
        let name = entry.map_err(StoreError::io("reading", real))?.file_name();
        if !name.to_str().is_some_and(|n| known.contains(n)) {
            let place = below_name(dir, &name.to_string_lossy());
            return Ok(Some(format!("{place} does not belong there")));
        }
    }
    Ok(None)
}

fn below_name(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_string() } else { format!("{dir}/{name}") }
}
