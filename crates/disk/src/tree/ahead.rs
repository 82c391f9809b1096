//! Folders that are read ahead: who walks a tree goes from folder to folder in its order, and other threads have read them by
//! then. What is found, and which error is met first, does not depend on them.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::DiskError;

/// From so many folders on that wait to be read, another thread is worth its start.
const WORTH_A_THREAD: usize = 16;

/// One of the names in a folder.
#[derive(Debug)]
pub(super) struct Item {
    /// The name.
    pub name: OsString,
    /// What it is.
    pub metadata: Metadata,
    /// Of a link: where it leads.
    pub target: Option<io::Result<PathBuf>>,
    /// Of a folder: its number, by which it is called when it is walked.
    pub folder: Option<usize>,
}

/// What is in a folder, sorted by name.
type Listing = Result<Vec<Item>, DiskError>;

/// Walks a folder, which is number 0, and all below it: `visit` is called with each folder's number, the folder, and what is in
/// it, and after it with those in it, by name.
///
/// # Errors
/// The first one in this order: of reading, or of `visit`.
pub(super) fn walk(
    top: &Path,
    mut visit: impl FnMut(usize, &Path, Vec<Item>) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    let ahead = Ahead::default();
    ahead.lock().wait(0, top.to_path_buf());
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let _over = Over(&ahead);
        let mut threads = 1;
        let mut next = vec![(0, top.to_path_buf())];
        while let Some((number, folder)) = next.pop() {
            let (items, waiting) = ahead.get(number);
            let items = items?;
            if threads < most && waiting > WORTH_A_THREAD {
                threads += 1;
                scope.spawn(|| ahead.help());
            }
            next.extend(folders(&folder, &items));
            visit(number, &folder, items)?;
        }
        Ok(())
    })
}

/// The folders below one folder, as far as they are known.
#[derive(Debug, Default)]
struct Ahead {
    state: Mutex<State>,
    /// Something was read, or it is over.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Those that nobody reads yet; the last one is walked soonest.
    waiting: Vec<(usize, PathBuf)>,
    /// All that were met, by their numbers: what is in those that were read, until they are walked.
    read: Vec<Option<Listing>>,
    over: bool,
}

impl State {
    fn wait(&mut self, number: usize, folder: PathBuf) {
        self.waiting.push((number, folder));
        self.read.resize_with(self.read.len().max(number + 1), || None);
    }
}

/// Says that it is over, in whatever way it ends.
struct Over<'a>(&'a Ahead);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_all();
    }
}

impl Ahead {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is in a folder that is to be walked now, and how many wait to be read.
    fn get(&self, number: usize) -> (Listing, usize) {
        let mut state = self.lock();
        loop {
            if let Some(listing) = state.read[number].take() {
                return (listing, state.waiting.len());
            }
            // Somebody else reads this one: meanwhile another.
            let here = state.waiting.iter().rposition(|waiting| waiting.0 == number);
            let Some(at) = here.or_else(|| state.waiting.len().checked_sub(1)) else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let one = state.waiting.remove(at);
            drop(state);
            state = self.read(one);
        }
    }

    /// Reads folders until it is over.
    fn help(&self) {
        let mut state = self.lock();
        while !state.over {
            match state.waiting.pop() {
                Some(folder) => {
                    drop(state);
                    state = self.read(folder);
                }
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Reads a folder; those in it wait from now on.
    fn read(&self, (number, folder): (usize, PathBuf)) -> MutexGuard<'_, State> {
        let mut listing = list(&folder);
        let mut state = self.lock();
        if let Ok(items) = &mut listing {
            let met = state.read.len();
            items
                .iter_mut()
                .filter(|item| item.metadata.is_dir())
                .zip(met..)
                .for_each(|(item, n)| item.folder = Some(n));
            folders(&folder, items).for_each(|(number, path)| state.wait(number, path));
        }
        state.read[number] = Some(listing);
        self.changed.notify_all();
        state
    }
}

/// The folders in a folder, the last one first.
fn folders(folder: &Path, items: &[Item]) -> impl Iterator<Item = (usize, PathBuf)> {
    items.iter().rev().filter_map(|item| Some((item.folder?, folder.join(&item.name))))
}

fn list(folder: &Path) -> Listing {
    let read = |path: &Path, source| DiskError::Read { path: path.to_path_buf(), source };
    let mut items = Vec::new();
    for item in folder.read_dir().map_err(|error| read(folder, error))? {
        let item = item.map_err(|error| read(folder, error))?;
        // By the name in the open folder: the whole path would be looked up anew for each.
        let metadata = item.metadata().map_err(|error| read(&item.path(), error))?;
        let target = metadata.is_symlink().then(|| item.path().read_link());
        items.push(Item { name: item.file_name(), metadata, target, folder: None });
    }
    items.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(folder: &Path, depth: usize) {
        for n in 0..6 {
            let within = folder.join(format!("folder-{n}"));
            std::fs::create_dir(&within).unwrap();
            std::fs::write(folder.join(format!("file-{n}")), "").unwrap();
            if depth > 0 {
                make(&within, depth - 1);
            }
        }
    }

    /// The order of one thread that knows nothing of others.
    fn plainly(folder: &Path, into: &mut Vec<PathBuf>) {
        into.push(folder.to_path_buf());
        let mut within: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        within.sort();
        within.iter().filter(|path| path.is_dir()).for_each(|path| plainly(path, into));
    }

    #[test]
    fn whoever_reads_the_order_is_that_of_one() {
        let top = tempfile::tempdir().unwrap();
        make(top.path(), 3);
        let mut wanted = Vec::new();
        plainly(top.path(), &mut wanted);
        for _ in 0..10 {
            let mut found = Vec::new();
            walk(top.path(), |_, folder, items| {
                let names: Vec<_> = items.iter().map(|item| item.name.to_str().unwrap()).collect();
                assert!(names.is_sorted(), "{names:?}");
                found.push(folder.to_path_buf());
                Ok(())
            })
            .unwrap();
            assert!(found == wanted);
        }
    }

    #[test]
    fn the_first_failure_of_the_order_is_told_and_ends_it() {
        let top = tempfile::tempdir().unwrap();
        make(top.path(), 2);
        let gone = top.path().join("folder-3/folder-2");
        for _ in 0..10 {
            let mut visited = 0;
            let error = walk(top.path(), |_, folder, _| {
                visited += 1;
                let here = folder == gone || folder > gone.as_path();
                if here { Err(DiskError::Name { path: folder.to_path_buf() }) } else { Ok(()) }
            });
            assert!(matches!(error, Err(DiskError::Name { path }) if path == gone));
            assert_eq!(visited, 1 + 3 * 43 + 1 + 2 * 7 + 1);
        }
        let none = walk(&top.path().join("none"), |_, _, _| Ok(()));
        assert!(matches!(none, Err(DiskError::Read { path, .. }) if path.ends_with("none")));
    }
}
