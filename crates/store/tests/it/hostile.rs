//! A disk that is a stranger's: whatever stands in the place of a folder or a file that Cairn uses, nothing outside of the disk
//! is changed, nothing inside of it that is not Cairn's, and nobody waits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use crate::common::{add_leaf, add_system, is_root, skip};
use cairn_process::{Quiet, Tool};
use cairn_store::{CopySource, Generations, MachineStore, NixDb, PathInfo, Store, StorePath, database, own_sizes_at};
use nix::sys::stat::Mode;
use rusqlite::Connection;

/// All that can be seen of what is below a folder, but for who has read it last.
fn state(top: &Path) -> BTreeMap<PathBuf, String> {
    fn walk(path: &Path, found: &mut BTreeMap<PathBuf, String>) {
        let meta = path.symlink_metadata().unwrap();
        let kind = meta.file_type();
        let times = [(meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec())];
        let contents = match () {
            () if kind.is_symlink() => fs::read_link(path).unwrap().into_os_string().as_bytes().to_vec(),
            () if kind.is_file() => fs::read(path).unwrap(),
            () => Vec::new(),
        };
        let text = format!(
            "{:o} {} {}:{} {times:?} {} {}",
            meta.mode(),
            meta.nlink(),
            meta.uid(),
            meta.gid(),
            kind.is_fifo(),
            contents.escape_ascii()
        );
        found.insert(path.to_path_buf(), text);
        if kind.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                walk(&entry.unwrap().path(), found);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(top, &mut found);
    found
}

fn copy(from: &Path, to: &Path) {
    Tool::new("cp", "coreutils", "copy a machine").arg("-a").arg(from).arg(to).run().unwrap();
}

/// A machine with two generations, and what belongs to one, as a source of a third; made once.
struct Made {
    dir: tempfile::TempDir,
    systems: Vec<PathInfo>,
    third: StorePath,
}

fn made() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("machine");
    fs::create_dir(&root).unwrap();
    let systems: Vec<PathInfo> = {
        let store = MachineStore::open(&root).unwrap();
        let leaf = add_leaf(&store).path;
        [1, 2].map(|number| add_system(&store, number, from_ref(&leaf))).into()
    };
    register(&root, &systems);
    fs::create_dir_all(root.join("nix/var/nix/gcroots")).unwrap();
    fs::create_dir_all(root.join("nix/var/nix/temproots")).unwrap();
    fs::create_dir_all(root.join("nix/store/.links")).unwrap();
    // What a stranger would like to have removed, or to be read.
    for place in ["victim", "machine/home"] {
        let place = dir.path().join(place);
        fs::create_dir(&place).unwrap();
        for folder in ["someone", "1-1", "tree", "info", "db", "profiles"] {
            fs::create_dir_all(place.join(folder).join("deep")).unwrap();
            fs::write(place.join(folder).join("deep/file"), "precious").unwrap();
        }
        for file in [systems[0].path.base_name(), "db.sqlite.new", "lock", "owner", "empty"] {
            fs::write(place.join(file), "").unwrap();
        }
        symlink("empty", place.join("link")).unwrap();
    }
    let cache = Store::open(&dir.path().join("source")).unwrap();
    let third = add_system(&cache, 3, &[add_leaf(&cache).path]).path;
    Made { dir, systems, third }
}

fn register(root: &Path, systems: &[PathInfo]) {
    let store = Store::at(root).unwrap();
    let paths: Vec<StorePath> = systems.iter().map(|s| s.path.clone()).collect();
    NixDb::open(root).unwrap().register(&store.closure(&paths).unwrap(), 1).unwrap();
    let generations = Generations::at(root);
    for path in &paths {
        generations.add(path, 1, 0).unwrap();
    }
    generations.switch(2).unwrap();
}

/// Everything that only looks.
fn look(root: &Path, systems: &[PathInfo]) {
    let paths: Vec<StorePath> = systems.iter().map(|s| s.path.clone()).collect();
    let _ = Generations::at(root).list();
    let _ = Generations::at(root).current();
    let _ = Generations::at(root).next_number(0);
    let _ = own_sizes_at(root, &paths);
    if let Ok(Some(db)) = NixDb::read(root) {
        let _ = db.references();
        let _ = db.info(&paths[0]);
    }
    if let Ok(source) = CopySource::open(root) {
        let _ = source.closure(&paths);
    }
    let Ok(store) = Store::at(root) else { return };
    let _ = store.paths();
    for path in &paths {
        let _ = store.info(path);
        let _ = store.listing(path);
        let _ = store.check_quick(path);
        let _ = store.check_contents(path);
        let _ = store.own_size(path);
    }
    let _ = store.closure(&paths);
    for without in [BTreeSet::new(), BTreeSet::from([1])] {
        let _ = store.garbage(&without);
    }
    assert!(store.scratch().is_err());
}

