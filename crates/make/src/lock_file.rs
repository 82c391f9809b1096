//! The lock file beside a machine file: is it there, does it still fit, make it, write it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use cairn_disk::output::NewFile;
use cairn_machine::lock::Lock;
use cairn_machine::{Checked, Problems, SourceFile};
use cairn_process::Report;
use cairn_system::debian;

use crate::machine_file::lock_path;
use crate::plain_file::{self, TEXT};

/// Reads the lock file of a machine file, if there is one.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn read(machine_file: &Path) -> anyhow::Result<Option<Lock>> {
    let path = lock_path(machine_file);
    match plain_file::read(&path, TEXT) {
        Ok(bytes) => Ok(Some(Lock::parse(&SourceFile::new(path.display().to_string(), bytes))?)),
        Err(e) if e.is_missing() => Ok(None),
        Err(e) => Err(e).with_context(|| format!("reading {}", path.display())),
    }
}

/// Why a lock is not what the machine file asks for; empty when it is.
pub fn differences(lock: &Lock, checked: &Checked) -> Vec<String> {
    let requested = debian::requested(&checked.machine);
    lock.differences(&checked.machine, &requested).iter().map(ToString::to_string).collect()
}

/// The lock that a build uses. A machine file without one gets one; one that no longer fits is the user's business,
/// because a new one brings new versions of everything.
///
/// # Errors
/// What making meets, and a lock file that no longer fits.
pub fn for_build(machine_file: &Path, checked: &Checked, cache: &Path, report: &dyn Report) -> anyhow::Result<Lock> {
    let path = lock_path(machine_file);
    let Some(lock) = read(machine_file)? else {
        if let Some((name, lock)) = offered(checked, cache) {
            report.note(&format!("the packages are those of {name}, which is here"));
            return Ok(lock);
        }
        report.note(&format!("there is no {}: making it", path.display()));
        return make(machine_file, checked, cache, report);
    };
    let why = differences(&lock, checked);
    anyhow::ensure!(
        why.is_empty(),
        "{} does not fit {}: {}; `cairn lock {}` makes it anew",
        path.display(),
        machine_file.display(),
        why.join("; "),
        machine_file.display()
    );
    Ok(lock)
}

/// The lock of one of the systems that a medium has, where it is the one that a machine file asks for.
fn offered(checked: &Checked, cache: &Path) -> Option<(String, Lock)> {
    let folders = std::fs::read_dir(cache.join("systems")).ok()?;
    let mut folders: Vec<_> = folders.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    folders.into_iter().find_map(|folder| {
        let lock = read(&folder.join("machine.yaml")).ok()??;
        let name = folder.file_name()?.to_string_lossy().into_owned();
        differences(&lock, checked).is_empty().then_some((name, lock))
    })
}

/// Asks the mirror, and writes the lock file.
///
/// # Errors
/// What the mirror and the packages say, with its place.
pub fn make(machine_file: &Path, checked: &Checked, cache: &Path, report: &dyn Report) -> anyhow::Result<Lock> {
    let lock = debian::lock(&checked.machine, cache, report).map_err(|e| placed(checked, e))?;
    let path = lock_path(machine_file);
    let file = NewFile::create(&path)?;
    file.file().write_all(lock.to_yaml().as_bytes()).with_context(|| format!("writing {}", path.display()))?;
    file.commit()?;
    Ok(lock)
}

/// An error whose cause stands in the machine file is told with its place there; of several each.
pub fn placed(checked: &Checked, error: debian::Error) -> anyhow::Error {
    let mut parts = error.into_parts();
    if let [one] = parts.as_mut_slice()
        && one.pointer().is_none()
    {
        return parts.remove(0).into();
    }
    let problem = |error: debian::Error| {
        let pointer = error.pointer().unwrap_or("/source/debian").to_string();
        checked.problem(&pointer, format!("{:#}", anyhow::Error::from(error)), None)
    };
    match Problems::new(parts.into_iter().map(problem).collect()) {
        Some(problems) => problems.into(),
        None => anyhow::anyhow!("the packages cannot be had"),
    }
}

/// The packages of a machine with this lock: name and version, as dpkg there lists them.
pub fn packages(lock: &Lock) -> impl Iterator<Item = (String, String)> {
    with_stand_in(packages_of(lock))
}

/// These packages, and the one that every base has besides.
pub fn with_stand_in(packages: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = (String, String)> {
    let (name, version) = debian::STAND_IN;
    packages.chain([(name.to_string(), version.to_string())])
}

/// The versions of the packages of a lock, by name.
pub fn versions(lock: &Lock) -> BTreeMap<String, String> {
    packages_of(lock).collect()
}

fn packages_of(lock: &Lock) -> impl Iterator<Item = (String, String)> {
    lock.packages().iter().map(|p| (p.name.clone(), p.version.clone()))
}
