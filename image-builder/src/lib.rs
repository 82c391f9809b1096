//! Raw and qcow2 images; run and verify in QEMU.

pub mod boot_volume;
mod console;
pub mod image;
pub mod image_file;
pub mod in_use;
pub mod inspect;
pub mod output;
pub mod place;
pub mod probe;
pub mod qcow2;
pub mod qemu;
pub mod root;
pub mod run;
mod scratch;
mod screenshot;
pub mod verify;
pub mod view;
