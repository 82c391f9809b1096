//! Is a path still what was put there? Quickly, by what `lstat` says of each file; or thoroughly, by reading all.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use nix::sys::stat::{FileStat, SFlag};

use crate::beside::Beside;
use crate::canonical::below;
use crate::fingerprint::{self, Fingerprint, Stamp};
use crate::folders::Part;
use crate::hash::{hash_file, nar_hash};
use crate::info::to_hex;
use crate::local::Store;
use crate::missing::if_there;
use crate::publish::put;
use crate::record::Record;
use crate::{Entry, EntryKind, Listing, Scratch, StoreError, StorePath};

/// From how many entries on a second thread is worth it.
const TWO_THREADS: usize = 4096;

impl Store {
    /// Finds out whether `path` is as it was when it was added, reading only the files that somebody has touched since.
    ///
    /// A path that came with an image is only looked at the first time: its entries must have the kinds, sizes, modes and
    /// times that they were written with, and its folders no other names. When there is no fingerprint at all, or a
    /// broken one, everything is read once.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] naming the first file that differs, [`StoreError::Missing`], [`StoreError::Io`].
    pub fn check_quick(&self, path: &StorePath) -> Result<(), StoreError> {
        let record = self.valid(path)?;
        let known = self.known_stamps(path);
        // In the usual case nothing was touched, and no folder of our own is needed.
        let mut place = match known {
            Some(Fingerprint::Stamps(_)) => None,
            _ => self.time_and_place()?,
        };
        let now = place.as_ref().map_or(0, |(now, _)| *now);
        let suspects = self.suspects(path, &record, known, now)?;
        if suspects.nothing_to_do() {
            return Ok(());
        }
        if place.is_none() {
            place = self.time_and_place()?;
        }
        self.compare(path, suspects, place.as_ref().map(|(now, scratch)| (*now, scratch)))
    }

    /// The same with a scratch folder at hand, while the store's lock is held.
    pub(crate) fn check_under(&self, path: &StorePath, scratch: &Scratch) -> Result<(), StoreError> {
        let record = self.valid(path)?;
        let now = scratch.now()?;
        let suspects = self.suspects(path, &record, self.known_stamps(path), now)?;
        self.compare(path, suspects, Some((now, scratch)))
    }

    /// Finds out whether `path` is as it was when it was added, by reading all of it: what counts is the hash of the whole that its
    /// info has. It finds damage and whatever changes a tree, with its listing or without; whoever writes an info too says himself
    /// what is right. (A copy of such a path is compared with its source, and refused where Nix's database knows other bytes.)
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
        self.compare(path, Suspects { listing, stamps: None, indices, new: false }, None)?;
        let (expected, found) = (to_hex(&record.info.nar_hash), to_hex(&nar.nar_sha256));
        Err(self.damaged(path, format!("its NAR differs (expected sha256 {expected}, found {found})")))
    }

    /// A folder of our own and the file system's time. A store that cannot be written to is checked all the same; what
    /// was found out is not kept.
    fn time_and_place(&self) -> Result<Option<(i128, Scratch)>, StoreError> {
        match self.scratch() {
            Ok(scratch) => Ok(Some((scratch.now()?, scratch))),
            Err(_) => Ok(None),
        }
    }

    pub(crate) fn known_stamps(&self, path: &StorePath) -> Option<Fingerprint> {
        let text = String::from_utf8(self.read_part(Part::Fingerprint, path).ok()??).ok()?;
        fingerprint::parse(&text)
    }

    /// The entries of which `lstat` does not say what it said before, or what it should say.
    fn suspects(
        &self,
        path: &StorePath,
        record: &Record,
        known: Option<Fingerprint>,
        now: i128,
    ) -> Result<Suspects, StoreError> {
        let listing = self.listing_of(path, record)?;
        let top = self.real_path(path);
        let count = listing.entries().len();
        // Before anything in them is read. Where stamps hold, nothing is.
        let placed = || misplaced(&top, &listing).map_or(Ok(()), |what| Err(self.damaged(path, what)));
        Ok(match known {
            Some(Fingerprint::Stamps(stamps)) if stamps.len() == count => {
                let look = |beside: &mut Beside<'_>, index: &usize| {
                    let entry = &listing.entries()[*index];
                    let meta = beside.look(&entry.path);
                    let holds = meta.is_ok_and(|meta| is_kind(entry, &meta) && stamps[*index].still_holds(&meta));
                    (!holds).then_some(*index)
                };
                let indices = in_two_halves(count, || Beside::new(&top), look);
                if !indices.is_empty() {
                    placed()?;
                }
                Suspects { listing, stamps: Some(stamps), indices, new: false }
            }
            Some(Fingerprint::AsListed) => {
                placed()?;
                let children = children(&listing);
                let look = |(): &mut (), index: &usize| {
                    let entry = &listing.entries()[*index];
                    Some((*index, first_look(&below(&top, &entry.path), entry, &children, now)))
                };
                let looks = in_two_halves(count, || (), look);
                let indices = looks.iter().filter(|(_, stamp)| stamp.is_none()).map(|(index, _)| *index).collect();
                // Those that did not look right get their stamps when they have been read.
                let stamps = looks.into_iter().map(|(_, stamp)| stamp.unwrap_or(Stamp::NONE)).collect();
                Suspects { listing, stamps: Some(stamps), indices, new: true }
            }
            _ => {
                placed()?;
                let indices = (0..count).collect();
                Suspects { listing, stamps: None, indices, new: true }
            }
        })
    }

    /// Reads the suspects; if they are what they should be, their stamps are renewed.
    fn compare(&self, path: &StorePath, suspects: Suspects, renew: Option<(i128, &Scratch)>) -> Result<(), StoreError> {
        if suspects.nothing_to_do() {
            return Ok(());
        }
        let Suspects { listing, stamps, indices, .. } = suspects;
        let top = self.real_path(path);
        let mut buffer = Vec::new();
        let mut renewed = Vec::with_capacity(indices.len());
        for index in &indices {
            let real = below(&top, &listing.entries()[*index].path);
            let Some(meta) = if_there(fs::symlink_metadata(&real)).map_err(StoreError::io("reading", &real))? else {
                return Err(self.damaged(path, format!("{} is missing", shown(&listing.entries()[*index]))));
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
    listing: Arc<Listing>,
    stamps: Option<Vec<Stamp>>,
    /// Of entries, ascending.
    indices: Vec<usize>,
    /// Whether the stamps are to be written even when nothing had to be read.
    new: bool,
}

impl Suspects {
    fn nothing_to_do(&self) -> bool {
        self.indices.is_empty() && !self.new
    }
}

/// Does `look` for each index, on two threads when there are many, and gives what it gave in order.
/// Each thread has a `with` of its own.
fn in_two_halves<W, T: Send>(
    count: usize,
    with: impl Fn() -> W + Sync,
    look: impl Fn(&mut W, &usize) -> Option<T> + Sync,
) -> Vec<T> {
    let all: Vec<usize> = (0..count).collect();
    let some = |indices: &[usize]| {
        let mut with = with();
        indices.iter().filter_map(|index| look(&mut with, index)).collect::<Vec<T>>()
    };
    if count < TWO_THREADS {
        return some(&all);
    }
    let (left, right) = all.split_at(count / 2);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| some(right));
        let mut found = some(left);
        found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        found
    })
}

