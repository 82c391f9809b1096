//! The lock file: exact package versions and hashes behind a machine file. Its text is YAML; no other module writes
//! YAML.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::check::SourceFile;
use crate::debconf;
use crate::model::Machine;
use crate::names::{LONGEST_NAME, RelPath, shown};
use crate::pointer::child;
use crate::problem::{Position, Problem, Problems};
use crate::yaml::{self, end_of};

/// What stands above the lock.
const HEADER: &str =
    "# Written by `cairn lock`. Keep it under version control beside the machine file; do not edit it.\n";

const HELP: &str = "restore it from version control, or make it anew with `cairn lock`";

/// `machine.lock`, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LockKeys", into = "LockKeys")]
pub enum Lock {
    /// A Debian source.
    Debian(LockedDebian),
}

/// The same as keys of the file: the version of its schema, 1, and what was asked for, one kind of source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockKeys {
    version: u32,
    debian: LockedDebian,
}

impl From<LockKeys> for Lock {
    fn from(keys: LockKeys) -> Lock {
        Lock::Debian(keys.debian)
    }
}

impl From<Lock> for LockKeys {
    fn from(lock: Lock) -> LockKeys {
        let Lock::Debian(debian) = lock;
        LockKeys { version: 1, debian }
    }
}

/// A resolved Debian source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDebian {
    /// The suite's code name.
    pub suite: String,
    /// The components.
    pub components: Vec<String>,
    /// The architecture in Debian's words.
    pub architecture: String,
    /// Whether recommended packages were taken.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recommends: bool,
    /// Answers for debconf, which the base depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debconf: Vec<String>,
    /// The packages that were asked for by name (the machine file's, the kernel's, and those that Cairn needs), sorted.
    pub requested: Vec<String>,
    /// Seconds since 1970: the `Date` of the newest signed Release file. Becomes SOURCE_DATE_EPOCH.
    pub date: i64,
    /// Every package, by name and architecture.
    pub packages: Vec<LockedPackage>,
}

/// One exact package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// The binary package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture (`amd64` or `all`).
    pub architecture: String,
    /// Its path below the mirror.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the .deb, in hex.
    pub sha256: String,
}

/// One way in which a lock is not what a machine file asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Another suite.
    Suite {
        /// The lock's.
        locked: String,
        /// The machine file's.
        wanted: String,
    },
    /// Other components.
    Components {
        /// The lock's.
        locked: Vec<String>,
        /// The machine file's.
        wanted: Vec<String>,
    },
    /// Another architecture, in Debian's words.
    Architecture {
        /// The lock's.
        locked: String,
        /// The machine file's.
        wanted: String,
    },
    /// Recommended packages are wanted, or no longer.
    Recommends(bool),
    /// Other answers for debconf.
    Debconf,
    /// A package that is asked for and was not when the lock was made.
    Added(String),
    /// A package that was asked for when the lock was made and is not any more.
    Removed(String),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Suite { locked, wanted } => write!(f, "the suite is {wanted}, and was {locked}"),
            Difference::Components { locked, wanted } => {
                write!(f, "the components are {}, and were {}", wanted.join(" "), locked.join(" "))
            }
            Difference::Architecture { locked, wanted } => write!(f, "the architecture is {wanted}, and was {locked}"),
            Difference::Recommends(true) => write!(f, "recommended packages are to come too"),
            Difference::Recommends(false) => write!(f, "recommended packages are no longer to come"),
            Difference::Debconf => write!(f, "the answers for debconf are others"),
            Difference::Added(name) => write!(f, "the package {name} is new"),
            Difference::Removed(name) => write!(f, "the package {name} is no longer asked for"),
        }
    }
}

impl Lock {
    /// The Debian packages.
    pub fn debian(&self) -> &LockedDebian {
        let Lock::Debian(debian) = self;
        debian
    }

    /// The same, to be changed.
    pub fn debian_mut(&mut self) -> &mut LockedDebian {
        let Lock::Debian(debian) = self;
        debian
    }

    /// The moment that is the system's, in seconds since 1970: nothing in it is newer.
    pub fn date(&self) -> i64 {
        self.debian().date
    }

    /// All packages, whatever they are made into.
    pub fn packages(&self) -> &[LockedPackage] {
        &self.debian().packages
    }

    /// Reads a lock file.
    ///
    /// # Errors
    /// What is damaged and where. Of a text that is not YAML, or not a lock, only the first problem is known.
    pub fn parse(file: &SourceFile) -> Result<Lock, Problems> {
        let at = |line, column, message: String| {
            Problems::from(Problem::new(&file.name, Position { line, column }, message, Some(HELP.to_owned())))
        };
        let text = std::str::from_utf8(&file.bytes)
            .map_err(|e| at(1, 1, format!("the lock file is damaged: not UTF-8 at offset {}", e.valid_up_to())))?;
        if let Some(line) = text.lines().position(|line| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ")) {
            return Err(at(line + 1, 1, "the lock file has a merge conflict in it".into()));
        }
        // The version first: a lock of another version need not fit the types below.
        if let Ok(Version { version }) = serde_yaml::from_str(text)
            && version != 1
        {
            let message = format!("the lock file has version {version}; this Cairn knows version 1");
            return Err(at(1, 1, message));
        }
        let lock: Lock = serde_yaml::from_str(text).map_err(|error| {
            // The parser takes characters for the ends of lines that no editor does; its count of bytes is right.
            let at_byte = error.location().map_or(0, |location| location.index());
            let place = end_of(&text[..text.floor_char_boundary(at_byte)]);
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            at(place.line, place.column, format!("the lock file is damaged: {message}"))
        })?;
        lock.validate(file)?;
        Ok(lock)
    }

