//! The boot set, and the transaction that brings it onto a boot partition.
//!
//! From the generations and what the machine remembers of them ([`Record`]) follows what boots ([`choose`]), from that the
//! files that must be there ([`systemd_boot`], [`grub`]), from these and what is there ([`survey()`]) the steps in between ([`plan`]).
//! [`Menu`] puts these in a row. All of that is pure. [`apply()`] carries the steps out on a [`Volume`]: a partition that is mounted ([`effects`]), or, for
//! an image, one that is written in user space.

pub mod bootspec;
pub mod effects;
pub mod firmware;
pub mod grub;
pub mod plan;
pub mod systemd_boot;

mod choice;
mod entry_name;
mod generation;
mod image;
mod installation;
mod loader;
mod menu;
mod own_files;
mod present;
mod record;
mod set;
mod shared;
mod space;
mod survey;
mod transaction;
mod volume;

pub use choice::{Choice, Situation, choose};
pub use entry_name::{Counter, ENTRIES, EntryName};
pub use generation::{Artifact, Generation, Variant, date};
pub use grub::MemtestPrograms;
pub use image::{ImageError, Images, Piece, Signed, Unsigned};
pub use installation::Installation;
pub use loader::{LoaderProgram, REMOVABLE_KEYS, REMOVABLE_SECOND, SIGNED_GRUB_READS, ShimChain};
pub use menu::{Menu, MenuError, settle};
pub use own_files::own_files;
pub use plan::{PlanError, Shortage, Step, Update};
pub use present::{FoundFile, Present, Space};
pub use record::{RECORD_FILE, Record, RecordError};
pub use set::{BootFile, BootSet, Content, Place, Role, SECTOR, SetError};
pub use shared::{OtherSystem, has_other_fallback, has_other_settings, others};
pub use survey::{Loaded, Partitions, fixed_paths, survey, survey_of_running};
pub use systemd_boot::ENROLLED;
pub use transaction::{ApplyError, Open, Target, apply};
pub use volume::{Kind, ReadVolume, Volume};
