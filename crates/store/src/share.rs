//! Files of a machine's store that are the same are one file with several names: a second base costs what is new in it.
//!
//! A file that is about to be published is replaced by a link to a twin in a valid path, found by the listings. The twin
//! must be what its listing says: nobody has touched it since it was read, as its stamp shows, or it is compared byte
//! by byte. So damage does not spread. What cannot be linked (a file has had as many names as it may have) stays a copy.
//!
//! A new name changes a file's change time, and with it the stamps of all paths that have the file; those that held before
//! are renewed, so that nobody has to read the files for that.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::canonical::{below, set_time};
use crate::fingerprint::{self, Fingerprint, Stamp, Trust};
use crate::info::to_hex;
use crate::plain;
use crate::publish::{Staged, put};
use crate::{EntryKind, Listing, Scratch, Store, StoreError, StorePath};

/// Trees with less than this in their files are not worth a look at all listings.
const WORTH_IT: u64 = 1 << 20;

/// How many places are remembered in which a twin may be.
const CANDIDATES: usize = 4;

/// Contents, as a listing says them: SHA-256 in base 16, and whether they may be run.
type Contents = (String, bool);

/// A file of a valid path that may be a twin.
struct Candidate {
    /// The path, by its place in the list of paths looked at.
    owner: usize,
    /// The entry, by its place in the listing.
    entry: usize,
    file: PathBuf,
}

/// A path that has some of the contents.
struct Owner {
    path: StorePath,
    /// Read when they are first needed.
    stamps: Option<Option<Vec<Stamp>>>,
    /// Entries whose contents were compared and found right.
    compared: HashSet<usize>,
}

/// What happened to a file that got another name.
struct Renewal {
    before: Stamp,
    after: Stamp,
}

impl Store {
    /// Links files of a tree in its scratch folder to twins in the store, or in the tree itself. The store's lock must
    /// be held.
    pub(crate) fn share(&self, staged: &mut Staged) -> Result<(), StoreError> {
        if !self.machine || staged.listing.total_size() < WORTH_IT {
            return Ok(());
        }
        let mut wanted: HashMap<Contents, Vec<Candidate>> = HashMap::new();
        for entry in &staged.listing {
            if let EntryKind::File { size: 1.., executable, sha256 } = &entry.kind {
                wanted.insert((to_hex(sha256), *executable), Vec::new());
            }
        }
        let mut owners = self.find(&staged.info.path, &mut wanted);
        let mut own: HashMap<Contents, (usize, PathBuf)> = HashMap::new();
        let mut renewals: HashMap<u64, Renewal> = HashMap::new();
        let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
        let top = staged.scratch.path().to_path_buf();
        for (index, entry) in staged.listing.iter().enumerate() {
            let EntryKind::File { size: 1.., executable, sha256 } = &entry.kind else { continue };
            let contents = (to_hex(sha256), *executable);
            let file = below(&top, &entry.path);
            // A regular file of the only shape that one has in the store.
            let mode = if *executable { 0o100_555 } else { 0o100_444 };
            let mut linked = false;
            for candidate in wanted.get(&contents).map(Vec::as_slice).unwrap_or_default() {
                let Some(meta) = self.twin(candidate, &mut owners, &renewals, (&file, mode)) else { continue };
                if replace(&candidate.file, &file, &staged.scratch)? {
                    let now = fs::symlink_metadata(&file).map_err(StoreError::io("reading", &file))?;
                    let (before, after) = (Stamp::new(&meta, i128::MAX), Stamp::new(&now, i128::MAX));
                    renewals.entry(meta.ino()).or_insert(Renewal { before, after }).after = after;
                    staged.shared.insert(index);
                    linked = true;
                    break;
                }
            }
            if !linked {
                match own.get(&contents) {
                    Some((first, twin)) => {
                        linked = replace(twin, &file, &staged.scratch)?;
                        if linked {
                            staged.shared.extend([*first, index]);
                        }
                    }
                    None => {
                        own.insert(contents, (index, file.clone()));
                    }
                }
            }
            if linked {
                folders.extend(file.parent().map(Path::to_path_buf));
            }
        }
        for folder in folders {
            let meta = fs::symlink_metadata(&folder).map_err(StoreError::io("reading", &folder))?;
            set_time(&folder, &meta)?;
        }
        self.renew(owners, &renewals, &staged.scratch)
    }

