//! From a lock to the store path of a base, and the memory of which lock gave which base.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cairn_machine::lock::Lock;
use cairn_machine::model::Machine;
use cairn_process::Report;
use cairn_store::{PathInfo, Store, StorePath, put_in_cache, to_hex};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::error::Error;
use super::repository::Repository;
use super::{bootstrap, fetch, packages, request, secrets};
use crate::etc::LIST_OF_DRAWN;
use crate::tree::read_in;

/// Counts the changes of this recipe that give another base from the same packages.
const RECIPE: u32 = 4;

/// The folder of a cache in which it remembers bases.
const BASES: &str = "bases";

/// Where dpkg writes what is installed.
const STATUS: &str = "var/lib/dpkg/status";

/// A base in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// Its store path.
    pub info: PathInfo,
    /// The release of its kernel, as `uname -r` says it.
    pub kernel_release: String,
}

/// The base of a lock: from the store if it was made before, otherwise made now.
///
/// The machine file has a say in the mirror alone; all else is the lock's. Packages are kept in `cache/debs`, and what was
/// made is remembered in `cache/bases`, so that the network is needed once. Two processes that want the same base make it
/// once.
///
/// # Errors
/// Packages that the mirror has no longer or that differ from the lock, a maintainer script that fails, a missing
/// program; a base in the store that was damaged.
pub fn base(lock: &Lock, machine: &Machine, store: &Store, cache: &Path, report: &dyn Report) -> Result<Base, Error> {
    if let Some(base) = cached(lock, store, cache)? {
        return Ok(base);
    }
    request::check_kernels(machine, lock)?;
    bootstrap::check_tools()?;
    let memory = memory(lock, cache);
    let bases = cache.join(BASES);
    fs::create_dir_all(&bases).map_err(Error::io("making the folder", &bases))?;
    let turn = memory.with_extension("lock");
    let guard = File::create(&turn).map_err(Error::io("making", &turn))?;
    if guard.try_lock().is_err() {
        report.phase("waiting for another cairn that makes this base", None);
        guard.lock().map_err(Error::io("locking", &turn))?;
        if let Some(base) = cached(lock, store, cache)? {
            return Ok(base);
        }
    }

    let debs = fetch::fetch(lock, machine, cache, report)?;
    let repository = Repository::new(lock, &debs, report)?;
    let scratch = store.scratch()?;
    let dir = scratch.path().to_path_buf();
    let unpacked = bootstrap::bootstrap(lock, &repository, &dir, report)?;
    drop(repository);

    let status = read_in(&dir, STATUS).map_err(Error::io("reading", dir.join(STATUS)))?;
    let status = status.ok_or_else(|| Error::Tree { what: format!("there is no {STATUS} in it") })?;
    let packages = packages::installed(&String::from_utf8_lossy(&status), lock)?;
    let packages = serde_json::to_string_pretty(&packages).map_err(|e| Error::Tree { what: e.to_string() })?;
    report.phase("looking for secrets", None);
    let secrets = secrets::find(&dir, &unpacked.modes)?;
    if let Some(first) = secrets.first() {
        let pointer = first.package.as_ref().and_then(|package| request::pointer(machine, package));
        return Err(Error::Secrets { secrets, pointer });
    }

    let kernel_release = unpacked.kernel_release;
    let drawn: String = unpacked.drawn.iter().map(|name| format!("{name}\n")).collect();
    for (name, text) in [
        (LIST_OF_DRAWN, drawn),
        ("modes", unpacked.modes.to_string()),
        ("packages.json", packages + "\n"),
        ("kernel-release", format!("{kernel_release}\n")),
    ] {
        let path = dir.join(name);
        fs::write(&path, text).map_err(Error::io("writing", path))?;
    }

    report.phase("adding the base to the store", None);
    let info = store.add(&format!("debian-{}-base", lock.debian().suite), scratch, &[])?;
    remember(&memory, &info.path)?;
    Ok(Base { info, kernel_release })
}

/// The base of a lock if it is in the store already; whole, as far as a quick look can tell.
///
/// # Errors
/// A base that was damaged, or a cache that cannot be read.
pub fn cached(lock: &Lock, store: &Store, cache: &Path) -> Result<Option<Base>, Error> {
    let memory = memory(lock, cache);
    // Whatever is odd about the memory, making the base anew mends it.
    let Ok(name) = fs::read_to_string(&memory) else { return Ok(None) };
    let Ok(path) = StorePath::from_basename(name.trim_end()) else { return Ok(None) };
    let Some(info) = store.info(&path)? else { return Ok(None) };
    store.check_quick(&path)?;
    let file = store.real_path(&path).join("kernel-release");
    let kernel_release = fs::read_to_string(&file).map_err(Error::io("reading", file))?.trim_end().to_string();
    Ok(Some(Base { info, kernel_release }))
}

