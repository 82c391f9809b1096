//! What is on the boot partitions now, as far as it is this installation's business. A value; who looks is
//! [`crate::survey`].

use std::collections::{BTreeMap, BTreeSet};

use crate::entry_name::EntryName;
use crate::set::Place;

/// A file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundFile {
    /// Its length in bytes.
    pub len: u64,
    /// SHA-256 of its contents; `None` when it cannot be read.
    pub sha256: Option<[u8; 32]>,
}

/// The room on a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The bytes of a cluster: every file and directory takes whole ones.
    pub cluster: u64,
    /// The bytes in free clusters.
    pub free: u64,
}

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// Our own files, and those with names that a loader or its firmware gives them.
    pub files: BTreeMap<(Place, String), FoundFile>,
    /// Every directory on the way to them, and those that stand where a file should be.
    pub directories: BTreeSet<(Place, String)>,
    /// The names of our menu entries.
    pub entries: Vec<EntryName>,
    /// GRUB's environment block.
    pub environment: Option<Vec<u8>>,
    /// Whether the script that Debian's signed GRUB reads leads to our menu.
    pub stub_is_ours: bool,
    /// The room on each partition that there is.
    pub space: BTreeMap<Place, Space>,
}
