//! `packages.json`: what is installed in a base, read from dpkg's own database after the fact.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use cairn_machine::lock::Lock;
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::stanza::{INITRD, field, stanzas};

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// The binary package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// The source package that it was built from.
    pub source: String,
    /// The source package's version.
    pub source_version: String,
    /// SHA-256 of the .deb, in hex.
    pub sha256: String,
}

impl Package {
    /// The packages of a base, sorted by name; `dir` is where the base's files really are.
    ///
    /// # Errors
    /// When `packages.json` cannot be read or understood.
    pub fn of_base(dir: &Path) -> Result<Vec<Package>, Error> {
        let path = dir.join("packages.json");
        let bytes = fs::read(&path).map_err(Error::io("reading", &path))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::Answer { program: path.display().to_string(), detail: e.to_string() })
    }
}

/// Compares dpkg's database with the lock, which must agree, and gives every package.
pub(super) fn installed(status: &str, lock: &Lock) -> Result<Vec<Package>, Error> {
    let locked: BTreeMap<(&str, &str, &str), &str> = lock
        .packages()
        .iter()
        .map(|p| ((p.name.as_str(), p.version.as_str(), p.architecture.as_str()), p.sha256.as_str()))
        .collect();
    let mut found = BTreeSet::new();
    let mut packages = Vec::with_capacity(locked.len());
    let odd = |what: String| Error::Tree { what };
    for stanza in stanzas(status) {
        let value = |name| field(stanza, name).unwrap_or_default();
        let key = (value("Package"), value("Version"), value("Architecture"));
        if value("Status") != "install ok installed" {
            return Err(odd(format!("{} is not installed properly: {}", key.0, value("Status"))));
        }
        if key.0 == INITRD {
            continue;
        }
        let Some(sha256) = locked.get(&key) else {
            return Err(odd(format!("{} {} was installed, and is not in the lock", key.0, key.1)));
        };
        found.insert(key);
        let (source, source_version) = source(value("Source"), key.0, key.1);
        packages.push(Package {
            name: key.0.into(),
            version: key.1.into(),
            architecture: key.2.into(),
            source,
            source_version,
            sha256: (*sha256).into(),
        });
    }
    if let Some((name, version, _)) = locked.keys().find(|key| !found.contains(*key)) {
        return Err(odd(format!("{name} {version} is in the lock, and was not installed")));
    }
    packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
    Ok(packages)
}

/// `Source: glibc (2.41-1)`, of which the version or all of it is left out when it is the binary package's.
fn source(text: &str, name: &str, version: &str) -> (String, String) {
    let (source, rest) = text.split_once(' ').unwrap_or((text, ""));
    let source = if source.is_empty() { name } else { source };
    let rest = rest.trim().trim_start_matches('(').trim_end_matches(')');
    (source.into(), if rest.is_empty() { version } else { rest }.into())
}

#[cfg(test)]
mod tests {
    use cairn_machine::lock::{LockedDebian, LockedPackage};

    use super::*;

    fn lock() -> Lock {
        let package = |name: &str, version: &str| LockedPackage {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            filename: "x".into(),
            size: 1,
            sha256: "ab".repeat(32),
        };
        Lock::Debian(LockedDebian {
            recommends: false,
            debconf: Vec::new(),
            suite: "trixie".into(),
            components: vec!["main".into()],
            architecture: "amd64".into(),
            requested: vec![],
            date: 0,
            packages: vec![package("bash", "5.2-1+b3"), package("libc6", "2.41-12")],
        })
    }

    const BASH: &str =
        "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nSource: bash (5.2-1)\nVersion: 5.2-1+b3\n\n";
    const LIBC: &str =
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc\nVersion: 2.41-12\n\n";

    #[test]
    fn sources_are_told() {
        let packages = installed(&format!("{LIBC}{BASH}"), &lock()).unwrap();
        let told: Vec<String> =
            packages.iter().map(|p| format!("{} {} {}", p.name, p.source, p.source_version)).collect();
        assert_eq!(told, ["bash bash 5.2-1", "libc6 glibc 2.41-12"]);
    }

    #[test]
    fn any_difference_from_the_lock_is_an_error() {
        let told = |status: &str| installed(status, &lock()).unwrap_err().to_string();
        assert!(told(BASH).ends_with("libc6 2.41-12 is in the lock, and was not installed"));
        assert!(told(&format!("{BASH}{LIBC}{}", BASH.replace("bash", "zsh"))).contains("zsh 5.2-1+b3 was installed"));
        assert!(told(&BASH.replace("ok installed", "ok half-configured")).contains("bash is not installed properly"));
    }
}
