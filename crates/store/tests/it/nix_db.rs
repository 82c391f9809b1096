//! Changes to the database of a machine that lives, beside a real Nix and after one.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::slice::from_ref;
use std::time::{Duration, Instant};

use crate::common::{Nix, add_leaf, add_system, names, store};
use cairn_store::{NixDb, PathInfo, SigningKey, Store, StoreError, StorePath, database};
use rusqlite::Connection;

fn db_file(root: &Path) -> std::path::PathBuf {
    root.join(database::DATABASE_DIR).join("db.sqlite")
}

fn rows(root: &Path, sql: &str) -> Vec<String> {
    let db = Connection::open(db_file(root)).unwrap();
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// The bytes of the header that tell a rollback journal (1) from a write-ahead log (2).
fn journal(root: &Path) -> u8 {
    fs::read(db_file(root)).unwrap()[18]
}

/// A store with a leaf and a first system in the database, as an image has it.
fn machine() -> (Store, tempfile::TempDir, PathInfo, PathInfo) {
    let (store, dir) = store();
    let leaf = add_leaf(&store);
    let system = add_system(&store, 1, from_ref(&leaf.path));
    let infos = store.closure(from_ref(&system.path)).unwrap();
    database::write(&dir.path().join(database::DATABASE_DIR), &infos).unwrap();
    (store, dir, leaf, system)
}

#[test]
fn a_second_system_is_registered_and_nix_agrees_before_and_after_it_touched_the_database() {
    let (store, dir, leaf, one) = machine();
    let Some(nix) = Nix::new(dir.path()) else { return };
    let register = |number| {
        let system = add_system(&store, number, from_ref(&leaf.path));
        let infos = store.closure(from_ref(&system.path)).unwrap();
        let mut db = NixDb::open(dir.path()).unwrap();
        assert_eq!(db.register(&infos, 1_700_000_000).unwrap(), 1);
        assert_eq!(db.register(&infos, 1).unwrap(), 0);
        system
    };
    let two = register(2);
    assert_eq!(journal(dir.path()), 1);
    assert_eq!(names(dir.path().join(database::DATABASE_DIR)), ["db.sqlite", "schema"]);
    nix.verify();
    assert_eq!(journal(dir.path()), 2);
    let three = register(3);
    assert_eq!(journal(dir.path()), 2);
    nix.verify();
    let mut all: Vec<String> = [&leaf, &one, &two, &three].iter().map(|i| i.path.to_string()).collect();
    all.sort();
    assert_eq!(nix.valid(), all);
    let references = nix.run("nix-store", &["-q", "--references", &three.path.to_string()]);
    assert_eq!(references.lines().count(), 2, "{references}");
    assert_eq!(rows(dir.path(), "select distinct registrationTime || '' from ValidPaths"), ["1", "1700000000"]);
    assert_eq!(rows(dir.path(), "pragma integrity_check"), ["ok"]);
}

#[test]
fn a_database_is_made_where_there_is_none() {
    let (store, dir) = store();
    let system = add_system(&store, 1, &[add_leaf(&store).path]);
    let infos = store.closure(from_ref(&system.path)).unwrap();
    assert!(NixDb::read(dir.path()).unwrap().is_none());
    NixDb::open(dir.path()).unwrap().register(&infos, 1).unwrap();
    assert_eq!(fs::read(dir.path().join(database::DATABASE_DIR).join("schema")).unwrap(), b"10");
    let Some(nix) = Nix::new(dir.path()) else { return };
    nix.verify();
    assert_eq!(nix.valid().len(), 2);
}

#[test]
fn rows_that_are_there_keep_what_they_say() {
    let (store, dir, leaf, system) = machine();
    let key = SigningKey::parse(include_str!("../fixtures/key.sec")).unwrap();
    let mut signed = system.clone();
    signed.sign(&key);
    let mut db = NixDb::open(dir.path()).unwrap();
    assert_eq!(db.register(&[leaf.clone(), signed.clone()], 5).unwrap(), 0);
    let kept = db.info(&system.path).unwrap().unwrap();
    assert_eq!((kept.signatures.len(), kept.registration_time), (0, 1));
    assert_eq!(PathInfo { signatures: Vec::new(), ..kept }, system);
    // What comes anew comes with its signatures.
    db.unregister([&system.path]).unwrap();
    db.register(from_ref(&signed), 5).unwrap();
    assert_eq!(db.info(&system.path).unwrap().unwrap(), PathInfo { registration_time: 5, ..signed.clone() });
    assert_eq!(db.info(&leaf.path).unwrap().unwrap().ca, leaf.ca);
    // Other contents under the same name are a contradiction, and nothing of the rest is registered either.
    let other = add_system(&store, 2, from_ref(&leaf.path));
    let error = db.register(&[other.clone(), PathInfo { nar_hash: [7; 32], ..signed }], 5).unwrap_err();
    assert!(matches!(&error, StoreError::Disagree { path, .. } if *path == system.path), "{error}");
    assert_eq!(db.info(&other.path).unwrap(), None);
}

#[test]
fn a_set_that_is_not_closed_is_refused_whole() {
    let (store, dir, _, _) = machine();
    let missing = StorePath::from_basename("9qxbjpzswk14yhndpqi63h7c97gyjl9d-missing").unwrap();
    let system = add_system(&store, 2, from_ref(&missing));
    let mut db = NixDb::open(dir.path()).unwrap();
    let error = db.register(from_ref(&system), 1).unwrap_err();
    assert!(matches!(&error, StoreError::NotClosed { path, .. } if *path == missing), "{error}");
    assert_eq!(db.references().unwrap().paths.len(), 2);
}

#[test]
fn paths_go_together_and_never_under_something_that_stays() {
    let (store, dir, leaf, one) = machine();
    let Some(nix) = Nix::new(dir.path()) else { return };
    let two = add_system(&store, 2, &[leaf.path.clone(), one.path.clone()]);
    let mut db = NixDb::open(dir.path()).unwrap();
    db.register(from_ref(&two), 1).unwrap();
    nix.verify();
    let references = db.references().unwrap();
    assert_eq!(references.paths[&two.path], BTreeSet::from([leaf.path.clone(), one.path.clone(), two.path.clone()]));
    for paths in [vec![&leaf.path], vec![&one.path, &leaf.path]] {
        let error = db.unregister(paths).unwrap_err();
        assert!(matches!(&error, StoreError::StillReferenced { referrer, .. } if *referrer == two.path.to_string()));
    }
    assert_eq!(db.references().unwrap(), references);
    assert_eq!(db.unregister([&leaf.path, &two.path, &one.path]).unwrap(), 3);
    assert_eq!(db.unregister([&leaf.path]).unwrap(), 0);
    assert_eq!(nix.valid(), [""; 0]);
    assert_eq!(rows(dir.path(), "select count(*) || '' from Refs"), ["0"]);
}

#[test]
fn a_nix_that_knows_realisations_loses_only_those_of_what_goes() {
    let (store, dir, leaf, system) = machine();
    let Some(nix) = Nix::new(dir.path()) else { return };
    nix.verify();
    let sql = "insert into Realisations (drvPath, outputName, outputPath) \
               select 'sha256:x!' || id, 'out', id from ValidPaths";
    if Connection::open(db_file(dir.path())).unwrap().execute(sql, []).is_err() {
        return crate::common::without_object("this Nix keeps no realisations");
    }
    let two = add_system(&store, 2, from_ref(&leaf.path));
    let mut db = NixDb::open(dir.path()).unwrap();
    db.register(&[two], 1).unwrap();
    db.unregister([&system.path]).unwrap();
    assert_eq!(rows(dir.path(), "select count(*) || '' from Realisations"), ["1"]);
    nix.verify();
}

#[test]
fn a_nix_that_has_the_database_open_sees_the_change_and_is_not_in_the_way() {
    let (store, dir, leaf, _) = machine();
    let Some(nix) = Nix::new(dir.path()) else { return };
    let mut serving = nix.tool("nix-store", &["--serve", "--write"]).start(Stdio::piped(), Stdio::piped()).unwrap();
    let mut to = serving.take_stdin().unwrap();
    let mut from = serving.take_stdout().unwrap();
    let number = |n: u64| n.to_le_bytes();
    // The greeting of the protocol, version 2.6.
    to.write_all(&[number(0x390c_9deb), number(0x0206)].concat()).unwrap();
    let mut greeting = [0; 16];
    std::io::Read::read_exact(&mut from, &mut greeting).unwrap();

    let two = add_system(&store, 2, from_ref(&leaf.path));
    NixDb::open(dir.path()).unwrap().register(from_ref(&two), 1).unwrap();
    // "Which of these paths are valid?" (no lock, no substitution, one path)
    let path = two.path.to_string();
    let mut question = [number(1), number(0), number(0), number(1), number(path.len() as u64)].concat();
    question.extend(path.as_bytes());
    question.resize(question.len().next_multiple_of(8), 0);
    to.write_all(&question).unwrap();
    let mut answer = [0; 8];
    std::io::Read::read_exact(&mut from, &mut answer).unwrap();
    assert_eq!(answer, number(1));
    drop((to, from));
    serving.kill();
    nix.verify();
}

#[test]
fn another_writer_is_waited_for() {
    let (store, dir, leaf, _) = machine();
    let two = add_system(&store, 2, &[leaf.path]);
    let mut other = Connection::open(db_file(dir.path())).unwrap();
    let held = other.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive).unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let root = dir.path();
        let waiting = scope.spawn(move || NixDb::open(root).unwrap().register(&[two], 1).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        held.commit().unwrap();
        assert_eq!(waiting.join().unwrap(), 1);
    });
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn reading_changes_nothing_whatever_state_the_database_was_left_in() {
    let (store, dir, leaf, system) = machine();
    let Some(nix) = Nix::new(dir.path()) else { return };
    nix.verify();
    // A process that was killed leaves its log behind.
    let two = add_system(&store, 2, from_ref(&leaf.path));
    let mut db = NixDb::open(dir.path()).unwrap();
    db.register(from_ref(&two), 1).unwrap();
    let left = dir.path().join("left");
    let nix_db = left.join(database::DATABASE_DIR);
    fs::create_dir_all(&nix_db).unwrap();
    for name in ["db.sqlite", "db.sqlite-wal", "schema"] {
        fs::copy(dir.path().join(database::DATABASE_DIR).join(name), nix_db.join(name)).unwrap();
    }
    assert!(fs::metadata(nix_db.join("db.sqlite-wal")).unwrap().len() > 0);
    let state = || -> Vec<_> { names(&nix_db).iter().map(|n| fs::read(nix_db.join(n)).unwrap()).collect() };
    let before = state();
    let read = NixDb::read(&left).unwrap().unwrap();
    assert_eq!(read.references().unwrap().paths.len(), 3);
    assert_eq!(read.info(&two.path).unwrap(), Some(two));
    assert_eq!(read.info(&system.path).unwrap(), Some(system));
    assert_eq!(state(), before);
}

