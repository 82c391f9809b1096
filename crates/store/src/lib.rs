//! Store paths, NAR hashes, the database, closures: a store in Nix's own formats, so that a real Nix accepts it.
//!
//! A [`Store`] is a folder whose real files are in `ROOT/nix/store` while every name inside says `/nix/store`. Trees
//! are made in a [`Scratch`] folder and moved in by one rename: [`Store::add`] for leaf paths, named by their bytes;
//! [`Store::add_input_addressed`] for the system, which names itself. Beside each tree the store keeps
//!
//! - `nix/var/cairn/info/NAME.json`: hash, size, references ([`PathInfo`]); written last: without it a tree is not valid;
//! - `nix/var/cairn/listing/NAME`: every file with its size and SHA-256 ([`Listing`]), so that nobody has to walk and
//!   hash the tree again;
//! - `nix/var/cairn/fingerprint/NAME`: what `lstat` says about each file on this machine, so that a changed file is
//!   found without reading it ([`Store::check_quick`]).
//!
//! Several processes may work on one store, as root or not, and each may be killed at any moment.
//!
//! [`database`], [`profile`] and [`binary_cache`] say a closure in the formats that Nix reads.
//!
//! On a machine the store is `/`, and more is at stake. [`MachineStore`] opens it to be changed: what is added is safe from
//! power cuts and shares its files with what is there. [`Store::copy_closure`] brings paths from a [`CopySource`];
//! [`NixDb`] makes them valid for Nix, beside a Nix that runs; [`Generations`] are the links that name systems; and
//! [`MachineStore::collect_garbage`] removes what nobody needs. The order of an upgrade is that of this list, with
//! [`Store::sync`] before anything names a path.

mod beside;
pub mod binary_cache;
mod cache;
mod canonical;
mod check;
mod copy;
mod copy_tree;
pub mod database;
mod error;
mod fingerprint;
mod folders;
pub mod gc;
mod generations;
mod hash;
mod info;
mod key;
mod listing;
mod local;
mod lock;
mod machine;
mod missing;
pub mod nix_db;
mod nix_files;
mod nix_schema;
mod path;
mod plain;
pub mod profile;
mod publish;
mod recent;
mod record;
mod references;
mod roots;
mod scratch;
mod share;
mod source;
mod uncover;
mod usage;

pub use cache::put_in_cache;
pub use copy::Copied;
pub use error::StoreError;
pub use generations::{GenerationLink, Generations};
pub use info::{PathInfo, to_hex};
pub use key::SigningKey;
pub use listing::{Entry, EntryKind, Listing};
pub use local::Store;
pub use machine::MachineStore;
pub use nix_db::NixDb;
pub use path::StorePath;
pub use record::{RECORD_DIRS, RecordFile, read_record, recorded_path};
pub use scratch::Scratch;
pub use source::CopySource;
pub use usage::{Own, own_sizes_at, own_sizes_of};

/// The folder in which every store path lies, as the files inside say it. Where the files really are is the
/// business of [`Store::real_path`].
pub const STORE_DIR: &str = "/nix/store";
