//! One file per command. Each takes its arguments and says how it ended.

pub mod build;
pub mod check;
pub mod diff;
pub mod generations;
pub mod hardware;
pub mod init;
pub mod inspect;
pub mod lock;
pub mod run;
pub mod schema;
pub mod verify;
