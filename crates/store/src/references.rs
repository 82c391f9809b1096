//! What store paths refer to, as a graph.

use std::collections::{BTreeMap, BTreeSet};

use crate::StorePath;

/// Which paths there are, and what each refers to.
pub type References = BTreeMap<StorePath, BTreeSet<StorePath>>;

/// What is reachable from `roots`, themselves included.
#[must_use]
pub fn alive(roots: BTreeSet<StorePath>, references: &References) -> BTreeSet<StorePath> {
    let mut waiting: Vec<StorePath> = roots.into_iter().collect();
    let mut alive = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        waiting.extend(references.get(&path).into_iter().flatten().filter(|r| !alive.contains(*r)).cloned());
        alive.insert(path);
    }
    alive
}

/// The paths of `references` that cannot be reached from `roots`.
#[must_use]
pub fn dead(roots: BTreeSet<StorePath>, references: &References) -> BTreeSet<StorePath> {
    let alive = alive(roots, references);
    references.keys().filter(|path| !alive.contains(*path)).cloned().collect()
}
