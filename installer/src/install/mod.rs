//! A system onto a disk that exists: observe, plan, consent, apply. What is planned is a value that can be kept in a file; before it is
//! carried out it is made once more from the same files, and held against the disk as it is then.

mod apply;
mod claim;
mod consent;
mod describe;
mod firmware;
mod holders;
mod identity;
mod ioctl;
mod left;
mod machine;
mod members;
mod plan;
mod receipt;
mod undo;
mod wipe;

pub use apply::{Done, apply};
pub use consent::{Consent, words as words_of_consent};
pub use describe::{Gpt, describe};
pub use holders::Release;
pub use identity::DiskIdentity;
pub use plan::{Asked, InstallPlan, Planned, Request, again, judge, plan};
pub use receipt::Receipt;
pub use undo::undo;
