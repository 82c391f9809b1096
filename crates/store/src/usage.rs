//! How many bytes trees take on the disk, and how many would be free without them: a file with several names goes with
//! the last of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::Path;

use cairn_root::{Folder, Root};

use crate::fingerprint::Stamp;
use crate::folders::unusable;
use crate::local::open_root;
use crate::missing::if_there;
use crate::publish::put;
use crate::references::{References, alive};
use crate::{Store, StoreError, StorePath};

/// Where Nix keeps one more name of each file that its `--optimise` has seen.
pub(crate) const NIX_LINKS: &str = ".links";

/// What a block is in `st_blocks`.
const BLOCK: u64 = 512;

/// What each of some systems holds alone is written down here.
const REMEMBERED: &str = "own-sizes";
const MOST_REMEMBERED: u64 = 4 << 20;
const HEADER: &str = "cairn-own-sizes 1\n";

/// What each of these systems, in the store below a root, holds alone among them: as [`Store::remember_own_sizes`] has written it
/// down, else as [`Store::own_sizes`] finds it. Nothing is changed.
///
/// # Errors
/// [`StoreError::Io`].
pub fn own_sizes_at(root: &Path, systems: &[StorePath]) -> Result<Vec<Own>, StoreError> {
    own_sizes_of(&open_root(root)?, systems)
}

/// The same below a root that is open already.
///
/// # Errors
/// As [`own_sizes_at`].
pub fn own_sizes_of(disk: &Root, systems: &[StorePath]) -> Result<Vec<Own>, StoreError> {
    let store = Store::look(disk)?;
    match store.remembered(systems) {
        Some(known) => Ok(known),
        None => store.own_sizes(systems),
    }
}

/// What only one generation holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Own {
    /// Bytes on the disk that would be free without it.
    pub bytes: u64,
    /// Store paths that nothing else holds.
    pub paths: usize,
}

impl Store {
    /// What each of some systems (of generations, say) holds alone among them: the paths that are in its closure and in
    /// no other one's, without the files that have names elsewhere. It is what removing that one generation would free.
    /// A system that is not there, or twice among them, holds nothing alone.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn own_sizes(&self, systems: &[StorePath]) -> Result<Vec<Own>, StoreError> {
        let references = self.known_references(systems)?;
        let closures: Vec<BTreeSet<StorePath>> =
            systems.iter().map(|s| alive([s.clone()].into(), &references)).collect();
        let mut holders: HashMap<&StorePath, usize> = HashMap::new();
        for path in closures.iter().flatten() {
            *holders.entry(path).or_default() += 1;
        }
        let nix_links = nix_links(self.store_folder())?;
        let own = |closure: &BTreeSet<StorePath>| -> Result<Own, StoreError> {
            let mut usage = Usage::new(&nix_links);
            let mut paths = 0;
            for path in closure.iter().filter(|path| holders[path] == 1) {
                paths += usize::from(usage.add(&self.real_path(path))?);
            }
            Ok(Own { bytes: usage.freed, paths })
        };
        // The kernel answers several at once.
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
        let each = closures.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let own = &own;
            let parts: Vec<_> = closures
                .chunks(each)
                .map(|part| scope.spawn(move || part.iter().map(own).collect::<Result<Vec<Own>, StoreError>>()))
                .collect();
            let mut found = Vec::with_capacity(closures.len());
            for part in parts {
                found.extend(part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(found)
        })
    }

    /// Writes down what each of these systems, which are all that there are, holds alone, for [`own_sizes_at`]: finding it out
    /// takes a look at every file that is theirs.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn remember_own_sizes(&self, systems: &[StorePath]) -> Result<(), StoreError> {
        let stamp = self.content_stamp()?;
        let mut text = format!("{HEADER}{stamp}\n");
        for (system, own) in systems.iter().zip(self.own_sizes(systems)?) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{} {} {}", own.bytes, own.paths, system.base_name());
        }
        let scratch = self.scratch()?;
        put(&scratch, &self.meta(REMEMBERED), &text)
    }

    /// What was written down, if it is of these systems and nothing has come to the store or left it since.
    fn remembered(&self, systems: &[StorePath]) -> Option<Vec<Own>> {
        let text = self.own_text(REMEMBERED, MOST_REMEMBERED)?;
        let (stamp, lines) = text.strip_prefix(HEADER)?.split_once('\n')?;
        if stamp != self.content_stamp().ok()? {
            return None;
        }
        let mut known: HashMap<&str, Own> = HashMap::new();
        for line in lines.lines() {
            let mut words = line.split(' ');
            let mut next = || words.next();
            let own = Own { bytes: next()?.parse().ok()?, paths: next()?.parse().ok()? };
            known.insert(next()?, own);
        }
        let asked: HashSet<&str> = systems.iter().map(StorePath::base_name).collect();
        let same = asked.len() == known.len() && asked.iter().all(|name| known.contains_key(name));
        same.then(|| systems.iter().map(|system| known[system.base_name()]).collect())
    }

    /// Another one after a path has come or gone, or Nix has made one file of several.
    fn content_stamp(&self) -> Result<String, StoreError> {
        let dir = self.store_dir();
        let time = |path: &Path| path.symlink_metadata().map(|m| format!("{}.{:09}", m.mtime(), m.mtime_nsec()));
        let store = time(&dir).map_err(StoreError::io("reading", &dir))?;
        Ok(format!("{store} {}", time(&dir.join(NIX_LINKS)).unwrap_or_else(|_| "-".into())))
    }

    /// The bytes on the disk that only `path` holds.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn own_size(&self, path: &StorePath) -> Result<u64, StoreError> {
        let nix_links = nix_links(self.store_folder())?;
        let mut usage = Usage::new(&nix_links);
        usage.add(&self.real_path(path))?;
        Ok(usage.freed)
    }

    /// The references of all paths that there are records of; with those of Nix's database, when that is needed to know
    /// those of `systems`.
    fn known_references(&self, systems: &[StorePath]) -> Result<References, StoreError> {
        let mut references = BTreeMap::new();
        let mut waiting: Vec<StorePath> = systems.to_vec();
        while let Some(path) = waiting.pop() {
            if references.contains_key(&path) {
                continue;
            }
            match self.info(&path) {
                Ok(Some(info)) => {
                    waiting.extend(info.references.iter().cloned());
                    references.insert(path, info.references);
                }
                Ok(None) | Err(StoreError::Damaged { .. }) => return self.all_references().map(|known| known.paths),
                Err(other) => return Err(other),
            }
        }
        Ok(references)
    }
}

