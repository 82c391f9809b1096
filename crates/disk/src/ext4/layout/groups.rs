//! What a file system says of itself: its superblock, and of each group what is used of it.

use mkext4::spec::{self, BLOCK_SIZE, BLOCKS_PER_GROUP, GroupDesc, JournalSuperblock, Superblock, bg_flags};
use mkext4::{Result, csum};

use super::room::{Run, within};
use super::{JOURNAL, Layout, ino};
use crate::ext4::BLOCK;

/// The metadata that follows from all other.
pub(super) struct Summary {
    superblock: Superblock,
    /// The descriptors of all groups, in whole blocks.
    pub descriptors: Vec<u8>,
}

impl Summary {
    /// The superblock's block in a group.
    pub fn block(&self, group: u32) -> Vec<u8> {
        let mut block = vec![0; BLOCK_SIZE];
        // The first one leaves room for what a BIOS starts.
        let at = if group == 0 { 1024 } else { 0 };
        let place = &mut block[at..at + 1024];
        let mut superblock = Superblock { block_group_nr: group as u16, ..self.superblock.clone() };
        superblock.encode(place);
        superblock.checksum = csum::superblock(place);
        superblock.encode(place);
        block
    }
}

impl Layout<'_> {
    /// What each file system uses itself, in order: superblocks, descriptors, bitmaps, inode tables.
    pub(super) fn used_by_itself(&self) -> Vec<Run> {
        let copy = |group: u32| Run { start: self.room.of_group(group).start, len: 1 + self.room.descriptors };
        let copies = std::iter::once(0).chain(self.room.copies()).map(copy);
        let of_group = self.room.groups.iter().flat_map(|group| {
            let one = |start| Run { start, len: 1 };
            let table = Run { start: group.inode_table, len: self.room.table() };
            [one(group.block_bitmap), one(group.inode_bitmap), table]
        });
        let mut all: Vec<Run> = copies.chain(of_group).collect();
        all.sort_unstable_by_key(|run| run.start);
        all
    }

    /// A group's bitmap of blocks, and how many are free.
    pub(super) fn block_bitmap(&self, group: u32, used_by_itself: &[Run]) -> (Vec<u8>, u32) {
        let blocks = self.room.of_group(group);
        let mut bitmap = vec![0; BLOCK_SIZE];
        // All were given out until where it is free, but for what is not given out. Of that, some is used.
        let given = self.free_from.saturating_sub(blocks.start).min(blocks.len);
        mark(&mut bitmap, 0..given, true);
        let relative = |run: Run| run.start - blocks.start..run.end() - blocks.start;
        self.room.taken_in(blocks).for_each(|run| mark(&mut bitmap, relative(run), false));
        within(used_by_itself, blocks).for_each(|run| mark(&mut bitmap, relative(run), true));
        let used: u32 = bitmap.iter().map(|byte| byte.count_ones()).sum();
        // Those that the last group has not are not free.
        mark(&mut bitmap, blocks.len..u64::from(BLOCKS_PER_GROUP), true);
        (bitmap, blocks.len as u32 - used)
    }

    /// How many inodes of a group are used: its first ones.
    pub(super) fn used_inodes(&self, group: u32) -> u32 {
        let before = u64::from(group) * u64::from(self.room.inodes);
        // No more than a group has.
        u64::from(self.last_inode()).saturating_sub(before).min(u64::from(self.room.inodes)) as u32
    }

    /// A group's bitmap of inodes.
    pub(super) fn inode_bitmap(&self, group: u32) -> Vec<u8> {
        let mut bitmap = vec![0; BLOCK_SIZE];
        let used = self.used_inodes(group);
        if used > 0 {
            mark(&mut bitmap, 0..u64::from(used), true);
            mark(&mut bitmap, u64::from(self.room.inodes)..BLOCK * 8, true);
        }
        bitmap
    }

    /// Sums all up.
    pub(super) fn summary(&self, used_by_itself: &[Run]) -> Result<Summary> {
        let (room, seed) = (&self.room, self.room.seed);
        let mut directories = vec![0_u32; room.groups.len()];
        let mut count = |ino: u32| directories[((ino - 1) / room.inodes) as usize] += 1;
        count(super::LOST_AND_FOUND);
        (0..self.inodes.len() as u32).filter(|number| self.is_directory(*number)).for_each(|number| count(ino(number)));
        let mut descriptors = vec![0; (room.descriptors * BLOCK) as usize];
        let mut all_free = 0;
        for ((group, at), place) in (0..).zip(&room.groups).zip(descriptors.chunks_exact_mut(32)) {
            let (bitmap, free) = self.block_bitmap(group, used_by_itself);
            let used = self.used_inodes(group);
            all_free += u64::from(free);
            let (flags, inode_bitmap_csum) = match used {
                0 => (bg_flags::INODE_UNINIT, 0),
                _ => (0, csum::inode_bitmap(seed, &self.inode_bitmap(group), room.inodes).into()),
            };
            let mut descriptor = GroupDesc {
                block_bitmap: at.block_bitmap,
                inode_bitmap: at.inode_bitmap,
                inode_table: at.inode_table,
                free_blocks_count: free,
                free_inodes_count: room.inodes - used,
                used_dirs_count: directories[group as usize],
                flags: bg_flags::INODE_ZEROED | flags,
                exclude_bitmap: 0,
                block_bitmap_csum: csum::block_bitmap(seed, &bitmap).into(),
                inode_bitmap_csum,
                itable_unused: room.inodes - used,
                checksum: 0,
            };
            descriptor.encode32(place);
            descriptor.checksum = csum::group_desc(seed, group, place);
            descriptor.encode32(place);
        }
        Ok(Summary { superblock: self.superblock(all_free)?, descriptors })
    }

    fn superblock(&self, free: u64) -> Result<Superblock> {
        let (room, making) = (&self.room, &self.making);
        let journal = room.extents(JOURNAL, self.journal, room.journal)?;
        let mut jnl_blocks = [0; 17];
        for (word, bytes) in jnl_blocks.iter_mut().zip(journal.root.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        // A journal has at most 1 GiB.
        jnl_blocks[16] = (room.journal * BLOCK) as u32;
        let mut volume_name = [0; 16];
        volume_name[..making.label.len()].copy_from_slice(making.label.as_bytes());
        let time = making.epoch as u32;
        let copies = room.copies().count() as u64 + 1;
        let groups = room.groups.len() as u64;
        let overhead = copies * (1 + room.descriptors) + groups * (2 + room.table()) + room.journal;
        Ok(Superblock {
            inodes_count: room.all_inodes(),
            blocks_count: room.blocks,
            r_blocks_count: room.blocks * making.reserved_percent / 100,
            free_blocks_count: free,
            free_inodes_count: room.all_inodes() - self.last_inode(),
            first_data_block: 0,
            log_block_size: 2,
            log_cluster_size: 2,
            blocks_per_group: BLOCKS_PER_GROUP,
            clusters_per_group: BLOCKS_PER_GROUP,
            inodes_per_group: room.inodes,
            mtime: 0,
            wtime: time,
            mnt_count: 0,
            max_mnt_count: 0xFFFF,
            state: 1,
            errors: 1,
            minor_rev_level: 0,
            lastcheck: time,
            checkinterval: 0,
            creator_os: 0,
            rev_level: 1,
            def_resuid: 0,
            def_resgid: 0,
            first_ino: super::LOST_AND_FOUND,
            inode_size: 256,
            block_group_nr: 0,
            feature_compat: spec::compat::WRITER,
            feature_incompat: spec::incompat::WRITER,
            feature_ro_compat: spec::ro_compat::WRITER,
            uuid: making.uuid,
            volume_name,
            last_mounted: [0; 64],
            reserved_gdt_blocks: 0,
            journal_uuid: [0; 16],
            journal_inum: JOURNAL,
            journal_dev: 0,
            last_orphan: 0,
            hash_seed: self.hash_seed,
            def_hash_version: 1,
            jnl_backup_type: 1,
            desc_size: 0,
            default_mount_opts: 0x0C,
            first_meta_bg: 0,
            mkfs_time: time,
            jnl_blocks,
            min_extra_isize: 32,
            want_extra_isize: 32,
            // Names are hashed as signed characters.
            flags: 0x1,
            log_groups_per_flex: 4,
            checksum_type: 1,
            kbytes_written: (room.blocks - free) * 4,
            overhead_clusters: overhead as u32,
            lpf_ino: 0,
            checksum_seed: 0,
            checksum: 0,
        })
    }

    /// The first block of a journal in which nothing is.
    pub(super) fn journal_block(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_SIZE];
        let journal = JournalSuperblock {
            blocktype: 4,
            blocksize: BLOCK_SIZE as u32,
            maxlen: self.room.journal as u32,
            first: 1,
            sequence: 1,
            start: 0,
            errno: 0,
            feature_compat: 0,
            feature_incompat: 0,
            feature_ro_compat: 0,
            uuid: self.making.uuid,
            nr_users: 1,
            dynsuper: 0,
            max_transaction: 0,
            max_trans_data: 0,
            checksum_type: 0,
            num_fc_blocks: 0,
            head: 0,
            checksum: 0,
        };
        journal.encode(&mut block);
        block
    }
}

/// Sets or clears bits.
fn mark(bitmap: &mut [u8], bits: std::ops::Range<u64>, set: bool) {
    // A group's bits are few.
    let (mut at, end) = (bits.start as usize, bits.end as usize);
    while at < end {
        if at.is_multiple_of(8) && end - at >= 8 {
            bitmap[at / 8] = if set { 0xFF } else { 0 };
            at += 8;
            continue;
        }
        let bit = 1 << (at % 8);
        if set {
            bitmap[at / 8] |= bit
        } else {
            bitmap[at / 8] &= !bit
        }
        at += 1;
    }
}
