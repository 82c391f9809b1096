//! A machine's disk, planned onto one that exists: all of it, into its free space, into partitions that are there, beside others.
//!
//! Pure, as everything here: what is on the disk comes in as values, and what becomes of each of its partitions goes out. A partition
//! of which nobody says anything stays as it is, unless all of the disk is asked for.

mod draw;
mod error;
mod gaps;
mod there;
mod wish;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::{Disk, PartitionKind, TableKind};
use cairn_machine::size::Size;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::OntoError;
pub use gaps::{Gap, free};
pub use there::{DiskThere, PartitionThere, TableThere};
pub use wish::{AgainRoot, Mode, Wish};

use crate::error::PlanError;
use crate::format_rules::FormatRules;
use crate::ids::{PartitionIds, identifiers};
use crate::kinds;
use crate::plan::DiskPlan;
use crate::planner::{Needs, claims, plan_with_sectors, planned};
use crate::share::{self, Claim};
use crate::units::{ALIGNMENT, Lba, Sectors, need};

/// Where a partition of the machine comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It is made where nothing is.
    New,
    /// It takes the place of the partition of this number, whose contents go.
    Replaces(u32),
    /// It is the partition of this number, as it is.
    Keeps(u32),
}

/// What becomes of a partition that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing: it belongs to somebody else.
    Untouched,
    /// The machine uses it as it is: this one of the plan's partitions, counted from 0.
    Kept(usize),
    /// Its contents go, and this one of the plan's partitions takes its place.
    Replaced(usize),
    /// It goes, with its contents.
    Removed,
}

/// The plan for a disk that exists. Displayed, it draws the disk as it is and as it will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onto {
    /// The machine's own partitions, where they will be. What is kept has no volume here: nothing is written into it.
    pub plan: DiskPlan,
    /// Where each of them comes from.
    pub origins: Vec<Origin>,
    /// Whether the partition table is a new one. Else the one that is there is changed, entry by entry.
    pub new_table: bool,
    /// The partitions that go altogether, by number.
    pub removed: BTreeSet<u32>,
    /// The disk as it is.
    pub there: DiskThere,
}

impl Onto {
    /// What becomes of a partition that is there.
    pub fn fate(&self, number: u32) -> Fate {
        let of = |(index, origin): (usize, &Origin)| match *origin {
            Origin::Keeps(kept) if kept == number => Some(Fate::Kept(index)),
            Origin::Replaces(old) if old == number => Some(Fate::Replaced(index)),
            _ => None,
        };
        let used = self.origins.iter().enumerate().find_map(of);
        used.unwrap_or(if self.removed.contains(&number) { Fate::Removed } else { Fate::Untouched })
    }

    /// The number of the partition that is kept as the machine's first one of a kind, if it is kept.
    pub fn kept(&self, kind: PartitionKind) -> Option<u32> {
        let mut all = self.plan.partitions.iter().zip(&self.origins);
        all.find_map(|(one, origin)| match origin {
            Origin::Keeps(number) if one.kind == kind => Some(*number),
            _ => None,
        })
    }

    /// The partition that is kept as the machine's root, in which its system is made anew, if one is.
    pub fn renewed_root(&self) -> Option<u32> {
        self.kept(PartitionKind::Root)
    }

    /// Whether anything is lost.
    pub fn loses(&self) -> bool {
        self.lost_besides().is_some() || !self.losses().is_empty()
    }

    /// What is lost besides partitions, in words: what is on a disk without a table, or where nobody could find out what is there.
    pub fn lost_besides(&self) -> Option<String> {
        if let Some(number) = self.renewed_root() {
            return Some(format!("the system in partition {number} (/nix, with all of its generations)"));
        }
        let there = &self.there;
        let table = match &there.table {
            TableThere::Broken(_) => Some("whatever is behind its damaged partition table".to_string()),
            TableThere::Other(kind) if there.partitions.is_empty() => {
                Some(format!("{kind}, and whatever is behind it"))
            }
            _ => None,
        };
        there.whole.clone().or(table).filter(|_| self.new_table)
    }

    /// What is lost: the partitions whose contents go.
    pub fn losses(&self) -> Vec<&PartitionThere> {
        let lost = |one: &&PartitionThere| matches!(self.fate(one.number), Fate::Removed | Fate::Replaced(_));
        self.there.partitions.iter().filter(lost).collect()
    }
}

