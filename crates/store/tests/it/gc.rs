//! What nobody needs goes, in an order that leaves nothing half done; what anybody needs stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use crate::common::cut::{self, in_memory};
use crate::common::{Nix, add_leaf, add_system, child_root, is_root, left_over, names, skip};
use cairn_process::Quiet;
use cairn_store::gc::Garbage;
use cairn_store::{Generations, MachineStore, NixDb, PathInfo, Store, StoreError, StorePath, database, profile};
use nix::fcntl::{Flock, FlockArg};

/// A base of some files, most of which are the same in all versions.
fn add_base(store: &Store, version: u32) -> StorePath {
    let scratch = store.scratch().unwrap();
    for n in 0..20_u32 {
        let text = format!("{n} {} ", if n < 2 { version } else { 0 });
        fs::write(scratch.path().join(format!("file-{n}")), text.repeat(20_000)).unwrap();
    }
    store.add("base", scratch, &[]).unwrap().path
}

/// A machine with generations 1 to 3 on bases 1, 1 and 2, registered and current.
fn machine(root: &Path) -> Vec<PathInfo> {
    let store = MachineStore::open(root).unwrap();
    let leaf = add_leaf(&store).path;
    let bases = [add_base(&store, 1), add_base(&store, 2)];
    let systems: Vec<PathInfo> = [(1, 0), (2, 0), (3, 1)]
        .map(|(number, base): (u32, usize)| add_system(&store, number, &[leaf.clone(), bases[base].clone()]))
        .into();
    store.sync().unwrap();
    let paths: Vec<StorePath> = systems.iter().map(|s| s.path.clone()).collect();
    NixDb::open(root).unwrap().register(&store.closure(&paths).unwrap(), 1).unwrap();
    let generations = Generations::at(root);
    for (n, path) in (1..).zip(&paths) {
        assert_eq!(generations.add(path, 1, 0).unwrap(), n);
    }
    generations.switch(3).unwrap();
    systems
}

fn new_machine() -> Option<(tempfile::TempDir, Vec<PathInfo>)> {
    if !is_root() {
        skip("needs root, to open a machine's store");
        return None;
    }
    let dir = in_memory();
    let systems = machine(dir.path());
    Some((dir, systems))
}

fn collect(root: &Path) -> Garbage {
    MachineStore::open(root).unwrap().collect_garbage(&Quiet).unwrap()
}

fn dry(root: &Path, without: &[u64]) -> Garbage {
    Store::open(root).unwrap().garbage(&without.iter().copied().collect()).unwrap()
}

fn paths(garbage: &Garbage) -> Vec<&str> {
    garbage.dead.iter().map(|d| d.path.name()).collect()
}

/// Bytes on the disk below a folder.
fn used(dir: &Path, seen: &mut BTreeMap<u64, u64>) -> u64 {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        seen.insert(meta.ino(), meta.blocks() * 512);
        if meta.is_dir() {
            used(&entry.path(), seen);
        }
    }
    seen.values().sum()
}

fn used_by_store(root: &Path) -> u64 {
    used(&root.join("nix/store"), &mut BTreeMap::new())
}

fn nix_dead(nix: &Nix) -> Vec<String> {
    let dead = nix.run("nix-store", &["--gc", "--print-dead"]);
    let mut dead: Vec<String> = dead.lines().filter(|l| !l.ends_with(".links")).map(String::from).collect();
    dead.sort();
    dead
}

