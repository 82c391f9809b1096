//! The database: the same bytes each time, and what Nix needs in it. `scripts/test-nix` shows one to real Nix versions.

use std::fs;

use crate::common::{add_leaf, leaf, names, store};
use cairn_store::{Store, StoreError, StorePath, database};
use rusqlite::Connection;

fn closure(store: &Store) -> Vec<cairn_store::PathInfo> {
    let key = cairn_store::SigningKey::parse(include_str!("../fixtures/key.sec")).unwrap();
    let base = add_leaf(store);
    let path = Store::input_addressed_path("system", b"inputs").unwrap();
    let scratch = leaf(store);
    fs::write(scratch.path().join("init"), format!("{path} {}", base.path)).unwrap();
    store.add_input_addressed(&path, scratch, std::slice::from_ref(&base.path), None).unwrap();
    let mut infos = store.closure(&[path]).unwrap();
    infos.iter_mut().filter(|i| i.ca.is_none()).for_each(|i| i.sign(&key));
    infos
}

#[test]
fn two_runs_give_the_same_bytes_whatever_the_order() {
    let (store, dir) = store();
    let mut infos = closure(&store);
    let [one, two] = ["one", "two"].map(|n| dir.path().join(n));
    database::write(&one, &infos).unwrap();
    infos.reverse();
    database::write(&two, &infos).unwrap();
    assert_eq!(names(&one), ["db.sqlite", "schema"]);
    assert_eq!(fs::read(one.join("schema")).unwrap(), b"10");
    let bytes = fs::read(one.join("db.sqlite")).unwrap();
    assert_eq!(bytes, fs::read(two.join("db.sqlite")).unwrap());
    // Bytes 18 and 19 would be 2 for a database with a write-ahead log.
    assert_eq!(bytes[18..20], [1, 1]);
}

#[test]
fn every_path_is_there_with_its_references_itself_among_them() {
    let (store, dir) = store();
    let infos = closure(&store);
    database::write(dir.path(), &infos).unwrap();
    let db = Connection::open(dir.path().join("db.sqlite")).unwrap();
    let rows = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let paths: Vec<String> = infos.iter().map(|i| i.path.to_string()).collect();
    assert_eq!(rows("select path from ValidPaths order by id"), paths);
    let refs = "select a.path || ' ' || b.path from Refs join ValidPaths a on a.id = referrer \
                join ValidPaths b on b.id = reference order by 1";
    let system = infos.iter().find(|i| i.ca.is_none()).unwrap();
    let expected: Vec<String> = system.references.iter().map(|r| format!("{} {r}", system.path)).collect();
    assert_eq!(rows(refs), expected);
    assert_eq!(rows("select sigs from ValidPaths where sigs is not null"), system.signatures);
    assert_eq!(rows("select path from ValidPaths where ca is null"), [system.path.to_string()]);
    assert_eq!(rows("pragma integrity_check"), ["ok"]);

    // Garbage collection deletes a path that refers to itself.
    db.execute("delete from ValidPaths where path = ?", [system.path.to_string()]).unwrap();
    assert_eq!(rows(refs), [""; 0]);
}

#[test]
fn a_set_that_is_not_closed_is_refused() {
    let (store, _dir) = store();
    let infos: Vec<_> = closure(&store).into_iter().filter(|i| i.ca.is_none()).collect();
    let error = database::sqlite(&infos).unwrap_err();
    assert!(matches!(&error, StoreError::NotClosed { path, .. } if path.name() == "leaf"), "{error}");
    assert!(database::registration(&infos).is_err());
    let stranger = StorePath::from_basename("9qxbjpzswk14yhndpqi63h7c97gyjl9d-stranger").unwrap();
    assert!(matches!(store.closure(&[stranger]).unwrap_err(), StoreError::Missing { referrer: None, .. }));
}
