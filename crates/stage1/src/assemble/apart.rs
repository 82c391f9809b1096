//! File systems besides that of the machine's state: `/srv`, and in the running system the partitions that lie below `/var` and `/srv`.
//! Each is given what the base has for it, as the root is, and has a record of its own: another file system in its place is filled anew.

use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, fstat, umask};
use nix::sys::statvfs::fstatvfs;

use super::facts;
use super::given::Worth;
use super::modes::{self, Special};
use super::plan::{SERVED, STATE};
use super::variable::{Place, bring, record};
use crate::cmdline::Parameters;
use crate::error::{Context, Error};
use crate::folder::{Folder, Owned};
use crate::notes::Notes;
use crate::root::Root;

/// Where things wait for their places: on the same file system.
const WAITING: &str = ".cairn-filling";
const LOGS: &str = "/var/log";
/// What every file system has that is new.
const OF_MKFS: &str = "lost+found";
/// The list of special files with the numbers that are in use on this machine, for the running system.
const OWNERS: &str = "/run/cairn/modes";

/// Gives `/srv` what the base has for it.
///
/// # Errors
/// When nothing could be given.
pub fn served(root: &Root, base: &Path, special: &[Special], notes: &mut Notes) -> Result<(), Error> {
    fill(root, Path::new(SERVED), "given.srv", &[], base, special, notes)
}

/// Keeps for the running system what only the initrd knows.
///
/// # Errors
/// When it cannot be written.
pub fn keep(special: &[Special]) -> Result<(), Error> {
    let made = std::fs::create_dir_all("/run/cairn").and_then(|()| std::fs::write(OWNERS, modes::text(special)));
    made.with_context(|| format!("writing {OWNERS}"))
}

/// In the running system, when its file systems are mounted: fills those that the system's fstab has below `/var` and `/srv`.
///
/// # Errors
/// When the system cannot be read. What could not be made is told.
pub fn run(parameters: &Parameters) -> Result<(), Error> {
    umask(Mode::empty());
    let mut notes = Notes::default();
    let root = Root::open(Path::new("/")).context("opening /")?;
    let system = parameters.system()?;
    let base = facts::read(&root, &system)?.base;
    let text = std::fs::read_to_string(OWNERS).with_context(|| format!("reading {OWNERS}"))?;
    let special = modes::parse(&text)?;
    let places = facts::own_places(&root, &system)?;
    for at in &places {
        let Some(id) = identity(&root, at) else {
            notes.say(format!("{} is not mounted, and gets nothing", at.display()));
            continue;
        };
        let name = format!("given.{}.{id:016x}", escaped(at));
        fill(&root, at, &name, &places, &base, &special, &mut notes).unwrap_or_else(|e| notes.say(e));
        if at == Path::new(LOGS) {
            // As in the root: the journal is kept where its folder is.
            let made = root.folder(at).and_then(|logs| logs.make("journal", 0o2755));
            made.with_context(|| format!("making the journal's folder in {LOGS}")).unwrap_or_else(|e| notes.say(e));
        }
    }
    Ok(())
}

fn fill(
    root: &Root,
    at: &Path,
    name: &str,
    others: &[PathBuf],
    base: &Path,
    special: &[Special],
    notes: &mut Notes,
) -> Result<(), Error> {
    let state = root.folder(Path::new(STATE)).with_context(|| format!("opening {STATE}"))?;
    let (given, worth) = record(&state, name, notes);
    if worth == Worth::Whole && given.complete && Path::new(&given.base) == base {
        return Ok(());
    }
    let doing = || format!("looking at {}", at.display());
    let folder = root.top().below(at.strip_prefix("/").unwrap_or(at)).with_context(doing)?;
    let names = folder.names().with_context(doing)?;
    let new = worth == Worth::Damaged;
    let empty = names.iter().all(|name| name == OF_MKFS || name == WAITING);
    let part = at.strip_prefix("/").unwrap_or(at).to_path_buf();
    if new
        && empty
        && let Some(owner) = special.iter().find(|one| one.path == part)
    {
        Owned { mode: owner.mode, uid: owner.uid, gid: owner.gid }.give(&folder).with_context(doing)?;
    }
    let parts = vec![(part, at.to_path_buf())];
    let place = Place { parts, record: name, waiting: (&folder, WAITING), others, kept: new && !empty };
    bring(root, &state, &place, base, &given, special, notes)
}

/// What tells the file system that is mounted at a path from others (`f_fsid` of statvfs(3), which ext4 has from its UUID); nothing where
/// none is.
fn identity(root: &Root, at: &Path) -> Option<u64> {
    let device = |folder: &Folder| fstat(folder).ok().map(|meta| meta.st_dev);
    let (here, above) = (root.folder(at).ok()?, root.folder(at.parent()?).ok()?);
    (device(&here)? != device(&above)?).then(|| fstatvfs(&here).ok().map(|it| it.filesystem_id()))?
}

/// As systemd names the unit of a mount point.
fn escaped(at: &Path) -> String {
    at.to_string_lossy().trim_matches('/').replace('-', "\\x2d").replace('/', "-")
}
