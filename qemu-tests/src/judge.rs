//! What a boot loader finds on a boot partition, whatever state it is in, and whether a machine with it comes up.
//!
//! Shares no code with the product and none with a FAT library: it must see a damaged volume as firmware and GRUB see
//! it, not as one that repairs sees it.

pub mod fat;
pub mod grub;
pub mod systemd_boot;
pub mod verdict;
pub mod volume;
