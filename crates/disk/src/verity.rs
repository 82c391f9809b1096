//! The tree of hashes by which the kernel's dm-verity knows that data is what it was when it was written.
//!
//! The format is the one that `veritysetup format --no-superblock --salt -` writes: format 1, SHA-256, no salt, blocks of 4096
//! bytes for data and hashes. It is described in the kernel's `Documentation/admin-guide/device-mapper/verity.rst`, section
//! "Hash Tree". Each block of data has a hash; 128 of those fill a block of hashes, the last of a level with zeros behind its
//! hashes; each of these blocks has a hash in the level above, until a level is one block, whose hash is the root. The levels
//! follow one another, the one-block level first. One block of data has no tree: its hash is the root.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// The length of a block, of data and of hashes.
pub const BLOCK: u64 = 4096;

/// [`BLOCK`] as the length of a slice.
const BLOCK_LEN: usize = BLOCK as usize;
/// The length of a hash.
const HASH_LEN: usize = 32;
/// How many hashes a block holds.
const HASHES: u64 = BLOCK / HASH_LEN as u64;

/// The hashes of some data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTree {
    /// The hash that stands for all of the data.
    pub root: [u8; HASH_LEN],
    /// The tree as it is written to the disk; [`length`] says how long it is.
    pub bytes: Vec<u8>,
}

impl HashTree {
    /// The root in hexadecimal, as dm-verity's table has it.
    #[must_use]
    pub fn root_hex(&self) -> String {
        self.root.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// How many bytes the tree of so many bytes of data has: 1/127 of them, about.
#[must_use]
pub fn length(data: u64) -> u64 {
    let (mut blocks, mut level) = (0, data.div_ceil(BLOCK));
    while level > 1 {
        level = level.div_ceil(HASHES);
        blocks += level;
    }
    blocks * BLOCK
}

/// The tree of all that `data` has. Of the data one block is in memory at a time; the tree is as a whole.
///
/// # Errors
/// When reading fails; [`io::ErrorKind::InvalidInput`] when there is no data, or when its last block is not whole: dm-verity
/// knows blocks only, so what is behind the data must be hashed with it, as zeros that the caller has written there.
pub fn hash_tree(mut data: impl Read) -> io::Result<HashTree> {
    // The lowest level first, as it comes about.
    let mut levels = vec![Vec::new()];
    let mut block = [0; BLOCK_LEN];
    while whole_block(&mut data, &mut block)? {
        levels[0].extend_from_slice(&Sha256::digest(block));
    }
    if levels[0].is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is nothing to be hashed"));
    }
    while let Some(level) = levels.last_mut().filter(|level| level.len() > HASH_LEN) {
        level.resize(level.len().next_multiple_of(BLOCK_LEN), 0);
        let above = level.chunks(BLOCK_LEN).flat_map(Sha256::digest).collect();
        levels.push(above);
    }
    // What is left alone at the end is no level but the root.
    let top = levels.pop().unwrap_or_default();
    let root = top.try_into().map_err(|_| io::Error::other("a tree of hashes that has no root"))?;
    levels.reverse();
    Ok(HashTree { root, bytes: levels.concat() })
}

/// Reads a block; false at the end.
fn whole_block(data: &mut impl Read, block: &mut [u8; BLOCK_LEN]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < BLOCK_LEN {
        match data.read(&mut block[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("the data is not a whole number of blocks of {BLOCK} bytes"),
                ));
            }
            Ok(more) => filled += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_has_no_tree_and_no_data_is_an_error() {
        let tree = hash_tree(&[0; BLOCK_LEN][..]).unwrap();
        assert_eq!(tree.root_hex(), "ad7facb2586fc6e966c004d7d1d16b024f5805ff7cb47c7a85dabd8b48892ca7");
        assert!(tree.bytes.is_empty());
        for wrong in [0, 1, BLOCK_LEN - 1, BLOCK_LEN + 1] {
            let error = hash_tree(&vec![0; wrong][..]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{wrong}");
        }
    }

    #[test]
    fn a_tree_is_as_long_as_it_was_said_to_be() {
        for blocks in [1, 2, 127, 128, 129, 128 * 128, 128 * 128 + 1] {
            let tree = hash_tree(io::repeat(7).take(blocks * BLOCK)).unwrap();
            assert_eq!(tree.bytes.len() as u64, length(blocks * BLOCK), "{blocks}");
        }
        assert_eq!(length(0), 0);
        assert_eq!(length(129 * BLOCK), 3 * BLOCK);
        // No sum overflows, whatever is asked for.
        assert!(length(u64::MAX) < u64::MAX / 100);
    }

    /// A reader that gives what it likes gives the same tree.
    #[test]
    fn how_the_data_comes_does_not_matter() {
        struct Slow<'a>(&'a [u8], bool);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                let most = buffer.len().min(1000);
                self.0.read(&mut buffer[..most])
            }
        }
        let data: Vec<u8> = (0..300 * BLOCK_LEN).map(|n| (n / 77) as u8).collect();
        assert_eq!(hash_tree(Slow(&data, false)).unwrap(), hash_tree(&data[..]).unwrap());
    }
}