#[test]
fn what_no_generation_needs_goes_and_nix_agrees() {
    let Some((dir, systems)) = new_machine() else { return };
    let root = dir.path();
    let nothing = dry(root, &[]);
    assert_eq!((nothing.dead.len(), nothing.bytes, nothing.alive), (0, 0, 6));
    let expected = dry(root, &[3]);
    // It is the current one.
    assert_eq!(expected.dead.len(), 0);
    let expected = dry(root, &[1, 2]);
    assert_eq!(paths(&expected).len(), 3);
    assert_eq!(expected.alive, 3);
    assert_eq!(expected.dead.iter().map(|dead| dead.bytes).sum::<u64>(), expected.bytes);
    let generations = Generations::at(root);
    generations.remove(1).unwrap();
    assert_eq!(dry(root, &[2]), expected);
    generations.remove(2).unwrap();
    let nix = Nix::new(root);
    if let Some(nix) = &nix {
        nix.verify();
        let ours: Vec<String> = expected.dead.iter().map(|d| d.path.to_string()).collect();
        assert_eq!(nix_dead(nix), ours);
    }
    let before = used_by_store(root);
    let found = collect(root);
    assert_eq!(found, expected);
    assert_eq!(before - used_by_store(root), found.bytes);
    // The two files that were the first base's alone, and not those that both have.
    let base = found.dead.iter().find(|d| d.path.name() == "base").unwrap();
    assert!((2 * 80_000..2 * 90_000).contains(&base.bytes), "{}", base.bytes);
    let store = Store::open(root).unwrap();
    assert_eq!(store.paths().unwrap(), closure(&store, &systems[2]));
    assert_eq!(names(root.join("nix/var/cairn/listing")).len(), 3);
    assert_eq!(names(root.join("nix/var/cairn/fingerprint")).len(), 3);
    assert_eq!(left_over(root), [""; 0]);
    for path in store.paths().unwrap() {
        assert!(stamps_hold(&store, &path), "{path} must be read, because a file lost a name");
        store.check_quick(&path).unwrap();
    }
    if let Some(nix) = &nix {
        nix.verify();
        assert_eq!((nix_dead(nix), nix.valid().len()), (vec![], 3));
    }
    assert_eq!(collect(root).dead, []);
}

fn closure(store: &Store, system: &PathInfo) -> Vec<StorePath> {
    store.closure(from_ref(&system.path)).unwrap().into_iter().map(|i| i.path).collect()
}

/// Whether the stamps of all files are those that `lstat` gives.
fn stamps_hold(store: &Store, path: &StorePath) -> bool {
    let text = fs::read_to_string(store.root().join("nix/var/cairn/fingerprint").join(path.base_name())).unwrap();
    let stamps: Vec<&str> = text.lines().skip(1).collect();
    store.listing(path).unwrap().iter().zip(stamps).all(|(entry, stamp)| {
        let meta = fs::symlink_metadata(store.real_entry(path, entry)).unwrap();
        let words: Vec<i128> = stamp.split(' ').map(|w| w.parse().unwrap()).collect();
        !meta.is_file() || words[3] == i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec())
    })
}

#[test]
fn every_kind_of_root_keeps_what_it_names() {
    let Some((dir, systems)) = new_machine() else { return };
    let root = dir.path();
    for number in [1, 2] {
        Generations::at(root).remove(number).unwrap();
    }
    let all = dry(root, &[]).dead.len();
    assert_eq!(all, 3);
    let kept = |what: &str| {
        let left = dry(root, &[]).dead.len();
        assert!(left < all, "{what} keeps nothing");
        if let Some(nix) = Nix::new(root) {
            assert_eq!(nix_dead(&nix).len(), left, "{what}: Nix disagrees");
        }
    };
    let link = |path: &str, target: &str| -> PathBuf {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, &path).unwrap();
        path
    };
    let system = systems[0].path.to_string();
    for (path, target) in [
        ("nix/var/nix/gcroots/direct", system.clone()),
        ("nix/var/nix/gcroots/deep/er/still", format!("{system}/init")),
        ("nix/var/nix/profiles/per-user/me/profile-1-link", system.clone()),
        ("nix/var/nix/profiles/default", system.clone()),
    ] {
        let path = link(path, &target);
        kept(path.to_str().unwrap());
        fs::remove_file(path).unwrap();
    }
    let file = root.join("nix/var/nix/gcroots").join(systems[0].path.base_name());
    fs::write(&file, "").unwrap();
    kept("a file with the name of a path");
    fs::remove_file(file).unwrap();

    // Indirect, as `nix-build` leaves them; on the machine an absolute link is one on its own disk. (Nix on a mounted disk
    // would look on ours, so it is not asked.)
    let result = link("home/me/result", &system);
    let auto = link("nix/var/nix/gcroots/auto/abc", "/home/me/result");
    assert!(dry(root, &[]).dead.len() < all);
    fs::remove_file(&result).unwrap();
    assert_eq!(dry(root, &[]).dead.len(), all, "a stale one keeps nothing");
    fs::remove_file(&auto).unwrap();
    // A link that leads out of the disk by way of a folder stays on the disk.
    symlink(&system, root.join("result")).unwrap();
    link("away", "/");
    let auto = link("nix/var/nix/gcroots/auto/abc", "/away/../../../away/result");
    assert!(dry(root, &[]).dead.len() < all);
    fs::remove_file(auto).unwrap();
    // Some versions of Nix write where the disk was mounted.
    let auto = link("nix/var/nix/gcroots/auto/abc", root.join("result").to_str().unwrap());
    assert!(dry(root, &[]).dead.len() < all);
    fs::remove_file(auto).unwrap();

    // What a running Nix is about to use.
    let temporary = root.join("nix/var/nix/temproots");
    fs::create_dir_all(&temporary).unwrap();
    let mut file = fs::File::create(temporary.join("123")).unwrap();
    file.write_all(format!("{}\0{system}\0", systems[2].path).as_bytes()).unwrap();
    assert_eq!(dry(root, &[]).dead.len(), all, "its process has ended");
    let held = Flock::lock(file, FlockArg::LockExclusive).unwrap();
    kept("a running Nix");
    drop(held);
}

