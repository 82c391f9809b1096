//! The installer. So far its first steps: finding out which hardware it stands on, and which disks there are.

pub mod disks;
pub mod hardware;
