//! GRUB: its script language as far as boot menus use it, run on the files as they are, start after start.

mod parse;
mod run;
mod verdict;

pub use run::{End, Machine, Platform};
pub use verdict::{judge, picked, starts};
