//! How large a file system must be. The layout wants its size first and says afterwards whether it was enough, so this
//! counts the same blocks: exactly where that is simple, a little too many where it is not (extent trees, hashed
//! directories).

use crate::error::DiskError;
use crate::ext4::BLOCK;
use crate::tree::{Node, Tree};

const BLOCKS_PER_GROUP: u64 = 32768;
const MIB: u64 = 1 << 20;
/// The least with a journal.
const LEAST: u64 = 16 * MIB;
/// Blocks that only root may use: with none left, not even root can clean up. mke2fs keeps 5 %, which on the disk of
/// today is tens of gigabytes for nothing; the share stays the same when the file system grows.
pub(crate) const RESERVED_PERCENT: u64 = 1;
/// What ext4 keeps for itself: ten reserved inodes and lost+found.
const OWN_INODES: u64 = 11;

/// The bytes that a file system needs to hold a tree and leave `free` bytes for anybody to use. A multiple of 1 MiB.
///
/// # Errors
/// [`DiskError::TooSmall`] when the tree is larger than any ext4 that we make (16 TiB).
pub fn needed(tree: &Tree, free: u64) -> Result<u64, DiskError> {
    Contents::of(tree).needed(free)
}

/// What a tree takes, whatever the size of the file system around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents {
    blocks: u64,
    inodes: u64,
}

/// What follows from a file system's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Blocks that the layout is told: a last group too small to be one is left out.
    pub(crate) blocks: u64,
    /// All inodes.
    pub(crate) inodes: u32,
    /// Blocks that are neither metadata of the file system nor its journal.
    capacity: u64,
}

impl Contents {
    pub(crate) fn of(tree: &Tree) -> Contents {
        let mut blocks = 4_u64; // lost+found
        let mut inodes = OWN_INODES;
        // Record lengths of the names in each directory; the root's come last, with lost+found.
        let mut records = vec![0_u64; tree.entries().len() + 1];
        let root = tree.entries().len();
        records[root] = record("lost+found");
        for (index, entry) in tree.entries().iter().enumerate() {
            if entry.path.is_empty() {
                continue;
            }
            let name = tree.name(index);
            records[tree.parent(index).unwrap_or(root)] += record(name);
            inodes += 1;
            match &entry.node {
                Node::Dir => {}
                Node::File { len, .. } => blocks = blocks.saturating_add(file(*len)),
                Node::Symlink(target) => blocks = blocks.saturating_add(u64::from(target.len() > 59)),
                // Nearly always no inode; one more does no harm where a file has too many names (see layout).
                Node::Hardlink(_) => inodes -= 1,
            }
        }
        for (index, records) in records.iter().enumerate() {
            if index == root || tree.entries()[index].node == Node::Dir && !tree.entries()[index].path.is_empty() {
                blocks = blocks.saturating_add(directory(*records));
            }
        }
        Contents { blocks, inodes }
    }

    /// See [`needed`].
    pub(crate) fn needed(self, free: u64) -> Result<u64, DiskError> {
        let free = free.div_ceil(BLOCK);
        let largest = u64::from(u32::MAX) * BLOCK;
        let too_large = |needed| DiskError::TooSmall { what: "the largest ext4", size: largest, needed };
        let wanted = self.blocks.saturating_add(free);
        let mut bytes = match wanted.checked_mul(BLOCK).and_then(|bytes| bytes.checked_next_multiple_of(MIB)) {
            Some(bytes) if wanted <= u64::from(u32::MAX) => bytes.max(LEAST),
            _ => return Err(too_large(wanted.saturating_mul(BLOCK))),
        };
        loop {
            let missing = match self.geometry(bytes, free) {
                None if bytes / BLOCK > u64::from(u32::MAX) => return Err(too_large(bytes)),
                // Too few groups for the inodes.
                None => BLOCKS_PER_GROUP / 8,
                Some(geometry) => {
                    let reserved = geometry.blocks * RESERVED_PERCENT / 100;
                    (self.blocks + free + reserved).saturating_sub(geometry.capacity)
                }
            };
            if missing == 0 {
                return Ok(bytes);
            }
            bytes += (missing * BLOCK).next_multiple_of(MIB);
        }
    }

