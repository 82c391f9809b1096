//! What a source says of references is found out, not believed: a later collection goes by it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::slice::from_ref;

use crate::common::{add_leaf, add_system, is_root, left_over, names, skip, store};
use cairn_process::Quiet;
use cairn_store::{CopySource, Generations, MachineStore, NixDb, PathInfo, Store, StoreError, StorePath, database};
use rusqlite::Connection;

/// A disk with a system that refers to a leaf and to another system, in Nix's database alone.
fn disk() -> (tempfile::TempDir, StorePath, StorePath, StorePath) {
    let (store, dir) = store();
    let leaf = add_leaf(&store).path;
    let etc = add_system(&store, 7, &[]).path;
    let system = add_system(&store, 1, &[leaf.clone(), etc.clone()]).path;
    let infos = store.closure(from_ref(&system)).unwrap();
    database::write(&dir.path().join(database::DATABASE_DIR), &infos).unwrap();
    fs::remove_dir_all(dir.path().join("nix/var/cairn")).unwrap();
    (dir, leaf, etc, system)
}

fn change(root: &Path, sql: &str) {
    Connection::open(root.join(database::DATABASE_DIR).join("db.sqlite")).unwrap().execute_batch(sql).unwrap();
}

/// The same bytes as [`add_system`] makes, recorded without the references in them.
fn add_without_references(store: &Store, number: u32, references: &[StorePath]) -> PathInfo {
    let path = Store::input_addressed_path("system", format!("{number} {references:?}").as_bytes()).unwrap();
    let scratch = store.scratch().unwrap();
    fs::write(scratch.path().join("init"), format!("{path} {number}\n")).unwrap();
    for (n, reference) in references.iter().enumerate() {
        symlink(reference.to_string(), scratch.path().join(format!("link-{n}"))).unwrap();
    }
    store.add_input_addressed(&path, scratch, &[], None).unwrap()
}

#[test]
fn a_reference_that_the_books_leave_out_is_refused_before_anything_is_placed() {
    for (left_out, sql) in [
        (None, "delete from Refs".to_string()),
        (None, "delete from Refs where referrer <> reference".to_string()),
        (Some(0), "delete from Refs where reference = (select id from ValidPaths where path = '{leaf}')".to_string()),
        (Some(1), "delete from Refs where reference = (select id from ValidPaths where path = '{etc}')".to_string()),
    ] {
        let (source_dir, leaf, etc, system) = disk();
        let honest = fs::read(source_dir.path().join(database::DATABASE_DIR).join("db.sqlite")).unwrap();
        change(source_dir.path(), &sql.replace("{leaf}", &leaf.to_string()).replace("{etc}", &etc.to_string()));
        let (here, here_dir) = store();
        let copy = || here.copy_closure(&CopySource::open(source_dir.path()).unwrap(), from_ref(&system), &Quiet);
        let error = copy().unwrap_err();
        let StoreError::SourceDamaged { path, what, .. } = &error else { panic!("{error}") };
        assert_ne!(*path, leaf);
        let named = match left_out {
            None => what.contains("/nix/store/"),
            Some(0) => *path == system && what.contains(&leaf.to_string()),
            _ => *path == system && what.contains(&etc.to_string()),
        };
        assert!(named && what.contains("do not say that it refers to"), "{error}");
        assert!(error.to_string().contains("nothing was copied"), "{error}");
        // Nothing of it stays, and a later try with true books is none the worse.
        assert_eq!((here.paths().unwrap(), names(here_dir.path().join("nix/store"))), (vec![], vec![]));
        assert_eq!(left_over(here_dir.path()), [""; 0]);
        assert!(NixDb::read(here_dir.path()).unwrap().is_none());
        fs::write(source_dir.path().join(database::DATABASE_DIR).join("db.sqlite"), honest).unwrap();
        let copied = copy().unwrap();
        let info = copied.closure.iter().find(|info| info.path == system).unwrap();
        assert!(info.references.contains(&leaf) && info.references.contains(&etc));
    }
}