    /// The lock as a file: the same text for the same lock, with lists in their order.
    pub fn to_yaml(&self) -> String {
        let mut lock = self.clone();
        lock.debian_mut().requested.sort();
        lock.debian_mut().packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
        let body = yaml_of(&lock);
        format!("{HEADER}{body}")
    }

    /// How the lock differs from what a machine file asks for. `requested` are the names of all packages that are
    /// asked for: the machine file's, the kernel's, and those that Cairn needs. Empty: the lock is fresh.
    pub fn differences(&self, machine: &Machine, requested: &BTreeSet<String>) -> Vec<Difference> {
        let (locked, source) = (self.debian(), machine.source.debian());
        let mut differences = Vec::new();
        if locked.suite != source.suite {
            let (locked, wanted) = (locked.suite.clone(), source.suite.clone());
            differences.push(Difference::Suite { locked, wanted });
        }
        if locked.components.iter().collect::<BTreeSet<_>>() != source.components.iter().collect() {
            let (locked, wanted) = (locked.components.clone(), source.components.clone());
            differences.push(Difference::Components { locked, wanted });
        }
        let wanted = machine.architecture.debian();
        if locked.architecture != wanted {
            let (locked, wanted) = (locked.architecture.clone(), wanted.to_owned());
            differences.push(Difference::Architecture { locked, wanted });
        }
        if locked.recommends != source.recommends {
            differences.push(Difference::Recommends(source.recommends));
        }
        if locked.debconf != source.debconf {
            differences.push(Difference::Debconf);
        }
        let before: BTreeSet<&String> = locked.requested.iter().collect();
        let now: BTreeSet<&String> = requested.iter().collect();
        differences.extend(now.difference(&before).map(|name| Difference::Added((*name).clone())));
        differences.extend(before.difference(&now).map(|name| Difference::Removed((*name).clone())));
        differences
    }

    /// Whether the lock is what the machine file asks for; see [`Lock::differences`].
    pub fn matches(&self, machine: &Machine, requested: &BTreeSet<String>) -> bool {
        self.differences(machine, requested).is_empty()
    }

    fn validate(&self, file: &SourceFile) -> Result<(), Problems> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut seen = BTreeMap::new();
        for (i, package) in self.debian().packages.iter().enumerate() {
            let at = child("/debian/packages", i);
            if let Some(problem) = package.problem() {
                found.push((at, format!("the package `{}` {problem}", shown(&package.name))));
            } else if seen.insert((&package.name, &package.architecture), i).is_some() {
                found.push((at, format!("the package `{}` is listed twice", shown(&package.name))));
            }
        }
        for (at, message) in self.debian().problems() {
            found.push((format!("/debian/{at}"), message));
        }
        if self.debian().packages.is_empty() {
            found.push(("/debian/packages".into(), "there are no packages".into()));
        }
        if found.is_empty() {
            return Ok(());
        }
        // Only a damaged lock is read a second time, for the places.
        let tree = yaml::parse(&file.name, &file.bytes).tree;
        let problems = found.into_iter().map(|(pointer, message)| {
            let at = tree.as_ref().map_or(Position::START, |tree| tree.nearest_position_of(&pointer));
            Problem::new(&file.name, at, format!("the lock file is damaged: {message}"), Some(HELP.to_owned()))
        });
        Problems::new(problems.collect()).map_or(Ok(()), Err)
    }
}

impl LockedDebian {
    /// What cannot be right besides the packages. All of it ends up in apt's sources and files.
    fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut hold = |at: String, what: &str, well: bool, text: &str| {
            if !well {
                found.push((at, format!("`{}` is not the name of {what}", shown(text))));
            }
        };
        hold("suite".into(), "a suite", is_word(&self.suite), &self.suite);
        hold("architecture".into(), "an architecture", is_word(&self.architecture), &self.architecture);
        for (i, component) in self.components.iter().enumerate() {
            let well = component.split('/').all(is_word);
            hold(format!("components/{i}"), "a component", well, component);
        }
        for (i, answer) in self.debconf.iter().enumerate() {
            hold(format!("debconf/{i}"), "an answer", debconf::problem(answer).is_none(), answer);
        }
        for (i, name) in self.requested.iter().enumerate() {
            hold(format!("requested/{i}"), "a package", is_package(name), name);
        }
        found
    }
}

/// Values as YAML: texts, numbers, lists and maps of them, for which there is nothing that YAML could not say.
pub(crate) fn yaml_of(value: &impl Serialize) -> String {
    serde_yaml::to_string(value).unwrap_or_default()
}

/// Small letters, digits and `-`, as suites, components and architectures have.
fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.len() <= LONGEST_NAME
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The name of a binary package (Debian Policy 5.6.1).
fn is_package(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= LONGEST_NAME
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// A version (Debian Policy 5.6.12).
fn is_version(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version.len() <= LONGEST_NAME
        && version.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.~:".contains(&b))
}

/// Only the version of a lock.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

impl LockedPackage {
    /// What cannot be right about this entry. Paths and names end up in URIs and file names.
    fn problem(&self) -> Option<&'static str> {
        let path_is_well =
            RelPath::new(&*self.filename).is_ok() && self.filename.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        let hash_is_well =
            self.sha256.len() == 64 && self.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_package(&self.name) {
            Some("has a malformed name")
        } else if !is_version(&self.version) {
            Some("has a malformed version")
        } else if !is_word(&self.architecture) {
            Some("has a malformed architecture")
        } else if !path_is_well {
            Some("has a malformed file name")
        } else if !hash_is_well {
            Some("has a malformed SHA-256")
        } else if self.size == 0 {
            Some("has the size 0")
        } else {
            None
        }
    }
}
