//! The lock file beside a machine file: is it there, does it still fit, make it, write it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use cairn_machine::lock::{Lock, LockedPackage};
use cairn_machine::{Checked, Problems, SourceFile};
use cairn_process::Report;
use cairn_system::debian;
use image_builder::output::NewFile;
use serde::Serialize;

use crate::cache;
use crate::machine::packages;
use crate::machine_file::lock_path;
use crate::plain_file::{self, TEXT};

/// A package that is another one than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The package.
    pub name: String,
    /// Its version before; `None` for a new one.
    pub from: Option<String>,
    /// Its version now; `None` for one that is gone.
    pub to: Option<String>,
}

/// Reads the lock file of a machine file, if there is one.
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
pub fn for_build(machine_file: &Path, checked: &Checked, report: &dyn Report) -> anyhow::Result<Lock> {
    let path = lock_path(machine_file);
    let Some(lock) = read(machine_file)? else {
        report.note(&format!("there is no {}: making it", path.display()));
        return make(machine_file, checked, report);
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

/// Asks the mirror, and writes the lock file.
pub fn make(machine_file: &Path, checked: &Checked, report: &dyn Report) -> anyhow::Result<Lock> {
    let lock = debian::lock(&checked.machine, &cache::folder()?, report).map_err(|e| placed(checked, e))?;
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
    with_stand_in(lock.debian.packages.iter().map(|p| (p.name.clone(), p.version.clone())))
}

/// These packages, and the one that every base has besides.
pub fn with_stand_in(packages: impl Iterator<Item = (String, String)>) -> impl Iterator<Item = (String, String)> {
    let (name, version) = debian::STAND_IN;
    packages.chain([(name.to_string(), version.to_string())])
}

/// What a new lock changes, by name.
pub fn changes(old: Option<&Lock>, new: &Lock) -> Vec<Change> {
    let versions = |lock: &Lock| -> BTreeMap<String, String> {
        let pair = |p: &LockedPackage| (p.name.clone(), p.version.clone());
        lock.debian.packages.iter().map(pair).collect()
    };
    packages::changes(&old.map(versions).unwrap_or_default(), &versions(new))
}

#[cfg(test)]
mod tests {
    use cairn_machine::lock::LockedDebian;

    use super::*;

    fn lock(packages: &[(&str, &str)]) -> Lock {
        let package = |(name, version): &(&str, &str)| LockedPackage {
            name: (*name).into(),
            version: (*version).into(),
            architecture: "amd64".into(),
            filename: format!("pool/{name}.deb"),
            size: 1,
            sha256: "0".repeat(64),
        };
        Lock {
            version: 1,
            debian: LockedDebian {
                suite: "trixie".into(),
                components: vec!["main".into()],
                architecture: "amd64".into(),
                requested: Vec::new(),
                date: 0,
                packages: packages.iter().map(package).collect(),
            },
        }
    }

    #[test]
    fn changes_are_told_by_name_and_version() {
        let (old, new) = (lock(&[("a", "1"), ("b", "1"), ("c", "1")]), lock(&[("a", "1"), ("b", "2"), ("d", "1")]));
        let found = changes(Some(&old), &new);
        let change = |name: &str, from: Option<&str>, to: Option<&str>| Change {
            name: name.into(),
            from: from.map(Into::into),
            to: to.map(Into::into),
        };
        assert_eq!(
            found,
            [change("b", Some("1"), Some("2")), change("c", Some("1"), None), change("d", None, Some("1"))]
        );
        assert_eq!(changes(Some(&old), &old), []);
        assert_eq!(changes(None, &old).len(), 3);
    }
}
