//! What systems refer to, and how large it is, from the store's own records.

use std::collections::{BTreeMap, BTreeSet};

use image_builder::view::{Files, ViewError};
use serde::Deserialize;

/// What is read into memory at most.
const MOST: u64 = 256 << 20;

/// What is known about a store path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    nar_size: u64,
    references: BTreeSet<String>,
}

/// The file that the store keeps for each path; what else is in it is of no interest here.
#[derive(Deserialize)]
struct InfoFile {
    info: Info,
}

/// The closures of systems. Each path is asked for once.
#[derive(Debug)]
pub struct Closures<'a> {
    files: &'a dyn Files,
    infos: BTreeMap<String, Option<Info>>,
    /// What `/nix-path-registration` says, where the store has no records.
    registration: Option<BTreeMap<String, Info>>,
}

impl<'a> Closures<'a> {
    /// Nothing is read yet.
    pub fn new(files: &'a dyn Files) -> Closures<'a> {
        Closures { files, infos: BTreeMap::new(), registration: None }
    }

    /// A path and all that it refers to. `None` when the store does not know one of them.
    pub fn of(&mut self, path: &str) -> Result<Option<BTreeSet<String>>, ViewError> {
        let mut found = BTreeSet::new();
        let mut waiting = vec![path.to_string()];
        while let Some(path) = waiting.pop() {
            if found.contains(&path) {
                continue;
            }
            let Some(info) = self.info(&path)? else { return Ok(None) };
            waiting.extend(info.references.iter().filter(|r| !found.contains(*r)).cloned());
            found.insert(path);
        }
        Ok(Some(found))
    }

    /// How large these paths are together, as NARs.
    pub fn size<'p>(&mut self, paths: impl IntoIterator<Item = &'p String>) -> Result<u64, ViewError> {
        let mut sum = 0_u64;
        for path in paths {
            sum = sum.saturating_add(self.info(path)?.map_or(0, |info| info.nar_size));
        }
        Ok(sum)
    }

    fn info(&mut self, path: &str) -> Result<Option<&Info>, ViewError> {
        if !self.infos.contains_key(path) {
            let info = self.look_up(path)?;
            self.infos.insert(path.to_string(), info);
        }
        Ok(self.infos.get(path).and_then(Option::as_ref))
    }

    fn look_up(&mut self, path: &str) -> Result<Option<Info>, ViewError> {
        let name = path.rsplit('/').next().unwrap_or_default();
        if let Some(bytes) = self.files.read(&format!("/nix/var/cairn/info/{name}.json"), 16 << 20)?
            && let Ok(file) = serde_json::from_slice::<InfoFile>(&bytes)
        {
            return Ok(Some(file.info));
        }
        if self.registration.is_none() {
            let text = self.files.read("/nix-path-registration", MOST)?.unwrap_or_default();
            self.registration = Some(registration(&String::from_utf8_lossy(&text)));
        }
        Ok(self.registration.as_ref().and_then(|all| all.get(path)).cloned())
    }
}

/// Reads the format of `nix-store --load-db`: path, hash, size, deriver or nothing, a count, and so many references.
fn registration(text: &str) -> BTreeMap<String, Info> {
    let mut lines = text.lines();
    let mut infos = BTreeMap::new();
    let mut next = || -> Option<(String, Info)> {
        let path = lines.next()?.to_string();
        let _hash = lines.next()?;
        let nar_size = lines.next()?.parse().ok()?;
        let _deriver = lines.next()?;
        let count: usize = lines.next()?.parse().ok()?;
        let references = lines.by_ref().take(count).map(str::to_string).collect();
        Some((path, Info { nar_size, references }))
    };
    while let Some((path, info)) = next() {
        infos.insert(path, info);
    }
    infos
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_file_is_read() {
        let text = "/nix/store/b\nhash\n20\n\n2\n/nix/store/a\n/nix/store/b\n/nix/store/a\nhash\n10\n\n0\n";
        let infos = registration(text);
        assert_eq!(infos["/nix/store/b"].nar_size, 20);
        assert_eq!(infos["/nix/store/b"].references.len(), 2);
        assert!(registration("/nix/store/a\nhash\nmuch\n\n0\n").is_empty());
    }
}
