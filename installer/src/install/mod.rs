//! A system onto a disk that exists: observe, plan, consent, apply. What is planned is a value that can be kept in a file; before it is
//! carried out it is made once more from the same files, and held against the disk as it is then.

mod apply;
mod claim;
mod consent;
mod describe;
mod firmware;
mod holders;
mod homes;
mod identity;
pub mod instructions;
mod ioctl;
mod left;
mod log;
mod machine;
pub mod medium;
mod members;
mod mounting;
mod plan;
mod receipt;
mod rehearse;
mod renew;
mod settle;
mod shared;
mod systems;
mod twin;
mod undo;
mod windows;
mod wipe;

pub use apply::{Done, apply};
pub use claim::open_to_look;
pub use consent::{Consent, words as words_of_consent};
pub use describe::{Gpt, describe, read, seen};
pub use holders::Release;
pub use identity::DiskIdentity;
pub use left::Broken;
pub use plan::{Asked, InstallPlan, OfTwin, Planned, Request, again, judge, plan, plan_for};
pub use receipt::Receipt;
pub use rehearse::{Tick, carry_out as rehearse, twin};
pub use settle::settle;
pub use systems::systems;
pub use twin::{Recorded, recorded};
pub use undo::undo;
pub use windows::{TO_SHARE, Windows, free_in_esp};
