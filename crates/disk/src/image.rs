//! Disk images: which formats there are, and files of them. Whoever takes an image opens it as an [`ImageFile`].

mod file;
mod format;
pub mod qcow2;

pub use file::{ImageFile, ImageFileError, open};
pub use format::Format;