#[test]
fn what_the_database_knows_to_be_needed_stays() {
    let Some((dir, systems)) = new_machine() else { return };
    let root = dir.path();
    for number in [1, 2] {
        Generations::at(root).remove(number).unwrap();
    }
    // Nix has something alive that refers to the first base, of which there is no record of ours.
    let store = Store::open(root).unwrap();
    let base = closure(&store, &systems[0]).into_iter().find(|p| p.name() == "base").unwrap();
    let other = tempfile::tempdir().unwrap();
    let elsewhere = Store::open(other.path()).unwrap();
    let user = add_system(&elsewhere, 9, from_ref(&base));
    let cp = cairn_process::Tool::new("cp", "coreutils", "copy a tree");
    cp.arg("-a").arg(elsewhere.real_path(&user.path)).arg(root.join("nix/store")).run().unwrap();
    NixDb::open(root).unwrap().register(from_ref(&user), 1).unwrap();
    fs::create_dir_all(root.join("nix/var/nix/gcroots")).unwrap();
    symlink(user.path.to_string(), root.join("nix/var/nix/gcroots/user")).unwrap();
    let found = collect(root);
    assert_eq!(found.dead.len(), 2);
    assert!(store.real_path(&base).exists());
    if let Some(nix) = Nix::new(root) {
        nix.verify();
    }
    // And what a row refers to that we cannot spell.
    fs::remove_file(root.join("nix/var/nix/gcroots/user")).unwrap();
    let sql = format!(
        "update ValidPaths set path = '/nix/store/odd' where path = '{}'; delete from Refs where referrer = reference",
        user.path
    );
    let db = rusqlite::Connection::open(root.join(database::DATABASE_DIR).join("db.sqlite")).unwrap();
    db.execute_batch(&sql).unwrap();
    assert!(!dry(root, &[]).dead.iter().any(|d| d.path == base));
}

#[test]
fn what_a_record_knows_to_be_needed_stays_whatever_the_database_says() {
    let Some((dir, systems)) = new_machine() else { return };
    let root = dir.path();
    let db = rusqlite::Connection::open(root.join(database::DATABASE_DIR).join("db.sqlite")).unwrap();
    db.execute_batch("delete from Refs").unwrap();
    drop(db);
    assert_eq!(NixDb::read(root).unwrap().unwrap().references().unwrap().paths[&systems[0].path], BTreeSet::new());
    assert_eq!(dry(root, &[]).dead, []);
    assert_eq!(collect(root).dead, []);
    assert_eq!(names(root.join("nix/store")).len(), 6);
}

#[test]
fn what_is_in_nobodys_books_goes_and_the_work_of_nix_does_not() {
    let Some((dir, _)) = new_machine() else { return };
    let root = dir.path();
    let place = |name: &str| root.join("nix/store").join(name);
    let hash = "9qxbjpzswk14yhndpqi63h7c97gyjl9d";
    fs::create_dir(place(&format!("{hash}-left-over"))).unwrap();
    fs::write(place(&format!("{hash}-left-over")).join("file"), "x").unwrap();
    for name in [format!("{hash}-x.lock"), format!("{hash}-x.chroot"), "no-path".into(), ".links".into()] {
        fs::create_dir(place(&name)).unwrap();
    }
    let found = collect(root);
    assert_eq!(paths(&found), ["left-over"]);
    assert_eq!(names(root.join("nix/store")).len(), 6 + 4);
}

