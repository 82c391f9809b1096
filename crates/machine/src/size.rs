//! Sizes in bytes, as people write them: `512M`, `4G`, `1.5T`.
use serde::{Deserialize, Serialize};

/// A number of bytes. Units are binary (K, M, G, T = powers of 1024), as in systemd-repart; `KiB` and `K` mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(u64);

impl Size {
    /// From a count of bytes.
    pub const fn from_bytes(bytes: u64) -> Size {
        Size(bytes)
    }
    /// From a count of MiB.
    pub const fn from_mib(mib: u64) -> Size {
        Size(mib << 20)
    }
    /// The count of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}
