//! The boot set: what a boot partition must hold for the generations that are kept.
//!
//! Everything here is a pure function of the generations' bootspecs and the settings. Who writes the files, and in
//! which order, is the business of whoever owns the partition: an image's file system in user space, or a mounted one.

mod generation;
mod set;

pub use generation::{Artifact, Generation, date};
pub use set::{BootFile, BootSet, Content, Installation, Place, SetError, Settings};