#[test]
fn a_doubt_keeps_everything() {
    let Some((dir, systems)) = new_machine() else { return };
    let root = dir.path();
    Generations::at(root).remove(1).unwrap();
    let doubt = || {
        let error = MachineStore::open(root).unwrap().collect_garbage(&Quiet).unwrap_err();
        let StoreError::Doubtful { what } = &error else { panic!("{error}") };
        assert!(error.to_string().contains("nothing was removed"));
        what.clone()
    };
    let before = names(root.join("nix/store"));
    // A generation without its system.
    let gone = "/nix/store/gggggggggggggggggggggggggggggggg-gone";
    let broken = root.join(profile::PROFILES_DIR).join("system-7-link");
    symlink(gone, &broken).unwrap();
    assert_eq!(doubt(), format!("generation 7 is broken, for its system {gone} is not there"));
    assert_eq!(dry(root, &[7]).dead.len(), 1, "it may go itself");
    fs::remove_file(broken).unwrap();
    // A system of which nobody knows what it needs.
    NixDb::open(root).unwrap().unregister([&systems[2].path]).unwrap();
    let info = root.join(format!("nix/var/cairn/info/{}.json", systems[2].path.base_name()));
    let good = fs::read(&info).unwrap();
    for bad in [&b"{}"[..], b""] {
        fs::write(&info, bad).unwrap();
        assert!(doubt().contains("there is no record of what it refers to"));
    }
    assert_eq!(names(root.join("nix/store")), before);
    fs::write(&info, good).unwrap();
    assert_eq!(collect(root).dead.len(), 1);
}

#[test]
fn nobody_may_be_at_work_meanwhile() {
    let Some((dir, _)) = new_machine() else { return };
    let root = dir.path();
    let mut store = MachineStore::open(root).unwrap();
    let other = MachineStore::open(root).unwrap();
    let error = store.collect_garbage(&Quiet).unwrap_err();
    assert!(error.to_string().contains("another `cairn` changes it"), "{error}");
    drop(other);
    store.collect_garbage(&Quiet).unwrap();
    // The place is free again.
    drop(MachineStore::open(root).unwrap());
    let lock = root.join("nix/var/nix/gc.lock");
    let held = Flock::lock(fs::File::open(&lock).unwrap(), FlockArg::LockShared).unwrap();
    let error = store.collect_garbage(&Quiet).unwrap_err();
    assert!(error.to_string().contains("Nix is at work on it"), "{error}");
    drop(held);
    store.collect_garbage(&Quiet).unwrap();
}

#[test]
fn names_that_nix_keeps_for_itself_do_not_keep_the_bytes() {
    let Some((dir, _)) = new_machine() else { return };
    let root = dir.path();
    let Some(nix) = Nix::new(root) else { return };
    nix.run("nix-store", &["--optimise"]);
    let links = root.join("nix/store/.links");
    let linked = names(&links).len();
    assert!(linked > 0);
    for number in [1, 2] {
        Generations::at(root).remove(number).unwrap();
    }
    let before = used_by_store(root);
    let found = collect(root);
    assert_eq!(before - used_by_store(root), found.bytes);
    assert!(names(&links).len() < linked);
    nix.verify();
}

#[test]
#[ignore = "run by another test, to be ended at some moment"]
fn child_that_collects() {
    let Some(root) = child_root() else { return };
    collect(&root);
}

/// The infos are gone for sure before anything else of their paths goes.
#[test]
fn a_collection_puts_on_the_disk_what_it_has_forgotten() {
    if !is_root() || !cut::can_trace() {
        return skip("needs root, and strace to see what a process puts on the disk");
    }
    let dir = before_collection();
    let root = dir.path().canonicalize().unwrap();
    let syncs = cut::syncs("gc::child_that_collects", &root);
    let whole: Vec<_> = syncs.iter().filter(|sync| sync.name == "syncfs").map(|sync| sync.path.clone()).collect();
    assert_eq!(whole, [root.join("nix/store")], "{syncs:?}");
}

/// A machine of which two generations are to go, in a folder whose syncs cost nothing.
fn before_collection() -> tempfile::TempDir {
    let dir = in_memory();
    machine(dir.path());
    for number in [1, 2] {
        Generations::at(dir.path()).remove(number).unwrap();
    }
    dir
}