    /// Whether the tree fits into a file system of this size.
    pub(crate) fn fit(self, bytes: u64) -> Option<Geometry> {
        self.geometry(bytes, 0).filter(|geometry| geometry.capacity >= self.blocks)
    }

    /// The shape of a file system of this size, with inodes for the tree and for `free` blocks more; `None` when it
    /// has no shape: too small, too large, or too few groups for the inodes.
    fn geometry(self, bytes: u64, free: u64) -> Option<Geometry> {
        let mut blocks = bytes / BLOCK;
        if bytes < LEAST || blocks >= u64::from(u32::MAX) {
            return None;
        }
        loop {
            let groups = blocks.div_ceil(BLOCKS_PER_GROUP);
            // mke2fs's ratio, one inode for 16 KiB; and for a tree of many small files as many again as a quarter of
            // them. Groups that are added when the file system grows have as many inodes as these.
            let ratio = (blocks * BLOCK).div_ceil(16384);
            let room = self.inodes + (self.inodes / 4).max(free / 4);
            let per_group = ratio.max(room).div_ceil(groups).next_multiple_of(16).min(BLOCKS_PER_GROUP);
            if per_group * groups < self.inodes {
                return None;
            }
            let table = per_group / 16;
            let descriptors = (groups * 32).div_ceil(BLOCK);
            // The last group must have room for what each group has: its bitmaps and inode table, and perhaps a copy
            // of the superblock.
            let least = table + descriptors + 64;
            let last = blocks - (groups - 1) * BLOCKS_PER_GROUP;
            if groups > 1 && last < least {
                blocks = (groups - 1) * BLOCKS_PER_GROUP;
                continue;
            }
            let copies = (1..groups).filter(|g| has_copy(*g)).count() as u64 + 1;
            let metadata = copies * (1 + descriptors) + groups * (2 + table) + journal(blocks);
            // The layout leaves a hole where an inode table would run into a copy of the superblock, and a file that such a
            // copy divides may need a block more for its extents.
            let slack = groups.div_ceil(16) * table + copies + groups;
            let capacity = blocks.checked_sub(metadata + slack)?;
            let inodes = u32::try_from(per_group * groups).ok()?;
            return Some(Geometry { blocks, inodes, capacity });
        }
    }
}

/// Where sparse_super keeps copies of the superblock: group 1 and the powers of 3, 5 and 7.
pub(super) fn has_copy(group: u64) -> bool {
    let power = |base: u64| {
        let mut n = group;
        while n.is_multiple_of(base) {
            n /= base;
        }
        n == 1
    };
    group == 1 || power(3) || power(5) || power(7)
}

/// mke2fs's table of journal sizes.
pub(super) fn journal(blocks: u64) -> u64 {
    match blocks {
        0..=32767 => 1024,
        32768..=262_143 => 4096,
        262_144..=524_287 => 8192,
        524_288..=4_194_303 => 16384,
        4_194_304..=8_388_607 => 32768,
        8_388_608..=16_777_215 => 65536,
        16_777_216..=33_554_431 => 131_072,
        _ => 262_144,
    }
}

/// The length of a directory record.
fn record(name: &str) -> u64 {
    (8 + name.len() as u64).next_multiple_of(4)
}

/// The blocks of a directory whose records have this length together.
fn directory(records: u64) -> u64 {
    // A block ends with a checksum, and begins with "." and "..".
    const USABLE: u64 = BLOCK - 12;
    if records + 24 <= USABLE {
        return 1;
    }
    // In the worst case every block ends just before the longest record.
    let leaves = records.div_ceil(USABLE - 264);
    // The hash index: its root, and a node for every 500 leaves of a huge directory.
    1 + leaves + leaves / 500
}

