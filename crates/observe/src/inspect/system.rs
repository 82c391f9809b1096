//! What the root file system says: generations, the closure, the current system and its packages.

use std::path::PathBuf;

use cairn_disk::DiskError;
use cairn_store::database::{Registered, registered};
use serde::{Deserialize, Serialize};

use crate::links::{Link, keep, links};
use crate::system::facts;
use crate::view::{Files, ViewError};

/// What is read into memory at most: the registration files of large systems are some MB.
const MOST: u64 = 16 << 20;
/// The largest list of packages: of some ten thousand.
const MOST_LIST: u64 = 8 << 20;

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GenerationInfo {
    /// Its number.
    pub number: u64,
    /// Its system.
    pub system: String,
    /// Whether the profile points at it.
    pub current: bool,
}

/// The current system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SystemInfo {
    /// Its store path.
    pub path: String,
    /// What the menu calls it.
    pub label: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The kernel's command line, without what names the generation.
    pub kernel_parameters: Vec<String>,
}

/// A store path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StorePathInfo {
    /// The path.
    pub path: String,
    /// The size of its contents (of its NAR) in bytes.
    pub nar_size: u64,
    /// What it refers to, itself included where it does.
    pub references: Vec<String>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What is of interest here in a list of packages.
#[derive(Deserialize)]
struct Sbom {
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: String,
    #[serde(default)]
    version: String,
}

/// The generations of the system profile, by number.
pub(super) fn generations(files: &dyn Files) -> Result<Vec<GenerationInfo>, ViewError> {
    let (links, current) = links(files)?;
    let info =
        |link: Link| GenerationInfo { number: link.number, system: link.system, current: Some(link.number) == current };
    Ok(links.into_iter().map(info).collect())
}

/// The store paths, as the registration file has them; without one, by their names only.
pub(super) fn closure(files: &dyn Files) -> Result<Vec<StorePathInfo>, ViewError> {
    let Some(text) = files.read("/nix-path-registration", MOST)? else { return Ok(Vec::new()) };
    keep(files, "/nix-path-registration", text.len())?;
    let malformed = || malformed("/nix-path-registration is malformed".into());
    std::str::from_utf8(&text).ok().and_then(registration).ok_or_else(malformed)
}

/// What is in a file system that is otherwise sound, and says something that it must not.
fn malformed(why: String) -> ViewError {
    ViewError::Disk { path: PathBuf::new(), source: DiskError::BadFileSystem { what: "ext4", why } }
}

/// Reads a registration file whole. `None` for what is anything else, or names what is no store path.
pub fn registration(text: &str) -> Option<Vec<StorePathInfo>> {
    let info = |one: Registered<'_>| StorePathInfo {
        path: one.path.to_string(),
        nar_size: one.nar_size,
        references: one.references.into_iter().map(str::to_string).collect(),
    };
    let mut paths: Vec<StorePathInfo> = registered(text).map(|one| one.map(info)).collect::<Option<_>>()?;
    paths.sort_by(|a, b| a.path.cmp(&b.path));
    Some(paths)
}

/// The system that a store path holds.
pub(super) fn describe(files: &dyn Files, system: &str) -> Result<SystemInfo, ViewError> {
    let facts = facts(files, system)?;
    let mut info = SystemInfo { path: system.to_string(), ..SystemInfo::default() };
    (info.hostname, info.kernel) = (facts.hostname, facts.kernel_release);
    if let Some(boots) = facts.boots {
        let bootspec = boots.system.bootspec;
        (info.label, info.kernel_parameters) = (Some(bootspec.label), bootspec.kernel_params);
    }
    Ok(info)
}

/// The packages by the system's list of them (CycloneDX), by name.
pub(super) fn packages(files: &dyn Files, system: &str) -> Result<Vec<Package>, ViewError> {
    let path = format!("{system}/sbom.cdx.json");
    let Some(bytes) = files.read(&path, MOST_LIST)? else { return Ok(Vec::new()) };
    keep(files, &path, bytes.len())?;
    let list: Sbom =
        serde_json::from_slice(&bytes).map_err(|error| malformed(format!("{path} is malformed: {error}")))?;
    // The program that the machine carries is no package.
    let components = list.components.into_iter().filter(|c| c.kind.as_deref() != Some("application"));
    let mut packages: Vec<_> = components.map(|c| Package { name: c.name, version: c.version }).collect();
    packages.sort();
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_file_is_read() {
        let [a, b] = ["a", "b"].map(|c| format!("/nix/store/{}-x", c.repeat(32)));
        let text = format!("{b}\nhash\n20\n\n2\n{a}\n{b}\n{a}\nhash\n10\n\n0\n");
        let paths = registration(&text).unwrap();
        assert_eq!(paths.iter().map(|p| (&p.path, p.nar_size)).collect::<Vec<_>>(), [(&a, 10), (&b, 20)]);
        assert_eq!(paths[1].references.len(), 2);
        assert_eq!(registration(&format!("{a}\nhash\n10\n\n3\n{a}\n")), None);
        assert_eq!(registration(&format!("{a}\nhash\nmuch\n\n0\n")), None);
        assert_eq!(registration("/nix/store/a\nhash\n10\n\n0\n"), None);
    }
}
