//! The contents of a machine's disk into an image file, raw or qcow2, and images in QEMU: run, and verified from the inside.

mod console;
pub mod image;
pub mod in_use;
pub mod medium;
pub mod outputs;
pub mod probe;
pub mod qemu;
pub mod run;
mod scratch;
mod screenshot;
pub mod verify;
