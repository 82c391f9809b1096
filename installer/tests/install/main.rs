//! Plans for the disks of real and made-up machines, each held against what it was.

mod drawings;
mod probe;
mod twins;
mod windows;
