//! The harness for scenarios that use the built `cairn` command and boot real machines. It links no product crate: what
//! is checked here is what a user has.
//!
//! A scenario passes only on a positive word. A tool that is missing is a counted skip at home and a failure in CI
//! (`CI=true`).

pub mod cached;
pub mod cairn;
pub mod command;
pub mod debian;
pub mod disk;
pub mod generations;
pub mod guest;
pub mod hello;
pub mod installing;
pub mod judge;
pub mod machine;
pub mod menu;
pub mod preload;
pub mod qmp;
pub mod replay;
pub mod scenario;
pub mod workbench;

pub use cairn::Cairn;
pub use command::{Cmd, Done};
pub use guest::Guest;
pub use machine::{Machine, Pick, Setup};
pub use scenario::Scenario;