    /// Looks for contents in the listings of all valid paths but `not`.
    fn find(&self, not: &StorePath, wanted: &mut HashMap<Contents, Vec<Candidate>>) -> Vec<Owner> {
        let mut owners = Vec::new();
        let mut key: Contents = (String::new(), false);
        for path in self.paths().unwrap_or_default() {
            // A path that is damaged has no twins to offer.
            let text = self.valid(&path).and_then(|record| self.listing_text(&path, &record));
            let (Ok(text), true) = (text, path != *not) else { continue };
            // Its names are looked at when the first of them is wanted.
            let mut has_some = None;
            let top = self.real_path(&path);
            for (entry, line) in text.lines().skip(1).enumerate() {
                let Some((hash, executable, name)) = file_line(line) else { continue };
                key.0.clear();
                key.0.push_str(hash);
                key.1 = executable;
                let Some(candidates) = wanted.get_mut(&key) else { continue };
                let stands =
                    || Listing::parse(&text).is_some_and(|listing| crate::check::misplaced(&top, &listing).is_none());
                if !*has_some.get_or_insert_with(stands) {
                    break;
                }
                if candidates.len() < CANDIDATES
                    && let Some(name) = crate::listing::unescape(name)
                {
                    candidates.push(Candidate { owner: owners.len(), entry, file: below(&top, &name) });
                }
            }
            if has_some == Some(true) {
                owners.push(Owner { path, stamps: None, compared: HashSet::new() });
            }
        }
        owners
    }

    /// What `lstat` says about a candidate, if it has the contents of `file`.
    fn twin(
        &self,
        candidate: &Candidate,
        owners: &mut [Owner],
        renewals: &HashMap<u64, Renewal>,
        (file, mode): (&Path, u32),
    ) -> Option<Metadata> {
        let meta = fs::symlink_metadata(&candidate.file).ok()?;
        if meta.mode() != mode {
            return None;
        }
        // It was found right a moment ago, and we have changed it ourselves.
        if renewals.get(&meta.ino()).is_some_and(|r| r.after == Stamp::new(&meta, i128::MAX)) {
            return Some(meta);
        }
        let owner = owners.get_mut(candidate.owner)?;
        let stamps = owner.stamps.get_or_insert_with(|| match self.known_stamps(&owner.path) {
            Some(Fingerprint::Stamps(stamps)) => Some(stamps),
            _ => None,
        });
        let stamp = stamps.as_mut().and_then(|stamps| stamps.get_mut(candidate.entry));
        if stamp.as_ref().is_some_and(|s| s.trust == Trust::Read && s.still_holds(&meta)) {
            return Some(meta);
        }
        if owner.compared.contains(&candidate.entry) {
            return Some(meta);
        }
        if !same_bytes(&candidate.file, file).unwrap_or(false) {
            return None;
        }
        owner.compared.insert(candidate.entry);
        if let Some(stamp) = stamp.filter(|s| s.still_holds(&meta)) {
            stamp.trust = Trust::Read;
        }
        Some(meta)
    }

    /// Gives the files that got or lost names their stamps, where the old ones held until then.
    fn renew(&self, owners: Vec<Owner>, renewals: &HashMap<u64, Renewal>, scratch: &Scratch) -> Result<(), StoreError> {
        for Owner { path, stamps, .. } in owners {
            let stamps = stamps.unwrap_or_else(|| match self.known_stamps(&path) {
                Some(Fingerprint::Stamps(stamps)) => Some(stamps),
                _ => None,
            });
            let Some(mut stamps) = stamps else { continue };
            let mut changed = false;
            for stamp in &mut stamps {
                let Some(renewal) = renewals.get(&stamp.ino) else { continue };
                if let Some(renewed) = stamp.renewed(&renewal.before, &renewal.after) {
                    *stamp = renewed;
                    changed = true;
                }
            }
            if changed {
                put(scratch, &self.fingerprint_file(&path), &fingerprint::to_text(&stamps))?;
            }
        }
        Ok(())
    }
}

/// A line of a listing that is about a file: the hash, whether it may be run, the name.
fn file_line(line: &str) -> Option<(&str, bool, &str)> {
    let executable = match line.as_bytes().first()? {
        b'f' => false,
        b'x' => true,
        _ => return None,
    };
    let (_, rest) = line.get(2..)?.split_once(' ')?;
    let (hash, name) = rest.split_once(' ')?;
    Some((hash, executable, name))
}

