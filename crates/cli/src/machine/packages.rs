//! The packages of systems, and how two lists of them differ.

use std::collections::BTreeMap;
use std::rc::Rc;

use image_builder::view::{Files, ViewError};
use serde::{Deserialize, Serialize};

use crate::lock_file::Change;

/// The largest list: of some ten thousand packages.
const MOST: u64 = 8 << 20;

/// Versions by name.
pub type List = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Sbom {
    components: Vec<Package>,
}

/// The lists of systems. Systems on one base share one list, which is read once.
#[derive(Debug)]
pub struct Packages<'a> {
    files: &'a dyn Files,
    lists: BTreeMap<String, Option<Rc<List>>>,
}

/// How many packages differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// New ones.
    pub added: usize,
    /// Those that are gone.
    pub removed: usize,
    /// Those of another version.
    pub changed: usize,
}

impl<'a> Packages<'a> {
    /// Nothing is read yet.
    pub fn new(files: &'a dyn Files) -> Packages<'a> {
        Packages { files, lists: BTreeMap::new() }
    }

    /// The packages of a system, `base` being where its link of that name leads. `None` where nobody wrote them down.
    pub fn of(&mut self, system: &str, base: Option<&str>) -> Result<Option<Rc<List>>, ViewError> {
        let key = base.unwrap_or(system);
        if let Some(list) = self.lists.get(key) {
            return Ok(list.clone());
        }
        let budget = self.files.budget();
        let read = |path: String| -> Result<Option<Vec<u8>>, ViewError> {
            let bytes = self.files.read(&path, MOST)?;
            let size = bytes.as_ref().map_or(0, Vec::len);
            budget.keep(size).map_err(|why| ViewError::Endless { path, why })?;
            Ok(bytes)
        };
        let of_base = base.map(|base| read(format!("{base}/packages.json"))).transpose()?.flatten();
        let packages: Option<Vec<Package>> = match of_base {
            Some(bytes) => serde_json::from_slice(&bytes).ok(),
            None => {
                let sbom = read(format!("{system}/sbom.cdx.json"))?;
                sbom.and_then(|bytes| serde_json::from_slice::<Sbom>(&bytes).ok()).map(|sbom| sbom.components)
            }
        };
        let list = packages.map(|all| Rc::new(all.into_iter().map(|p| (p.name, p.version)).collect::<List>()));
        self.lists.insert(key.to_string(), list.clone());
        Ok(list)
    }
}

/// The packages that differ, by name.
pub fn changes(old: &List, new: &List) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, to) in new {
        let from = old.get(name);
        if from != Some(to) {
            changes.push(Change { name: name.clone(), from: from.cloned(), to: Some(to.clone()) });
        }
    }
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
    changes.extend(gone.map(|(name, from)| Change { name: name.clone(), from: Some(from.clone()), to: None }));
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

/// How many of each kind.
pub fn count(changes: &[Change]) -> Counts {
    let mut counts = Counts::default();
    for change in changes {
        match (&change.from, &change.to) {
            (None, _) => counts.added += 1,
            (_, None) => counts.removed += 1,
            _ => counts.changed += 1,
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_counted_by_kind() {
        let list = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect::<List>();
        let (old, new) = (list(&[("a", "1"), ("b", "1"), ("c", "1")]), list(&[("a", "1"), ("b", "2"), ("d", "1")]));
        let found = changes(&old, &new);
        assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!(count(&found), Counts { added: 1, removed: 1, changed: 1 });
        assert!(changes(&old, &old).is_empty());
    }
}