/// Everything that changes something. What of it is refused does not matter here.
fn change(root: &Path, made: &Made) {
    let paths: Vec<StorePath> = made.systems.iter().map(|s| s.path.clone()).collect();
    if let Ok(store) = MachineStore::open(root) {
        let source = CopySource::open(&made.dir.path().join("source")).unwrap();
        if let Ok(copied) = store.copy_closure(&source, from_ref(&made.third), &Quiet)
            && let Ok(mut db) = NixDb::open(root)
        {
            let _ = db.register(&copied.closure, 1);
        }
        let _ = store.remember_own_sizes(&paths);
        let _ = store.remove(&paths[0]);
    }
    let generations = Generations::at(root);
    let _ = generations.add(&made.third, 1, 0);
    for number in [3, 1] {
        let _ = generations.switch(number);
    }
    let _ = generations.remove(2);
    if let Ok(mut store) = MachineStore::open(root) {
        let _ = store.collect_garbage(&Quiet);
    }
    let _ = Store::open(root).map(|store| store.scratch().map(drop));
}

/// What may stand in the place of a folder or a file.
const TRAPS: [&str; 8] = ["absolute", "out", "inside", "nowhere", "pipe", "file", "folder", "zero"];

fn trap(kind: &str, root: &Path, place: &Path, victim: &Path) {
    let path = root.join(place);
    let _ = fs::remove_dir_all(&path);
    let _ = fs::remove_file(&path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let up = "../".repeat(place.components().count() - 1);
    let inside = victim.strip_prefix(root.parent().unwrap()).unwrap();
    match kind {
        "absolute" => symlink(victim, &path).unwrap(),
        "out" => symlink(format!("{up}../{}", inside.display()), &path).unwrap(),
        "inside" => symlink(format!("{up}home"), &path).unwrap(),
        "nowhere" => symlink(victim.join("new"), &path).unwrap(),
        "pipe" => nix::unistd::mkfifo(&path, Mode::S_IRWXU).unwrap(),
        "file" => fs::write(&path, "something else").unwrap(),
        "folder" => fs::create_dir_all(path.join("one/two")).unwrap(),
        _ => symlink("/dev/zero", &path).unwrap(),
    }
}

/// Each of the places is replaced by each of the traps; `inside` is where the links lead that lead nowhere else.
fn each_trap(places: &[String], target: &str) {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let made = made();
    let top = made.dir.path().canonicalize().unwrap();
    let victim = top.join("victim");
    for place in places {
        for kind in TRAPS {
            let root = top.join("copy");
            copy(&top.join("machine"), &root);
            let aim = if kind == "nowhere" { victim.clone() } else { victim.join(target) };
            trap(kind, &root, Path::new(place), &aim);
            let before = (state(&victim), state(&root.join("home")));
            let all = state(&root);
            look(&root, &made.systems);
            assert!(state(&root) == all, "looking has changed something: {place} {kind}");
            change(&root, &made);
            assert!((state(&victim), state(&root.join("home"))) == before, "{place} {kind}");
            fs::remove_dir_all(&root).unwrap();
        }
    }
}

#[test]
fn what_stands_in_the_place_of_a_folder_is_neither_followed_nor_emptied() {
    let own = ["", "/tmp", "/info", "/listing", "/fingerprint", "/aside"].map(|name| format!("nix/var/cairn{name}"));
    let nix = ["nix/store", "nix/store/.links", "nix/var/nix/db", "nix/var/nix/profiles", "nix/var/nix/gcroots"];
    let places: Vec<String> = own.into_iter().chain(nix.map(String::from)).collect();
    each_trap(&places, "");
}

#[test]
fn what_lies_in_a_folder_of_cairn_s_is_neither_followed_nor_waited_for() {
    let own =
        ["lock", "users", "highest-generation", "highest-generation.new", "own-sizes", "tmp/1-1", "tmp/1-1/owner"];
    let nix = ["gc.lock", "profiles/system.lock", "profiles/.cairn-new", "profiles/system", "profiles/system-7-link"];
    let roots = ["gcroots/x", "temproots/1", "temproots"];
    let places = own.map(|name| format!("nix/var/cairn/{name}")).into_iter();
    let places = places.chain(nix.into_iter().chain(roots).map(|name| format!("nix/var/nix/{name}")));
    each_trap(&places.collect::<Vec<_>>(), "empty");
}

#[test]
fn what_belongs_to_a_path_is_a_file() {
    let made = if is_root() { made() } else { return skip("needs root, to open a machine's store") };
    let name = made.systems[0].path.base_name();
    let places = [
        format!("nix/var/cairn/info/{name}.json"),
        format!("nix/var/cairn/listing/{name}"),
        format!("nix/var/cairn/fingerprint/{name}"),
        format!("nix/store/{name}"),
        format!("nix/store/{name}/init"),
    ];
    each_trap(&places, "empty");
}

#[test]
fn the_files_of_a_database_are_files() {
    let names =
        ["db.sqlite", "db.sqlite-wal", "db.sqlite-shm", "db.sqlite-journal", "schema", "schema.new", "big-lock"];
    each_trap(&names.map(|name| format!("nix/var/nix/db/{name}")), "empty");
}

#[test]
fn what_only_looks_leaves_every_byte_and_time_alone() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let made = made();
    let root = made.dir.path().join("machine");
    // As a process leaves it that was killed.
    let dead = root.join("nix/var/cairn/tmp/1-1");
    fs::create_dir_all(dead.join("tree")).unwrap();
    fs::write(dead.join("owner"), "").unwrap();
    let db = Connection::open(root.join(database::DATABASE_DIR).join("db.sqlite")).unwrap();
    db.execute_batch("pragma journal_mode = wal; update ValidPaths set registrationTime = 2").unwrap();
    let checks = || {
        let before = state(&root);
        look(&root, &made.systems);
        assert_eq!(state(&root), before);
        let garbage = Store::at(&root).unwrap().garbage(&[1].into()).unwrap();
        assert_eq!(garbage.dead.len(), 1);
        let paths: Vec<StorePath> = made.systems.iter().map(|s| s.path.clone()).collect();
        assert_eq!(own_sizes_at(&root, &paths).unwrap().len(), 2);
        Store::at(&root).unwrap().check_quick(&paths[0]).unwrap();
        assert_eq!(state(&root), before);
    };
    checks();
    // One that nobody has changed yet has no locks, and none is made.
    for name in ["lock", "users"] {
        fs::remove_file(root.join("nix/var/cairn").join(name)).unwrap();
    }
    checks();
    // And one that Cairn has never worked on.
    fs::remove_dir_all(root.join("nix/var/cairn")).unwrap();
    let before = state(&root);
    look(&root, &made.systems);
    assert_eq!(state(&root), before);
    assert!(Store::at(&root).unwrap().garbage(&BTreeSet::new()).unwrap().dead.is_empty());
    drop(db);
}

