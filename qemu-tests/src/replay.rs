//! Power cuts, replayed: every write of a guest is recorded, and the disk is rebuilt as it would be after a cut at any
//! moment.
//!
//! QEMU's block driver `blklogwrites` records ([`record`]), [`log`] reads what it wrote, [`image`] is the disk at a
//! moment, [`states`] walks over the moments. A drive may keep what it has not been told to flush and write it in any
//! order, so besides every in-order prefix there are random subsets of each epoch (what lies between two flushes).

pub mod again;
pub mod campaign;
pub mod cases;
pub mod cuts;
pub mod guest;
pub mod image;
pub mod log;
pub mod primitive;
pub mod random;
pub mod record;
pub mod report;
pub mod script;
pub mod session;
pub mod start;
pub mod states;
pub mod whole;
