//! What of a store nobody needs any more, and its removal.
//!
//! The order makes every moment a good one to be killed at, or to lose power at: rows of Nix's database first, then infos
//! (what refers before what is referred to), both on the disk before anything else; then each tree leaves its place by one
//! rename; then they are removed. What a collection leaves behind that did not get to its end is garbage for the next one.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::sync::{Mutex, PoisonError};

use cairn_process::Report;
use nix::fcntl::{Flock, FlockArg};

use crate::database::{DATABASE, DATABASE_DIR};
use crate::fingerprint::{self, Fingerprint, Stamp};
use crate::folders::{Part, own};
use crate::machine::{NIX_GC_LOCK, NIX_STATE, in_use};
use crate::missing::remove_file;
use crate::publish::put;
pub use crate::references::{References, alive, dead};
use crate::roots::{Roots, find_roots};
use crate::usage::{Usage, nix_links, nix_links_folder};
use crate::{MachineStore, NixDb, Scratch, Store, StoreError, StorePath};

/// What Nix makes beside a path while it builds it.
const WORK_OF_NIX: [&str; 3] = [".lock", ".chroot", ".check"];

/// A path that nobody needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Which.
    pub path: StorePath,
    /// The bytes on the disk that go with it; those of a file that several dead paths have are with the last of them.
    pub bytes: u64,
}

/// What nobody needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// The paths, sorted.
    pub dead: Vec<Dead>,
    /// The bytes on the disk that are free without them.
    pub bytes: u64,
    /// How many paths stay.
    pub alive: usize,
}

/// What the database and the records say together.
pub(crate) struct Known {
    /// References by either; paths that only lie in the store refer to nothing that is known.
    pub(crate) paths: References,
    /// Those that neither the database nor a readable record knows.
    unknown: BTreeSet<StorePath>,
    /// What rows refer to that we do not understand.
    held: BTreeSet<StorePath>,
}

impl Store {
    /// What could be removed from the machine's store below this root if the generations `without` were not there.
    /// Changes nothing, and needs nobody to stand still: what it says is what was so a moment ago.
    ///
    /// # Errors
    /// [`StoreError::Doubtful`] when it is not clear what a living path refers to, [`StoreError::Io`],
    /// [`StoreError::NixDatabase`].
    pub fn garbage(&self, without: &BTreeSet<u64>) -> Result<Garbage, StoreError> {
        Ok(self.plan(without)?.garbage)
    }

    fn plan(&self, without: &BTreeSet<u64>) -> Result<Plan, StoreError> {
        let known = self.all_references()?;
        let Roots { mut paths, broken } = find_roots(self.disk(), without)?;
        if let Some(what) = broken.first() {
            return Err(StoreError::Doubtful { what: what.clone() });
        }
        paths.extend(known.held.iter().cloned());
        let alive = alive(paths, &known.paths);
        for path in alive.intersection(&known.unknown) {
            if self.real_path(path).symlink_metadata().is_ok() {
                let what = format!("{path} is in use, and there is no record of what it refers to");
                return Err(StoreError::Doubtful { what });
            }
        }
        let dead: Vec<StorePath> = known.paths.keys().filter(|p| !alive.contains(*p)).cloned().collect();
        let links = nix_links(self.store_folder())?;
        let mut usage = Usage::new(&links);
        let mut told = Vec::with_capacity(dead.len());
        for path in &dead {
            let before = usage.freed;
            usage.add(&self.real_path(path))?;
            told.push(Dead { path: path.clone(), bytes: usage.freed - before });
        }
        let garbage = Garbage { dead: told, bytes: usage.freed, alive: known.paths.len() - dead.len() };
        Ok(Plan { garbage, order: referrers_first(&dead, &known.paths), staying: usage.staying() })
    }

    /// The references of everything that the database, a record, or the store folder knows.
    pub(crate) fn all_references(&self) -> Result<Known, StoreError> {
        let mut paths = References::new();
        let mut held = BTreeSet::new();
        if let Some(db) = NixDb::look(self.disk())? {
            let found = db.references()?;
            (paths, held) = (found.paths, found.held);
        }
        let mut unknown = BTreeSet::new();
        for path in self.recorded()? {
            match self.record_of(&path)? {
                Some(info) => paths.entry(path).or_default().extend(info.references),
                None if !paths.contains_key(&path) => {
                    unknown.insert(path);
                }
                None => {}
            }
        }
        for path in self.lying_there()? {
            if !WORK_OF_NIX.iter().any(|end| path.base_name().ends_with(end)) && !paths.contains_key(&path) {
                unknown.insert(path);
            }
        }
        paths.extend(unknown.iter().map(|path| (path.clone(), BTreeSet::new())));
        Ok(Known { paths, unknown, held })
    }
}