/// Puts a link to `twin` in the place of `file`. Not, when the file system will not have it.
fn replace(twin: &Path, file: &Path, scratch: &Scratch) -> Result<bool, StoreError> {
    let new = scratch.beside("link");
    match fs::hard_link(twin, &new) {
        Ok(()) => {}
        // Too many names already; another file system; a kind that has no links; gone.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::TooManyLinks
                    | io::ErrorKind::CrossesDevices
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::Unsupported
                    | io::ErrorKind::NotFound
            ) =>
        {
            return Ok(false);
        }
        Err(e) => return Err(StoreError::io("linking", file)(e)),
    }
    fs::rename(&new, file).map_err(StoreError::io("linking", file))?;
    Ok(true)
}

/// Whether two files have the same contents.
fn same_bytes(a: &Path, b: &Path) -> io::Result<bool> {
    const PIECE: u64 = 128 * 1024;
    let (mut a, mut b) = (plain::open(a)?, plain::open(b)?);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        a.by_ref().take(PIECE).read_to_end(&mut left)?;
        b.by_ref().take(PIECE).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A store with a path of one file, the file, and another one with the same bytes beside it.
    fn twins() -> (Store, tempfile::TempDir, StorePath, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let scratch = store.scratch().unwrap();
        fs::write(scratch.path().join("file"), "same").unwrap();
        let path = store.add("x", scratch, &[]).unwrap().path;
        let (inside, file) = (store.real_path(&path).join("file"), dir.path().join("file"));
        fs::write(&file, "same").unwrap();
        (store, dir, path, inside, file)
    }

    #[test]
    fn what_we_have_changed_ourselves_is_taken_and_everything_else_is_compared() {
        let (store, _dir, path, inside, file) = twins();
        let candidate = Candidate { owner: 0, entry: 1, file: inside.clone() };
        let is_twin = |renewals: &[(u64, Stamp)]| {
            let owner = Owner { path: path.clone(), stamps: Some(None), compared: HashSet::new() };
            let renewal = |after| Renewal { before: Stamp::NONE, after };
            let renewals: HashMap<u64, Renewal> = renewals.iter().map(|(ino, after)| (*ino, renewal(*after))).collect();
            store.twin(&candidate, &mut [owner], &renewals, (&file, 0o100_444)).is_some()
        };
        assert!(is_twin(&[]));
        let set_mode = |mode| fs::set_permissions(&inside, fs::Permissions::from_mode(mode)).unwrap();
        set_mode(0o644);
        assert!(!is_twin(&[]), "it has another mode");
        fs::write(&inside, "some").unwrap();
        set_mode(0o444);
        assert!(!is_twin(&[]));
        let now = Stamp::new(&fs::metadata(&inside).unwrap(), i128::MAX);
        assert!(is_twin(&[(now.ino, now)]), "nobody looks again");
        assert!(!is_twin(&[(now.ino, Stamp::NONE)]), "somebody has changed it meanwhile");
    }

    #[test]
    fn what_cannot_be_linked_stays_and_what_should_not_happen_is_told() {
        let (store, dir, _, inside, file) = twins();
        let scratch = store.scratch().unwrap();
        assert!(!replace(&dir.path().join("gone"), &file, &scratch).unwrap());
        fs::write(scratch.beside("link"), "").unwrap();
        assert!(replace(&inside, &file, &scratch).unwrap_err().to_string().starts_with("linking "));
        fs::remove_file(scratch.beside("link")).unwrap();
        assert!(replace(&inside, &file, &scratch).unwrap());
        assert_eq!(fs::metadata(&file).unwrap().nlink(), 2);
    }

    #[test]
    fn files_are_the_same_to_their_last_byte() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            fs::write(dir.path().join(name), bytes).unwrap();
            dir.path().join(name)
        };
        let long = vec![7; 300_000];
        let a = file("a", &long);
        assert!(same_bytes(&a, &file("b", &long)).unwrap());
        for other in [[&long[..], b"x"].concat(), [&long[1..], b"x"].concat(), long[1..].to_vec(), Vec::new()] {
            assert!(!same_bytes(&a, &file("b", &other)).unwrap());
            assert!(!same_bytes(&dir.path().join("b"), &a).unwrap());
        }
    }
}
