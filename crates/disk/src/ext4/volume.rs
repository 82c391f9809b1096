//! An ext4 file system as the reader meets it: superblock, group descriptors, inodes. Each number is looked at before
//! anything is calculated with it, and nothing is allocated because a number says so.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use mkext4::csum;
use mkext4::spec::{GroupDesc, Inode, Superblock, incompat, ro_compat};

use crate::budget::{Budget, Spent};
use crate::error::DiskError;
use crate::source::{Region, Source};

/// A volume that is open.
#[derive(Debug)]
pub(super) struct Volume<'a> {
    region: Region<'a>,
    pub sb: Superblock,
    pub budget: Arc<Budget>,
    seed: u32,
    /// Inodes that were read: every path is walked from the root.
    inodes: RefCell<BTreeMap<u32, Rc<Inode>>>,
}

/// So many inodes are kept in memory, and then others.
const MOST_INODES: usize = 4096;

impl<'a> Volume<'a> {
    /// Opens the file system in a region.
    pub fn open(region: Region<'a>) -> Result<Volume<'a>, DiskError> {
        let mut bytes = [0; Superblock::LEN];
        let budget = region.budget().unwrap_or_default();
        region.read_at(1024, &mut bytes).map_err(|error| read_failed(&budget, error))?;
        plausible(&bytes)?;
        let sb = Superblock::decode(&bytes).map_err(|error| wrong(error.to_string()))?;
        let unknown = sb.feature_incompat & !incompat::READER;
        if unknown == RECOVER {
            return Err(DiskError::Unclean { what: "ext4" });
        }
        if unknown != 0 {
            return Err(DiskError::Unknown { what: "ext4", why: features(unknown) });
        }
        let bits = sb.block_size().saturating_mul(8);
        let sound = sb.inode_size.is_power_of_two()
            && (128..=sb.block_size()).contains(&u64::from(sb.inode_size))
            && u64::from(sb.blocks_per_group) <= bits
            && (1..=bits).contains(&u64::from(sb.inodes_per_group))
            && u64::from(sb.inodes_count) <= sb.group_count().saturating_mul(u64::from(sb.inodes_per_group));
        if !sound {
            return Err(wrong("its superblock has impossible numbers".into()));
        }
        if sb.blocks_count.checked_mul(sb.block_size()).is_none_or(|bytes| bytes > region.len()) {
            return Err(wrong("it is larger than the place that it is in".into()));
        }
        let seed = match sb.feature_incompat & incompat::CSUM_SEED {
            0 => csum::fs_seed(&sb.uuid),
            _ => sb.checksum_seed,
        };
        Ok(Volume { region, sb, budget, seed, inodes: RefCell::default() })
    }

    /// Whether its structures have checksums.
    fn checked(&self) -> bool {
        self.sb.feature_ro_compat & ro_compat::METADATA_CSUM != 0
    }

    /// The size of a block, at most 32 KiB.
    pub fn block_size(&self) -> usize {
        usize::try_from(self.sb.block_size()).unwrap_or(usize::MAX)
    }

    /// Fills a buffer from a block on; all of it must be within the file system.
    pub fn read(&self, block: u64, into: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let size = self.sb.block_size();
        let at = block.checked_mul(size).and_then(|at| at.checked_add(into));
        let end = at.and_then(|at| at.checked_add(buffer.len() as u64));
        match (at, end) {
            (Some(at), Some(end)) if end <= self.sb.blocks_count.saturating_mul(size) => {
                self.region.read_at(at, buffer).map_err(|error| read_failed(&self.budget, error))
            }
            _ => Err(wrong(format!("block {block} is beyond its end"))),
        }
    }

    /// An inode.
    pub fn inode(&self, ino: u32) -> Result<Rc<Inode>, DiskError> {
        self.budget.step().map_err(endless)?;
        if let Some(known) = self.inodes.borrow().get(&ino) {
            return Ok(Rc::clone(known));
        }
        let inode = Rc::new(self.read_inode(ino)?);
        let mut inodes = self.inodes.borrow_mut();
        if inodes.len() >= MOST_INODES {
            inodes.clear();
        }
        inodes.insert(ino, Rc::clone(&inode));
        Ok(inode)
    }

    fn read_inode(&self, ino: u32) -> Result<Inode, DiskError> {
        if ino == 0 || ino > self.sb.inodes_count {
            return Err(wrong(format!("there is no inode {ino}")));
        }
        let (group, index) = ((ino - 1) / self.sb.inodes_per_group, (ino - 1) % self.sb.inodes_per_group);
        let mut descriptor = vec![0; self.sb.desc_size()];
        // The descriptors begin in the block after the superblock's.
        let place = u64::from(group) * descriptor.len() as u64;
        self.read(u64::from(self.sb.first_data_block) + 1, place, &mut descriptor)?;
        let descriptor = GroupDesc::decode(&descriptor).map_err(|error| wrong(error.to_string()))?;
        let mut raw = vec![0; usize::from(self.sb.inode_size)];
        self.read(descriptor.inode_table, u64::from(index) * raw.len() as u64, &mut raw)?;
        let inode = Inode::decode(&raw).map_err(|error| wrong(error.to_string()))?;
        if self.checked() {
            let bits = if inode.extra_isize >= 4 { u32::MAX } else { 0xffff };
            if (csum::inode(self.seed, ino, inode.generation, &raw) ^ inode.checksum) & bits != 0 {
                return Err(wrong(format!("the checksum of inode {ino} is wrong")));
            }
        }
        Ok(inode)
    }

    /// A block of an inode's extent tree.
    pub fn extent_block(&self, block: u64, ino: u32, inode: &Inode) -> Result<Vec<u8>, DiskError> {
        let mut bytes = vec![0; self.block_size()];
        self.read(block, 0, &mut bytes)?;
        if self.checked() {
            let found = csum::extent_block(csum::inode_seed(self.seed, ino, inode.generation), &bytes);
            let stored = bytes.last_chunk::<4>().copied().map(u32::from_le_bytes);
            if stored != Some(found) {
                return Err(wrong(format!("the checksum of block {block} is wrong")));
            }
        }
        Ok(bytes)
    }
}

/// What is in the journal is to be brought to its place.
const RECOVER: u32 = 4;

/// Features that the reader does not know, by the names that `mke2fs -O` and `dumpe2fs` have for them.
const FEATURES: [(u32, &str); 12] = [
    (0x1, "compression"),
    (RECOVER, "needs_recovery"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];

fn features(bits: u32) -> String {
    let (mut names, mut rest) = (Vec::new(), bits);
    for (bit, name) in FEATURES.iter().filter(|(bit, _)| bits & bit != 0) {
        names.push((*name).to_owned());
        rest &= !bit;
    }
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    let many = if names.len() == 1 && rest.count_ones() < 2 { "feature" } else { "features" };
    format!("the {many} {}", names.join(", "))
}

/// Looks at what is calculated with to make sense of the rest.
fn plausible(sb: &[u8; Superblock::LEN]) -> Result<(), DiskError> {
    let n = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| sb[at + i]));
    let checksums = n(0x64) & ro_compat::METADATA_CSUM != 0;
    if checksums && csum::superblock(sb) != n(0x3fc) {
        return Err(wrong("the checksum of its superblock is wrong".into()));
    }
    if n(0x18) == 6 {
        return Err(DiskError::Unknown { what: "ext4", why: "blocks of 64 KiB".into() });
    }
    // First block, log2 of the block size, blocks in a group, size of a descriptor.
    let sizes =
        n(0x14) <= 1 && n(0x14) < n(4) && n(0x18) <= 5 && n(0x20) > 0 && matches!(sb[0xfe..0x100], [0 | 32 | 64, 0]);
    if sizes { Ok(()) } else { Err(wrong("its superblock has impossible numbers".into())) }
}

pub(super) fn wrong(why: String) -> DiskError {
    DiskError::BadFileSystem { what: "ext4", why }
}

pub(super) fn endless(why: Spent) -> DiskError {
    DiskError::Endless { what: "ext4", why }
}

fn read_failed(budget: &Budget, error: std::io::Error) -> DiskError {
    budget.spent().map_or_else(|| wrong(error.to_string()), endless)
}
