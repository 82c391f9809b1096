//! What systems refer to, and how large it is, from the store's own records.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use cairn_disk::{Budget, Spent};
use cairn_store::StorePath;
use cairn_store::database::registered;
use serde::Deserialize;

use super::{Files, ViewError};

/// The largest registration file: of some ten thousand store paths.
const MOST: u64 = 16 << 20;
/// The largest record of one path.
const MOST_INFO: u64 = 1 << 20;

/// What is known about a store path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Info {
    nar_size: u64,
    references: Vec<Rc<str>>,
}

/// The file that the store keeps for each path; what else is in it is of no interest here.
#[derive(Deserialize)]
struct InfoFile {
    info: Recorded,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    nar_size: u64,
    references: Vec<String>,
}

/// The closures of systems. Each path is asked for once. What records and registrations say may be anybody's word: what is
/// kept of them is put on the account of the files that they are in.
#[derive(Debug)]
pub struct Closures<'a> {
    files: &'a dyn Files,
    budget: Arc<Budget>,
    infos: BTreeMap<Rc<str>, Option<Rc<Info>>>,
    /// What `/nix-path-registration` says, where the store has no records.
    registration: Option<BTreeMap<Rc<str>, Info>>,
}

impl<'a> Closures<'a> {
    /// Nothing is read yet.
    pub fn new(files: &'a dyn Files) -> Closures<'a> {
        Closures { files, budget: files.budget(), infos: BTreeMap::new(), registration: None }
    }

    /// A path and all that it refers to. `None` when the store does not know one of them.
    ///
    /// # Errors
    /// What reading meets, and [`ViewError::Endless`].
    pub fn of(&mut self, path: &str) -> Result<Option<BTreeSet<Rc<str>>>, ViewError> {
        let mut found: BTreeSet<Rc<str>> = BTreeSet::new();
        let mut waiting: Vec<Rc<str>> = vec![path.into()];
        while let Some(path) = waiting.pop() {
            if found.contains(&path) {
                continue;
            }
            let Some(info) = self.info(&path)? else { return Ok(None) };
            // A closure is a pointer for each path; whose it is was counted when it was read.
            let cost = || self.budget.steps(info.references.len() as u64).and_then(|()| self.budget.keep(32));
            cost().map_err(|why| endless(&path, why))?;
            waiting.extend(info.references.iter().filter(|r| !found.contains(*r)).cloned());
            found.insert(path);
        }
        Ok(Some(found))
    }

    /// How large these paths are together, as NARs.
    ///
    /// # Errors
    /// As [`Closures::of`].
    pub fn size<'p>(&mut self, paths: impl IntoIterator<Item = &'p Rc<str>>) -> Result<u64, ViewError> {
        let mut sum = 0_u64;
        for path in paths {
            sum = sum.saturating_add(self.info(path)?.map_or(0, |info| info.nar_size));
        }
        Ok(sum)
    }

    fn info(&mut self, path: &Rc<str>) -> Result<Option<Rc<Info>>, ViewError> {
        if let Some(known) = self.infos.get(path) {
            return Ok(known.clone());
        }
        let info = self.look_up(path)?.map(Rc::new);
        let size = info.iter().flat_map(|info| &info.references).map(|r| r.len() + 32).sum::<usize>() + path.len();
        self.budget.keep(size).map_err(|why| endless(path, why))?;
        self.infos.insert(Rc::clone(path), info.clone());
        Ok(info)
    }

    fn look_up(&mut self, path: &str) -> Result<Option<Info>, ViewError> {
        let name = path.rsplit('/').next().unwrap_or_default();
        if let Some(bytes) = self.files.read(&format!("/nix/var/cairn/info/{name}.json"), MOST_INFO)?
            && let Ok(InfoFile { info }) = serde_json::from_slice(&bytes)
            && info.references.iter().all(|path| StorePath::from_absolute(path).is_ok())
        {
            let references = info.references.into_iter().map(Rc::from).collect();
            return Ok(Some(Info { nar_size: info.nar_size, references }));
        }
        if self.registration.is_none() {
            let text = self.files.read("/nix-path-registration", MOST)?.unwrap_or_default();
            self.budget.keep(text.len()).map_err(|why| endless(path, why))?;
            self.registration = Some(std::str::from_utf8(&text).map(registration).unwrap_or_default());
        }
        Ok(self.registration.as_ref().and_then(|all| all.get(path)).cloned())
    }
}

fn endless(path: &str, why: Spent) -> ViewError {
    ViewError::Endless { path: path.to_string(), why }
}

/// What a registration file says. What comes after something else than a path's record is left out.
fn registration(text: &str) -> BTreeMap<Rc<str>, Info> {
    let infos = registered(text).map_while(|one| one).map(|one| {
        let references = one.references.into_iter().map(Rc::from).collect();
        (Rc::from(one.path), Info { nar_size: one.nar_size, references })
    });
    infos.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_file_is_read() {
        let [a, b] = ["a", "b"].map(|c| format!("/nix/store/{}-x", c.repeat(32)));
        let infos = registration(&format!("{b}\nhash\n20\n\n2\n{a}\n{b}\n{a}\nhash\n10\n\n0\n"));
        assert_eq!(infos[&*b].nar_size, 20);
        assert_eq!(infos[&*b].references.len(), 2);
        assert!(registration(&format!("{a}\nhash\nmuch\n\n0\n")).is_empty());
        assert!(registration("/nix/store/a\nhash\n10\n\n0\n").is_empty());
    }
}