#[test]
fn a_folder_that_is_a_link_is_refused_with_a_word_on_it() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let made = made();
    let root = made.dir.path().join("machine").canonicalize().unwrap();
    for place in ["nix/var/cairn/tmp", "nix/var/cairn/aside", "nix/var/nix/profiles", "nix/var/nix/db", "nix/store"] {
        let path = root.join(place);
        let moved = root.join("moved");
        let was_there = path.exists();
        if was_there {
            fs::rename(&path, &moved).unwrap();
        } else {
            fs::create_dir(&moved).unwrap();
        }
        symlink("/moved", &path).unwrap();
        let error = MachineStore::open(&root).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("{} cannot be used", path.display())), "{text}");
        assert!(text.contains("nothing was changed"), "{text}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("is a link, which none of Cairn's own is"), "{source}");
        fs::remove_file(&path).unwrap();
        fs::rename(&moved, &path).unwrap();
    }
    MachineStore::open(&root).unwrap();
}

#[test]
fn a_folder_in_a_tree_that_became_a_link_is_found_whatever_the_stamps_say() {
    let (store, dir) = crate::common::store();
    let leaf = add_leaf(&store).path;
    let victim = dir.path().join("victim");
    let share = store.real_path(&leaf).join("share");
    copy(&share, &victim);
    fs::remove_dir_all(&share).unwrap();
    symlink(&victim, &share).unwrap();
    // The stranger has written down what there is.
    let mut text = String::from("cairn-fingerprint 1\n");
    for entry in store.listing(&leaf).unwrap().iter() {
        let meta = store.real_entry(&leaf, entry).symlink_metadata().unwrap();
        let size = if meta.is_dir() { 0 } else { meta.size() };
        let time = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        let (mtime, ctime) = (time(meta.mtime(), meta.mtime_nsec()), time(meta.ctime(), meta.ctime_nsec()));
        text += &format!("{} {size} {mtime} {ctime} 0\n", meta.ino());
    }
    fs::write(dir.path().join("nix/var/cairn/fingerprint").join(leaf.base_name()), text).unwrap();
    let error = store.check_quick(&leaf).unwrap_err().to_string();
    assert!(error.contains("share is no longer a folder"), "{error}");
}