/// Files that were seen in some trees, by inode.
#[derive(Debug)]
pub(crate) struct Usage<'a> {
    files: HashMap<u64, Seen>,
    /// Inodes with one name that goes by itself.
    nix_links: &'a HashSet<u64>,
    /// The bytes that are free once all the trees are gone.
    pub(crate) freed: u64,
}

#[derive(Debug)]
struct Seen {
    names: u64,
    seen: u64,
    stamp: Stamp,
}

impl<'a> Usage<'a> {
    pub(crate) fn new(nix_links: &'a HashSet<u64>) -> Usage<'a> {
        Usage { files: HashMap::new(), nix_links, freed: 0 }
    }

    /// Looks at a tree; says whether there is one.
    pub(crate) fn add(&mut self, top: &Path) -> Result<bool, StoreError> {
        let meta = if_there(fs::symlink_metadata(top)).map_err(StoreError::io("reading", top))?;
        let Some(meta) = meta else { return Ok(false) };
        self.count(&meta);
        if meta.is_dir() {
            self.walk(top)?;
        }
        Ok(true)
    }

    fn walk(&mut self, dir: &Path) -> Result<(), StoreError> {
        for entry in fs::read_dir(dir).map_err(StoreError::io("reading", dir))? {
            let entry = entry.map_err(StoreError::io("reading", dir))?;
            let meta = if_there(entry.metadata()).map_err(|e| StoreError::io("reading", entry.path())(e))?;
            // Without one somebody removes it just now.
            let Some(meta) = meta else { continue };
            self.count(&meta);
            if meta.is_dir() {
                self.walk(&entry.path())?;
            }
        }
        Ok(())
    }

    fn count(&mut self, meta: &Metadata) {
        let bytes = meta.blocks() * BLOCK;
        // A folder has names inside of itself.
        if meta.is_dir() || meta.nlink() == 1 {
            self.freed += bytes;
            return;
        }
        let nix = u64::from(self.nix_links.contains(&meta.ino()));
        let seen = self.files.entry(meta.ino()).or_insert_with(|| Seen {
            names: meta.nlink() - nix,
            seen: 0,
            stamp: Stamp::new(meta, i128::MAX),
        });
        seen.seen += 1;
        if seen.seen == seen.names {
            self.freed += bytes;
        }
    }

    /// The files that stay under other names, with what is in their stamps.
    pub(crate) fn staying(&self) -> HashMap<u64, Stamp> {
        self.files.iter().filter(|(_, f)| f.seen < f.names).map(|(ino, f)| (*ino, f.stamp)).collect()
    }
}

/// The folder of Nix's further names, if there is one.
pub(crate) fn nix_links_folder(store: &Folder) -> Result<Option<Folder>, StoreError> {
    if_there(store.folder(NIX_LINKS)).map_err(unusable(store.shown(NIX_LINKS)))
}

/// The inodes that Nix has a further name for.
pub(crate) fn nix_links(store: &Folder) -> Result<HashSet<u64>, StoreError> {
    let Some(folder) = nix_links_folder(store)? else { return Ok(HashSet::new()) };
    let dir = folder.path();
    let entries = fs::read_dir(dir).map_err(StoreError::io("reading", dir))?;
    entries.map(|e| e.map(|e| e.ino())).collect::<io::Result<_>>().map_err(StoreError::io("reading", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_looked_at_is_not_taken_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, [1; 5000]).unwrap();
        let (other, links) = (dir.path().join("other"), HashSet::new());
        let mut usage = Usage::new(&links);
        assert!(!usage.add(&other).unwrap());
        assert!(usage.add(&file.join("x")).unwrap_err().to_string().starts_with("reading "));
        assert_eq!(usage.freed, 0);
        // The last of its names takes the bytes along, unless Nix's own is the last.
        fs::hard_link(&file, &other).unwrap();
        let meta = fs::metadata(&file).unwrap();
        let bytes = meta.blocks() * 512;
        assert!(usage.add(&file).unwrap() && usage.freed == 0);
        assert_eq!(usage.staying().keys().collect::<Vec<_>>(), [&meta.ino()]);
        assert!(usage.add(&other).unwrap() && usage.freed == bytes && bytes >= 5000);
        assert!(usage.staying().is_empty());
        // A folder has names inside of itself, which nobody waits for.
        let folder = dir.path().join("folder");
        fs::create_dir_all(folder.join("inner")).unwrap();
        let before = usage.freed;
        assert!(usage.add(&folder).unwrap() && usage.staying().is_empty());
        let blocks = [&folder, &folder.join("inner")].map(|folder| fs::metadata(folder).unwrap().blocks());
        assert_eq!(usage.freed - before, blocks.iter().sum::<u64>() * 512);
        let links = [meta.ino()].into();
        let mut usage = Usage::new(&links);
        assert!(usage.add(&file).unwrap() && usage.freed == bytes);
    }
}
