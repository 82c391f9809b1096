//! What the writers make, checked by other people's programs and read back by our own readers.

mod common;

mod bad_luck;
mod ext4;
mod fat;
mod image;
mod mbr;
mod sizes;
