//! The installer: which hardware it stands on, which disks there are, what a person is asked, and a system onto a disk.

pub mod disks;
pub mod hardware;
pub mod install;
pub mod questions;
