//! GRUB: `grub.cfg`, the script in the core image that finds it, and the environment block in which tries are counted.

mod config;
mod early;
mod env_block;
mod medium;
mod menu;
mod pointer;
mod quote;
mod serial;

pub use config::{Boots, Config, Extra, Generation, Kernel, Memtest, MenuStyle, Password, Trial, Variant, menu_path};
pub use early::{EMBEDDED, Early, SCRIPT};
pub use env_block::{BlockError, EnvBlock};
pub use medium::{MEDIUM_FOLDER, MediumMenu, to_medium_menu};
pub use pointer::Pointer;
pub(crate) use quote::quote;
pub use serial::{Parity, Serial};
