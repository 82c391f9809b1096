//! A machine's disk to a disk plan: which partitions, where, how large, with which file systems and identifiers.
//!
//! Pure: a [`Disk`](cairn_machine::model::Disk), a seed and what the contents need go in; a [`DiskPlan`] comes out. No
//! I/O, no clock, no random numbers: the same input gives the same plan, down to the last GUID.
//!
//! Partitions cannot overlap by construction: the planner decides sizes only, and places one partition behind the other.

mod boot_places;
mod error;
mod format_rules;
mod ids;
mod kinds;
pub mod onto;
mod plan;
mod planner;
mod share;
mod table;
mod units;
mod volume;

pub use boot_places::BootPlaces;
pub use error::PlanError;
pub use format_rules::{FormatRules, Grows, IdKind};
pub use ids::{PartUuid, PartitionIds, disk_seed, identifiers};
pub use kinds::{LEAST_FAT, mbr_type, mbr_type_name, type_guid, type_name};
pub use plan::{DiskPlan, PlannedPartition};
pub use planner::{Needs, free_to_leave, plan, plan_with_sectors};
pub use units::{ALIGNMENT, Lba, SectorSize, Sectors, human};
pub use volume::{FsPlan, FsUuid, Volume};
