//! The lock file: exact package versions and hashes behind a machine file.
use serde::{Deserialize, Serialize};

/// `machine.lock`, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// The version of the lock file's schema; 1.
    pub version: u32,
    /// What was asked for; when the machine file asks for something else, the lock is stale.
    pub debian: LockedDebian,
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
