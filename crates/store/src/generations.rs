//! The generations of a machine: the links of its profile, made, chosen and removed so that a power cut at any moment
//! leaves each link as it was or as it is to be.
//!
//! A number is never used twice, whatever was removed and whatever the clock says: boot entries and the machine's own
//! records speak of generations by number. While the profile is changed, the lock is held that `nix-env` takes.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::durable::{sync_dir, sync_file_system, write_durably};
use crate::lock::NixLock;
use crate::profile::{self, PROFILES_DIR, SYSTEM};
use crate::{STORE_DIR, StoreError, StorePath};

/// The highest number that was ever removed, so that it does not come again.
const HIGHEST: &str = "nix/var/cairn/highest-generation";

/// A generation on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
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

/// The profile `system` of the machine whose disk is at a root.
#[derive(Debug, Clone)]
pub struct Generations {
    root: PathBuf,
}

impl Generations {
    /// Those below `root`. Nothing is read yet.
    #[must_use]
    pub fn at(root: &Path) -> Generations {
        Generations { root: root.to_path_buf() }
    }

    /// All of them, by number. Names that are no generation's are ignored, and so is what is no link.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self) -> Result<Vec<Generation>, StoreError> {
        let dir = self.dir();
        let mut found = Vec::new();
        for number in self.numbers()? {
            let link = dir.join(profile::link_name(number));
            let meta = fs::symlink_metadata(&link).map_err(StoreError::io("reading", &link))?;
            if !meta.is_symlink() {
                continue;
            }
            let target = fs::read_link(&link).map_err(StoreError::io("reading", &link))?;
            let target = target.to_string_lossy().into_owned();
            let system = StorePath::from_absolute(&target).ok();
            let exists = system.as_ref().is_some_and(|path| self.real(path).symlink_metadata().is_ok());
            found.push(Generation { number, target, system, time: meta.mtime(), exists });
        }
        Ok(found)
    }

    /// The number of the current one: what the link `system` says, whether or not it is there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn current(&self) -> Result<Option<u64>, StoreError> {
        let link = self.dir().join(SYSTEM);
        match fs::read_link(&link) {
            Ok(target) => Ok(target.file_name().and_then(|n| n.to_str()).and_then(profile::generation)),
            // Not there, or not a link.
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => Ok(None),
            Err(e) => Err(StoreError::io("reading", link)(e)),
        }
    }

    /// The number that the next one gets: higher than any that is known to have been used, `highest_seen` (from boot
    /// entries, say) included.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Generation`] when there is no higher number.
    pub fn next_number(&self, highest_seen: u64) -> Result<u64, StoreError> {
        let mut highest = highest_seen.max(self.current()?.unwrap_or(0)).max(self.highest_removed());
        for number in self.numbers()? {
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
    /// [`StoreError::Generation`] when the system is not there, [`StoreError::Io`].
    pub fn add(&self, system: &StorePath, time: i64, highest_seen: u64) -> Result<u64, StoreError> {
        let dir = self.dir();
        DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(StoreError::io("making", &dir))?;
        let _lock = NixLock::take(&dir.join(SYSTEM))?;
        let number = self.next_number(highest_seen)?;
        if self.real(system).symlink_metadata().is_err() {
            return Err(StoreError::Generation { number, why: format!("{system} is not in the store") });
        }
        self.link(&profile::link_name(number), &system.to_string(), Some(time))?;
        Ok(number)
    }

    /// Makes a generation the current one. On the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Generation`] when it is not there or not whole, [`StoreError::Io`].
    pub fn switch(&self, number: u64) -> Result<(), StoreError> {
        let _lock = NixLock::take(&self.dir().join(SYSTEM))?;
        let why = match self.list()?.into_iter().find(|g| g.number == number) {
            Some(generation) if generation.exists => {
                return self.link(SYSTEM, &profile::link_name(number), None);
            }
            Some(generation) => format!("its system {} is not in the store", generation.target),
            None => "there is none with this number".into(),
        };
        Err(StoreError::Generation { number, why })
    }

    /// Removes a generation's link; fine if there is none. Its number is not used again. On the disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::Generation`] when it is the current one, [`StoreError::Io`].
    pub fn remove(&self, number: u64) -> Result<(), StoreError> {
        let dir = self.dir();
        let _lock = NixLock::take(&dir.join(SYSTEM))?;
        if self.current()? == Some(number) {
            let why = "it is the current one, and cannot be removed; make another one current first".into();
            return Err(StoreError::Generation { number, why });
        }
        let link = dir.join(profile::link_name(number));
        match fs::symlink_metadata(&link) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(StoreError::io("reading", link)(e)),
            Ok(_) => {}
        }
        if number > self.highest_removed() {
            let file = self.root.join(HIGHEST);
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent).map_err(StoreError::io("making", parent))?;
            }
            write_durably(&file, format!("{number}\n").as_bytes())?;
        }
        fs::remove_file(&link).map_err(StoreError::io("removing", &link))?;
        sync_dir(&dir)
    }

    fn dir(&self) -> PathBuf {
        self.root.join(PROFILES_DIR)
    }

    fn real(&self, path: &StorePath) -> PathBuf {
        self.root.join(STORE_DIR.trim_start_matches('/')).join(path.base_name())
    }

    /// The numbers that names in the folder have, sorted.
    fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let dir = self.dir();
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(StoreError::io("reading", dir)(e)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let name = entry.map_err(StoreError::io("reading", &dir))?.file_name();
            numbers.extend(name.to_str().and_then(profile::generation));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A file that cannot be read says nothing: the links and the caller know of the others.
    fn highest_removed(&self) -> u64 {
        fs::read_to_string(self.root.join(HIGHEST)).ok().and_then(|t| t.trim().parse().ok()).unwrap_or(0)
    }

    /// Makes or replaces a link: first under another name, on the disk, then by one rename. The lock must be held.
    fn link(&self, name: &str, target: &str, time: Option<i64>) -> Result<(), StoreError> {
        let dir = self.dir();
        let (new, link) = (dir.join(".cairn-new"), dir.join(name));
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("removing", new)(e)),
            _ => {}
        }
        symlink(target, &new).map_err(StoreError::io("making", &link))?;
        if let Some(time) = time {
            let time = TimeSpec::new(time, 0);
            utimensat(AT_FDCWD, &new, &time, &time, UtimensatFlags::NoFollowSymlink)
                .map_err(StoreError::errno("setting the time of", &link))?;
        }
        // A long target has a block of its own, and a link cannot be opened to sync it alone.
        sync_file_system(&dir)?;
        fs::rename(&new, &link).map_err(StoreError::io("making", &link))?;
        sync_dir(&dir)
    }
}
