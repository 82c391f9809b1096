//! Targets, partition tables, file systems.
