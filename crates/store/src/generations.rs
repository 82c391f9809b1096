//! The generations of a machine: the links of its profile, made, chosen and removed so that a power cut at any moment
//! leaves each link as it was or as it is to be.
//!
//! A number is never used twice, whatever was removed and whatever the clock says: boot entries and the machine's own
//! records speak of generations by number. While the profile is changed, the lock is held that `nix-env` takes.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cairn_root::{Folder, Kind, Root};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::folders::{OWN_DIR, own, own_or_new};
use crate::local::open_root;
use crate::lock::NixLock;
use crate::profile::{self, PROFILES_DIR, SYSTEM};
use crate::{STORE_DIR, StoreError, StorePath};

/// The highest number that was ever removed, so that it does not come again.
const HIGHEST: &str = "highest-generation";

/// The file that says it is not longer than that.
const MOST_OF_A_NUMBER: u64 = 64;

/// A link before it has its name.
const NEW: &str = ".cairn-new";

/// A generation on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationLink {
    /// Its number.
    pub number: u64,
    /// What its link says.
    pub target: String,
    /// The system, when the link says a store path.
    pub system: Option<StorePath>,
    /// When it was made: the time of the link itself, in seconds since 1970.
    pub time: i64,
    /// Whether the system is there.
    pub exists: bool,
}

/// The profile `system` of the machine whose disk is at a root. It is read where the machine itself would find it, and changed
/// only where its folder is no link.
#[derive(Debug, Clone)]
pub struct Generations {
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Path(PathBuf),
    Disk(Root),
}

impl Generations {
    /// Those below `root`. Nothing is read yet.
    #[must_use]
    pub fn at(root: &Path) -> Generations {
        Generations { place: Place::Path(root.to_path_buf()) }
    }

    /// Those below a root that is open already.
    #[must_use]
    pub fn of(disk: &Root) -> Generations {
        Generations { place: Place::Disk(disk.clone()) }
    }

    /// All of them, by number. Names that are no generation's are ignored, and so is what is no link.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<GenerationLink>, StoreError> {
        let disk = self.disk()?;
        let mut found = Vec::new();
        for number in numbers(&disk)? {
            let link = format!("{PROFILES_DIR}/{}", profile::link_name(number));
            let reading = || StoreError::io("reading", disk.shown(&link));
            let Some(meta) = disk.link_metadata(&link).map_err(reading())? else { continue };
            let Some(target) = disk.link(&link).map_err(reading())? else { continue };
            let target = target.to_string_lossy().into_owned();
            let system = StorePath::from_absolute(&target).ok();
            let exists = match &system {
                Some(path) => is_there(&disk, path)?,
                None => false,
            };
            found.push(GenerationLink { number, target, system, time: meta.mtime(), exists });
        }
        Ok(found)
    }

    /// The number of the current one: what the link `system` says, whether or not it is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn current(&self) -> Result<Option<u64>, StoreError> {
        current(&self.disk()?)
    }

    /// The number that the next one gets: higher than any that is known to have been used, `highest_seen` (from boot
    /// entries, say) included.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Generation`] when there is no higher number.
    pub fn next_number(&self, highest_seen: u64) -> Result<u64, StoreError> {
        let disk = self.disk()?;
        let mut highest = highest_seen.max(current(&disk)?.unwrap_or(0)).max(highest_removed(&disk));
        for number in numbers(&disk)? {
            highest = highest.max(number);
        }
        highest
            .checked_add(1)
            .ok_or_else(|| StoreError::Generation { number: highest, why: "there is no higher number".into() })
    }

    /// Makes the next one, with `time` (seconds since 1970) as its date, and gives its number. It is not yet the current
    /// one. On the disk when this returns; the system must have been before.
    ///
    /// # Errors
    /// [`StoreError::Generation`] when the system is not there, [`StoreError::Unusable`] when the folder of the links is itself a
    /// link, [`StoreError::Io`].
    pub fn add(&self, system: &StorePath, time: i64, highest_seen: u64) -> Result<u64, StoreError> {
        let disk = self.disk()?;
        let dir = own_or_new(&disk, PROFILES_DIR)?;
        let _lock = NixLock::take(&dir, SYSTEM)?;
        let number = self.next_number(highest_seen)?;
        if !is_there(&disk, system)? {
            return Err(StoreError::Generation { number, why: format!("{system} is not in the store") });
        }
        link(&dir, &profile::link_name(number), &system.to_string(), Some(time))?;
        Ok(number)
    }

    /// Makes a generation the current one. On the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Generation`] when it is not there or not whole, and as [`Generations::add`].
    pub fn switch(&self, number: u64) -> Result<(), StoreError> {
        let none = || StoreError::Generation { number, why: "there is none with this number".into() };
        let dir = own(&self.disk()?, PROFILES_DIR)?.ok_or_else(none)?;
        let _lock = NixLock::take(&dir, SYSTEM)?;
        match self.list()?.into_iter().find(|g| g.number == number) {
            Some(generation) if generation.exists => link(&dir, SYSTEM, &profile::link_name(number), None),
            Some(generation) => {
                let why = format!("its system {} is not in the store", generation.target);
                Err(StoreError::Generation { number, why })
            }
            None => Err(none()),
        }
    }

    /// Removes a generation's link; fine if there is none. Its number is not used again. On the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Generation`] when it is the current one, and as [`Generations::add`].
    pub fn remove(&self, number: u64) -> Result<(), StoreError> {
        let disk = self.disk()?;
        let Some(dir) = own(&disk, PROFILES_DIR)? else { return Ok(()) };
        let _lock = NixLock::take(&dir, SYSTEM)?;
        if current(&disk)? == Some(number) {
            let why = "it is the current one, and cannot be removed; make another one current first".into();
            return Err(StoreError::Generation { number, why });
        }
        let name = profile::link_name(number);
        if dir.metadata(&name).map_err(StoreError::io("reading", dir.shown(&name)))?.is_none() {
            return Ok(());
        }
        let records = own_or_new(&disk, OWN_DIR)?;
        let text = format!("{}\n", number.max(highest_removed(&disk)));
        records
            .write_durably(HIGHEST, text.as_bytes(), 0o644)
            .map_err(StoreError::io("writing", records.shown(HIGHEST)))?;
        dir.remove_file(&name).map_err(StoreError::io("removing", dir.shown(&name)))?;
        dir.sync().map_err(StoreError::io("syncing", dir.path()))
    }

    fn disk(&self) -> Result<Root, StoreError> {
        match &self.place {
            Place::Path(path) => open_root(path),
            Place::Disk(disk) => Ok(disk.clone()),
        }
    }
}