/// Plans a machine's disk onto one that exists. `seed` is the disk's own.
///
/// # Errors
/// See [`OntoError`].
pub fn onto(disk: &Disk, seed: Uuid, needs: &Needs, there: &DiskThere, wish: &Wish) -> Result<Onto, OntoError> {
    let uses = wish.uses(&identifiers(disk, seed)?, there)?;
    // An empty disk is free space.
    let empty = there.table == TableThere::None && there.whole.is_none();
    if uses.is_empty() && wish.spare.is_empty() && (wish.mode == Mode::Whole || empty) {
        let plan = plan_with_sectors(disk, seed, needs, Some(Size::from_bytes(there.bytes)), there.sector);
        let plan = plan.map_err(|error| whole_disk(error, disk, seed, needs, there))?;
        let origins = vec![Origin::New; plan.partitions.len()];
        let removed = there.partitions.iter().map(|one| one.number).collect();
        return Ok(Onto { plan, origins, new_table: true, removed, there: there.clone() });
    }
    let stays = |number: u32| {
        wish.mode == Mode::Free || wish.spare.contains(&number) || uses.values().any(|used| used.number() == number)
    };
    let removed = there.partitions.iter().map(|one| one.number).filter(|number| !stays(*number)).collect();
    beside(&with_sizes_of(disk, &uses), seed, needs, (there, removed), &uses)
}

/// What is wrong with a whole disk: of one that is too small, how much is missing.
fn whole_disk(error: PlanError, disk: &Disk, seed: Uuid, needs: &Needs, there: &DiskThere) -> OntoError {
    let PlanError::DiskTooSmall { .. } = error else { return error.into() };
    // What just suffices has the machine's size for a disk that is as large as it must be.
    let just = Disk { size: None, ..disk.clone() };
    match plan_with_sectors(&just, seed, needs, None, there.sector) {
        Ok(enough) => OntoError::DiskSmall {
            size: need(there.bytes / ALIGNMENT * ALIGNMENT),
            needed: need(enough.bytes()),
            missing: need(enough.bytes().saturating_sub(there.bytes)),
        },
        Err(error) => error.into(),
    }
}

/// A disk of whose partitions those that are there have the size that they have, whatever the machine file says.
fn with_sizes_of<'d>(disk: &'d Disk, uses: &BTreeMap<usize, Use>) -> Cow<'d, Disk> {
    let mut disk = Cow::Borrowed(disk);
    for index in uses.keys().copied().filter(|index| *index < disk.partitions.len()).collect::<Vec<_>>() {
        let one = &mut disk.to_mut().partitions[index];
        (one.size, one.size_max, one.weight) = (None, None, None);
        // Only swap has to say one.
        one.size_min = (one.kind == PartitionKind::Swap).then_some(Size::from_mib(1));
    }
    disk
}

/// How a partition that is there is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Replace(u32),
    Keep(u32),
}

impl Use {
    fn number(self) -> u32 {
        match self {
            Use::Replace(number) | Use::Keep(number) => number,
        }
    }
}

/// A plan that leaves something of the table that is there.
fn beside(
    disk: &Disk,
    seed: Uuid,
    needs: &Needs,
    (there, removed): (&DiskThere, BTreeSet<u32>),
    uses: &BTreeMap<usize, Use>,
) -> Result<Onto, OntoError> {
    let (ids, claims) = claims(disk, seed, needs, there.sector)?;
    let TableThere::Gpt { id, .. } = there.table else { return Err(OntoError::no_gpt(there)) };
    if disk.table() != TableKind::Gpt {
        return Err(OntoError::Mbr);
    }
    let old = |number: u32| there.partitions.iter().find(|one| one.number == number);
    for (index, used) in uses {
        check_use(&ids[*index], &claims[*index], *used, there)?;
    }
    let fresh: Vec<usize> = (0..ids.len()).filter(|index| !uses.contains_key(index)).collect();
    let mut places = place(&fresh, &claims, there, &removed)?;
    let taken: BTreeSet<u32> =
        there.partitions.iter().map(|one| one.number).filter(|number| !removed.contains(number)).collect();
    let mut numbers = (1..).filter(|number| !taken.contains(number));
    let (mut partitions, mut origins) = (Vec::new(), Vec::new());
    for (index, ids) in ids.into_iter().enumerate() {
        let used = uses.get(&index).and_then(|used| Some((*used, old(used.number())?)));
        let grow = disk.grows(index);
        let (partition, origin) = match used {
            Some((Use::Replace(number), one)) => {
                (planned(ids, number, (one.first, one.sectors), grow), Origin::Replaces(number))
            }
            Some((Use::Keep(number), one)) => {
                let mut kept = planned(ids, number, (one.first, one.sectors), false);
                (kept.guid, kept.volume) = (one.id.unwrap_or(kept.guid), None);
                (kept, Origin::Keeps(number))
            }
            None => {
                let place = places.remove(&index).unwrap_or((Lba(0), Sectors(0)));
                (planned(ids, numbers.next().unwrap_or(u32::MAX), place, grow), Origin::New)
            }
        };
        partitions.push(partition);
        origins.push(origin);
    }
    if partitions.iter().any(|one| one.number > there.most()) {
        return Err(OntoError::Plan(PlanError::TooManyPartitions {
            count: taken.len() + fresh.len(),
            most: there.most() as usize,
        }));
    }
    let sectors = there.sector.count(there.bytes);
    let plan = DiskPlan { table: TableKind::Gpt, disk_guid: id, sector_size: there.sector, sectors, partitions };
    let onto = Onto { plan, origins, new_table: false, removed, there: there.clone() };
    match onto.same_id() {
        Some((number, what)) => Err(OntoError::SameId { number, what }),
        None => Ok(onto),
    }
}