/// What is to be done.
struct Plan {
    garbage: Garbage,
    /// The dead paths, each before those that it refers to.
    order: Vec<StorePath>,
    /// Files that stay under other names: their stamps now.
    staying: HashMap<u64, Stamp>,
}

impl MachineStore {
    /// Removes from the store, the records and Nix's database what nobody needs: what no generation, no other root of
    /// Nix's, and nothing that runs refers to. `report` counts paths.
    ///
    /// The links of generations that are to go must be gone before; so must their boot entries.
    ///
    /// # Errors
    /// As [`Store::garbage`], and [`StoreError::InUse`] when somebody else works on the store. Whatever was done then is
    /// done, and another collection goes on from there.
    pub fn collect_garbage(&mut self, report: &dyn Report) -> Result<Garbage, StoreError> {
        self.alone()?;
        let result = self.store().collect(report);
        self.not_alone()?;
        result
    }

    /// Nobody else may add anything that is not yet named.
    fn alone(&mut self) -> Result<(), StoreError> {
        let root = self.root().to_path_buf();
        let opening = || StoreError::io("opening", self.disk().shown(NIX_STATE));
        if self.nix.is_none()
            && let Some(state) = self.disk().folder(NIX_STATE).map_err(opening())?
        {
            // A Nix that comes now finds it taken.
            let lock = state.shown(NIX_GC_LOCK);
            let file = state.lock_file(NIX_GC_LOCK, 0o600).map_err(StoreError::io("opening", &lock))?;
            self.nix = Some(crate::lock::wait_for(file, FlockArg::LockShared, &lock)?);
        }
        if !exclusive(&self.users)? {
            self.not_alone()?;
            return Err(in_use(&root, "another `cairn` changes it"));
        }
        let others = self.nix.as_ref().map_or(Ok(true), exclusive)?;
        if !others {
            self.not_alone()?;
            return Err(in_use(&root, "Nix is at work on it, or another `cairn` is"));
        }
        Ok(())
    }

    fn not_alone(&self) -> Result<(), StoreError> {
        for lock in [Some(&self.users), self.nix.as_ref()].into_iter().flatten() {
            lock.relock(FlockArg::LockShared).map_err(StoreError::errno("locking", self.root()))?;
        }
        Ok(())
    }
}

fn exclusive(lock: &Flock<fs::File>) -> Result<bool, StoreError> {
    match lock.relock(FlockArg::LockExclusiveNonblock) {
        Ok(()) => Ok(true),
        Err(nix::errno::Errno::EWOULDBLOCK) => Ok(false),
        Err(errno) => Err(StoreError::errno("locking", "the store")(errno)),
    }
}

impl Store {
    fn collect(&self, report: &dyn Report) -> Result<Garbage, StoreError> {
        let scratch = self.scratch()?;
        let lock = self.lock()?;
        let Plan { garbage, order, staying } = self.plan(&BTreeSet::new())?;
        report.phase("removing store paths", Some(order.len() as u64));
        if let Some(dir) = own(self.disk(), DATABASE_DIR)?
            && dir.kind(DATABASE).map_err(StoreError::io("reading", dir.shown(DATABASE)))?.is_some()
        {
            NixDb::open_in(self.disk())?.unregister(&order)?;
        }
        self.forget(&order)?;
        let mut away = Vec::with_capacity(order.len());
        for (n, path) in order.iter().enumerate() {
            let name = format!("dead-{n}");
            if self.move_to(path, &scratch.beside(&name))? {
                away.push(name);
            } else {
                report.advance(1);
            }
        }
        drop(lock);
        remove_trees(&scratch, away, report)?;
        self.drop_nix_links()?;
        let _lock = self.lock()?;
        self.renew_after(&staying, &scratch)?;
        Ok(garbage)
    }

    /// Makes the store forget many paths, in this order. The store's lock must be held.
    fn forget(&self, paths: &[StorePath]) -> Result<(), StoreError> {
        let mut known = false;
        for path in paths {
            known |= remove_file(&self.info_file(path))?;
        }
        if known {
            self.sync()?;
        }
        for path in paths {
            remove_file(&self.fingerprint_file(path))?;
            remove_file(&self.listing_file(path))?;
        }
        // A cut may have kept these, and nothing else of their paths.
        for part in [Part::Listing, Part::Fingerprint] {
            for name in self.names(part)? {
                let path = name.to_str().and_then(|name| StorePath::from_basename(name).ok());
                if path.is_some_and(|path| self.info_file(&path).symlink_metadata().is_err()) {
                    remove_file(&self.changed(part)?.shown(&name))?;
                }
            }
        }
        Ok(())
    }

