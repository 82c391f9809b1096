//! Identical files of a machine's store are one file.

use std::collections::BTreeSet;
use std::fs::{self, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, UNIX_EPOCH};

use crate::common::cut::in_memory;
use crate::common::{Nix, is_root, settle, skip};
use cairn_process::Quiet;
use cairn_store::{CopySource, EntryKind, MachineStore, Scratch, Store, StorePath};

const FILES: u32 = 300;

/// Contents of 8 KiB that are different for each file.
fn contents(file: u32, version: u32) -> Vec<u8> {
    format!("{file}.{version} ").repeat(3000).into_bytes()[..8192].to_vec()
}

/// A base of many files, one in a hundred of which depends on the version.
fn base(store: &Store, version: u32) -> Scratch {
    let scratch = store.scratch().unwrap();
    for file in 0..FILES {
        let dir = scratch.path().join(format!("usr/lib/{}", file % 10));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join(format!("file-{file}"));
        fs::write(&path, contents(file, if file % 100 == 0 { version } else { 0 })).unwrap();
        if file % 7 == 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    fs::write(scratch.path().join("empty"), "").unwrap();
    scratch
}

fn add(store: &Store, version: u32) -> StorePath {
    store.add("base", base(store, version), &[]).unwrap().path
}

/// Bytes on the disk in all files of some paths, each file once.
fn used(store: &Store, paths: &[&StorePath]) -> u64 {
    let mut seen = BTreeSet::new();
    let mut bytes = 0;
    for path in paths {
        for entry in store.listing(path).unwrap().iter() {
            let meta = fs::symlink_metadata(store.real_entry(path, entry)).unwrap();
            if meta.is_file() && seen.insert(meta.ino()) {
                bytes += meta.blocks() * 512;
            }
        }
    }
    bytes
}

/// That each entry is as a store path must be.
fn canonical(store: &Store, path: &StorePath) {
    for entry in store.listing(path).unwrap().iter() {
        let meta = fs::symlink_metadata(store.real_entry(path, entry)).unwrap();
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (1, 0), "{}", entry.path);
        let mode = if matches!(entry.kind, EntryKind::File { executable: false, .. }) { 0o444 } else { 0o555 };
        assert_eq!(meta.mode() & 0o7777, mode, "{}", entry.path);
    }
}

/// Whether a quick check of a path reads none of its files: their stamps hold.
fn quick_without_reading(store: &Store, path: &StorePath) -> bool {
    let fingerprint = store.root().join("nix/var/cairn/fingerprint").join(path.base_name());
    let text = fs::read_to_string(fingerprint).unwrap();
    let stamps: Vec<&str> = text.lines().skip(1).collect();
    store.listing(path).unwrap().iter().zip(stamps).all(|(entry, stamp)| {
        let meta = fs::symlink_metadata(store.real_entry(path, entry)).unwrap();
        let words: Vec<i128> = stamp.split(' ').map(|w| w.parse().unwrap()).collect();
        let ctime = i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec());
        // What was written within the same tick of the clock is read once more.
        let new = words[4] == 1 && meta.nlink() == 1;
        !meta.is_file() || new || (words[0] == i128::from(meta.ino()) && words[3] == ctime && words[4] != 1)
    })
}

fn damage(store: &Store, path: &StorePath, file: &str) {
    let file = store.real_path(path).join(file);
    let mut bytes = fs::read(&file).unwrap();
    bytes[0] ^= 1;
    fs::write(&file, bytes).unwrap();
    let one = UNIX_EPOCH + Duration::from_secs(1);
    fs::File::open(file).unwrap().set_times(FileTimes::new().set_modified(one)).unwrap();
}

fn machine() -> Option<(MachineStore, tempfile::TempDir)> {
    if !is_root() {
        skip("needs root, to open a machine's store");
        return None;
    }
    // What is synced there costs nothing.
    let dir = in_memory();
    Some((MachineStore::open(dir.path()).unwrap(), dir))
}