/// Whether it is remembered which base is that of a lock, and the store has one by that name.
#[must_use]
pub fn is_known(lock: &Lock, store: &Store, cache: &Path) -> bool {
    let name = fs::read_to_string(memory(lock, cache)).ok();
    let path = name.and_then(|name| StorePath::from_basename(name.trim_end()).ok());
    path.is_some_and(|path| matches!(store.info(&path), Ok(Some(_))))
}

/// Remembers that a base in the store is that of a lock: what a system says that was made of them. False for
/// one that is not as such a base would be made now: before there was a list of what is drawn, all machines shared that.
/// (One of an earlier version has the locales of its machine, too. They do no harm.)
///
/// # Errors
/// [`Error::Io`].
pub fn adopt(lock: &Lock, store: &Store, cache: &Path, base: &StorePath) -> Result<bool, Error> {
    if !store.real_path(base).join(LIST_OF_DRAWN).is_file() {
        return Ok(false);
    }
    let bases = cache.join(BASES);
    fs::create_dir_all(&bases).map_err(Error::io("making the folder", &bases))?;
    remember(&memory(lock, cache), base).map(|()| true)
}

/// The file that remembers a base, named by all that the base depends on.
fn memory(lock: &Lock, cache: &Path) -> PathBuf {
    let debian = lock.debian();
    let packages: Vec<_> = debian.packages.iter().map(|p| (&p.name, &p.version, &p.architecture, &p.sha256)).collect();
    let mut inputs = json!({
        "recipe": RECIPE,
        "suite": debian.suite,
        "architecture": debian.architecture,
        "date": debian.date,
        "packages": packages,
    });
    if !debian.debconf.is_empty() {
        inputs["debconf"] = debian.debconf.clone().into();
    }
    cache.join(BASES).join(to_hex(&Sha256::digest(inputs.to_string())))
}

/// The file by which a cache remembers the base of a lock: its path below the cache, and its text.
#[must_use]
pub fn remembered(lock: &Lock, path: &StorePath, cache: &Path) -> (String, Vec<u8>) {
    let memory = memory(lock, cache);
    let name = memory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    (format!("{BASES}/{name}"), format!("{}\n", path.base_name()).into_bytes())
}

fn remember(memory: &Path, path: &StorePath) -> Result<(), Error> {
    put_in_cache(memory, format!("{}\n", path.base_name()).as_bytes()).map_err(Error::io("writing", memory))
}

#[cfg(test)]
mod tests {
    use cairn_machine::lock::LockedDebian;
    use cairn_machine::{SourceFile, check};

    use super::*;

    const MACHINE: &str = "\
version: 1
hostname: m
source: {debian: {packages: [sample]}}
disks: {main: {layout: uefi}}
users: {root: {ssh_authorized_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzJ3yXhJqWbWqLkK2v6Jw3i0eWcLhWq0dZgk0c0kJ8P x\"]}}
";

    #[test]
    fn a_base_with_keys_that_all_machines_share_is_not_adopted() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let machine = check(&SourceFile::new("m.yaml", MACHINE), &mut |_| Err("none".into())).unwrap().machine;
        let debian = LockedDebian {
            recommends: false,
            debconf: Vec::new(),
            suite: machine.source.debian().suite.clone(),
            components: machine.source.debian().components.clone(),
            architecture: "amd64".into(),
            requested: Vec::new(),
            date: 1_750_000_000,
            packages: Vec::new(),
        };
        let lock = Lock::Debian(debian);
        for (list, adopted) in [(None, false), (Some(""), true)] {
            let scratch = store.scratch().unwrap();
            fs::write(scratch.path().join("kernel-release"), "6.1\n").unwrap();
            if let Some(text) = list {
                fs::write(scratch.path().join(LIST_OF_DRAWN), text).unwrap();
            }
            let base = store.add("debian-trixie-base", scratch, &[]).unwrap().path;
            assert_eq!(adopt(&lock, &store, folder.path(), &base).unwrap(), adopted);
            assert_eq!(is_known(&lock, &store, folder.path()), adopted);
        }
    }
}