#[test]
fn a_record_alone_is_not_believed_either() {
    let (cache, cache_dir) = store();
    let leaf = add_leaf(&cache).path;
    let system = add_without_references(&cache, 1, from_ref(&leaf)).path;
    let (here, _dir) = store();
    let error = here.copy_closure(&CopySource::open(cache_dir.path()).unwrap(), from_ref(&system), &Quiet).unwrap_err();
    assert!(error.to_string().contains(&format!("its files name {leaf}")), "{error}");
    assert_eq!(here.paths().unwrap(), []);
}

#[test]
fn what_the_source_does_not_have_and_this_machine_does_is_found_as_well() {
    let (source_dir, leaf, _, system) = disk();
    let sql = format!(
        "delete from Refs where reference in (select id from ValidPaths where path = '{leaf}'); \
         delete from ValidPaths where path = '{leaf}'"
    );
    change(source_dir.path(), &sql);
    fs::remove_dir_all(source_dir.path().join("nix/store").join(leaf.base_name())).unwrap();
    let (here, _dir) = store();
    assert_eq!(add_leaf(&here).path, leaf);
    let error =
        here.copy_closure(&CopySource::open(source_dir.path()).unwrap(), from_ref(&system), &Quiet).unwrap_err();
    assert!(error.to_string().contains(&format!("its files name {leaf}")), "{error}");
    assert_eq!(here.paths().unwrap(), [leaf]);
}

#[test]
fn what_is_in_the_books_alone_keeps_something_alive_and_no_more() {
    let (cache, cache_dir) = store();
    let leaf = add_leaf(&cache).path;
    let system = add_system(&cache, 1, &[]).path;
    let infos: Vec<PathInfo> = cache.closure(&[leaf.clone(), system.clone()]).unwrap();
    let more = |info: PathInfo| {
        let references = info.references.iter().cloned().chain((info.path == system).then(|| leaf.clone())).collect();
        PathInfo { references, ..info }
    };
    let infos: Vec<PathInfo> = infos.into_iter().map(more).collect();
    database::write(&cache_dir.path().join(database::DATABASE_DIR), &infos).unwrap();
    fs::remove_dir_all(cache_dir.path().join("nix/var/cairn")).unwrap();
    let (here, _dir) = store();
    let copied = here.copy_closure(&CopySource::open(cache_dir.path()).unwrap(), &[system], &Quiet).unwrap();
    assert_eq!(copied.closure.len(), 2);
}

#[test]
fn a_record_and_a_row_with_fewer_references_are_mended_by_a_good_source() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let (source_dir, leaf, etc, system) = disk();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    // As an earlier version took it from a source that lied; the rest is here, too.
    {
        let store = MachineStore::open(root).unwrap();
        add_leaf(&store);
        add_system(&store, 7, &[]);
        let poor = add_without_references(&store, 1, &[leaf.clone(), etc.clone()]);
        assert_eq!((&poor.path, poor.references.len()), (&system, 1));
        NixDb::open(root)
            .unwrap()
            .register(&store.closure(&[system.clone(), leaf.clone(), etc.clone()]).unwrap(), 1)
            .unwrap();
        let copied =
            store.copy_closure(&CopySource::open(source_dir.path()).unwrap(), from_ref(&system), &Quiet).unwrap();
        assert_eq!((copied.new, copied.closure.len()), (vec![], 3));
        assert_eq!(store.info(&system).unwrap().unwrap().references.len(), 3);
        store.check_quick(&system).unwrap();
        NixDb::open(root).unwrap().register(&copied.closure, 1).unwrap();
    }
    let info = NixDb::read(root).unwrap().unwrap().info(&system).unwrap().unwrap();
    assert!(info.references.contains(&leaf) && info.references.contains(&etc));
    let generations = Generations::at(root);
    generations.add(&system, 1, 0).unwrap();
    generations.switch(1).unwrap();
    assert_eq!(MachineStore::open(root).unwrap().collect_garbage(&Quiet).unwrap().dead, []);
    assert_eq!(Store::at(root).unwrap().closure(&[system]).unwrap().len(), 3);
}

