//! The packages of systems, and how two lists of them differ.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::view::{Files, ViewError};

/// The largest list: of some ten thousand packages.
const MOST: u64 = 8 << 20;

/// So many lists are kept in memory, and then others: generations are compared with those beside them.
const MOST_LISTS: usize = 4;

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

/// The lists of systems. Systems on one base share one list, which is read once as long as it is at hand.
#[derive(Debug)]
pub struct Packages<'a> {
    files: &'a dyn Files,
    lists: VecDeque<(String, Option<Rc<List>>)>,
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
        Packages { files, lists: VecDeque::new() }
    }

    /// The packages of a system, `base` being where its link of that name leads. `None` where nobody wrote them down.
    pub fn of(&mut self, system: &str, base: Option<&str>) -> Result<Option<Rc<List>>, ViewError> {
        let key = base.unwrap_or(system);
        if let Some((_, list)) = self.lists.iter().find(|(known, _)| known == key) {
            return Ok(list.clone());
        }
        let read = |path: String| self.files.read(&path, MOST);
        let of_base = base.map(|base| read(format!("{base}/packages.json"))).transpose()?.flatten();
        let packages: Option<Vec<Package>> = match of_base {
            Some(bytes) => serde_json::from_slice(&bytes).ok(),
            None => {
                let sbom = read(format!("{system}/sbom.cdx.json"))?;
                sbom.and_then(|bytes| serde_json::from_slice::<Sbom>(&bytes).ok()).map(|sbom| sbom.components)
            }
        };
        let list = packages.map(|all| Rc::new(all.into_iter().map(|p| (p.name, p.version)).collect::<List>()));
        self.lists.truncate(MOST_LISTS - 1);
        self.lists.push_front((key.to_string(), list.clone()));
        Ok(list)
    }
}

/// A package that is another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The package.
    pub name: String,
    /// Its version before; `None` for a new one.
    pub from: Option<String>,
    /// Its version now; `None` for one that is gone.
    pub to: Option<String>,
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
    use std::sync::Arc;

    use crate::view::Kind;
    use cairn_disk::Budget;

    use super::*;

    /// An image in which every base has its list of packages, and 1 MiB of words about them.
    #[derive(Debug)]
    struct Image(Arc<Budget>);

    impl Files for Image {
        fn kind(&self, _: &str) -> Result<Option<Kind>, ViewError> {
            Ok(None)
        }
        fn link(&self, _: &str) -> Result<Option<String>, ViewError> {
            Ok(None)
        }
        fn read(&self, path: &str, _: u64) -> Result<Option<Vec<u8>>, ViewError> {
            let (name, words) = (path.replace('/', "-"), "x".repeat(1 << 20));
            Ok(Some(format!(r#"[{{"name":"{name}","version":"1","words":"{words}"}}]"#).into_bytes()))
        }
        fn list(&self, _: &str) -> Result<Option<Vec<String>>, ViewError> {
            Ok(None)
        }
        fn modified(&self, _: &str) -> Result<Option<i64>, ViewError> {
            Ok(None)
        }
        fn shown(&self, path: &str) -> std::path::PathBuf {
            path.into()
        }
        fn budget(&self) -> Arc<Budget> {
            Arc::clone(&self.0)
        }
    }

    #[test]
    fn a_machine_that_was_upgraded_often_is_none_that_is_hostile() {
        let image = Image(Budget::shared());
        let mut packages = Packages::new(&image);
        for n in 0..36 {
            let list = packages.of("system", Some(&format!("base{n}"))).unwrap().unwrap();
            assert_eq!(list.keys().collect::<Vec<_>>(), [&format!("base{n}-packages.json")]);
            let again = packages.of("other", Some(&format!("base{n}"))).unwrap().unwrap();
            assert!(Rc::ptr_eq(&list, &again), "one base has one list");
        }
        assert_eq!((image.0.spent(), packages.lists.len()), (None, MOST_LISTS));
    }

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
