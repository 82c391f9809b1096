//! The device tree: which loader can hand one over, and what a compiled one looks like.

use crate::model::{Boot, Loader};
use crate::rules::Findings;

pub(super) fn check(boot: &Boot, f: &mut Findings) {
    let Some(path) = &boot.device_tree else { return };
    if boot.loader != Loader::SystemdBoot {
        let message = "GRUB for x86-64 hands no device tree to the kernel";
        f.wrong("/boot/device_tree", message, "remove the line, or write `loader: systemd-boot`");
    }
    if path.is_empty() {
        f.wrong("/boot/device_tree", "the path is empty", "name a file, relative to the machine file");
    }
}

/// Why a file is no compiled device tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceTreeError {
    /// Its source.
    #[error("it is the source of a device tree: compile it (`dtc -O dtb -o board.dtb board.dts`)")]
    Source,
    /// Something else.
    #[error("it is no compiled device tree (.dtb)")]
    Not,
    /// Not all of it.
    #[error("it has {found} bytes, and by its own word {said}: it was cut off")]
    CutOff {
        /// The length that its header names.
        said: u32,
        /// The file's.
        found: usize,
    },
}

/// Whether a file is a compiled device tree, as far as its header tells (Devicetree Specification 0.4, 5.2): the magic
/// number, and a size that the file has.
///
/// # Errors
/// When it is none, or not all of one.
pub fn device_tree(bytes: &[u8]) -> Result<(), DeviceTreeError> {
    const MAGIC: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];
    const HEADER: usize = 40;
    let is_source = bytes.windows(8).take(4096).any(|word| word == b"/dts-v1/");
    match bytes.split_first_chunk() {
        Some((magic, rest)) if *magic == MAGIC => {
            let said = rest.first_chunk().map_or(0, |size| u32::from_be_bytes(*size));
            let (found, whole) = (bytes.len(), usize::try_from(said).unwrap_or(usize::MAX));
            if found < HEADER || found < whole { Err(DeviceTreeError::CutOff { said, found }) } else { Ok(()) }
        }
        _ if is_source => Err(DeviceTreeError::Source),
        _ => Err(DeviceTreeError::Not),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiled_tree_is_known_by_its_header() {
        let mut tree = [0; 48];
        tree[..8].copy_from_slice(&[0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 48]);
        assert_eq!(device_tree(&tree), Ok(()));
        assert_eq!(device_tree(&tree[..47]), Err(DeviceTreeError::CutOff { said: 48, found: 47 }));
        assert_eq!(device_tree(&tree[..5]), Err(DeviceTreeError::CutOff { said: 0, found: 5 }));
        assert_eq!(device_tree(b"// a board\n/dts-v1/;\n/ { };\n"), Err(DeviceTreeError::Source));
        assert_eq!(device_tree(b"MZ"), Err(DeviceTreeError::Not));
        assert_eq!(device_tree(b""), Err(DeviceTreeError::Not));
    }
}