#[test]
fn a_tree_that_is_made_again_gets_all_its_references() {
    let (store, _dir) = store();
    let leaf = add_leaf(&store).path;
    let poor = add_without_references(&store, 1, from_ref(&leaf));
    let good = add_system(&store, 1, from_ref(&leaf));
    assert_eq!((&poor.path, poor.nar_hash), (&good.path, good.nar_hash));
    assert!(good.references.contains(&leaf));
    assert_eq!(store.info(&good.path).unwrap(), Some(good));
}

#[test]
fn a_tree_of_more_than_its_size_is_not_copied_to_the_end() {
    let (source_dir, _, _, system) = disk();
    change(source_dir.path(), &format!("update ValidPaths set narSize = 10 where path = '{system}'"));
    let (here, here_dir) = store();
    let error = here.copy_closure(&CopySource::open(source_dir.path()).unwrap(), &[system], &Quiet).unwrap_err();
    assert!(error.to_string().contains("its files have more than the 10 bytes"), "{error}");
    assert_eq!(left_over(here_dir.path()), [""; 0]);
}

#[test]
fn two_paths_with_one_hash_are_not_taken_for_each_other() {
    // Where the twin lies: in the source with the base, in the source in the base's place, here.
    for (beside, in_source) in [(true, true), (false, true), (true, false)] {
        let (source_dir, leaf, _, system) = disk();
        let twin = StorePath::from_basename(&format!("{}-bogus", leaf.hash_part())).unwrap();
        let (here, here_dir) = store();
        let leaf_lies = source_dir.path().join("nix/store").join(leaf.base_name());
        let top = if in_source { source_dir.path() } else { here_dir.path() };
        fs::create_dir_all(top.join("nix/store").join(twin.base_name())).unwrap();
        if in_source {
            // The books name the twin instead of what the bytes refer to.
            change(source_dir.path(), &format!("update ValidPaths set path = '{twin}' where path = '{leaf}'"));
        }
        if !beside {
            fs::remove_dir_all(&leaf_lies).unwrap();
            fs::create_dir_all(here_dir.path().join("nix/store").join(leaf.base_name())).unwrap();
        }
        let source = CopySource::open(source_dir.path()).unwrap();
        let error = here.copy_closure(&source, from_ref(&system), &Quiet).unwrap_err();
        assert!(matches!(error, StoreError::SourceDamaged { .. }), "{error}");
        assert!(error.to_string().contains("it has the same hash as"), "{error}");
        assert_eq!(here.paths().unwrap(), []);
    }
}

#[test]
fn a_path_of_unknown_size_has_to_fit_on_the_disk() {
    let (source_dir, leaf, _, system) = disk();
    change(source_dir.path(), "update ValidPaths set narSize = 0");
    let (here, here_dir) = store();
    // Larger than the disk, and takes no room of it where it lies.
    let top = source_dir.path().join("nix/store").join(leaf.base_name());
    fs::set_permissions(&top, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let file = fs::File::create(top.join("sparse")).unwrap();
    file.set_len(8 << 40).unwrap();
    let copy = || here.copy_closure(&CopySource::open(source_dir.path()).unwrap(), from_ref(&system), &Quiet);
    let error = copy().unwrap_err();
    assert!(matches!(error, StoreError::Full { needed, .. } if needed >= 8 << 40), "{error}");
    assert_eq!((here.paths().unwrap(), left_over(here_dir.path())), (vec![], vec![]));
    fs::remove_file(top.join("sparse")).unwrap();
    copy().unwrap();
}