/// Whether a partition can be used like that.
fn check_use(ids: &PartitionIds, claim: &Claim, used: Use, there: &DiskThere) -> Result<(), OntoError> {
    let (name, number) = (wish::name(ids), used.number());
    let one = there.partitions.iter().find(|one| one.number == number);
    let one = one.ok_or_else(|| OntoError::no_partition(number, there))?;
    if let Use::Keep(_) = used {
        return match ids.kind {
            PartitionKind::Home
            | PartitionKind::Data
            | PartitionKind::Swap
            | PartitionKind::Esp
            | PartitionKind::Root => {
                let format = ids.fs().map(|fs| fs.format);
                let wanted = format.map_or("", |format| FormatRules::of(format).name);
                let esp = kinds::type_guid(PartitionKind::Esp, None);
                match &one.format {
                    Some(_) if ids.kind == PartitionKind::Esp && one.type_guid != Some(esp) => {
                        Err(OntoError::NoEsp { number })
                    }
                    Some(found) if found == wanted => Ok(()),
                    found => Err(OntoError::OtherFormat {
                        name,
                        number,
                        found: found.clone().unwrap_or_else(|| "no file system that is known".into()),
                        wanted: wanted.to_string(),
                    }),
                }
            }
            _ => Err(OntoError::MadeAnew { name }),
        };
    }
    let (bytes, needed) = (one.sectors.bytes(there.sector), claim.min.saturating_mul(ALIGNMENT));
    if bytes < needed {
        return Err(OntoError::Small { name, number, missing: need(needed - bytes), needed: need(needed) });
    }
    Ok(())
}

/// Places for those that are made: one behind the other, in the largest free piece that there is.
fn place(
    fresh: &[usize],
    claims: &[Claim],
    there: &DiskThere,
    removed: &BTreeSet<u32>,
) -> Result<BTreeMap<usize, (Lba, Sectors)>, OntoError> {
    if fresh.is_empty() {
        return Ok(BTreeMap::new());
    }
    let asked: Vec<Claim> = fresh.iter().map(|index| claims[*index]).collect();
    let least = asked.iter().fold(0, |sum: u64, claim| sum.saturating_add(claim.min));
    let gaps = free(there, removed);
    // Of two of the same size the first.
    let largest = gaps.iter().max_by_key(|gap| (gap.units(there.sector), std::cmp::Reverse(gap.first)));
    let units = largest.map_or(0, |gap| gap.units(there.sector));
    let Some(gap) = largest.filter(|_| units >= least) else {
        let bytes = |units: u64| units.saturating_mul(ALIGNMENT);
        return Err(OntoError::NoRoom {
            needed: need(bytes(least)),
            largest: need(bytes(units)),
            missing: need(bytes(least - units)),
        });
    };
    let per_unit = there.sector.count(ALIGNMENT).0;
    let mut next = gap.first_unit(there.sector);
    let mut places = BTreeMap::new();
    for (index, size) in fresh.iter().zip(share::divide(units, &asked)) {
        places.insert(*index, (Lba(next * per_unit), Sectors(size * per_unit)));
        next += size;
    }
    Ok(places)
}

impl Onto {
    /// A partition that stays, or another one of the plan, whose identifier a new one would have too: two installations of one
    /// machine on one disk.
    fn same_id(&self) -> Option<(u32, String)> {
        let stays = self.there.partitions.iter().filter(|one| matches!(self.fate(one.number), Fate::Untouched));
        let mut stays = stays.filter_map(|one| Some((one.id?, one)));
        let made = |id: Uuid| {
            let made = self.plan.partitions.iter().zip(&self.origins);
            made.filter(|(_, origin)| !matches!(origin, Origin::Keeps(_))).any(|(one, _)| one.guid == id)
        };
        stays.find(|(id, _)| made(*id)).map(|(_, one)| (one.number, one.what.clone()))
    }
}
