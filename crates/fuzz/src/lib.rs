//! Strangers' bytes for everything that reads them.
//!
//! A [`Target`] is one reader: where its inputs begin ([`Target::seeds`]), and what reads them ([`Target::run`]), which
//! must end without a panic, within a bound of memory and of time, whatever the bytes are. Two drivers give it inputs:
//! `tests/minute.rs`, a fixed number of mutations in every run of the tests, and `scripts/fuzz`, for as long as one likes,
//! guided by what the inputs reach (libFuzzer).
//!
//! Disks and images are not given byte by byte: an input is a list of [patches](patch) of the places of a good image that
//! hold something, checksums mended afterwards, or nearly every input would end at the first checksum.

pub mod mutate;
pub mod numbers;
pub mod parts;
pub mod patch;
pub mod targets;

pub use targets::{TARGETS, Target};

/// A folder for what a reader reads from files: in memory, where there is such a place.
fn scratch() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}
