//! What keeps store paths alive on a machine: generations and whatever else Nix takes for a root of garbage collection.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{FlockArg, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::fstat;

use crate::lock::try_for;
use crate::profile::{self, GCROOTS_DIR, PROFILES_DIR};
use crate::{STORE_DIR, StoreError, StorePath};

/// Where running Nix processes write down what they are about to use.
const TEMP_ROOTS: &str = "nix/var/nix/temproots";

/// Links to what runs; only on a machine that does.
const RUNNING: [&str; 2] = ["run/current-system", "run/booted-system"];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    pub(crate) paths: BTreeSet<StorePath>,
    /// Generations whose system is not there: nobody can tell what belongs to them.
    pub(crate) broken: Vec<String>,
}

/// The roots of the machine whose disk is at `root`, without those that are only due to some generations' links.
pub(crate) fn find_roots(root: &Path, without: &BTreeSet<u64>) -> Result<Roots, StoreError> {
    let mut search = Search { root, disk: open_root(root)?, without, found: Roots::default() };
    search.folder(&PathBuf::from(PROFILES_DIR))?;
    search.folder(&PathBuf::from(GCROOTS_DIR))?;
    search.broken_generations()?;
    search.temporary()?;
    if fs::canonicalize(root).is_ok_and(|r| r == Path::new("/")) {
        for link in RUNNING {
            search.found.paths.extend(search.link_of(Path::new(link)).and_then(|target| in_store(&target)));
        }
        // The kernel's own word on what was booted.
        let line = fs::read_to_string("/proc/cmdline").unwrap_or_default();
        let init = line.split_ascii_whitespace().filter_map(|word| word.strip_prefix("init="));
        search.found.paths.extend(init.filter_map(|path| in_store(Path::new(path))));
    }
    Ok(search.found)
}

fn open_root(root: &Path) -> Result<File, StoreError> {
    File::open(root).map_err(StoreError::io("opening", root))
}

struct Search<'a> {
    root: &'a Path,
    disk: File,
    without: &'a BTreeSet<u64>,
    found: Roots,
}

impl Search<'_> {
    /// Looks through a folder as Nix does: folders in it, links, and files that are called like a store path. The path is
    /// below the root.
    fn folder(&mut self, dir: &Path) -> Result<(), StoreError> {
        let real = self.root.join(dir);
        let entries = match fs::read_dir(&real) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(StoreError::io("reading", real)(e)),
        };
        for entry in entries {
            let entry = entry.map_err(StoreError::io("reading", &real))?;
            let kind = entry.file_type().map_err(StoreError::io("reading", entry.path()))?;
            let path = dir.join(entry.file_name());
            if kind.is_dir() {
                self.folder(&path)?;
            } else if kind.is_symlink() {
                self.link(&path);
            } else if kind.is_file() {
                self.found.paths.extend(entry.file_name().to_str().and_then(|n| StorePath::from_basename(n).ok()));
            }
        }
        Ok(())
    }

    /// A link into the store, or a link to such a link.
    fn link(&mut self, path: &Path) {
        if self.is_without(path) {
            return;
        }
        let Some(target) = self.link_of(path) else { return };
        if let Some(path) = in_store(&target) {
            self.found.paths.insert(path);
            return;
        }
        // Some versions of Nix write down where the disk is mounted as well.
        let whole = path.parent().unwrap_or(Path::new("")).join(&target);
        let inside = whole.strip_prefix(self.root).ok().map(Path::to_path_buf);
        for place in inside.into_iter().chain([whole]) {
            // The current one is needed in any case.
            let current = path.parent() == Some(Path::new(PROFILES_DIR)) && path.ends_with(profile::SYSTEM);
            if (current || !self.is_without(&place))
                && let Some(path) = self.link_of(&place).and_then(|target| in_store(&target))
            {
                self.found.paths.insert(path);
            }
        }
    }

    fn is_without(&self, path: &Path) -> bool {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let number = relative.file_name().and_then(|n| n.to_str()).and_then(profile::generation);
        relative.parent() == Some(Path::new(PROFILES_DIR)) && number.is_some_and(|n| self.without.contains(&n))
    }

    /// What a link on the disk says. Absolute links on the way are followed inside of the disk.
    fn link_of(&self, path: &Path) -> Option<PathBuf> {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let link: OwnedFd = openat2(self.disk.as_fd(), path, how).ok()?;
        readlinkat(&link, "").ok().map(PathBuf::from)
    }

    /// The current generation and those that are kept must have their systems, or nobody knows what they need.
    fn broken_generations(&mut self) -> Result<(), StoreError> {
        for generation in crate::Generations::at(self.root).list()? {
            if !generation.exists && !self.without.contains(&generation.number) {
                let (number, target) = (generation.number, generation.target);
                self.found.broken.push(format!("generation {number} is broken, for its system {target} is not there"));
            }
        }
        Ok(())
    }

    /// What running Nix processes are about to use. The file of one that has ended is not locked any more.
    fn temporary(&mut self) -> Result<(), StoreError> {
        let dir = self.root.join(TEMP_ROOTS);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(StoreError::io("reading", dir)(e)),
        };
        for entry in entries {
            let path = entry.map_err(StoreError::io("reading", &dir))?.path();
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(StoreError::io("reading", path)(e)),
            };
            if fstat(&file).map_err(StoreError::errno("reading", &path))?.st_size == 0 {
                continue;
            }
            if try_for(file, FlockArg::LockExclusive, &path)?.is_some() {
                continue;
            }
            let bytes = fs::read(&path).map_err(StoreError::io("reading", &path))?;
            let paths = bytes.split(|b| *b == 0).filter_map(|text| std::str::from_utf8(text).ok());
            self.found.paths.extend(paths.filter_map(|text| in_store(Path::new(text))));
        }
        Ok(())
    }
}

/// The store path that a path is, or is in.
fn in_store(path: &Path) -> Option<StorePath> {
    let rest = path.strip_prefix(STORE_DIR).ok()?;
    StorePath::from_basename(rest.components().next()?.as_os_str().to_str()?).ok()
}