fn current(disk: &Root) -> Result<Option<u64>, StoreError> {
    let link = format!("{PROFILES_DIR}/{SYSTEM}");
    let target = disk.link(&link).map_err(StoreError::io("reading", disk.shown(&link)))?;
    Ok(target.as_deref().and_then(Path::file_name).and_then(|n| n.to_str()).and_then(profile::generation))
}

/// Whether a store path has a tree.
fn is_there(disk: &Root, path: &StorePath) -> Result<bool, StoreError> {
    let real = format!("{STORE_DIR}/{}", path.base_name());
    Ok(disk.link_metadata(&real).map_err(StoreError::io("reading", disk.shown(&real)))?.is_some())
}

/// The numbers that names in the folder have, sorted.
fn numbers(disk: &Root) -> Result<Vec<u64>, StoreError> {
    let names = names_for_sure(disk, Path::new(PROFILES_DIR))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| profile::generation(name.to_str()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The names in a folder, wherever the machine itself would find it; none when it is certain that there is no such folder. One
/// that is a link to nowhere, or something else, is a riddle: what it held may be on a disk that is not mounted.
pub(crate) fn names_for_sure(disk: &Root, dir: &Path) -> Result<Vec<OsString>, StoreError> {
    let reading = |path: &Path| StoreError::io("reading", disk.shown(path));
    let mut at = PathBuf::new();
    for part in dir.components() {
        at.push(part);
        if disk.link_metadata(&at).map_err(reading(&at))?.is_none() {
            return Ok(Vec::new());
        }
        if disk.kind(&at).map_err(reading(&at))? != Some(Kind::Folder) {
            return Err(StoreError::NoFolder { path: disk.shown(&at) });
        }
    }
    disk.names(dir).map_err(reading(dir))?.ok_or_else(|| StoreError::NoFolder { path: disk.shown(dir) })
}

/// A file that cannot be read says nothing: the links and the caller know of the others.
fn highest_removed(disk: &Root) -> u64 {
    let read = || {
        let bytes = own(disk, OWN_DIR).ok()??.read(HIGHEST, MOST_OF_A_NUMBER).ok()??;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    };
    read().unwrap_or(0)
}

/// Makes or replaces a link: first under another name, on the disk, then by one rename. The lock must be held.
fn link(dir: &Folder, name: &str, target: &str, time: Option<i64>) -> Result<(), StoreError> {
    let making = || StoreError::io("making", dir.shown(name));
    dir.remove_file(NEW).map_err(StoreError::io("removing", dir.shown(NEW)))?;
    dir.symlink(target, NEW).map_err(making())?;
    if let Some(time) = time {
        let time = TimeSpec::new(time, 0);
        utimensat(dir, NEW, &time, &time, UtimensatFlags::NoFollowSymlink)
            .map_err(StoreError::errno("setting the time of", dir.shown(name)))?;
    }
    // A long target has a block of its own, and a link cannot be opened to sync it alone.
    dir.sync_file_system().map_err(StoreError::io("syncing the file system of", dir.path()))?;
    dir.rename(NEW, name).map_err(making())?;
    dir.sync().map_err(StoreError::io("syncing", dir.path()))
}