/// A listing that is right in itself, with the record that belongs to it, and names that lead out.
#[test]
fn names_in_a_listing_lead_nowhere_else() {
    let good = "cairn-listing 1\nd \nd a\nl a/b\tx\nd a/c\nl a/c/d\tx\nl e\tx\n";
    assert!(cairn_store::Listing::parse(good).is_some());
    for (from, to) in [
        ("l a/b", "l ../b"),
        ("l a/b", "l a/../b"),
        ("l a/b", "l /b"),
        ("l a/b", "l a//b"),
        ("l a/b", "l a/."),
        ("l a/c/d", "l a/b/d"),
        ("l e", "l f/e"),
        ("d \n", "d top\n"),
        ("d \n", ""),
        ("l e\tx\n", "l e\tx\nl a/late\tx\n"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(cairn_store::Listing::parse(&bad).is_none(), "{bad}");
    }
}

fn db_file(root: &Path) -> PathBuf {
    root.join(database::DATABASE_DIR).join("db.sqlite")
}

#[test]
fn a_journal_that_names_another_file_does_not_take_it_along() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let made = made();
    let root = made.dir.path().canonicalize().unwrap().join("machine");
    // SQLite goes by the name, which must be like those that it gives, and by what is in it.
    let precious = made.dir.path().join("precious-mjA1B2C39D4");
    let file = root.join(database::DATABASE_DIR).join("db.sqlite-journal");
    let text = file.to_str().unwrap();
    fs::write(&precious, text).unwrap();
    // No pages to bring back, and the name of the journal that belongs to several databases.
    let magic = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
    let pages = u32::try_from(fs::metadata(db_file(&root)).unwrap().len() / 4096).unwrap();
    let mut journal = magic.to_vec();
    for number in [0, 0, pages, 512, 4096_u32] {
        journal.extend(number.to_be_bytes());
    }
    journal.resize(512, 0);
    let name = precious.to_str().unwrap().as_bytes();
    journal.extend(1_u32.to_be_bytes());
    journal.extend(name);
    journal.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
    journal.extend(name.iter().map(|b| u32::from(*b)).sum::<u32>().to_be_bytes());
    journal.extend(magic);
    fs::write(&file, &journal).unwrap();
    look(&root, &made.systems);
    let error = NixDb::open(&root).unwrap_err().to_string();
    assert!(error.contains("its file db.sqlite-journal names another database's journal"), "{error}");
    change(&root, &made);
    assert_eq!(fs::read_to_string(&precious).unwrap(), text);
    // That it would be taken along is so.
    drop(Connection::open(db_file(&root)).unwrap().query_row("select 1 from ValidPaths", [], |_| Ok(())));
    assert!(!precious.exists(), "SQLite does this no more");
}

#[test]
fn a_database_that_computes_or_acts_is_refused() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let made = made();
    let root = made.dir.path().join("machine");
    let good = fs::read(db_file(&root)).unwrap();
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select i as id, i as path, i as hash, i as \
                   registrationTime, i as narSize, i as sigs, i as ca from n";
    for (sql, word) in [
        (
            format!("pragma foreign_keys = off; drop table ValidPaths; create view ValidPaths as {endless}"),
            "it has the view ValidPaths",
        ),
        ("create trigger more after insert on Refs begin delete from Refs; end".to_string(), "it has the trigger more"),
        ("create index i on ValidPaths (hex(path))".to_string(), "its index i computes something"),
        ("alter table ValidPaths rename column narSize to size".to_string(), "has no column narSize"),
    ] {
        fs::write(db_file(&root), &good).unwrap();
        let db = Connection::open(db_file(&root)).unwrap();
        db.execute_batch(&sql).unwrap();
        drop(db);
        let before = state(&root);
        for error in [NixDb::read(&root).unwrap_err(), NixDb::open(&root).unwrap_err()] {
            assert!(error.to_string().contains(word), "{error}");
        }
        Store::at(&root).unwrap().garbage(&BTreeSet::new()).unwrap_err();
        assert_eq!(state(&root), before);
        MachineStore::open(&root).unwrap().collect_garbage(&Quiet).unwrap_err();
        assert!(Store::at(&root).unwrap().paths().unwrap().len() == 3);
    }
    // Rows that make no sense.
    fs::write(db_file(&root), &good).unwrap();
    Connection::open(db_file(&root)).unwrap().execute_batch("update ValidPaths set narSize = -1").unwrap();
    let error = NixDb::read(&root).unwrap().unwrap().info(&made.systems[0].path).unwrap_err().to_string();
    assert!(error.contains("its size is -1"), "{error}");
}

