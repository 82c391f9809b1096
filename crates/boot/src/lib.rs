//! The boot set and the transaction that installs it.
