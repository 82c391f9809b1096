//! Secrets that maintainer scripts have drawn: none may be in a base.
//!
//! A base is the same on all machines, and everybody may read a store. What a package ships is public anyway, so only the
//! files that no package owns are looked at: those that not everybody may read, and those that hold what is a key by its
//! looks. But most of them are settings made from a template, and to refuse those would be as wrong. What was drawn at
//! random can be told from them: it has words that stand in no file of any package, or it is no text and as dense as
//! only keys are.
//!
//! What a machine can draw by itself has been left out before ([`crate::drawn`]). Of the rest, the package is refused.

mod culprit;
mod owned;
mod words;

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use super::error::Error;
use super::modes::Modes;
use owned::Owned;

/// Where a base has files: the rest is the machine's.
const TOPS: [&str; 3] = ["etc", "usr", "var"];

/// What is made at random, and is neither secret nor known to anybody: databases as they are when they are new, which
/// nobody can reach with a password. (Two machines of one base have the same identifier in PostgreSQL's control file.)
const ALLOWED: [&str; 2] = ["var/lib/postgresql/", "var/lib/mysql/"];

/// dpkg's own database, and what Python compiled.
const NO_SECRET: [&str; 2] = ["var/lib/dpkg/", ".pyc"];

/// No key or setting is as large.
const LARGE: u64 = 64 << 20;
/// What everybody may read is a secret by accident only; a file that is no small text is none.
const LARGE_PUBLIC: u64 = 1 << 20;

/// One secret in a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The file, from the root on.
    pub path: String,
    /// The package whose script has made it, as far as that can be told.
    pub package: Option<String>,
}

/// A file that may hold one.
#[derive(Debug)]
struct Suspect {
    path: String,
    /// It is one whatever its words are.
    sure: bool,
    /// The words that could be drawn.
    words: Vec<Vec<u8>>,
}

/// Finds the secrets in the base below `dir`, whose files' modes are these.
pub(super) fn find(dir: &Path, modes: &Modes) -> Result<Vec<Secret>, Error> {
    let owned = Owned::read(dir)?;
    let mut suspects = Vec::new();
    for top in TOPS {
        // One that is a link leads out of the base, or to what another of them holds.
        if fs::symlink_metadata(dir.join(top)).is_ok_and(|meta| meta.is_dir()) {
            suspect(dir, modes, &owned, top, false, &mut suspects)?;
        }
    }
    let mut drawn: HashSet<Vec<u8>> =
        suspects.iter().filter(|s| !s.sure).flat_map(|s| s.words.iter().cloned()).collect();
    owned.take_known(dir, &mut drawn)?;
    suspects.retain(|s| s.sure || s.words.iter().any(|word| drawn.contains(word)));
    suspects
        .into_iter()
        .map(|s| Ok(Secret { package: culprit::of(dir, &s.path)?, path: format!("/{}", s.path) }))
        .collect()
}

/// Goes through a folder. `closed`: not everybody may look into it.
fn suspect(
    dir: &Path,
    modes: &Modes,
    owned: &Owned,
    folder: &str,
    closed: bool,
    found: &mut Vec<Suspect>,
) -> Result<(), Error> {
    let place = dir.join(folder);
    let entries = fs::read_dir(&place).map_err(Error::io("reading", &place))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(Error::io("reading", &place))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        let meta = entry.metadata().map_err(Error::io("reading", entry.path()))?;
        let closed_to = |bit| closed || modes.0.get(&path).is_some_and(|m| m.mode & bit == 0);
        if meta.is_dir() {
            suspect(dir, modes, owned, &path, closed_to(0o001), found)?;
            continue;
        }
        let known = NO_SECRET.iter().any(|s| path.starts_with(s) || path.ends_with(s))
            || ALLOWED.iter().any(|s| path.starts_with(s))
            || owned.has(&path);
        let private = closed_to(0o004);
        if !meta.is_file() || known || meta.len() == 0 || meta.len() > if private { LARGE } else { LARGE_PUBLIC } {
            continue;
        }
        let bytes = fs::read(entry.path()).map_err(Error::io("reading", entry.path()))?;
        if private || words::looks_like_a_key(&bytes) {
            let (sure, words) = words::of(&bytes);
            found.push(Suspect { path, sure, words });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