/// Nothing of the living is touched, the books are right, and another collection gets to the end.
fn whole_after_end(root: &Path) {
    {
        let store = Store::open(root).unwrap();
        for path in store.paths().unwrap() {
            store.check_contents(&path).unwrap();
        }
        let rows = NixDb::read(root).unwrap().unwrap().references().unwrap().paths;
        let there: BTreeSet<String> = names(root.join("nix/store")).into_iter().collect();
        for path in rows.keys() {
            assert!(there.contains(path.base_name()), "{path} is valid, and not there");
        }
        assert!(rows.len() == 3 || rows.len() == 6, "{}", rows.len());
    }
    collect(root);
    let store = Store::open(root).unwrap();
    assert_eq!(store.paths().unwrap().len(), 3);
    assert_eq!((names(root.join("nix/store")).len(), left_over(root)), (3, vec![]));
    for folder in ["info", "listing", "fingerprint"] {
        assert_eq!(names(root.join("nix/var/cairn").join(folder)).len(), 3, "{folder}");
    }
    assert_eq!(NixDb::read(root).unwrap().unwrap().references().unwrap().paths.len(), 3);
    let current = Generations::at(root).list().unwrap().pop().unwrap();
    for info in store.closure(&[current.system.unwrap()]).unwrap() {
        store.check_contents(&info.path).unwrap();
        store.check_quick(&info.path).unwrap();
    }
}

#[test]
fn a_collection_may_be_killed_before_any_change_it_makes() {
    if !is_root() || !cut::can_trace() {
        return skip("needs root, and strace to end a process at a chosen system call");
    }
    let made = before_collection();
    let copy = || {
        let dir = in_memory();
        let cp = cairn_process::Tool::new("cp", "coreutils", "copy a machine");
        cp.arg("-a").arg(made.path().join("nix")).arg(dir.path()).run().unwrap();
        dir
    };
    let ends = cut::at_each_change("gc::child_that_collects", copy, whole_after_end);
    assert!(ends > 60, "{ends}");
}

/// As in the test of publishing: everything up to the last `syncfs` is on the disk, of what came later anything or nothing.
/// The database, which syncs itself before anything else is changed, is taken as it is.
#[test]
fn the_power_may_fail_before_and_after_any_sync_of_a_collection() {
    if !is_root() || !cut::can_trace() {
        return skip("needs root, and strace to end a process at a chosen system call");
    }
    let mut random = cut::Random(2);
    let mut durable = None;
    let mut cuts = 0;
    for n in 1.. {
        let dir = before_collection();
        let began = cut::State::read(dir.path());
        let done = cut::until_sync("gc::child_that_collects", dir.path(), n);
        let reached = cut::State::read(dir.path());
        for _ in 0..40 {
            let dir = in_memory();
            let mut torn = cut::State::torn(durable.as_ref().unwrap_or(&began), &reached, &mut random);
            torn.take(&reached, Path::new("nix/var/nix"));
            torn.write(dir.path());
            whole_after_end(dir.path());
            cuts += 1;
        }
        durable = Some(reached);
        if done {
            break;
        }
    }
    assert!(cuts >= 80, "{cuts}");
}

#[test]
fn a_record_that_cannot_be_read_is_no_doubt_where_the_database_knows() {
    let Some((dir, systems)) = new_machine() else { return };
    let root = dir.path();
    let folder = root.join("nix/var/cairn/info");
    fs::write(folder.join(format!("{}.json", systems[2].path.base_name())), "{}").unwrap();
    let found = dry(root, &[1, 2]);
    assert_eq!((found.dead.len(), found.alive), (3, 3));
    // What nobody knows and nothing is there of goes.
    let stray = "9qxbjpzswk14yhndpqi63h7c97gyjl9d-stray.json";
    fs::write(folder.join(stray), "{}").unwrap();
    assert_eq!(paths(&collect(root)), ["stray"]);
    assert!(!folder.join(stray).exists());
    assert_eq!(names(root.join("nix/store")).len(), 6);
}

#[test]
fn files_that_lose_a_name_need_not_be_read_for_that() {
    let Some((dir, systems)) = new_machine() else { return };
    let root = dir.path();
    let store = Store::open(root).unwrap();
    crate::common::settle(root);
    for path in store.paths().unwrap() {
        store.check_quick(&path).unwrap();
    }
    for number in [1, 2] {
        Generations::at(root).remove(number).unwrap();
    }
    crate::common::settle(root);
    assert_eq!(collect(root).dead.len(), 3);
    let left = closure(&store, &systems[2]);
    assert!(left.len() == 3 && left.iter().all(|path| stamps_hold(&store, path)));
}
