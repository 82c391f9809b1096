//! What is written to a disk and read from it: targets, partition tables, file systems, images and the files that they are.
//!
//! An image file and a block device are the same thing here, a [`Target`]; a plan ([`cairn_layout::DiskPlan`]) and its
//! contents are written to it by [`apply`]. Everything is written in user space at its final place: no root, no loop
//! device, no mount. The same plan and contents give the same bytes.
//!
//! What reads ([`Source`], [`partition_table::read`], [`fat::open`], [`ext4::Reader`]) never writes.

pub mod budget;
pub mod ext4;
pub mod fat;
pub mod format;
pub mod image;
pub mod medium;
pub mod ntfs;
pub mod output;
pub mod partition_table;
mod share;
pub mod source;
pub mod swap;
pub mod target;
pub mod tree;
pub mod verity;

mod apply;
mod block;
mod boot_code;
mod device;
mod error;
mod withheld;

pub use apply::{Contents, Fill, apply, file_systems};
pub use block::BlockTarget;
pub use boot_code::{BootCode, CodeProblem, CodeUpdate, Compared};
pub use budget::{Budget, Limits, Spent};
pub use device::DiskDevice;
pub use error::DiskError;
pub use share::copy_range;
pub use source::{FileSource, Metered, Region, Source};
pub use target::{FileTarget, MemoryTarget, Target};
pub use tree::{Content, Entry, Node, Tree};
pub use withheld::{HEAD, Withheld};
