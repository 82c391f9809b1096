//! How making a base ends: with a message and a promised exit code, whatever mmdebstrap does and whoever sends a signal.
//!
//! mmdebstrap is a script here, which behaves as the real one does in what matters: it writes a tar stream, and when its
//! standard output is closed it sends SIGHUP to all of its process group.

mod errors;
mod fixture;
mod signals;