#[test]
fn a_second_base_costs_what_is_new_in_it() {
    let Some((store, dir)) = machine() else { return };
    let one = add(&store, 1);
    let alone = used(&store, &[&one]);
    assert!(alone >= u64::from(FILES) * 8192);
    settle(dir.path());
    store.check_quick(&one).unwrap();
    let two = add(&store, 2);
    let both = used(&store, &[&one, &two]);
    assert_eq!(both - alone, 3 * 8192);
    for path in [&one, &two] {
        canonical(&store, path);
        assert!(quick_without_reading(&store, path), "{path}");
        store.check_contents(path).unwrap();
    }
    let three = add(&store, 3);
    assert_eq!(used(&store, &[&one, &two, &three]) - both, 3 * 8192);
    for path in [&one, &two, &three] {
        assert!(quick_without_reading(&store, path), "{path}");
    }
    // Where damage shows in all of them, all of them say so.
    damage(&store, &three, "usr/lib/1/file-1");
    for path in [&one, &two, &three] {
        assert!(store.check_quick(path).unwrap_err().to_string().contains("file-1 differs"), "{path}");
    }
    let Some(nix) = Nix::new(dir.path()) else { return };
    store.remove(&one).unwrap();
    store.remove(&three).unwrap();
    // The damaged one is replaced by a good one.
    assert_eq!(add(&store, 2), two);
    let infos = store.closure(&[two]).unwrap();
    cairn_store::NixDb::open(dir.path()).unwrap().register(&infos, 1).unwrap();
    nix.verify();
}

#[test]
fn damage_is_not_spread() {
    let Some((store, dir)) = machine() else { return };
    let one = add(&store, 1);
    settle(dir.path());
    store.check_quick(&one).unwrap();
    damage(&store, &one, "usr/lib/1/file-1");
    let two = add(&store, 2);
    store.check_contents(&two).unwrap();
    store.check_quick(&two).unwrap();
    assert!(store.check_contents(&one).is_err());
    let ino = |path| fs::metadata(store.real_path(path).join("usr/lib/1/file-1")).unwrap().ino();
    assert_ne!(ino(&one), ino(&two));
}