/// What of the folders of a tree is no folder. If all are, no link is on the way to any of the entries, whose names
/// [`Listing::parse`] has looked at.
pub(crate) fn misplaced(top: &Path, listing: &Listing) -> Option<String> {
    let folders = listing.iter().filter(|entry| entry.kind == EntryKind::Directory);
    for entry in folders {
        match fs::symlink_metadata(below(top, &entry.path)) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Some(format!("{} is no longer a folder", shown(entry))),
            Err(_) => return Some(format!("{} is missing", shown(entry))),
        }
    }
    None
}

fn is_kind(entry: &Entry, meta: &FileStat) -> bool {
    let kind = match entry.kind {
        EntryKind::Directory => SFlag::S_IFDIR,
        EntryKind::File { .. } => SFlag::S_IFREG,
        EntryKind::Symlink { .. } => SFlag::S_IFLNK,
    };
    SFlag::from_bits_truncate(meta.st_mode) & SFlag::S_IFMT == kind
}

/// How many names each folder has.
fn children(listing: &Listing) -> HashMap<&str, usize> {
    let mut children = HashMap::new();
    for entry in listing.iter().filter(|e| !e.path.is_empty()) {
        let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        *children.entry(parent).or_default() += 1;
    }
    children
}

/// The stamp of an entry that looks as the listing says, without reading a file.
fn first_look(real: &Path, entry: &Entry, children: &HashMap<&str, usize>, now: i128) -> Option<Stamp> {
    let meta = fs::symlink_metadata(real).ok()?;
    let mode = meta.mode() & 0o7777;
    let as_listed = match &entry.kind {
        EntryKind::Directory => {
            meta.is_dir() && mode == 0o555 && {
                let names = fs::read_dir(real).ok()?.count();
                names == children.get(entry.path.as_str()).copied().unwrap_or(0)
            }
        }
        EntryKind::Symlink { target } => meta.is_symlink() && fs::read_link(real).ok()?.as_os_str() == target.as_str(),
        EntryKind::File { size, executable, .. } => {
            meta.is_file() && meta.size() == *size && mode == if *executable { 0o555 } else { 0o444 }
        }
    };
    (as_listed && (meta.mtime(), meta.mtime_nsec()) == (1, 0)).then(|| Stamp::listed(&meta, now))
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
    buffer: &mut Vec<u8>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_halves_are_the_whole_in_order() {
        for count in [0, 1, TWO_THREADS - 1, TWO_THREADS, TWO_THREADS + 1] {
            let expected: Vec<usize> = (0..count).filter(|n| n % 3 != 1).collect();
            assert_eq!(in_two_halves(count, || (), |(), n| (n % 3 != 1).then_some(*n)), expected, "{count}");
        }
    }
}
