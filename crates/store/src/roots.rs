//! What keeps store paths alive on a machine: generations and whatever else Nix takes for a root of garbage collection.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use cairn_root::{Kind, Root};
use nix::fcntl::FlockArg;

use crate::generations::names_for_sure;
use crate::lock::try_for;
use crate::profile::{self, GCROOTS_DIR, PROFILES_DIR};
use crate::{STORE_DIR, StoreError, StorePath};

/// Where running Nix processes write down what they are about to use.
const TEMP_ROOTS: &str = "nix/var/nix/temproots";

/// Links to what runs; only on a machine that does.
const RUNNING: [&str; 2] = ["run/current-system", "run/booted-system"];

/// Nobody nests folders of roots deeper, or has more of them.
const MOST_DEEP: usize = 32;
const MOST_ENTRIES: usize = 1 << 20;

/// No process writes down more bytes of what it is about to use.
const MOST_TEMPORARY: u64 = 64 << 20;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    pub(crate) paths: BTreeSet<StorePath>,
    /// Generations whose system is not there: nobody can tell what belongs to them.
    pub(crate) broken: Vec<String>,
}

/// The roots of the machine whose disk this is, without those that are only due to some generations' links. Folders and links
/// are found as the machine itself would find them, all by one resolver. What cannot be read or resolved is an error: it
/// must not be taken for a root that is not there.
pub(crate) fn find_roots(disk: &Root, without: &BTreeSet<u64>) -> Result<Roots, StoreError> {
    let mut search = Search { disk, without, found: Roots::default(), entries: 0 };
    search.folder(Path::new(PROFILES_DIR), 0)?;
    search.folder(Path::new(GCROOTS_DIR), 0)?;
    search.broken_generations()?;
    search.temporary()?;
    if disk.is_host() {
        let file = Path::new("/proc/cmdline");
        // The kernel's own word on what was booted.
        let line = std::fs::read(file).map_err(StoreError::io("reading", file))?;
        search.found.paths.extend(running(disk, &String::from_utf8_lossy(&line))?);
    }
    Ok(search.found)
}

/// What a machine that runs was booted from and works with.
fn running(disk: &Root, command_line: &str) -> Result<BTreeSet<StorePath>, StoreError> {
    let mut paths = BTreeSet::new();
    for link in RUNNING {
        let target = disk.sure_link(link).map_err(StoreError::io("reading", disk.shown(link)))?;
        paths.extend(target.and_then(|target| in_store(&target)));
    }
    let init = command_line.split_ascii_whitespace().filter_map(|word| word.strip_prefix("init="));
    paths.extend(init.filter_map(|path| in_store(Path::new(path))));
    Ok(paths)
}

struct Search<'a> {
    disk: &'a Root,
    without: &'a BTreeSet<u64>,
    found: Roots,
    entries: usize,
}

