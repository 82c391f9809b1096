//! What a computer is, and what a system needs to run on it.
//!
//! [`observe`] reads `/sys` and `/proc` below a folder into plain values; [`findings`] decides on them and touches
//! nothing; what follows is text: the hardware file (`yaml`), NixOS's (`nix`), a record for programs ([`Record`]), and what
//! differs from a file that is there ([`difference`]). The rules are those of `nixos-generate-config` (storage and USB host
//! controllers on PCI, USB storage and keyboards, every block device), and more: what stands between a disk or keyboard and the
//! processor (hubs, bridges, virtio transports, SD controllers) is found by walking up the device's own path instead of by a
//! list. Where the two differ, `docs/hardware.md` says why.
//!
//! The hardware file has nothing of LVM, RAID and encryption: that is the disk layout's to say. NixOS's file has.

mod difference;
mod findings;
mod nix;
mod observe;
mod record;
mod summary;
mod yaml;

pub use difference::{Difference, Side, difference};
pub use findings::{Advice, Findings, LeftOut, Why, findings};
pub use nix::to_nix;
pub(crate) use observe::{open, secure_boot};
pub use observe::{
    Console, Driver, FileSystems, Kernel, Machine, NamedFirmware, Node, ObserveError, Observed, PciDevice, Platform,
    Processor, Swap, UsbInterface, observe,
};
pub use record::{Record, State};
pub use summary::{disk, summary};
pub(crate) use yaml::quoted;
