//! The boot set, the plan and the transaction, on partitions in memory and on real file systems.

mod common;
mod firmware;
mod images;
mod loaders;
mod mounted;
mod power_cut;
mod read_back;
mod real_files;
mod record_file;
mod room;
mod settings;
mod shared;
mod surveys;
mod two_partitions;
mod updates;
