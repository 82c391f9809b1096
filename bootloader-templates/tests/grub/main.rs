//! `grub.cfg` and the environment block, judged by GRUB's own programs.

mod common;

mod env_block;
mod golden;
mod quoting;