#[test]
fn what_an_image_brought_and_nobody_has_read_is_compared() {
    let Some((cache, _cache_dir)) = machine() else { return };
    let one = add(&cache, 1);
    let infos = cache.closure(std::slice::from_ref(&one)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for folder in cairn_store::RECORD_DIRS.iter().chain(&["nix/store"]) {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    for file in cache.records(&infos).unwrap() {
        fs::write(dir.path().join(file.path), file.bytes).unwrap();
    }
    let cp = cairn_process::Tool::new("cp", "coreutils", "copy a tree");
    cp.arg("-a").arg(cache.real_path(&one)).arg(dir.path().join("nix/store")).run().unwrap();
    let store = MachineStore::open(dir.path()).unwrap();
    // A flipped bit that a first look cannot see.
    damage(&store, &one, "usr/lib/1/file-1");
    settle(dir.path());
    store.check_quick(&one).unwrap();
    let two = add(&store, 2);
    store.check_contents(&two).unwrap();
    let shared = fs::metadata(store.real_path(&two).join("usr/lib/2/file-2")).unwrap();
    assert_eq!(shared.nlink(), 2);
    assert_eq!(fs::metadata(store.real_path(&two).join("usr/lib/1/file-1")).unwrap().nlink(), 1);
    for path in [&one, &two] {
        assert!(quick_without_reading(&store, path), "{path}");
    }
}

#[test]
fn a_file_that_may_have_no_more_names_stays_a_copy() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let dir = tempfile::tempdir().unwrap();
    let store = MachineStore::open(dir.path()).unwrap();
    let one = add(&store, 1);
    let file = store.real_path(&one).join("usr/lib/1/file-1");
    let many = dir.path().join("many");
    fs::create_dir(&many).unwrap();
    let full = (0..70_000).find_map(|n| fs::hard_link(&file, many.join(n.to_string())).err());
    if full.is_none_or(|e| e.kind() != std::io::ErrorKind::TooManyLinks) {
        return crate::common::without_object("this file system lets a file have any number of names");
    }
    let two = add(&store, 2);
    store.check_contents(&two).unwrap();
    assert_eq!(fs::metadata(store.real_path(&two).join("usr/lib/1/file-1")).unwrap().nlink(), 1);
}

#[test]
fn copied_paths_share_too_and_a_build_cache_does_not() {
    let Some((store, _dir)) = machine() else { return };
    let cache_dir = tempfile::tempdir().unwrap();
    let cache = Store::open(cache_dir.path()).unwrap();
    let (one, two) = (add(&cache, 1), add(&cache, 2));
    assert!(used(&cache, &[&one, &two]) >= 2 * u64::from(FILES) * 8192);
    let source = CopySource::open(cache_dir.path()).unwrap();
    store.copy_closure(&source, std::slice::from_ref(&one), &Quiet).unwrap();
    let alone = used(&store, &[&one]);
    store.copy_closure(&source, std::slice::from_ref(&two), &Quiet).unwrap();
    assert_eq!(used(&store, &[&one, &two]) - alone, 3 * 8192);
    for path in [&one, &two] {
        canonical(&store, path);
        store.check_contents(path).unwrap();
    }
}

#[test]
fn twins_within_one_tree_are_one_file() {
    let Some((store, _dir)) = machine() else { return };
    let scratch = store.scratch().unwrap();
    for n in 0..4 {
        fs::write(scratch.path().join(n.to_string()), vec![7; 1 << 20]).unwrap();
    }
    let path = store.add("twins", scratch, &[]).unwrap().path;
    assert_eq!(fs::metadata(store.real_path(&path).join("3")).unwrap().nlink(), 4);
    canonical(&store, &path);
    assert!(quick_without_reading(&store, &path));
    store.check_contents(&path).unwrap();
}

#[test]
fn small_trees_are_not_worth_a_look() {
    let Some((store, _dir)) = machine() else { return };
    for (half, links) in [(1 << 19, 2), ((1 << 19) - 1, 1)] {
        let scratch = store.scratch().unwrap();
        for name in ["a", "b"] {
            fs::write(scratch.path().join(name), vec![7; half]).unwrap();
        }
        let path = store.add("two", scratch, &[]).unwrap().path;
        assert_eq!(fs::metadata(store.real_path(&path).join("b")).unwrap().nlink(), links, "{half}");
    }
}

#[test]
fn a_twin_is_looked_for_in_a_few_places_only() {
    let Some((store, dir)) = machine() else { return };
    let copies = Store::open(dir.path()).unwrap();
    let add = |store: &Store, n: u32| {
        let scratch = store.scratch().unwrap();
        fs::write(scratch.path().join("same"), vec![7; 1 << 20]).unwrap();
        fs::write(scratch.path().join("own"), n.to_string()).unwrap();
        store.add("x", scratch, &[]).unwrap().path
    };
    let mut paths: Vec<StorePath> = (0..5).map(|n| add(&copies, n)).collect();
    paths.sort();
    for (n, path) in paths.iter().take(4).enumerate() {
        let linked = add(&store, 10 + u32::try_from(n).unwrap());
        assert!(fs::metadata(store.real_path(&linked).join("same")).unwrap().nlink() > 1, "{n}");
        store.remove(&linked).unwrap();
        damage(&store, path, "same");
    }
    assert_eq!(fs::metadata(store.real_path(&add(&store, 20)).join("same")).unwrap().nlink(), 1);
}

#[test]
fn no_twin_is_looked_for_behind_a_link() {
    let Some((store, dir)) = machine() else { return };
    let one = add(&store, 1);
    let folder = store.real_path(&one).join("usr/lib/1");
    let away = dir.path().join("away");
    fs::rename(&folder, &away).unwrap();
    std::os::unix::fs::symlink(&away, &folder).unwrap();
    add(&store, 2);
    assert_eq!(fs::metadata(away.join("file-1")).unwrap().nlink(), 1);
}
