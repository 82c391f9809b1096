//! How large an ext4 file system is, by its superblock. Pure.

/// Where the superblock lies on the partition.
pub const SUPERBLOCK_OFFSET: u64 = 1024;
/// Its length.
pub const SUPERBLOCK_LENGTH: usize = 1024;
/// Less than this is not worth the check that must come before growing: resize2fs leaves the end of a partition alone
/// if a block group's own tables would fill it, and would leave it again at every boot.
pub const WORTH_GROWING: u64 = 8 << 20;

const MAGIC: u16 = 0xEF53;
const FEATURE_64BIT: u32 = 0x80;

/// The file system's size in bytes; `None` for what is no ext2, ext3 or ext4.
pub fn size(superblock: &[u8; SUPERBLOCK_LENGTH]) -> Option<u64> {
    let u16_at = |at: usize| u16::from_le_bytes([superblock[at], superblock[at + 1]]);
    let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| superblock[at + i]));
    if u16_at(0x38) != MAGIC {
        return None;
    }
    let high = if u32_at(0x60) & FEATURE_64BIT != 0 { u32_at(0x150) } else { 0 };
    let blocks = u64::from(high) << 32 | u64::from(u32_at(0x4));
    blocks.checked_mul(1024_u64.checked_shl(u32_at(0x18))?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
