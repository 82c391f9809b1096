//! Stores: in folders, on machines, in trouble.

mod brought_along;
mod common;
mod copy;
mod crashes;
mod damage;
mod formulas;
mod gc;
mod generation_cuts;
mod generations;
mod hostile;
mod left_overs;
mod machine_store;
mod nix_database;
mod nix_db;
mod own_sizes;
mod references;
mod sharing;
mod trees;
