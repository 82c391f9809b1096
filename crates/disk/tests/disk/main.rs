//! What the writers make, checked by other people's programs and read back by our own readers.

mod altered;
mod common;

mod bad_luck;
mod beside;
mod ext4;
mod fat;
mod hostile;
mod image;
mod mbr;
mod medium;
mod ntfs;
mod qcow2;
mod sizes;
mod targets;
mod verity;