/// The blocks of a file: its data, and those of the extent tree when four extents (of 128 MiB) do not do.
fn file(len: u64) -> u64 {
    let blocks = len.div_ceil(BLOCK);
    let extents = blocks.div_ceil(BLOCKS_PER_GROUP);
    if extents <= 2 {
        return blocks;
    }
    // Copies of the superblock may divide each extent once.
    blocks + (2 * extents).div_ceil(340) + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Entry};

    const LARGEST: u64 = u32::MAX as u64;

    fn tree(entries: impl IntoIterator<Item = (String, Node)>) -> Tree {
        let mut tree = Tree::new();
        for (path, node) in entries {
            tree.push(Entry { path, mode: 0o644, uid: 0, gid: 0, mtime: 0, node }).unwrap();
        }
        tree
    }

    fn empty() -> Node {
        Node::File { len: 0, content: Content::Bytes(Vec::new()) }
    }

    fn counted(tree: &Tree) -> (u64, u64) {
        let Contents { blocks, inodes } = Contents::of(tree);
        (blocks, inodes)
    }

    #[test]
    fn each_entry_takes_what_it_takes() {
        // lost+found and the root.
        assert_eq!(counted(&Tree::new()), (5, 11));
        let file = Node::File { len: 5000, content: Content::Bytes(Vec::new()) };
        let all = [
            ("", Node::Dir),
            ("d", Node::Dir),
            ("d/f", file),
            ("short", Node::Symlink("x".repeat(59))),
            ("long", Node::Symlink("x".repeat(60))),
            ("longer", Node::Symlink("x".repeat(61))),
            ("same", Node::Hardlink(2)),
        ];
        assert_eq!(counted(&tree(all.map(|(path, node)| (path.to_string(), node)))), (10, 16));
        // 336 records of 12 bytes, and lost+found's, are what a block holds.
        let many = |folder: &str, count: usize| {
            let names = (0..count).map(|n| (format!("{folder}{n:04}"), empty()));
            counted(&tree([("d".to_string(), Node::Dir)].into_iter().chain(names)))
        };
        assert_eq!([335, 336].map(|n| many("", n).0), [6, 8]);
        assert_eq!([338, 339].map(|n| many("d/", n).0), [6, 8]);
    }

    #[test]
    fn records_directories_and_files_are_rounded_up() {
        assert_eq!(["a", "abcd", "abcde", "lost+found"].map(record), [12, 12, 16, 20]);
        assert_eq!([0, 4060, 4061, 7640, 7641, 3_820_000].map(directory), [1, 1, 3, 3, 4, 1003]);
        let mib = |n: u64| n << 20;
        assert_eq!([0, 1, 4096, 4097].map(file), [0, 1, 1, 2]);
        assert_eq!([mib(256), mib(256) + 1].map(file), [65_536, 65_539]);
        assert_eq!([mib(170 * 128), mib(171 * 128)].map(file), [170 * 32_768 + 2, 171 * 32_768 + 3]);
    }

    #[test]
    fn copies_of_the_superblock_are_where_sparse_super_has_them() {
        let found: Vec<u64> = (1..400).filter(|group| has_copy(*group)).collect();
        assert_eq!(found, [1, 3, 5, 7, 9, 25, 27, 49, 81, 125, 243, 343]);
    }

    #[test]
    fn journals_are_as_large_as_those_of_mke2fs() {
        let mut from = 0;
        for (until, size) in [
            (32_767, 1024),
            (262_143, 4096),
            (524_287, 8192),
            (4_194_303, 16_384),
            (8_388_607, 32_768),
            (16_777_215, 65_536),
            (33_554_431, 131_072),
            (LARGEST, 262_144),
        ] {
            assert_eq!((journal(from), journal(until)), (size, size), "{until}");
            from = until + 1;
        }
    }

    /// What came out when `e2fsck` and mkext4 were content with it, so that no change to the sums goes unseen.
    #[test]
    fn the_shape_follows_from_the_size() {
        let of = |inodes, bytes, free| {
            let geometry = Contents { blocks: 0, inodes }.geometry(bytes, free);
            geometry.map(|Geometry { blocks, inodes, capacity }| (blocks, inodes, capacity))
        };
        let group = BLOCKS_PER_GROUP * BLOCK;
        for (inodes, bytes, free, wanted) in [
            (11, LEAST - 1, 0, None),
            (11, LEAST, 0, Some((4096, 1024, 2938))),
            (11, LEAST + 4095, 0, Some((4096, 1024, 2938))),
            (1000, LEAST, 0, Some((4096, 1264, 2908))),
            (40_000, LEAST, 0, None),
            (5000, 100 * MIB, 0, Some((25_600, 6400, 23_770))),
            (11, 100 * MIB, 40_000, Some((25_600, 10_016, 23_318))),
            (11, group, 0, Some((32_768, 8192, 27_642))),
            // A last group must have room for what each has.
            (11, group + 323 * BLOCK, 0, Some((32_768, 8192, 27_642))),
            (11, group + 324 * BLOCK, 0, Some((33_092, 8288, 28_207))),
            (11, group + 10 * MIB, 0, Some((35_328, 8832, 30_392))),
            // As many inodes as there are blocks in the group, and one too many.
            (32_768, group, 0, Some((32_768, 32_768, 24_570))),
            (32_769, group, 0, None),
            (32_768, 2 * group, 0, Some((65_536, 40_960, 57_588))),
            (100_000, 1 << 30, 0, Some((262_144, 125_056, 245_120))),
            (11, 4 << 30, 1 << 18, Some((1_048_576, 262_144, 1_014_664))),
            (11, 17 << 30, 1 << 20, Some((4_456_448, 1_114_112, 4_348_988))),
            (11, (40 << 30) + 3 * MIB, 0, Some((10_486_528, 2_624_496, 10_245_207))),
            (11, 1 << 40, 0, Some((268_435_456, 67_108_864, 263_691_034))),
            (11, (LARGEST - 1) * BLOCK, 0, Some((4_294_967_294, 1_073_741_824, 4_222_983_116))),
            (11, LARGEST * BLOCK, 0, None),
        ] {
            assert_eq!(of(inodes, bytes, free), wanted, "{inodes} inodes, {bytes} bytes, {free} free");
        }
        let fit = |blocks, bytes| Contents { blocks, inodes: 11 }.fit(bytes).is_some();
        assert_eq!((fit(2938, LEAST), fit(2939, LEAST)), (true, false));
    }

    #[test]
    fn as_much_is_needed_as_makes_it_fit() {
        let of = |blocks, inodes, free| Contents { blocks, inodes }.needed(free);
        for (blocks, inodes, free, wanted) in [
            (4, 11, 0, LEAST),
            (3000, 11, 0, 17 * MIB),
            (4000, 11, 0, 21 * MIB),
            (30_000, 11, 0, 127 * MIB),
            (1000, 900, 300 * MIB, 331 * MIB),
            (1 << 20, 5000, 1 << 30, 5328 * MIB),
            // Another group for the inodes.
            (4, 40_000, 0, 144 * MIB),
            (4, 40_000, 100 * MIB, 149 * MIB),
        ] {
            assert_eq!(of(blocks, inodes, free).unwrap(), wanted, "{blocks} blocks, {inodes} inodes, {free} free");
        }
        for (blocks, free, wanted) in [
            (LARGEST - 10, 0, 1 << 44),
            (LARGEST + 2, 0, (LARGEST + 2) * BLOCK),
            (LARGEST, 4096, (LARGEST + 1) * BLOCK),
        ] {
            let error = of(blocks, 11, free).unwrap_err();
            assert!(matches!(error, DiskError::TooSmall { needed, .. } if needed == wanted), "{error:?}");
            assert!(matches!(error, DiskError::TooSmall { size, .. } if size == LARGEST * BLOCK), "{error:?}");
        }
        assert!(of(4, 11, u64::MAX).is_err());
        assert_eq!(needed(&Tree::new(), 0).unwrap(), LEAST);
    }
}
