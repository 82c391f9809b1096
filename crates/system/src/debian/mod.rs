//! The `debian` source: which packages a machine needs, their lock, and the base made from it.
//!
//! Three steps, each usable alone:
//!
//! 1. [`requested`] says which packages a machine file asks for by name;
//! 2. [`lock`] asks a mirror for their exact versions and hashes, with everything they depend on (network);
//! 3. [`base`] makes a store path of a lock: apt fetches what is not cached, mmdebstrap unpacks and configures it, and
//!    the tree is cut down to what a store path can hold (no network once the packages are cached).
//!
//! Choosing versions, checking signatures, downloading, unpacking and maintainer scripts are left to apt, dpkg and
//! mmdebstrap; nothing here speaks HTTP or solves dependencies.
//!
//! What a base looks like:
//!
//! | path | what |
//! | --- | --- |
//! | `usr/`, `etc/` | as the packages made them, without what belongs to one machine (host keys, machine id, …) |
//! | `var/` | dpkg's database and the folders that the packages expect; no caches, no logs |
//! | `boot/vmlinuz` | the kernel |
//! | `boot/memtest86+x64.{bin,efi}` | the memory test for BIOS and for UEFI, where the package is among them |
//! | `drawn` | names of what packages drew while they were installed, and every machine draws at its first boot |
//! | `kernel-release` | its release, as `uname -r` says it, and a newline |
//! | `modes` | owners and modes that a store path cannot carry: see [`modes`] |
//! | `packages.json` | every package, with version and hash: see [`Package`] |

mod apt;
mod base;
mod bootstrap;
mod date;
mod error;
mod fetch;
mod index;
mod leftover;
mod mirror;
pub mod modes;
mod packages;
mod recommended;
mod repository;
mod request;
mod resolve;
mod rules;
mod sbom;
mod secrets;
mod stanza;
mod temporary;
mod unpack;

pub use base::{Base, adopt, base, cached, is_known, remembered};
pub use error::Error;
pub use leftover::{DOWNLOADED, Leftover, leftover};
pub use packages::Package;
pub use request::requested;
pub use resolve::lock;
pub use sbom::cyclonedx;
pub use secrets::Secret;
pub use stanza::STAND_IN;
