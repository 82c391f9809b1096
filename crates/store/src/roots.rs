//! What keeps store paths alive on a machine: generations and whatever else Nix takes for a root of garbage collection.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use cairn_root::{Kind, Root};
use nix::fcntl::FlockArg;

use crate::generations::names_for_sure;
use crate::lock::try_for;
use crate::missing::if_there;
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
    let mut search = Search { disk, without, found: Roots::default(), left: MOST_ENTRIES };
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
    /// How many entries more there may be.
    left: usize,
}

impl Search<'_> {
    /// Looks through a folder as Nix does: folders in it, links, and files that are called like a store path. The path is
    /// below the root.
    fn folder(&mut self, dir: &Path, depth: usize) -> Result<(), StoreError> {
        for name in names_for_sure(self.disk, dir)? {
            let path = dir.join(&name);
            let left = self.left.checked_sub(1).filter(|_| depth <= MOST_DEEP);
            let Some(left) = left else {
                let what = format!("{} leads to more than any machine has", self.disk.shown(&path).display());
                return Err(StoreError::Doubtful { what });
            };
            self.left = left;
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
            let file = if_there(self.disk.open_file(&path)).map_err(self.reading(&path))?;
            // Without one its process has just ended.
            let Some(file) = file else { continue };
            if file.metadata().map_err(self.reading(&path))?.len() == 0 {
                continue;
            }
            if try_for(file, FlockArg::LockExclusive, &self.disk.shown(&path))?.is_some() {
                continue;
            }
            let bytes = self.disk.read(&path, MOST_TEMPORARY).map_err(self.reading(&path))?.unwrap_or_default();
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

    fn path(n: u8) -> StorePath {
        crate::Store::input_addressed_path("system", &[n]).unwrap()
    }

    /// What the links in a place, each with what it says, keep alive when generation 1 is to go.
    fn kept(links: &[(&str, &str)]) -> Vec<StorePath> {
        let dir = tempfile::tempdir().unwrap();
        for (link, target) in links {
            let link = dir.path().join(link);
            std::fs::create_dir_all(link.parent().unwrap()).unwrap();
            symlink(target.replace("ROOT", dir.path().canonicalize().unwrap().to_str().unwrap()), link).unwrap();
        }
        let disk = Root::open(dir.path()).unwrap();
        find_roots(&disk, &[1].into()).unwrap().paths.into_iter().collect()
    }

    #[test]
    fn a_generation_that_is_to_go_keeps_nothing_by_whatever_link() {
        let one = path(1);
        let (one_s_text, absolute) = (one.to_string(), "/nix/var/nix/profiles/system-1-link");
        let system = one_s_text.as_str();
        let generation = ("nix/var/nix/profiles/system-1-link", system);
        assert_eq!(kept(&[generation]), []);
        for link in [
            ("nix/var/nix/profiles/other", "system-1-link"),
            ("nix/var/nix/gcroots/mine", absolute),
            ("nix/var/nix/gcroots/system", absolute),
            ("nix/var/nix/gcroots/mine", "ROOT/nix/var/nix/profiles/system-1-link"),
        ] {
            assert_eq!(kept(&[generation, link]), [], "{link:?}");
        }
        // The current one is needed; so is what only is called like it, or lies elsewhere.
        for links in [
            &[generation, ("nix/var/nix/profiles/system", "system-1-link")][..],
            &[("nix/var/nix/profiles/system-2-link", system)],
            &[("nix/var/nix/profiles/per-user/me/system-1-link", system)],
            &[("nix/var/nix/gcroots/system-1-link", system)],
        ] {
            assert_eq!(kept(links), std::slice::from_ref(&one), "{links:?}");
        }
    }

    #[test]
    fn folders_of_roots_are_not_looked_through_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Root::open(dir.path()).unwrap();
        let (without, gcroots) = (BTreeSet::new(), dir.path().join(GCROOTS_DIR));
        let found = |left| {
            let mut search = Search { disk: &disk, without: &without, found: Roots::default(), left };
            search.folder(Path::new(GCROOTS_DIR), 0).map(|()| search.found.paths.len())
        };
        let deepest = gcroots.join(vec!["d"; MOST_DEEP].join("/"));
        std::fs::create_dir_all(&deepest).unwrap();
        symlink(path(1).to_string(), deepest.join("link")).unwrap();
        assert_eq!(found(MOST_DEEP + 1).unwrap(), 1);
        let too_much = |left| found(left).unwrap_err().to_string().contains("leads to more than any machine has");
        assert!(too_much(MOST_DEEP));
        std::fs::create_dir(deepest.join("d")).unwrap();
        assert_eq!(found(1000).unwrap(), 1);
        std::fs::write(deepest.join("d/file"), "").unwrap();
        assert!(too_much(1000));
    }

    #[test]
    fn what_a_running_process_writes_down_is_kept_and_no_endless_list_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Root::open(dir.path()).unwrap();
        let folder = dir.path().join(TEMP_ROOTS);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("1"), format!("{}\0", path(1))).unwrap();
        std::fs::write(folder.join("2"), format!("{}\0{}\0", path(2), path(3))).unwrap();
        let running = std::fs::File::options().write(true).open(folder.join("2")).unwrap();
        let held = nix::fcntl::Flock::lock(running, FlockArg::LockShared).unwrap();
        let found = || find_roots(&disk, &BTreeSet::new()).map(|roots| roots.paths);
        assert_eq!(found().unwrap(), [path(2), path(3)].into());
        held.set_len(MOST_TEMPORARY + 1).unwrap();
        assert!(found().unwrap_err().to_string().ends_with("temproots/2"));
    }
}
