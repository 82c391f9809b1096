//! What is asked of a disk that exists.

use std::collections::{BTreeMap, BTreeSet};

use cairn_machine::model::PartitionKind;
use serde::{Deserialize, Serialize};

use super::{DiskThere, OntoError, PartitionThere, Use};
use crate::ids::PartitionIds;
use crate::kinds;

/// What becomes of a disk's partitions of which nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// They go: the machine gets all of the disk.
    #[default]
    Whole,
    /// They stay: the machine gets what is free.
    Free,
}

/// What becomes of the root of a machine that is made anew on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgainRoot {
    /// Its file system is made anew.
    New,
    /// Its file system stays, with all that people and the machine keep in it; only the system in it is made anew.
    Kept,
}

/// What is asked. Partitions of the machine are named by their type (`root`, `home`), or by where they are mounted (`/srv`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// What becomes of the others.
    pub mode: Mode,
    /// Partitions of the machine that take the place of one that is there, by its number.
    pub replace: BTreeMap<String, u32>,
    /// Partitions of the machine that are there and stay as they are.
    pub keep: BTreeMap<String, u32>,
    /// Partitions of somebody else that stay although the others go.
    pub spare: BTreeSet<u32>,
}

/// How a partition of the machine is named: by its type, or by where it is mounted where a machine may have several of that type.
pub(crate) fn name(ids: &PartitionIds) -> String {
    match (&ids.mount_point, ids.kind) {
        (Some(at), PartitionKind::Data) => at.clone(),
        (_, kind) => kind.name().to_string(),
    }
}

impl Wish {
    /// What is asked when a machine that is on a disk is made anew: its boot partitions, its root and its swap take the place of those
    /// that are there, and what else the machine has is kept, an EFI system partition that it shares with others too. Everything else
    /// stays.
    ///
    /// A partition is found by the GUID that it had from the machine's seed; where there is none, by its type, if only one has it.
    ///
    /// # Errors
    /// [`OntoError::NotThere`] and [`OntoError::Several`].
    pub fn again(ids: &[PartitionIds], there: &DiskThere, root: AgainRoot) -> Result<Wish, OntoError> {
        let mut wish = Wish { mode: Mode::Free, ..Wish::default() };
        let mut met: BTreeSet<u32> = BTreeSet::new();
        for one in ids {
            let own = there.partitions.iter().find(|there| there.id == Some(one.guid));
            let kind = kinds::type_guid(one.kind, one.mount_point.as_deref());
            let like = |there: &&PartitionThere| there.type_guid == Some(kind) && !met.contains(&there.number);
            let found: Vec<&PartitionThere> = match own {
                Some(own) => vec![own],
                None => there.partitions.iter().filter(like).collect(),
            };
            let number = match found[..] {
                [one] => one.number,
                [] => return Err(OntoError::NotThere { name: name(one) }),
                _ => {
                    let numbers = found.iter().map(|one| one.number).collect();
                    return Err(OntoError::Several { name: name(one), numbers });
                }
            };
            met.insert(number);
            // An EFI system partition that was there before the machine is the others' too.
            let shared = one.kind == PartitionKind::Esp && one.was_there;
            let kept = shared
                || root == AgainRoot::Kept && one.kind == PartitionKind::Root
                || matches!(one.kind, PartitionKind::Home | PartitionKind::Data);
            if kept { &mut wish.keep } else { &mut wish.replace }.insert(name(one), number);
        }
        Ok(wish)
    }

    /// The number of the partition that is kept as the machine's one of a kind, if one is.
    pub fn kept_of(&self, ids: &[PartitionIds], kind: PartitionKind) -> Option<u32> {
        let mut is = ids.iter().filter(|one| one.kind == kind);
        is.find_map(|one| self.keep.iter().find(|(wanted, _)| is_called(one, wanted))).map(|(_, number)| *number)
    }

    /// Which partitions of the machine use which that are there.
    pub(crate) fn uses(&self, ids: &[PartitionIds], there: &DiskThere) -> Result<BTreeMap<usize, Use>, OntoError> {
        let replace = self.replace.iter().map(|(name, number)| (name, Use::Replace(*number)));
        let keep = self.keep.iter().map(|(name, number)| (name, Use::Keep(*number)));
        let (mut uses, mut numbers) = (BTreeMap::new(), BTreeSet::new());
        for (wanted, used) in replace.chain(keep) {
            let found: Vec<usize> = (0..ids.len()).filter(|index| is_called(&ids[*index], wanted)).collect();
            let known = || ids.iter().map(name).collect();
            let index = match found[..] {
                [index] => index,
                [] => return Err(OntoError::Unknown { name: wanted.clone(), known: known() }),
                _ => return Err(OntoError::Ambiguous { name: wanted.clone() }),
            };
            let number = used.number();
            if !numbers.insert(number) || uses.insert(index, used).is_some() {
                return Err(OntoError::Twice { name: wanted.clone(), number });
            }
            if !there.partitions.iter().any(|one| one.number == number) {
                return Err(OntoError::no_partition(number, there));
            }
        }
        match self.spare.iter().find(|number| !there.partitions.iter().any(|one| one.number == **number)) {
            Some(number) => Err(OntoError::no_partition(*number, there)),
            None => Ok(uses),
        }
    }
}

fn is_called(ids: &PartitionIds, wanted: &str) -> bool {
    ids.mount_point.as_deref() == Some(wanted) || ids.kind.name() == wanted
}
