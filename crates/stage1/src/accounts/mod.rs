//! The accounts of a machine: what its generation declares and what happened on the machine, made one.
//!
//! A file that was changed in the overlay's upper layer hides the generation's file as a whole, so that a user who is
//! new in a generation would be missing from a passwd that was changed once. Hence the two are merged, at every boot,
//! before `/etc` is put together.

pub mod files;
pub mod merge;
pub mod record;
pub mod subordinate;

#[cfg(test)]
mod mutated_tests;
