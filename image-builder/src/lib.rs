//! Raw and qcow2 images; run and verify in QEMU.

pub mod output;
#[allow(dead_code, unused_imports)]
mod console;
pub mod image_file;
#[allow(dead_code, unused_imports)]
pub mod probe;
#[allow(dead_code, unused_imports)]
pub mod qemu;
pub mod run;
#[allow(dead_code, unused_imports)]
mod scratch;
#[allow(dead_code, unused_imports)]
mod screenshot;
pub mod image;
pub mod root;
