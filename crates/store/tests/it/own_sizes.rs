//! What a generation holds alone.

use std::fs;

use crate::common::{add_system, is_root, skip};
use cairn_store::{MachineStore, Own, Store, StorePath, own_sizes_at};

/// 20 files of 100,000 bytes (25 blocks of 4 KiB), of which the first `own` are of this version.
fn base(store: &Store, version: u32, own: u32) -> StorePath {
    let scratch = store.scratch().unwrap();
    for n in 0..20_u32 {
        let text = format!("{n} {:9} ", if n < own { version } else { 0 });
        fs::write(scratch.path().join(format!("file-{n}")), &text.repeat(100_000 / text.len() + 1)[..100_000]).unwrap();
    }
    store.add("base", scratch, &[]).unwrap().path
}

fn within(bytes: u64, files: u64) -> bool {
    // Folders and the small files of the system are some blocks more.
    (files * 102_400..files * 102_400 + 40_000).contains(&bytes)
}

#[test]
fn shared_paths_and_shared_files_are_nobodys_own() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let dir = tempfile::tempdir().unwrap();
    let store = MachineStore::open(dir.path()).unwrap();
    let (one, two) = (base(&store, 1, 3), base(&store, 2, 5));
    // Generations 1 and 2 share a base; generation 3 has another, of which most files are the same.
    let systems =
        [(1, &one), (2, &one), (3, &two)].map(|(n, base)| add_system(&store, n, std::slice::from_ref(base)).path);
    store.sync().unwrap();
    let own = store.own_sizes(&systems).unwrap();
    assert_eq!(own.iter().map(|o| o.paths).collect::<Vec<_>>(), [1, 1, 2]);
    assert!(within(own[0].bytes, 0) && within(own[1].bytes, 0) && within(own[2].bytes, 5), "{own:?}");
    // Without the second, the first holds its base alone.
    let own = store.own_sizes(&[systems[0].clone(), systems[2].clone()]).unwrap();
    assert!(own[0].paths == 2 && within(own[0].bytes, 5) && within(own[1].bytes, 5), "{own:?}");
    // The same system twice, and one that is not there.
    let gone = StorePath::from_basename("gggggggggggggggggggggggggggggggg-gone").unwrap();
    let own = store.own_sizes(&[systems[2].clone(), gone, systems[2].clone()]).unwrap();
    assert_eq!(own, [Own::default(); 3]);
    assert!(within(store.own_size(&one).unwrap(), 5));
    // It is what a collection would free.
    store.remove(&two).unwrap();
    assert!(within(store.own_size(&one).unwrap(), 20));
}

#[test]
fn what_was_written_down_holds_until_something_comes_or_goes() {
    let (store, dir) = crate::common::store();
    let one = base(&store, 1, 3);
    let systems = [1, 2].map(|n| add_system(&store, n, std::slice::from_ref(&one)).path);
    let own = store.own_sizes(&systems).unwrap();
    store.remember_own_sizes(&systems).unwrap();
    assert_eq!(own_sizes_at(dir.path(), &systems).unwrap(), own);
    // What is written down is taken, and only for these systems.
    let file = dir.path().join("nix/var/cairn/own-sizes");
    let text = fs::read_to_string(&file).unwrap();
    let line = format!("{} {} {}\n", own[0].bytes, own[0].paths, systems[0].base_name());
    fs::write(&file, text.replace(&line, &format!("7 7 {}\n", systems[0].base_name()))).unwrap();
    assert_eq!(own_sizes_at(dir.path(), &systems).unwrap()[0], Own { bytes: 7, paths: 7 });
    assert_ne!(own_sizes_at(dir.path(), &systems[..1]).unwrap()[0].bytes, 7);
    crate::common::settle(dir.path());
    base(&store, 2, 5);
    assert_eq!(own_sizes_at(dir.path(), &systems).unwrap(), own);
    fs::write(&file, "nonsense").unwrap();
    assert_eq!(own_sizes_at(dir.path(), &systems).unwrap(), own);
}

#[test]
fn a_store_that_is_only_read_will_do() {
    let (store, dir) = crate::common::store();
    let one = base(&store, 1, 3);
    let system = add_system(&store, 1, &[one]).path;
    let own = Store::open(dir.path()).unwrap().own_sizes(&[system]).unwrap();
    assert!(own[0].paths == 2 && within(own[0].bytes, 20), "{own:?}");
}
