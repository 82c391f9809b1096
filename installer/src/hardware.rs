//! Which kernel modules a computer needs before its disks and its keyboard work.
//!
//! [`observe`] reads `/sys` and `/proc` below a folder into plain values; [`findings`] decides on them and touches
//! nothing. The rules are those of `nixos-generate-config` (storage and USB host controllers on PCI, USB storage and
//! keyboards, every block device), and one more: what stands between a disk or keyboard and the processor (hubs, bridges,
//! virtio transports, SD controllers) is found by walking up the device's own path instead of by a list.
//!
//! Not looked at: LVM, RAID and encryption, which Cairn's disk layouts do not have yet.

mod file;
mod findings;
mod observe;

pub use findings::{Findings, findings};
pub(crate) use observe::open;
pub use observe::{Driver, Node, ObserveError, Observed, PciDevice, UsbInterface, observe};
