//! The commands for a machine and its generations, on machines made by our own store in the formats of real ones: below a
//! folder, and in images. No network, no package, no QEMU; those are in `qemu-tests`.

#[path = "../../../disk/tests/disk/altered.rs"]
mod altered;
mod boot;
mod capture;
mod diff;
mod faults;
mod gc;
mod generations;
mod goldens;
mod hostile;
mod identity;
mod kills;
mod looks;
mod made;
mod terminal;
mod traps;
mod trouble;
mod upgrade;
