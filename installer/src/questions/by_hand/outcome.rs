//! What comes of what was said: the machine's partitions, what they use of the disk, and whether that can be done.

use std::collections::BTreeSet;

use cairn_layout::onto::{Mode, PartitionThere, TableThere, Wish, free, onto};
use cairn_layout::{Needs, human};
use cairn_machine::model::{Disk, Partition, PartitionKind};
use cairn_machine::size::Size;
use uuid::Uuid;

use super::{Becomes, ByHand, Piece, roles};
use crate::install::TO_SHARE;
use crate::questions::places::LEAST;

impl ByHand<'_> {
    /// Why what was said cannot be done.
    ///
    /// # Errors
    /// In words.
    pub fn judge(&self) -> Result<(), String> {
        if self.open.is_some() {
            return Ok(());
        }
        if self.done
            && let Some(missing) = self.missing_words()
        {
            return Err(missing);
        }
        let shared = self.wish().keep.get(PartitionKind::Esp.name()).copied();
        if let Some(free) =
            shared.and_then(|number| self.disk.free_in_esp.get(&number)).filter(|free| **free < TO_SHARE)
        {
            return Err(format!(
                "it has {} free, and two generations of a machine need about {}: make another EFI system partition in the free space",
                human(*free),
                human(TO_SHARE)
            ));
        }
        let partitions: Vec<Partition> = self.partitions().cloned().collect();
        if partitions.is_empty() {
            return Ok(());
        }
        // How much its contents need is not known before it is made; what holds no system at all is.
        let needs = Needs { root: LEAST, ..Needs::default() };
        let planned = onto(&Disk::of_partitions(partitions), Uuid::nil(), &needs, self.there, &self.wish());
        planned.map(drop).map_err(|why| why.to_string())
    }

    /// The machine's partitions, as far as they were said: those that use what is there, in its order, then new ones.
    pub(super) fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.chosen.values().filter_map(Becomes::partition)
    }

    /// The machine's partitions, with what it cannot be without where nothing was said of it yet.
    pub fn all_partitions(&self) -> Vec<Partition> {
        self.missing().into_iter().map(Partition::of_kind).chain(self.partitions().cloned()).collect()
    }

    /// What they use of the disk.
    pub fn wish(&self) -> Wish {
        let mut wish = Wish::default();
        let removes = self.chosen.values().any(|becomes| *becomes == Becomes::Removed);
        if self.changes_table() && !removes {
            wish.mode = Mode::Free;
        }
        for one in &self.there.partitions {
            match self.chosen.get(&Piece::There(one.number)) {
                Some(Becomes::Kept(partition)) => drop(wish.keep.insert(name(partition), one.number)),
                Some(Becomes::Made(partition)) => drop(wish.replace.insert(name(partition), one.number)),
                Some(Becomes::Removed) => {}
                // Where some go, those that stay are named.
                None if wish.mode == Mode::Whole && self.changes_table() => drop(wish.spare.insert(one.number)),
                None => {}
            }
        }
        wish
    }

    /// Whether partitions are added to the table that is there; else there will be another one, and all that is there goes.
    pub(super) fn changes_table(&self) -> bool {
        matches!(self.there.table, TableThere::Gpt { .. })
    }

    pub(super) fn missing(&self) -> Vec<PartitionKind> {
        let needed: &[PartitionKind] = if self.uefi {
            &[PartitionKind::Esp, PartitionKind::Root]
        } else {
            &[PartitionKind::BiosBoot, PartitionKind::Xbootldr, PartitionKind::Root]
        };
        let has = |kind: &PartitionKind| self.partitions().any(|one| one.kind == *kind);
        needed.iter().copied().filter(|kind| !has(kind)).collect()
    }

    pub(super) fn missing_words(&self) -> Option<String> {
        let missing: Vec<&str> = self.missing().into_iter().map(roles::words).collect();
        (!missing.is_empty()).then(|| {
            format!(
                "The machine cannot start yet, without {}. Say it of a partition, or of the free space",
                missing.join(" and ")
            )
        })
    }

    /// How much is free in the largest piece, in which all new ones are made, without those that have a size already.
    pub(super) fn free(&self) -> u64 {
        let goes = |one: &&PartitionThere| self.chosen.get(&Piece::There(one.number)) == Some(&Becomes::Removed);
        let removed: BTreeSet<u32> = self.there.partitions.iter().filter(goes).map(|one| one.number).collect();
        let largest = free(self.there, &removed).into_iter().map(|gap| gap.last.0 - gap.first.0 + 1).max();
        let bytes = if self.changes_table() {
            largest.unwrap_or(0).saturating_mul(self.there.sector.bytes())
        } else {
            self.there.bytes
        };
        let new = self.chosen.iter().filter(|(piece, _)| matches!(piece, Piece::New(_)));
        let sizes = new.filter_map(|(_, becomes)| becomes.partition()?.size).map(Size::bytes);
        bytes.saturating_sub(sizes.fold(0, u64::saturating_add))
    }
}

/// What a wish calls a partition.
fn name(partition: &Partition) -> String {
    partition.mount_point.clone().unwrap_or_else(|| partition.kind.name().into())
}
