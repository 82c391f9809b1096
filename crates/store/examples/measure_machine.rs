//! How long a machine's store takes for what is done on a machine: `cargo run --release -p cairn-store --example
//! measure_machine -- ROOT GENERATIONS FILES` makes, below ROOT (an empty folder; as root), as many generations, each with
//! its share of FILES files of its own, and a base that all have; says what each holds alone, drops all but the last,
//! and collects the garbage.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Instant;

use cairn_process::Quiet;
use cairn_store::{Generations, MachineStore, NixDb, PathInfo, Store, StorePath};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, generations, files] = args.as_slice() else {
        return Err("usage: measure_machine ROOT GENERATIONS FILES".into());
    };
    let (root, count, files): (_, u64, u64) = (Path::new(root), generations.parse()?, files.parse()?);
    let mut store = timed("open", || MachineStore::open(root))?;
    let profile = Generations::at(root);
    let base = timed("base", || base(&store, "base", 30_000, "same"))?;
    let mut systems = Vec::new();
    let began = Instant::now();
    for n in 1..=count {
        let own = base_of(&store, n, files / count)?;
        let system = system(&store, n, &[base.clone(), own])?;
        systems.push(system.path.clone());
        profile.add(&system.path, 1_700_000_000, 0)?;
    }
    println!("{count} generations: {:?}", began.elapsed());
    store.sync()?;
    let closure = timed("closure", || store.closure(&systems))?;
    timed("register", || NixDb::open(root)?.register(&closure, 1))?;
    profile.switch(count)?;
    timed("check_quick of the base", || store.check_quick(&base))?;
    timed("list", || profile.list())?;
    let own = timed("own_sizes", || store.own_sizes(&systems))?;
    println!("{} bytes are the first one's own", own[0].bytes);
    timed("a second base, nearly the same", || self::base(&store, "base", 30_000, "other"))?;
    let without: BTreeSet<u64> = (1..count).collect();
    timed("garbage, dry", || store.garbage(&without))?;
    timed("removing the links", || (1..count).try_for_each(|n| profile.remove(n)))?;
    let garbage = timed("garbage", || store.collect_garbage(&Quiet))?;
    println!("{} paths, {} bytes; {} stay", garbage.dead.len(), garbage.bytes, garbage.alive);
    timed("check_quick of the base", || store.check_quick(&base))?;
    timed("nothing to collect", || store.collect_garbage(&Quiet))?;
    Ok(())
}

fn timed<T, E>(what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    let began = Instant::now();
    let result = work();
    println!("{what}: {:?}", began.elapsed());
    result
}

/// Files of some kilobytes, one in a hundred of which depends on `version`.
fn base(store: &Store, name: &str, files: u64, version: &str) -> Result<StorePath, Box<dyn Error>> {
    let scratch = store.scratch()?;
    for n in 0..files {
        let dir = scratch.path().join(format!("lib/{}", n / 100));
        fs::create_dir_all(&dir)?;
        let text = format!("{name} {n} {} ", if n % 100 == 0 { version } else { "" });
        fs::write(dir.join(format!("file-{n}")), text.repeat(64))?;
    }
    Ok(store.add(name, scratch, &[])?.path)
}

fn base_of(store: &Store, generation: u64, files: u64) -> Result<StorePath, Box<dyn Error>> {
    base(store, &format!("own-{generation}"), files, "")
}

fn system(store: &Store, number: u64, references: &[StorePath]) -> Result<PathInfo, Box<dyn Error>> {
    let path = Store::input_addressed_path("system", format!("{number} {references:?}").as_bytes())?;
    let scratch = store.scratch()?;
    fs::write(scratch.path().join("init"), format!("{path} {references:?}"))?;
    Ok(store.add_input_addressed(&path, scratch, references, None)?)
}
