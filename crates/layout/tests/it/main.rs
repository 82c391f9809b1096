//! Disk plans.

mod edges;
mod numbers;
mod onto;
mod plan;
mod properties;
