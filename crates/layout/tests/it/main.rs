//! Disk plans.

mod edges;
mod plan;
mod properties;
