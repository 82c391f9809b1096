//! One generation as the boot partition sees it.

use bootspec::v1::BootSpecV1;

/// A file of the store that goes to the boot partition: a kernel or an initrd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its path in the store, as the bootspec names it.
    pub store_path: String,
    /// SHA-256 of its contents.
    pub sha256: [u8; 32],
    /// Bytes.
    pub size: u64,
}

impl Artifact {
    /// The first 128 bits of the hash in hex: enough to name a file by its contents.
    pub(crate) fn short_hash(&self) -> String {
        hex(&self.sha256[..16])
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A generation: a number and a system.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The number N of `system-N-link`.
    pub number: u64,
    /// The system's bootspec.
    pub bootspec: BootSpecV1,
    /// When it was made, for the menu, as `YYYY-MM-DD`.
    pub date: String,
    /// The kernel's release, for the menu.
    pub kernel_release: String,
    /// The kernel.
    pub kernel: Artifact,
    /// The initrd, if there is one.
    pub initrd: Option<Artifact>,
}
