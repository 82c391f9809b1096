//! `/var`, `/srv` and `/usr/local`: what the base has there is given to the machine, once. From then on it is the machine's.
//!
//! What is there is left alone, whatever it is: a link or a file where the base has a folder too. What is not there and
//! was given before has been removed, and stays away. Nothing in here stops a boot.
//!
//! A power cut at any moment leaves things so that the next boot goes on: what is to be given is written down beside the
//! record first (`FILLING`, so that a full disk is found before anything is made), then files are copied into a folder
//! of their own (`STAGING`) and waited for, then everything is moved to its place, and then the one becomes the record
//! by its name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::fstatvfs;
use nix::unistd::{symlinkat, syncfs};

use super::compare::{self, Compared, Missing};
use super::facts;
use super::given::{Given, State, Worth, key};
use super::modes::Special;
use super::plan::{PARTS, STATE};
use crate::error::{Context, Error};
use crate::folder::{Folder, Kind, MOST_TEXT, Owned};
use crate::notes::Notes;
use crate::root::Root;

/// The record, what is going to be it, and the folder for files that are not in their places yet; all in [`STATE`].
const RECORD: &str = "given";
const FILLING: &str = "given.filling";
const STAGING: &str = "filling";
/// The link that is made when everything has been given, by helpers that kept no record too.
const FILLED: &str = "/var/lib/dpkg";

/// The base that boots, and for which generation.
#[derive(Debug, Clone, Copy)]
pub struct Booting<'a> {
    /// Its store path.
    pub base: &'a Path,
    /// Its number, as the command line says it.
    pub generation: Option<u64>,
}

/// A file system, or what of it belongs together, to which things are given.
#[derive(Debug)]
pub struct Place<'a> {
    /// What of the base comes there, and where: without, and with a first slash.
    pub parts: Vec<(PathBuf, PathBuf)>,
    /// The name of its record, in [`STATE`].
    pub record: &'a str,
    /// A folder of that file system, and the name in it of the folder where things wait for their places.
    pub waiting: (&'a Folder, &'a str),
    /// Where other file systems are, which have records of their own.
    pub others: &'a [PathBuf],
    /// What is there was there before the machine was: its folders are left as they are, as wholes.
    pub kept: bool,
}

/// Gives the machine what the base has for it and it has not been given.
///
/// # Errors
/// When nothing could be given, or it could not be written down that it was.
pub fn fill(root: &Root, booting: Booting<'_>, special: &[Special], notes: &mut Notes) -> Result<(), Error> {
    let state = root.folder(Path::new(STATE)).with_context(|| format!("opening {STATE}"))?;
    let (mut given, worth) = record(&state, RECORD, notes);
    let name = booting.base.display().to_string();
    if worth == Worth::Whole && given.complete && given.base == name {
        return Ok(());
    }
    // A record that was lost, or was never kept: what belongs to bases that have booted well was given.
    if worth == Worth::Damaged && root.kind(Path::new(FILLED)).is_ok() {
        for base in facts::booted_bases(root, booting) {
            for path in compare::all(root, &base, notes) {
                given.paths.entry(key(&path)).or_insert(State::Have);
            }
        }
    }
    let parts = PARTS.map(|(part, at)| (part.into(), at.into())).into();
    let place = Place { parts, record: RECORD, waiting: (&state, STAGING), others: &[], kept: false };
    bring(root, &state, &place, booting.base, &given, special, notes)
}

/// A record, and what it is worth.
pub fn record(state: &Folder, name: &str, notes: &mut Notes) -> (Given, Worth) {
    let text = match state.text(name, MOST_TEXT) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => String::new(),
        Err(e) => {
            notes.say(format!("reading {STATE}/{name}: {e}"));
            String::new()
        }
    };
    Given::parse(&text)
}

/// Gives what the base has for a place and it has not been given, and writes that down.
///
/// # Errors
/// When nothing could be given, or it could not be written down that it was.
pub fn bring(
    root: &Root,
    state: &Folder,
    place: &Place<'_>,
    base: &Path,
    given: &Given,
    special: &[Special],
    notes: &mut Notes,
) -> Result<(), Error> {
    let Place { record, waiting: (beside, staging), .. } = *place;
    let Compared { missing, given: mut after } = compare::compare(root, base, place, given, notes);
    after.base = base.display().to_string();
    let whom = Owned { mode: 0o644, uid: 0, gid: 0 };
    state.replace(FILLING, &after.text(), whom).with_context(|| format!("writing {STATE}/{FILLING}"))?;
    // What a power cut left is made again.
    beside.remove_all(staging).with_context(|| format!("removing the folder {staging}"))?;
    if !missing.is_empty() {
        let lacking = give(root, place, base, &missing, special, notes)?;
        after.complete &= lacking.is_empty();
        for path in &lacking {
            after.paths.insert(key(path), State::Lack);
        }
        if !lacking.is_empty() {
            state.overwrite(FILLING, &after.text()).with_context(|| format!("writing {STATE}/{FILLING}"))?;
        }
    }
    if state.kind(record).is_ok_and(|kind| kind == Some(Kind::Folder)) {
        state.set_aside(record).with_context(|| format!("setting {STATE}/{record} aside"))?;
    }
    state.rename(FILLING, record).with_context(|| format!("writing {STATE}/{record}"))
}

