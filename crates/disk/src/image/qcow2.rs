//! qcow2, version 3: written from a raw image, and read so that it can be looked into.
//!
//! The format is QEMU's `docs/interop/qcow2.txt`. Clusters are 64 KiB. What is zero in the raw image is not in the file,
//! whether it was a hole or not: file systems disagree about holes, and the bytes must not depend on them.

mod header;
mod layout;
mod read;
mod write;

pub(crate) use header::{BadHeader, Header};
pub use read::Qcow2Source;
pub use write::convert;

use std::io;
use std::path::PathBuf;

/// Why a qcow2 file could not be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Qcow2Error {
    /// The file system is full.
    #[error("no space is left for {}: free some, or write it somewhere else", path.display())]
    Full {
        /// The qcow2 file.
        path: PathBuf,
    },
    /// The qcow2 file cannot be written.
    #[error("writing {}", path.display())]
    Write {
        /// The qcow2 file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("reading {}", path.display())]
    Read {
        /// The raw image or the qcow2 file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A qcow2 file with something that this reader does not know.
    #[error("{} is a qcow2 image {why}; `qemu-img convert` makes a plain one of it", path.display())]
    Unsupported {
        /// The qcow2 file.
        path: PathBuf,
        /// What it has.
        why: String,
    },
    /// A file that is no qcow2 image, or a damaged one.
    #[error("{} is a damaged qcow2 image: {why}", path.display())]
    Damaged {
        /// The qcow2 file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}
