//! Why a machine's disk cannot be planned onto one that exists.

use super::{DiskThere, TableThere};
use crate::error::PlanError;

/// Why there is no plan. Each message says what is wrong and what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OntoError {
    /// It has nothing to do with the disk that is there, or with its size alone.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The whole disk does not do.
    #[error("the disk has {size}, and the machine needs {needed}: {missing} are missing. Choose a larger one")]
    DiskSmall {
        /// What it has.
        size: String,
        /// What is needed.
        needed: String,
        /// What is missing.
        missing: String,
    },
    /// The free space does not do.
    #[error(
        "what is to be made needs {needed} in one piece, and the largest free piece of the disk has {largest}: {missing} are missing. \
         Make room with the tools of the system that is there, or take the whole disk"
    )]
    NoRoom {
        /// What is needed.
        needed: String,
        /// What there is.
        largest: String,
        /// What is missing.
        missing: String,
    },
    /// A partition that is to be replaced is too small.
    #[error("partition {number} is too small for {name}: it needs {needed}, {missing} more than there are")]
    Small {
        /// The machine's partition.
        name: String,
        /// The one that is there.
        number: u32,
        /// What it needs.
        needed: String,
        /// What is missing.
        missing: String,
    },
    /// There is no such partition on the disk.
    #[error("the disk has no partition {number}; it has {}", list(numbers))]
    NoPartition {
        /// The number.
        number: u32,
        /// Those that there are.
        numbers: Vec<u32>,
    },
    /// The machine has no such partition.
    #[error("the machine has no partition `{name}`; it has {}", known.join(", "))]
    Unknown {
        /// What was said.
        name: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The machine has several of them.
    #[error("the machine has more than one partition `{name}`: name it by its mount point")]
    Ambiguous {
        /// What was said.
        name: String,
    },
    /// Two partitions in one place, or one in two.
    #[error("partition {number} cannot be `{name}`: one of the two has been given away already")]
    Twice {
        /// The machine's partition.
        name: String,
        /// The one that is there.
        number: u32,
    },
    /// What every installation writes cannot be kept.
    #[error("`{name}` is made anew by every installation and cannot be kept; its place can be used again (replace)")]
    MadeAnew {
        /// The machine's partition.
        name: String,
    },
    /// What is in a partition is not what the machine file says.
    #[error("partition {number} cannot be kept as `{name}`: it holds {found}, and the machine file says {wanted}")]
    OtherFormat {
        /// The machine's partition.
        name: String,
        /// The one that is there.
        number: u32,
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: String,
    },
    /// The firmware does not look there.
    #[error("partition {number} cannot be kept as `esp`: its type is not that of an EFI system partition")]
    NoEsp {
        /// The one that is there.
        number: u32,
    },
    /// Only a GPT is changed beside others.
    #[error(
        "the disk has {what}, and partitions are added or kept in a GPT only: take the whole disk, or turn the table into a GPT first \
         (`sgdisk -g`)"
    )]
    NoGpt {
        /// What it has.
        what: String,
    },
    /// The table is such that nobody should change it.
    #[error(
        "the disk's partition table is not sound ({why}): have it mended first (`sgdisk -v`), or take the whole disk"
    )]
    Broken {
        /// Why.
        why: String,
    },
    /// The machine file wants an MBR, beside others.
    #[error(
        "the machine file has `table: mbr`, and beside other partitions there are only entries of a GPT: use the layout `bios`"
    )]
    Mbr,
    /// A partition of the machine is not on the disk.
    #[error(
        "there is no partition on the disk that would be the machine's `{name}`: it is not a disk of this machine. Say which one it is, \
         or install it as a new machine"
    )]
    NotThere {
        /// The machine's partition.
        name: String,
    },
    /// Several could be meant.
    #[error("partitions {} could all be the machine's `{name}`: say which one it is", list(numbers))]
    Several {
        /// The machine's partition.
        name: String,
        /// Those that could be it.
        numbers: Vec<u32>,
    },
    /// The same machine is on the disk already, and stays.
    #[error(
        "partition {number} ({what}) has the identifier that a new one would get: the same machine is on this disk already. Make it anew \
         in its place, or give the other one a `seed` of its own"
    )]
    SameId {
        /// The one that is there.
        number: u32,
        /// What it is.
        what: String,
    },
}

impl OntoError {
    pub(crate) fn no_partition(number: u32, there: &DiskThere) -> OntoError {
        OntoError::NoPartition { number, numbers: there.partitions.iter().map(|one| one.number).collect() }
    }

    pub(crate) fn no_gpt(there: &DiskThere) -> OntoError {
        let what = match (&there.table, &there.whole) {
            (TableThere::Broken(why), _) => return OntoError::Broken { why: why.clone() },
            (TableThere::Other(kind), _) => kind.clone(),
            (_, Some(whole)) => format!("no partition table, but {whole}"),
            _ => "no partition table".into(),
        };
        OntoError::NoGpt { what }
    }
}

fn list(numbers: &[u32]) -> String {
    if numbers.is_empty() {
        return "none".into();
    }
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