    /// Nix's further names of files that have no other name any more.
    fn drop_nix_links(&self) -> Result<(), StoreError> {
        use std::os::unix::fs::MetadataExt;
        let Some(dir) = nix_links_folder(self.store_folder())? else { return Ok(()) };
        let dir = dir.path();
        let entries = fs::read_dir(dir).map_err(StoreError::io("reading", dir))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("reading", dir))?;
            if entry.metadata().is_ok_and(|meta| meta.nlink() == 1) {
                remove_file(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Files that lost a name have another change time: those whose stamps held until then get new ones. The store's lock
    /// must be held.
    fn renew_after(&self, staying: &HashMap<u64, Stamp>, scratch: &Scratch) -> Result<(), StoreError> {
        if staying.is_empty() {
            return Ok(());
        }
        for path in self.paths()? {
            let Some(Fingerprint::Stamps(mut stamps)) = self.known_stamps(&path) else { continue };
            if !stamps.iter().any(|stamp| staying.contains_key(&stamp.ino)) {
                continue;
            }
            let Ok(listing) = self.listing(&path) else { continue };
            let mut changed = false;
            for (stamp, entry) in stamps.iter_mut().zip(listing.iter()) {
                let Some(before) = staying.get(&stamp.ino) else { continue };
                let Ok(meta) = fs::symlink_metadata(self.real_entry(&path, entry)) else { continue };
                if let Some(renewed) = stamp.renewed(before, &Stamp::new(&meta, i128::MAX))
                    && stamp.same_but_for_names(&renewed)
                {
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

/// Removes trees, several at once: it is the kernel that works.
fn remove_trees(scratch: &Scratch, trees: Vec<String>, report: &dyn Report) -> Result<(), StoreError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let trees = Mutex::new(trees);
    let work = || -> Result<(), StoreError> {
        loop {
            let tree = trees.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(tree) = tree else { return Ok(()) };
            scratch.folder().remove_tree(&tree).map_err(StoreError::io("removing", scratch.beside(&tree)))?;
            report.advance(1);
        }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for other in others {
            result = result.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        result
    })
}

/// Dead paths, each before those of them that it refers to.
fn referrers_first(dead: &[StorePath], references: &References) -> Vec<StorePath> {
    let mut waiting: BTreeSet<&StorePath> = dead.iter().collect();
    let mut ordered = Vec::with_capacity(dead.len());
    for path in dead {
        let mut stack = vec![(path, false)];
        while let Some((path, seen)) = stack.pop() {
            if seen {
                ordered.push(path.clone());
            } else if waiting.remove(path) {
                stack.push((path, true));
                stack.extend(references.get(path).into_iter().flatten().map(|r| (r, false)));
            }
        }
    }
    ordered.reverse();
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(n: u32) -> StorePath {
        Store::input_addressed_path("x", &n.to_le_bytes()).unwrap()
    }

    fn graph(edges: &[(u32, &[u32])]) -> References {
        edges.iter().map(|(from, to)| (path(*from), to.iter().map(|n| path(*n)).collect())).collect()
    }

    #[test]
    fn what_no_root_reaches_is_dead() {
        // 1 -> 2 -> 3, 4 -> 3, 5 <-> 6, 7 -> itself.
        let references = graph(&[(1, &[1, 2]), (2, &[3]), (3, &[]), (4, &[3]), (5, &[6]), (6, &[5]), (7, &[7])]);
        let dead = |roots: &[u32]| super::dead(roots.iter().map(|n| path(*n)).collect(), &references);
        let paths = |numbers: &[u32]| numbers.iter().map(|n| path(*n)).collect::<BTreeSet<_>>();
        assert_eq!(dead(&[1]), paths(&[4, 5, 6, 7]));
        assert_eq!(dead(&[4, 7]), paths(&[1, 2, 5, 6]));
        assert_eq!(dead(&[5, 99]), paths(&[1, 2, 3, 4, 7]));
        assert_eq!(dead(&[]).len(), 7);
        assert_eq!(dead(&[1, 4, 6, 7]), paths(&[]));
    }

    #[test]
    fn what_refers_goes_before_what_is_referred_to() {
        let references = graph(&[(1, &[1, 2]), (2, &[3]), (3, &[]), (4, &[3]), (5, &[6]), (6, &[5])]);
        let dead: Vec<StorePath> = references.keys().cloned().collect();
        let order = referrers_first(&dead, &references);
        let at = |n| order.iter().position(|p| *p == path(n)).unwrap();
        assert_eq!(order.len(), 6);
        assert!(at(1) < at(2) && at(2) < at(3) && at(4) < at(3));
    }
}
