//! The free pieces of a disk with a GPT.

use std::collections::BTreeSet;

use crate::onto::{DiskThere, TableThere};
use crate::units::{ALIGNMENT, Lba, SectorSize};

/// A piece that belongs to no partition: first and last sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its first sector.
    pub first: Lba,
    /// Its last sector.
    pub last: Lba,
}

impl Gap {
    /// The first whole unit of [`ALIGNMENT`] in it, counted from the start of the disk.
    pub(crate) fn first_unit(self, sector: SectorSize) -> u64 {
        self.first.offset(sector).div_ceil(ALIGNMENT)
    }

    /// How many whole units are in it.
    pub(crate) fn units(self, sector: SectorSize) -> u64 {
        let end = self.last.0.saturating_add(1).saturating_mul(sector.bytes()) / ALIGNMENT;
        end.saturating_sub(self.first_unit(sector))
    }
}

/// All of them, in their order; the partitions that go leave their place. Without a GPT there are none.
pub fn free(there: &DiskThere, removed: &BTreeSet<u32>) -> Vec<Gap> {
    let TableThere::Gpt { first, last, .. } = there.table else { return Vec::new() };
    let stays = there.partitions.iter().filter(|one| !removed.contains(&one.number));
    let mut taken: Vec<(u64, u64)> = stays.map(|one| (one.first.0, one.last().0)).collect();
    taken.sort_unstable();
    let (mut gaps, mut next) = (Vec::new(), first.0);
    for (begin, end) in taken {
        if begin > next {
            gaps.push(Gap { first: Lba(next), last: Lba(begin - 1) });
        }
        next = next.max(end.saturating_add(1));
    }
    if next <= last.0 {
        gaps.push(Gap { first: Lba(next), last });
    }
    gaps
}
