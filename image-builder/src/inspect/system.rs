//! What the root file system says: generations, the closure, the current system and its packages.

use std::path::Path;

use cairn_boot::bootspec::{self, Bootspecs};
use cairn_disk::{DiskError, Spent, ext4};
use cairn_store::StorePath;
use serde::{Deserialize, Serialize};

const PROFILES: &str = "/nix/var/nix/profiles";
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
pub(super) fn generations(root: &ext4::Reader<'_>) -> Result<Vec<GenerationInfo>, DiskError> {
    let current = root.link(&format!("{PROFILES}/system"))?;
    let current = current.as_deref().and_then(|link| link.rsplit('/').next()).and_then(number);
    let mut found = Vec::new();
    for name in root.list(PROFILES)?.unwrap_or_default() {
        let Some(number) = number(&name) else { continue };
        if let Some(system) = root.link(&format!("{PROFILES}/{name}"))? {
            root.budget().keep(system.len()).map_err(endless)?;
            found.push(GenerationInfo { number, system, current: Some(number) == current });
        }
    }
    found.sort_by_key(|g| g.number);
    Ok(found)
}

/// N of `system-N-link`.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix("system-")?.strip_suffix("-link")?.parse().ok()
}

/// The store paths, as the registration file has them; without one, by their names only.
pub(super) fn closure(root: &ext4::Reader<'_>) -> Result<Vec<StorePathInfo>, DiskError> {
    let Some(text) = root.read("/nix-path-registration", MOST)? else { return Ok(Vec::new()) };
    root.budget().keep(text.len()).map_err(endless)?;
    std::str::from_utf8(&text)
        .ok()
        .and_then(registration)
        .ok_or_else(|| DiskError::BadFileSystem { what: "ext4", why: "/nix-path-registration is malformed".into() })
}

fn endless(why: Spent) -> DiskError {
    DiskError::Endless { what: "ext4", why }
}

/// Reads the format of `nix-store --load-db`: path, hash, size, deriver or nothing, a count, and so many references.
/// `None` for what is anything else, or names what is no store path.
pub fn registration(text: &str) -> Option<Vec<StorePathInfo>> {
    let mut lines = text.lines();
    let mut paths = Vec::new();
    while let Some(path) = lines.next() {
        let _hash = lines.next()?;
        let nar_size = lines.next()?.parse().ok()?;
        let _deriver = lines.next()?;
        let count: usize = lines.next()?.parse().ok()?;
        let references: Vec<_> = lines.by_ref().take(count).map(str::to_string).collect();
        // Names of that length also hold what is read to little more than the file's own size.
        let all = references.iter().map(String::as_str).chain([path]);
        if references.len() < count || !all.into_iter().all(|path| StorePath::from_absolute(path).is_ok()) {
            return None;
        }
        paths.push(StorePathInfo { path: path.to_string(), nar_size, references });
    }
    paths.sort_by(|a, b| a.path.cmp(&b.path));
    Some(paths)
}

/// The system that a store path holds.
pub(super) fn describe(root: &ext4::Reader<'_>, system: &str) -> Result<SystemInfo, DiskError> {
    let line = |path: &str| -> Result<Option<String>, DiskError> {
        let bytes = root.read(&format!("{system}/{path}"), 1 << 20)?;
        Ok(bytes.map(|b| String::from_utf8_lossy(&b).trim().to_string()).filter(|text| !text.is_empty()))
    };
    let mut info = SystemInfo { path: system.to_string(), hostname: line("etc/hostname")?, ..SystemInfo::default() };
    let path = format!("{system}/{}", bootspec::FILE);
    if let Some(bytes) = root.read(&path, bootspec::MOST)?
        && let Ok(Bootspecs { system, .. }) = bootspec::parse(&bytes, Path::new(&path))
    {
        info.label = Some(system.bootspec.label);
        info.kernel_parameters = system.bootspec.kernel_params;
    }
    // A system of packages has it written down; in one of NixOS the modules' folder has its name.
    info.kernel = line("base/kernel-release")?;
    if info.kernel.is_none() {
        let modules = root.list(&format!("{system}/kernel-modules/lib/modules"))?;
        info.kernel = modules.and_then(|names| names.into_iter().next());
    }
    Ok(info)
}

/// The packages by the system's list of them (CycloneDX), by name.
pub(super) fn packages(root: &ext4::Reader<'_>, system: &str) -> Result<Vec<Package>, DiskError> {
    let Some(bytes) = root.read(&format!("{system}/sbom.cdx.json"), MOST_LIST)? else { return Ok(Vec::new()) };
    root.budget().keep(bytes.len()).map_err(endless)?;
    let list: Sbom = serde_json::from_slice(&bytes).map_err(|error| DiskError::BadFileSystem {
        what: "ext4",
        why: format!("{system}/sbom.cdx.json is malformed: {error}"),
    })?;
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

    #[test]
    fn only_links_of_generations_count() {
        assert_eq!(number("system-12-link"), Some(12));
        assert_eq!(number("system-12-link.tmp"), None);
        assert_eq!(number("default-12-link"), None);
    }
}
