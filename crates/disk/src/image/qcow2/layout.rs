//! Where things are in a qcow2 file that is made in one go: header, reference counts, tables, and then the data, in the
//! order of the disk.

/// log2 of the size of a cluster: 64 KiB, QEMU's default.
pub(super) const CLUSTER_BITS: u32 = 16;
/// The size of a cluster.
pub(super) const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// The clusters that one table of the second level maps.
pub(super) const PER_L2: u64 = CLUSTER / 8;
/// The clusters that one block of 16-bit reference counts counts.
pub(super) const PER_REFCOUNT_BLOCK: u64 = CLUSTER / 2;
/// In an entry of a table: the cluster belongs to nobody else.
pub(super) const COPIED: u64 = 1 << 63;
/// The length of the header of version 3.
pub(super) const HEADER: u32 = 104;

/// The parts of a file, counted in clusters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Entries in the table of the first level.
    pub(super) l1_entries: u64,
    /// Of each of them: whether it has a table of the second level.
    pub(super) l2_used: Vec<bool>,
    /// The clusters of the table of reference blocks.
    pub(super) refcount_table: u64,
    /// The blocks of reference counts.
    pub(super) refcount_blocks: u64,
    /// The clusters of the first level's table.
    pub(super) l1: u64,
    /// The tables of the second level.
    pub(super) l2: u64,
    /// All clusters of the file.
    pub(super) total: u64,
}

impl Layout {
    /// The layout of a disk of which these clusters hold something.
    pub(super) fn new(used: &[bool]) -> Layout {
        let l1_entries = (used.len() as u64).div_ceil(PER_L2).max(1);
        let mut l2_used: Vec<bool> = used.chunks(PER_L2 as usize).map(|chunk| chunk.contains(&true)).collect();
        l2_used.resize(usize::try_from(l1_entries).unwrap_or(usize::MAX), false);
        let count = |flags: &[bool]| flags.iter().filter(|f| **f).count() as u64;
        let (l1, l2, data) = ((l1_entries * 8).div_ceil(CLUSTER), count(&l2_used), count(used));
        // The reference counts count themselves too: more blocks until they are enough.
        let (mut refcount_table, mut refcount_blocks) = (1, 1);
        loop {
            let total = 1 + refcount_table + refcount_blocks + l1 + l2 + data;
            let blocks = total.div_ceil(PER_REFCOUNT_BLOCK);
            let table = (blocks * 8).div_ceil(CLUSTER);
            if (table, blocks) == (refcount_table, refcount_blocks) {
                return Layout { l1_entries, l2_used, refcount_table, refcount_blocks, l1, l2, total };
            }
            (refcount_table, refcount_blocks) = (table.max(refcount_table), blocks.max(refcount_blocks));
        }
    }

    /// The first cluster of the blocks of reference counts.
    pub(super) fn refcount_blocks_at(&self) -> u64 {
        1 + self.refcount_table
    }

    /// The first cluster of the first level's table.
    pub(super) fn l1_at(&self) -> u64 {
        self.refcount_blocks_at() + self.refcount_blocks
    }

    /// The first table of the second level.
    pub(super) fn l2_at(&self) -> u64 {
        self.l1_at() + self.l1
    }

    /// The first cluster of data.
    pub(super) fn data_at(&self) -> u64 {
        self.l2_at() + self.l2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_disk_has_tables_and_no_data() {
        let layout = Layout::new(&vec![false; 16384]);
        assert_eq!((layout.l1_entries, layout.l2, layout.total), (2, 0, 4));
    }

    #[test]
    fn reference_counts_count_themselves() {
        for used in [32760, 32761, 32762, 32763, 32764, 32765, 32768, 65536, 100_000] {
            let layout = Layout::new(&vec![true; used]);
            assert!(layout.refcount_blocks * PER_REFCOUNT_BLOCK >= layout.total, "{used}: {layout:?}");
            assert!((layout.refcount_blocks - 1) * PER_REFCOUNT_BLOCK < layout.total, "{used}: {layout:?}");
        }
    }
}
