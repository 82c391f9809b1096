//! What an ext4 file system's superblock says (kernel, `filesystems/ext4/super.rst`). Pure.

/// Where the superblock lies on the partition.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// Its length.
pub const SUPERBLOCK_LENGTH: usize = 1024;
/// Less than this is not worth the check that must come before growing: resize2fs leaves the end of a partition alone
/// if a block group's own tables would fill it, and would leave it again at every boot.
pub const WORTH_GROWING: u64 = 8 << 20;

const MAGIC: u16 = 0xEF53;
const FEATURE_64BIT: u32 = 0x80;

/// A superblock as it lies on the disk.
pub type Superblock = [u8; SUPERBLOCK_LENGTH];

fn u16_at(superblock: &Superblock, at: usize) -> u16 {
    u16::from_le_bytes([superblock[at], superblock[at + 1]])
}

/// The file system's UUID, as udev writes it; `None` for what is no ext2, ext3 or ext4.
pub fn uuid(superblock: &Superblock) -> Option<String> {
    if u16_at(superblock, 0x38) != MAGIC {
        return None;
    }
    let digits: String = superblock[0x68..0x78].iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    Some(parts.join("-"))
}

/// Whether all of it will be read by the next check: something was wrong with it, or it has no journal and was not unmounted.
pub fn is_suspect(superblock: &Superblock) -> bool {
    // s_state: 1 is "unmounted cleanly", 2 "errors detected".
    u16_at(superblock, 0x3A) & 3 != 1
}

fn u32_at(superblock: &Superblock, at: usize) -> u32 {
    u32::from_le_bytes([0, 1, 2, 3].map(|i| superblock[at + i]))
}

/// Whether its blocks have numbers of 64 bits. Without that it ends with 2^32 of them (16 TiB); `resize2fs -b` makes it so.
pub fn is_64bit(superblock: &Superblock) -> bool {
    u32_at(superblock, 0x60) & FEATURE_64BIT != 0
}

/// Bytes in a block; `None` for what is no ext2, ext3 or ext4.
pub fn block_size(superblock: &Superblock) -> Option<u64> {
    if u16_at(superblock, 0x38) != MAGIC {
        return None;
    }
    1024_u64.checked_shl(u32_at(superblock, 0x18))
}

/// The file system's size in bytes; `None` for what is no ext2, ext3 or ext4.
pub fn size(superblock: &Superblock) -> Option<u64> {
    let high = if is_64bit(superblock) { u32_at(superblock, 0x150) } else { 0 };
    let blocks = u64::from(high) << 32 | u64::from(u32_at(superblock, 0x4));
    blocks.checked_mul(block_size(superblock)?)
}

/// How large it can become, in bytes: each of its groups has as many inodes as the first, and there are at most 2^32 of them.
/// `None` for what is no ext2, ext3 or ext4.
pub fn largest(superblock: &Superblock) -> Option<u64> {
    let (of_group, blocks) = (u32_at(superblock, 0x28), u64::from(u32_at(superblock, 0x20)));
    let groups = u64::from(u32::MAX.checked_div(of_group)?);
    Some(groups.saturating_mul(blocks).saturating_mul(block_size(superblock)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_is_written_as_udev_does_and_the_state_is_read() {
        let mut block = [0; SUPERBLOCK_LENGTH];
        assert_eq!(uuid(&block), None);
        block[0x38..0x3A].copy_from_slice(&MAGIC.to_le_bytes());
        for (at, byte) in (0x68..0x78).zip(0xA0_u8..) {
            block[at] = byte;
        }
        assert_eq!(uuid(&block).unwrap(), "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf");
        let suspect = [0, 1, 2, 3, 5].map(|state| {
            block[0x3A] = state;
            is_suspect(&block)
        });
        assert_eq!(suspect, [true, false, true, true, false]);
    }

    #[test]
    fn the_size_is_blocks_times_block_size() {
        let mut block = [0; SUPERBLOCK_LENGTH];
        assert_eq!(size(&block), None);
        block[0x38..0x3A].copy_from_slice(&MAGIC.to_le_bytes());
        block[0x4..0x8].copy_from_slice(&1000_u32.to_le_bytes());
        block[0x18] = 2;
        assert_eq!(size(&block), Some(4_096_000));
        block[0x150] = 1;
        assert_eq!(size(&block), Some(4_096_000), "without the 64-bit feature the high half means nothing");
        block[0x60] = 0x80;
        assert_eq!(size(&block), Some(((1 << 32) + 1000) * 4096));
        block[0x18] = 255;
        assert_eq!(size(&block), None);
    }

    #[test]
    fn inodes_end_before_blocks_do() {
        let mut block = [0; SUPERBLOCK_LENGTH];
        assert_eq!(largest(&block), None);
        block[0x38..0x3A].copy_from_slice(&MAGIC.to_le_bytes());
        block[0x18] = 2;
        block[0x20..0x24].copy_from_slice(&32768_u32.to_le_bytes());
        assert_eq!(largest(&block), None, "no group has no inodes");
        block[0x28..0x2C].copy_from_slice(&7696_u32.to_le_bytes());
        assert_eq!(largest(&block), Some(u64::from(u32::MAX / 7696) << 27));
    }
}
