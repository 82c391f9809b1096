//! The installer: which hardware it stands on, which disks there are, and a system onto one of them.

pub mod disks;
pub mod hardware;
pub mod install;
