//! FAT32, for boot partitions, written by `fatfs`.
//!
//! Clusters are 4 KiB (32 KiB above 8 GiB): smaller ones were seen to tear file names when a boot is cut off, and FAT32
//! then needs 256 MiB of them, which is why a boot partition has at least 260 MiB
//! ([`LEAST_FAT`](cairn_layout::LEAST_FAT)).

mod clock;
mod device;
mod dots;
mod reader;
mod size;
mod volume;
mod write;

pub use reader::{FatEntry, FatInfo, Reader, open};
pub use size::{needed, needed_small};
pub use volume::FatVolume;
pub(crate) use write::fill;
pub use write::{FatContents, FatOptions, write};

use crate::tree::Content;

/// A file to put on a FAT partition. Its directories are made as they are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatFile {
    /// The path, without a leading slash: `EFI/BOOT/BOOTX64.EFI`.
    pub path: String,
    /// The length in bytes.
    pub len: u64,
    /// Where the bytes come from.
    pub content: Content,
}

impl FatFile {
    /// A file from memory.
    pub fn from_bytes(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> FatFile {
        let bytes = bytes.into();
        FatFile { path: path.into(), len: bytes.len() as u64, content: Content::Bytes(bytes) }
    }
}

/// The size of a cluster on a volume of this size.
fn cluster_size(volume: u64) -> u64 {
    if volume > 8 << 30 { 32 << 10 } else { 4 << 10 }
}

/// Whether FAT can hold a file of this path, and Windows can read its names.
///
/// # Errors
/// Why not.
pub fn check_path(path: &str) -> Result<(), &'static str> {
    path.split('/').try_for_each(check_name)
}

/// Whether FAT can hold a name, and Windows can read it.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.encode_utf16().count() > 255 {
        return Err("a name has 1 to 255 characters");
    }
    if name.ends_with(['.', ' ']) {
        return Err("a name does not end with a dot or a blank");
    }
    if name.chars().any(|c| c.is_control() || "\"*:<>?\\|".contains(c)) {
        return Err("a name has no control characters and none of \" * : < > ? \\ |");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_larger_above_8_gib() {
        assert_eq!([0, 8 << 30, (8 << 30) + 1, 1 << 40].map(cluster_size), [4096, 4096, 32_768, 32_768]);
    }
}
