//! What was found, in words for people. Pure.

pub mod diff;
pub mod generations;
