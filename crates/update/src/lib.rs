//! Changes a machine that is there: the running one, or one whose disk is mounted somewhere.
//!
//! Each command is a function from what is there ([`cairn_observe::Observed`]) and what is wanted to a [`Change`]: steps in stages,
//! which can be printed. One engine ([`carry_out`]) does what a change says, under one turn, and knows whether something was touched
//! when it ends early. What `cairn_boot` is for the boot partition, this is for the whole machine; the boot partition's own steps
//! are one of the steps here.

pub mod check;
pub mod gc;
pub mod good;
pub mod repair;
pub mod rollback;
pub mod upgrade;

mod bios;
mod brought;
mod change;
mod collect;
mod engine;
mod firmware;
mod grub_parts;
mod menu;
mod notice;
mod own_keys;
mod partitions;
mod planned;
mod reserve;
mod session;
mod signed;
mod turn;

pub use change::{Change, Stage, StageName, Step};
pub use engine::{Done, Faults, NoFaults, carry_out};
pub use menu::{BootMenu, Occasion};
pub use planned::Planned;
pub use session::{Needs, Session};
pub use turn::{CACHE, OWN};
