//! The lists of packages, as apt keeps them (deb822: stanzas of `Field: value` lines).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cairn_machine::lock::LockedPackage;

use super::apt::Chosen;
use super::error::Error;
use super::stanza::{INITRD, field, stanzas};

/// What the lists say, of all suites together.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Names of packages that exist.
    names: BTreeSet<String>,
    /// Names of packages that Debian marks `Essential: yes`.
    essential: BTreeSet<String>,
    /// Virtual package to the packages that provide it.
    providers: BTreeMap<String, BTreeSet<String>>,
    entries: BTreeMap<Chosen, LockedPackage>,
    /// What a package recommends, as its stanza says it.
    recommends: BTreeMap<Chosen, String>,
}

impl Index {
    /// Reads lists.
    pub(super) fn read(files: &[PathBuf]) -> Result<Index, Error> {
        let mut index = Index::default();
        for file in files {
            let bytes = fs::read(file).map_err(Error::io("reading", file))?;
            index.add(&String::from_utf8_lossy(&bytes), file)?;
        }
        Ok(index)
    }

    fn add(&mut self, text: &str, file: &Path) -> Result<(), Error> {
        for stanza in stanzas(text) {
            let field = |name| field(stanza, name);
            let odd = |what: &str| Error::Answer {
                program: file.display().to_string(),
                detail: format!("a stanza with {what}: {}", stanza.lines().next().unwrap_or_default()),
            };
            let name = field("Package").ok_or_else(|| odd("no Package"))?;
            if name == INITRD {
                continue; // Ours, no package of Debian's.
            }
            self.names.insert(name.into());
            if field("Essential") == Some("yes") {
                self.essential.insert(name.into());
            }
            for provided in field("Provides").unwrap_or_default().split(',') {
                if let Some(provided) = provided.split_ascii_whitespace().next() {
                    self.providers.entry(provided.into()).or_default().insert(name.into());
                }
            }
            let entry = LockedPackage {
                name: name.into(),
                version: field("Version").ok_or_else(|| odd("no Version"))?.into(),
                architecture: field("Architecture").ok_or_else(|| odd("no Architecture"))?.into(),
                filename: field("Filename").ok_or_else(|| odd("no Filename"))?.trim_start_matches("./").into(),
                size: field("Size").and_then(|s| s.parse().ok()).ok_or_else(|| odd("no Size"))?,
                sha256: field("SHA256").filter(|h| is_sha256(h)).ok_or_else(|| odd("no SHA256"))?.into(),
            };
            let key = Chosen {
                name: entry.name.clone(),
                version: entry.version.clone(),
                architecture: entry.architecture.clone(),
            };
            if let Some(recommends) = field("Recommends") {
                self.recommends.entry(key.clone()).or_insert_with(|| recommends.into());
            }
            // A version that is in two suites (an update that reached the main archive) is locked by the file name
            // that sorts first: the main archive's, which lives longer.
            let kept = self.entries.entry(key).or_insert_with(|| entry.clone());
            if entry.filename < kept.filename {
                *kept = entry;
            }
        }
        Ok(())
    }

    /// The index of one list.
    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Result<Index, Error> {
        let mut index = Index::default();
        index.add(text, Path::new("Packages"))?;
        Ok(index)
    }

    /// The packages that Debian marks as essential.
    pub(super) fn essential(&self) -> &BTreeSet<String> {
        &self.essential
    }

    /// Whether a package of this name exists.
    pub(super) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// The packages that provide a virtual one, sorted.
    pub(super) fn providers(&self, name: &str) -> Vec<String> {
        self.providers.get(name).map(|p| p.iter().cloned().collect()).unwrap_or_default()
    }

    /// Up to three names that are near a mistyped one.
    pub(super) fn nearest(&self, name: &str) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        while found.len() < 3 {
            let others = self.names.iter().map(String::as_str).filter(|n| !found.iter().any(|f| f == n));
            let Some(next) = cairn_machine::nearest(name, others) else { break };
            found.push(next.into());
        }
        found
    }

    /// What a package recommends: of each group one (deb-control(5)).
    pub(super) fn recommends(&self, chosen: &Chosen) -> Vec<Vec<&str>> {
        let text = self.recommends.get(chosen).map(String::as_str).unwrap_or_default();
        let groups = text.split(',').filter(|group| !group.trim().is_empty());
        groups.map(|group| group.split('|').map(name_of).collect()).collect()
    }

    /// All that a lock says of a chosen package.
    pub(super) fn get(&self, chosen: &Chosen) -> Option<&LockedPackage> {
        self.entries.get(chosen)
    }
}

/// The name in `name:any (>= 1) [amd64]`.
fn name_of(dependency: &str) -> &str {
    dependency.trim().split(|c: char| c.is_whitespace() || "(:[<".contains(c)).next().unwrap_or_default()
}

/// Whether this is 64 lowercase hex digits.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> Index {
        let stanza = |name: &str, version: &str, file: &str, more: &str| {
            format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: x\n Essential: yes\n{more}\
                 Filename: {file}\nSize: 12\nSHA256: {}\n",
                "ab".repeat(32)
            )
        };
        let text = [
            stanza("openssh-server", "1", "pool/main/o/s_1.deb", "Provides: ssh-server\n"),
            stanza("dropbear", "2", "pool/main/d/d_2.deb", "Provides: ssh-server (= 2), other\n"),
            stanza("dropbear", "2", "pool/updates/main/d/d_2.deb", ""),
            stanza("bash", "5", "./b_5.deb", "Essential: yes\n"),
        ]
        .join("\n");
        Index::of_text(&text).unwrap()
    }

    #[test]
    fn essential_and_virtual_packages_are_known() {
        let index = index();
        assert_eq!(index.essential().iter().collect::<Vec<_>>(), ["bash"]);
        assert_eq!(index.providers("ssh-server"), ["dropbear", "openssh-server"]);
        assert!(index.has("dropbear") && !index.has("ssh-server"));
    }

    #[test]
    fn a_version_in_two_suites_is_locked_by_the_main_archives_file() {
        let chosen = Chosen { name: "dropbear".into(), version: "2".into(), architecture: "amd64".into() };
        assert_eq!(index().get(&chosen).unwrap().filename, "pool/main/d/d_2.deb");
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbours() {
        assert_eq!(index().nearest("opensh-server"), ["openssh-server"]);
        assert_eq!(index().nearest("zzzzzzzz"), Vec::<String>::new());
    }

    #[test]
    fn a_stanza_without_a_hash_is_an_error() {
        let text = "Package: a\nVersion: 1\nArchitecture: all\nFilename: a\nSize: 1\nSHA256: short\n";
        let error = Index::default().add(text, Path::new("Packages")).unwrap_err();
        assert!(error.to_string().contains("no SHA256: Package: a"), "{error}");
    }
}
