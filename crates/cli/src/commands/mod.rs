//! One file per command. Each takes its arguments and says how it ended.

pub mod boot;
pub mod build;
pub mod check;
pub mod diff;
pub mod gc;
pub mod generations;
pub mod hardware;
pub mod init;
pub mod inspect;
pub mod lock;
pub mod rollback;
pub mod run;
pub mod schema;
pub mod upgrade;
pub mod verify;
