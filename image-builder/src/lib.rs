//! Raw and qcow2 images; run and verify in QEMU.

pub mod output;
mod console;
pub mod image_file;
pub mod probe;
pub mod qemu;
pub mod run;
mod scratch;
mod screenshot;
pub mod image;
pub mod root;
pub mod verify;