#[test]
fn another_schema_is_refused_before_anything_is_touched() {
    let (_store, dir, leaf, _) = machine();
    let schema = dir.path().join(database::DATABASE_DIR).join("schema");
    fs::write(&schema, "11").unwrap();
    let before = fs::read(db_file(dir.path())).unwrap();
    for error in [NixDb::open(dir.path()).map(drop).unwrap_err(), NixDb::read(dir.path()).map(drop).unwrap_err()] {
        assert!(matches!(&error, StoreError::NixSchema { found, .. } if found == "11"), "{error}");
    }
    assert_eq!(fs::read(db_file(dir.path())).unwrap(), before);
    // A missing one is mended, as Nix does.
    fs::remove_file(&schema).unwrap();
    assert!(NixDb::open(dir.path()).unwrap().info(&leaf.path).unwrap().is_some());
    assert_eq!(fs::read(schema).unwrap(), b"10");
}

#[test]
fn rows_that_we_cannot_spell_keep_what_they_refer_to() {
    let (_store, dir, leaf, _) = machine();
    let sql = "insert into ValidPaths (path, hash, registrationTime) values ('/nix/store/odd', 'sha256:00', 1); \
               insert into Refs select (select id from ValidPaths where path = '/nix/store/odd'), id \
               from ValidPaths where path like '%-leaf'";
    Connection::open(db_file(dir.path())).unwrap().execute_batch(sql).unwrap();
    let references = NixDb::read(dir.path()).unwrap().unwrap().references().unwrap();
    assert_eq!((references.paths.len(), references.held), (2, BTreeSet::from([leaf.path])));
}