/// Makes what is missing; gives what could not be made.
fn give(
    root: &Root,
    filled: &Place<'_>,
    base: &Path,
    missing: &[Missing],
    special: &[Special],
    notes: &mut Notes,
) -> Result<BTreeSet<PathBuf>, Error> {
    let special: BTreeMap<&Path, &Special> = special.iter().map(|s| (&*s.path, s)).collect();
    let (beside, waiting) = filled.waiting;
    let doing = || format!("making the folder {waiting}");
    beside.make(waiting, 0o700).with_context(doing)?;
    let staging = beside.below(Path::new(waiting)).with_context(doing)?;

    let mut lacking = BTreeSet::new();
    for one in missing {
        if let Err(e) = stage(root, base, one, &staging, &special) {
            // What is in a folder that could not be made is not told each.
            if !one.path.ancestors().skip(1).any(|folder| lacking.contains(folder)) {
                notes.say(format!("making {}: {e}", one.target.display()));
            }
            lacking.insert(one.path.clone());
        }
    }
    // A name must not be there before what it names.
    syncfs(&staging).with_context(doing)?;
    for one in missing.iter().filter(|one| one.is_top() && !lacking.contains(&one.path)).collect::<Vec<_>>() {
        match place(root, one, &staging) {
            // Somebody has it meanwhile: that is the machine's own.
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                notes.say(format!("making {}: {e}", one.target.display()));
                lacking.extend(missing.iter().map(|m| &m.path).filter(|path| path.starts_with(&one.path)).cloned());
            }
            _ => {}
        }
    }
    let _ = beside.remove_all(waiting);
    syncfs(beside).context("writing what was given to the disk")?;
    Ok(lacking)
}

/// Makes it where it waits for its place.
fn stage(
    root: &Root,
    base: &Path,
    one: &Missing,
    staging: &Folder,
    special: &BTreeMap<&Path, &Special>,
) -> io::Result<()> {
    let owned = |usual: u32| {
        let usual = Owned { mode: usual, uid: 0, gid: 0 };
        special.get(&*one.path).map_or(usual, |s| Owned { mode: s.mode, uid: s.uid, gid: s.gid })
    };
    let source = base.join(&one.path);
    let name = one.staged.file_name().ok_or(ErrorKind::InvalidInput)?;
    let folder = staging.below(one.staged.parent().unwrap_or(Path::new("")))?;
    match one.kind {
        Kind::Link => Ok(symlinkat(&*root.link(&source)?, &folder, name)?),
        Kind::Folder => {
            folder.make(name, 0o700)?;
            owned(0o755).give(folder.below(Path::new(name))?)
        }
        _ => {
            let mut source = root.file(&source)?;
            let meta = source.metadata()?;
            // A file that says of itself that it is larger than the disk would fill it.
            let room = fstatvfs(staging)?;
            if meta.size() > room.blocks_available().saturating_mul(room.fragment_size()) {
                return Err(ErrorKind::StorageFull.into());
            }
            let usual = if meta.mode() & 0o111 == 0 { 0o644 } else { 0o755 };
            let copied = folder.create(name).and_then(|mut target| {
                io::copy(&mut source, &mut target)?;
                owned(usual).give(&target)
            });
            copied.inspect_err(|_| drop(folder.remove(name)))
        }
    }
}

/// Puts it into its place.
fn place(root: &Root, one: &Missing, staging: &Folder) -> io::Result<()> {
    let target = one.target.strip_prefix("/").unwrap_or(&one.target);
    let name = target.file_name().ok_or(ErrorKind::InvalidInput)?;
    let folder = root.top().below(target.parent().unwrap_or(Path::new("")))?;
    staging.hand_over(&one.staged, &folder, name)
}

#[cfg(test)]
#[path = "variable_tests.rs"]
mod tests;
