//! How long the store takes for a tree, and how much memory: `cargo run --release -p cairn-store --example measure --
//! ROOT TREE` moves TREE (on the same file system as ROOT) into the store at ROOT and prints figures.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use cairn_store::{Store, StoreError};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [root, tree] = args.as_slice() else { return Err("usage: measure ROOT TREE".into()) };
    let store = Store::open(Path::new(root))?;
    let scratch = store.scratch()?;
    fs::remove_dir(scratch.path())?;
    fs::rename(tree, scratch.path())?;

    let start = Instant::now();
    let info = store.add("measured", scratch, &[])?;
    let seconds = start.elapsed();
    let entries = timed("listing", || store.listing(&info.path))?;
    println!("add: {seconds:?} for {} bytes in {} entries", info.nar_size, entries.entries().len());
    for _ in 0..3 {
        timed("check_quick", || store.check_quick(&info.path))?;
    }
    timed("check_contents", || store.check_contents(&info.path))?;
    timed("closure", || store.closure(std::slice::from_ref(&info.path)))?;
    let peak = fs::read_to_string("/proc/self/status")?;
    println!("{}", peak.lines().find(|l| l.starts_with("VmHWM")).unwrap_or_default());
    println!("{}", info.path);
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let start = Instant::now();
    let value = work()?;
    println!("{what}: {:?}", start.elapsed());
    Ok(value)
}
