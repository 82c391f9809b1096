//! The machine file and the hardware file: schema, defaults, validation. Pure: no I/O, no clock, no random numbers.
#![allow(missing_docs)]
pub mod lock;
pub mod model;
pub mod size;
