//! Sources, base, etc, initrd and system.
//!
//! A *base* holds the packages: heavy, locked, made with the network once ([`debian`]). A *system* is everything else
//! of a generation, made from the base offline ([`build`]): `/etc`, an initrd, a kernel command line, a bootspec.

mod bootjson;
pub mod debian;
mod drawn;
mod error;
pub mod etc;
pub mod grub;
pub mod initrd;
mod locales;
mod memory;
mod program;
mod programs;
pub mod secure_boot;
pub mod signed;
mod special;
mod system;
mod tree;
mod units;
mod usr;

pub use error::SystemError;
pub use etc::Mount;
pub use etc::made_from::left_out;
pub use program::{Carried, Program};
pub use programs::{base_program, read_in_base};
pub use special::{Special, parse as parse_special};
pub use system::{LOADER, System, SystemInput, adopt, build};
pub use tree::{Access, Node, Tree};