#[test]
fn folders_of_roots_that_were_moved_are_found_on_the_disk_itself() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let made = made();
    let root = made.dir.path().join("machine").canonicalize().unwrap();
    let [first, second] = [0, 1].map(|n: usize| made.systems[n].path.clone());
    let dead = || -> Vec<StorePath> {
        let garbage = Store::at(&root).unwrap().garbage(&BTreeSet::new()).unwrap();
        garbage.dead.into_iter().map(|dead| dead.path).collect()
    };
    Generations::at(&root).remove(1).unwrap();
    assert_eq!(dead(), from_ref(&first));
    let gcroots = root.join("nix/var/nix/gcroots");
    symlink(first.to_string(), gcroots.join("mine")).unwrap();
    assert_eq!(dead(), []);
    for target in ["/var/gcroots", "../../../var/gcroots"] {
        fs::create_dir_all(root.join("var")).unwrap();
        fs::rename(&gcroots, root.join("var/gcroots")).unwrap();
        symlink(target, &gcroots).unwrap();
        assert_eq!(dead(), [], "{target}");
        MachineStore::open(&root).unwrap().collect_garbage(&Quiet).unwrap();
        assert_eq!(Store::at(&root).unwrap().paths().unwrap().len(), 3, "{target}");
        fs::remove_file(&gcroots).unwrap();
        fs::rename(root.join("var/gcroots"), &gcroots).unwrap();
    }
    // Where they lead cannot be seen: that is no "none".
    fs::rename(&gcroots, root.join("kept")).unwrap();
    for target in ["/var/elsewhere", "gcroots", "/home/empty"] {
        symlink(target, &gcroots).unwrap();
        let error = Store::at(&root).unwrap().garbage(&BTreeSet::new()).unwrap_err().to_string();
        assert!(error.contains("nix/var/nix/gcroots is no folder, nor a link to one on this disk"), "{error}");
        fs::remove_file(&gcroots).unwrap();
    }
    assert_eq!(dead(), from_ref(&first), "there are none");
    fs::rename(root.join("kept"), &gcroots).unwrap();
    fs::remove_file(gcroots.join("mine")).unwrap();
    symlink("circle", gcroots.join("circle")).unwrap();
    symlink("/nix/var/nix/gcroots/circle/x", gcroots.join("through")).unwrap();
    Store::at(&root).unwrap().garbage(&BTreeSet::new()).unwrap_err();
    fs::remove_file(gcroots.join("through")).unwrap();
    fs::create_dir_all(gcroots.join("a/".repeat(40))).unwrap();
    let error = Store::at(&root).unwrap().garbage(&BTreeSet::new()).unwrap_err().to_string();
    assert!(error.contains("leads to more than any machine has"), "{error}");
    fs::remove_dir_all(gcroots.join("a")).unwrap();

    // Both the list and the links of the generations are those of the disk: the host has others under the same names.
    let profiles = root.join("nix/var/nix/profiles");
    let host = made.dir.path().join("host");
    fs::create_dir(&host).unwrap();
    fs::rename(&profiles, root.join("profiles")).unwrap();
    symlink("/profiles", &profiles).unwrap();
    assert_eq!(Generations::at(&root).current().unwrap(), Some(2));
    assert_eq!(Generations::at(&root).list().unwrap()[0].system.as_ref(), Some(&second));
    assert_eq!(dead(), from_ref(&first));
    fs::remove_file(&profiles).unwrap();
    symlink(&host, &profiles).unwrap();
    Store::at(&root).unwrap().garbage(&BTreeSet::new()).unwrap_err();
    Generations::at(&root).list().unwrap_err();
    assert_eq!(crate::common::names(&host), [""; 0]);
}

#[test]
fn a_left_over_lock_of_nix_s_holds_nobody_up() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let made = made();
    let root = made.dir.path().join("machine");
    let lock = root.join("nix/var/nix/profiles/system.lock");
    fs::write(&lock, "d").unwrap();
    Generations::at(&root).switch(1).unwrap();
    assert!(!lock.exists());
}