impl Search<'_> {
    /// Looks through a folder as Nix does: folders in it, links, and files that are called like a store path. The path is
    /// below the root.
    fn folder(&mut self, dir: &Path, depth: usize) -> Result<(), StoreError> {
        for name in names_for_sure(self.disk, dir)? {
            let path = dir.join(&name);
            self.entries += 1;
            if depth > MOST_DEEP || self.entries > MOST_ENTRIES {
                let what = format!("{} leads to more than any machine has", self.disk.shown(&path).display());
                return Err(StoreError::Doubtful { what });
            }
            let meta = self.disk.link_metadata(&path).map_err(self.reading(&path))?;
            match meta.map(|meta| Kind::of(&meta)) {
                Some(Kind::Folder) => self.folder(&path, depth + 1)?,
                Some(Kind::Link) => self.link(&path)?,
                Some(Kind::File) => {
                    self.found.paths.extend(name.to_str().and_then(|name| StorePath::from_basename(name).ok()));
                }
                Some(Kind::Other) | None => {}
            }
        }
        Ok(())
    }

    /// A link into the store, or a link to such a link.
    fn link(&mut self, path: &Path) -> Result<(), StoreError> {
        if self.is_without(path) {
            return Ok(());
        }
        let Some(target) = self.link_of(path)? else { return Ok(()) };
        if let Some(path) = in_store(&target) {
            self.found.paths.insert(path);
            return Ok(());
        }
        // Some versions of Nix write down where the disk is mounted as well.
        let whole = path.parent().unwrap_or(Path::new("")).join(&target);
        let inside = whole.strip_prefix(self.disk.path()).ok().map(Path::to_path_buf);
        for place in inside.into_iter().chain([whole]) {
            // The current one is needed in any case.
            let current = path.parent() == Some(Path::new(PROFILES_DIR)) && path.ends_with(profile::SYSTEM);
            if current || !self.is_without(&place) {
                let target = self.link_of(&place)?;
                self.found.paths.extend(target.and_then(|target| in_store(&target)));
            }
        }
        Ok(())
    }

    fn is_without(&self, path: &Path) -> bool {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let number = relative.file_name().and_then(|n| n.to_str()).and_then(profile::generation);
        relative.parent() == Some(Path::new(PROFILES_DIR)) && number.is_some_and(|n| self.without.contains(&n))
    }

    /// What a link on the disk says. One that leads nowhere is a stale root, for Nix too; one that cannot be followed is a doubt.
    fn link_of(&self, path: &Path) -> Result<Option<PathBuf>, StoreError> {
        self.disk.sure_link(path).map_err(self.reading(path))
    }

    fn reading(&self, path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
        StoreError::io("reading", self.disk.shown(path))
    }

    /// The current generation and those that are kept must have their systems, or nobody knows what they need.
    fn broken_generations(&mut self) -> Result<(), StoreError> {
        for generation in crate::Generations::of(self.disk).list()? {
            if !generation.exists && !self.without.contains(&generation.number) {
                let (number, target) = (generation.number, generation.target);
                self.found.broken.push(format!("generation {number} is broken, for its system {target} is not there"));
            }
        }
        Ok(())
    }

    /// What running Nix processes are about to use. The file of one that has ended is not locked any more.
    fn temporary(&mut self) -> Result<(), StoreError> {
        for name in names_for_sure(self.disk, Path::new(TEMP_ROOTS))? {
            let path = Path::new(TEMP_ROOTS).join(name);
            let mut file = match self.disk.open_file(&path) {
                Ok(file) => file,
                // Its process has just ended.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(self.reading(&path)(e)),
            };
            if file.metadata().map_err(self.reading(&path))?.len() == 0 {
                continue;
            }
            let again = file.try_clone().map_err(self.reading(&path))?;
            if try_for(again, FlockArg::LockExclusive, &self.disk.shown(&path))?.is_some() {
                continue;
            }
            let mut bytes = Vec::new();
            file.by_ref().take(MOST_TEMPORARY + 1).read_to_end(&mut bytes).map_err(self.reading(&path))?;
            if bytes.len() as u64 > MOST_TEMPORARY {
                let what = format!("{} is longer than any process makes it", self.disk.shown(&path).display());
                return Err(StoreError::Doubtful { what });
            }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_runs_and_what_was_booted_are_roots() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Root::open(dir.path()).unwrap();
        let path = |n: u8| crate::Store::input_addressed_path("system", &[n]).unwrap();
        let all = |line: &str| running(&disk, line).map(|found| found.into_iter().collect::<Vec<_>>());
        assert_eq!(all("").unwrap(), []);
        let line = format!("quiet init={}/init root=/dev/vda1 notinit={}/init", path(1), path(2));
        assert_eq!(all(&line).unwrap(), [path(1)]);
        std::fs::create_dir(dir.path().join("run")).unwrap();
        for (n, link) in (3..).zip(RUNNING) {
            symlink(path(n).to_string(), dir.path().join(link)).unwrap();
        }
        let mut expected = vec![path(1), path(3), path(4)];
        expected.sort();
        assert_eq!(all(&line).unwrap(), expected);
        // Who cannot look must not say that there is nothing.
        std::fs::remove_dir_all(dir.path().join("run")).unwrap();
        symlink("run", dir.path().join("run")).unwrap();
        assert!(all(&line).unwrap_err().to_string().contains("run/current-system"));
    }

    #[test]
    fn nix_s_own_names_for_what_is_in_the_store() {
        let path = crate::Store::input_addressed_path("x", b"").unwrap();
        assert_eq!(in_store(Path::new(&format!("{path}/bin/sh"))), Some(path));
        assert_eq!(in_store(Path::new("/nix/store/odd")), None);
        assert_eq!(in_store(Path::new("/nix/store")), None);
    }
}
