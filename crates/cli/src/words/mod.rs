//! What was found, in words for people. Pure.

pub mod computer;
pub mod diff;
pub mod disks;
pub mod drawing;
pub mod failure;
pub mod generations;
pub mod hardware;
pub mod install;
pub mod qr;
pub mod rehearsal;
