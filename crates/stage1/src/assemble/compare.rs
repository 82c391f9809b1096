//! Compares what a base has for the machine with what that has and was given. Changes nothing.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::given::{Given, State, key};
use super::plan::{PARTS, is_generations_own};
use super::variable::Place;
use crate::folder::{Folder, Kind};
use crate::notes::Notes;
use crate::root::Root;

/// No base has more there, and none is deeper.
const MOST: usize = 200_000;
const DEEPEST: usize = 64;

/// Something of the base that is to be made.
#[derive(Debug, PartialEq, Eq)]
pub struct Missing {
    /// Where packages think it is, without the first slash: `var/…`, `usr/local/…`.
    pub path: PathBuf,
    /// Where it is.
    pub target: PathBuf,
    /// Where it is made: a number, and what is below a folder that is missing as a whole in that.
    pub staged: PathBuf,
    pub kind: Kind,
}

impl Missing {
    /// Whether it is what gets a place by itself, and the rest comes with it.
    pub fn is_top(&self) -> bool {
        self.staged.components().count() == 1
    }
}

/// What is to be made, folders before what is in them, and what the record says when it is made.
#[derive(Debug)]
pub struct Compared {
    pub missing: Vec<Missing>,
    pub given: Given,
}

/// Compares.
pub fn compare(root: &Root, base: &Path, place: &Place<'_>, before: &Given, notes: &mut Notes) -> Compared {
    let mut work = Work::new(before, notes);
    work.others = place.others;
    work.kept = place.kept;
    for (part, at) in &place.parts {
        let Some(source) = part_of(root, base, part) else { continue };
        let there = match root.top().below(at.strip_prefix("/").unwrap_or(at)) {
            Ok(folder) => There::Folder(folder),
            Err(e) => work.unseen(at, &e),
        };
        work.folder(&source, part, at, &there, 0);
    }
    // Whatever the base does not have is away, and comes back with its package; if it is sure that it does not.
    for (path, state) in before.paths.iter().filter(|(_, state)| **state != State::Lack) {
        let state = if work.given.complete { State::Away } else { *state };
        work.given.paths.entry(path.clone()).or_insert(state);
    }
    Compared { missing: work.missing, given: work.given }
}

/// The paths of everything that a base has for the machine.
pub fn all(root: &Root, base: &Path, notes: &mut Notes) -> Vec<PathBuf> {
    let nothing = Given::default();
    let mut work = Work::new(&nothing, notes);
    for (part, at) in PARTS {
        if let Some(source) = part_of(root, base, Path::new(part)) {
            work.folder(&source, Path::new(part), Path::new(at), &There::Nothing(PathBuf::new()), 0);
        }
    }
    work.missing.into_iter().map(|missing| missing.path).collect()
}

fn part_of(root: &Root, base: &Path, part: &Path) -> Option<Folder> {
    root.folder(&base.join(part)).ok()
}

/// What the machine has in the place of a base's folder.
enum There {
    /// A folder.
    Folder(Folder),
    /// Nothing; it is made here before it gets its place.
    Nothing(PathBuf),
    /// A folder that was there before the machine was: with all that is in it and is not, it is as it is to be.
    Kept,
    /// Nothing, as it was removed, or something else: what the base has in it has no place.
    Other,
}

struct Work<'a> {
    before: &'a Given,
    /// File systems that have a record of their own.
    others: &'a [PathBuf],
    /// What is there was there before the machine was.
    kept: bool,
    missing: Vec<Missing>,
    given: Given,
    seen: usize,
    notes: &'a mut Notes,
}

impl<'a> Work<'a> {
    fn new(before: &'a Given, notes: &'a mut Notes) -> Work<'a> {
        let given = Given { complete: true, ..Given::default() };
        Work { before, others: &[], kept: false, missing: Vec::new(), given, seen: 0, notes }
    }

    fn folder(&mut self, source: &Folder, part: &Path, at: &Path, there: &There, depth: usize) {
        let names = match source.names() {
            Ok(names) if depth < DEEPEST => names,
            Ok(_) => return self.cannot(part, &io::Error::other("it is too deep")),
            Err(e) => return self.cannot(part, &e),
        };
        for name in names {
            self.seen += 1;
            if self.seen >= MOST {
                if self.seen == MOST {
                    self.cannot(part, &io::Error::other(format!("the base has more than {MOST} names there")));
                }
                return;
            }
            let (path, target) = (part.join(&name), at.join(&name));
            if !is_generations_own(&path)
                && !self.others.contains(&target)
                && let Some(kind) = source.kind(&name).ok().flatten().filter(|kind| *kind != Kind::Other)
            {
                self.one(source, &name, kind, (path, target), there, depth);
            }
        }
    }

    fn one(
        &mut self,
        source: &Folder,
        name: &OsStr,
        kind: Kind,
        (path, target): (PathBuf, PathBuf),
        there: &There,
        depth: usize,
    ) {
        let key = key(&path);
        let before = self.before.state(&key).filter(|state| *state != State::Lack);
        let found = match there {
            There::Folder(folder) => match folder.kind(name) {
                Ok(None) => There::Nothing(self.missing.len().to_string().into()),
                Ok(Some(Kind::Folder)) if self.kept => There::Kept,
                Ok(Some(Kind::Folder)) => match folder.below(Path::new(name)) {
                    Ok(folder) => There::Folder(folder),
                    Err(e) => self.unseen(&target, &e),
                },
                Ok(Some(_)) => There::Other,
                Err(e) => self.unseen(&target, &e),
            },
            There::Nothing(staged) => There::Nothing(staged.join(name)),
            There::Kept => There::Kept,
            There::Other => There::Other,
        };
        // What was given and is gone has been removed. But a folder that went while its package was out comes with it
        // again, and in a folder that is made, everything is.
        let whole = matches!(there, There::Nothing(_));
        let again = before == Some(State::Away) && kind == Kind::Folder;
        let comes = matches!(found, There::Nothing(_)) && (before.is_none() || whole || again);
        // What has no place is neither given nor refused.
        if before.is_some() || comes || matches!(there, There::Folder(_) | There::Kept) {
            self.given.paths.insert(key, State::Have);
        }
        let found = match found {
            There::Nothing(staged) if comes => {
                let (path, target) = (path.clone(), target.clone());
                self.missing.push(Missing { path, target, staged: staged.clone(), kind });
                There::Nothing(staged)
            }
            There::Nothing(_) => There::Other,
            found => found,
        };
        if kind == Kind::Folder {
            match source.below(Path::new(name)) {
                Ok(source) => self.folder(&source, &path, &target, &found, depth + 1),
                Err(e) => self.cannot(&path, &e),
            }
        }
    }

    /// The machine's own cannot be looked at: it is left alone, and looked at again at the next boot.
    fn unseen(&mut self, target: &Path, why: &io::Error) -> There {
        // A link that leads elsewhere is nothing to complain of.
        if why.raw_os_error() != Some(nix::libc::ELOOP) {
            self.given.complete = false;
            self.notes.say(format!("looking at {}: {why}", target.display()));
        }
        There::Other
    }

    /// The base's own cannot be looked at.
    fn cannot(&mut self, part: &Path, why: &io::Error) {
        self.given.complete = false;
        self.notes.say(format!("reading the base's /{}: {why}", part.display()));
    }
}
