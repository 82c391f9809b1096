//! Copying a closure from a machine's disk or a cache, and what keeps it from arriving half or wrong.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use crate::common::cut::{self, in_memory};
use crate::common::{Nix, add_leaf, add_system, child_root, is_root, left_over, names, skip, store};
use cairn_process::{Quiet, Report};
use cairn_store::{CopySource, MachineStore, NixDb, PathInfo, SigningKey, Store, StoreError, StorePath, database};
use rusqlite::Connection;

/// A machine's disk with a leaf and a signed system in Nix's database, and no records of Cairn's.
fn disk() -> (tempfile::TempDir, Vec<PathInfo>, StorePath) {
    let (store, dir) = store();
    let leaf = add_leaf(&store);
    let system = add_system(&store, 1, std::slice::from_ref(&leaf.path));
    let key = SigningKey::parse(include_str!("../fixtures/key.sec")).unwrap();
    let mut infos = store.closure(std::slice::from_ref(&system.path)).unwrap();
    infos.iter_mut().filter(|i| i.ca.is_none()).for_each(|i| i.sign(&key));
    database::write(&dir.path().join(database::DATABASE_DIR), &infos).unwrap();
    fs::remove_dir_all(dir.path().join("nix/var/cairn")).unwrap();
    (dir, infos, system.path)
}

/// Everything below a folder, with what `lstat` says about changes.
fn state(dir: &Path) -> Vec<(std::path::PathBuf, i64, i64)> {
    fn walk(dir: &Path, found: &mut Vec<(std::path::PathBuf, i64, i64)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            use std::os::unix::fs::MetadataExt;
            found.push((path.clone(), meta.ctime(), meta.ctime_nsec()));
            if meta.is_dir() {
                walk(&path, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(dir, &mut found);
    found.sort();
    found
}

#[derive(Default)]
struct Counted(Mutex<(u64, u64)>);

impl Report for Counted {
    fn phase(&self, _name: &str, total: Option<u64>) {
        self.0.lock().unwrap().0 = total.unwrap();
    }
    fn advance(&self, steps: u64) {
        self.0.lock().unwrap().1 += steps;
    }
    fn note(&self, _text: &str) {}
}

#[test]
fn a_closure_comes_from_a_disk_with_its_signatures_and_the_disk_stays_as_it_is() {
    let (source_dir, infos, system) = disk();
    let (here, here_dir) = store();
    let before = state(source_dir.path());
    let source = CopySource::open(source_dir.path()).unwrap();
    let counted = Counted::default();
    let copied = here.copy_closure(&source, std::slice::from_ref(&system), &counted).unwrap();
    assert_eq!(state(source_dir.path()), before);
    assert_eq!((copied.closure.clone(), copied.new.len()), (infos.clone(), 2));
    assert!(copied.closure.iter().any(|i| !i.signatures.is_empty()));
    assert_eq!(here.closure(std::slice::from_ref(&system)).unwrap(), infos);
    for info in &infos {
        here.check_contents(&info.path).unwrap();
        here.check_quick(&info.path).unwrap();
    }
    let (total, done) = *counted.0.lock().unwrap();
    assert!(total >= done && done == copied.bytes, "{total} {done}");
    assert_eq!(left_over(here_dir.path()), [""; 0]);

    // Once more there is nothing to do, and a new system brings itself only.
    let again = here.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap();
    assert_eq!((again.closure, again.new.len(), again.bytes), (infos.clone(), 0, 0));
    NixDb::open(here_dir.path()).unwrap().register(&infos, 1).unwrap();
    let Some(nix) = Nix::new(here_dir.path()) else { return };
    nix.verify();
    let key = include_str!("../fixtures/key.pub").trim();
    nix.run("nix", &["store", "verify", "--all", "--option", "trusted-public-keys", key]);
}

#[test]
fn a_cache_of_ours_and_a_nix_of_theirs_are_sources_too() {
    let (cache, cache_dir) = store();
    let system = add_system(&cache, 1, &[add_leaf(&cache).path]).path;
    let (here, _dir) = store();
    let source = CopySource::open(cache_dir.path()).unwrap();
    assert_eq!(here.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap().new.len(), 2);

    // A store that a real Nix has made from a NAR of its own.
    let nix_dir = tempfile::tempdir().unwrap();
    let Some(nix) = Nix::new(nix_dir.path()) else { return };
    let tree = tempfile::tempdir().unwrap();
    let top = tree.path().join("brought");
    fs::create_dir(&top).unwrap();
    crate::common::leaf_in(&top);
    let path = nix.run("nix-store", &["--add", top.to_str().unwrap()]);
    let path = StorePath::from_absolute(path.trim()).unwrap();
    let source = CopySource::open(nix_dir.path()).unwrap();
    here.copy_closure(&source, std::slice::from_ref(&path), &Quiet).unwrap();
    here.check_contents(&path).unwrap();
}

#[test]
fn bytes_that_are_not_what_the_database_says_stop_everything() {
    let (source_dir, _, system) = disk();
    let source = CopySource::open(source_dir.path()).unwrap();
    let init = source.real_path(&system).join("init");
    let (here, here_dir) = store();
    let refused = |text: &str| {
        fs::remove_file(&init).unwrap();
        fs::write(&init, text).unwrap();
        here.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap_err()
    };
    let good = fs::read_to_string(&init).unwrap();
    for bad in [good.to_uppercase(), String::new(), good.clone() + " "] {
        let error = refused(&bad);
        let StoreError::SourceDamaged { path, what, .. } = &error else { panic!("{error}") };
        assert!(*path == system && what.contains("its NAR has sha256 "), "{error}");
        assert!(error.to_string().contains("nothing was copied"), "{error}");
        // The leaf was right, and is not here either.
        assert_eq!((here.paths().unwrap(), names(here_dir.path().join("nix/store"))), (vec![], vec![]));
        assert_eq!(left_over(here_dir.path()), [""; 0]);
    }
    fs::write(&init, good).unwrap();
    here.copy_closure(&source, &[system], &Quiet).unwrap();
}

#[test]
fn a_cache_can_say_which_file_is_damaged() {
    let (cache, cache_dir) = store();
    let leaf = add_leaf(&cache).path;
    let file = cache.real_path(&leaf).join("share/hello");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&file, "hallo\n").unwrap();
    let (here, _dir) = store();
    let error = here.copy_closure(&CopySource::open(cache_dir.path()).unwrap(), &[leaf], &Quiet).unwrap_err();
    assert!(error.to_string().contains("share/hello differs; its NAR has"), "{error}");
}

#[test]
fn a_path_under_a_name_that_its_bytes_do_not_give_is_refused() {
    let (source_dir, _, system) = disk();
    // The leaf's row and tree say the system's bytes, consistently.
    let db = source_dir.path().join(database::DATABASE_DIR).join("db.sqlite");
    let leaf = CopySource::open(source_dir.path()).unwrap().closure(&[system]).unwrap();
    let leaf = leaf.iter().find(|i| i.ca.is_some()).unwrap();
    let real = source_dir.path().join("nix/store").join(leaf.path.base_name());
    let hello = real.join("share/hello");
    fs::remove_file(&hello).unwrap();
    fs::write(&hello, "another\n").unwrap();
    let (other, _dir) = store();
    let scratch = other.scratch().unwrap();
    crate::common::leaf_in(scratch.path());
    fs::write(scratch.path().join("share/hello"), "another\n").unwrap();
    let honest = other.add("leaf", scratch, &[]).unwrap();
    let sql = format!(
        "update ValidPaths set hash = '{}', narSize = {} where path = '{}'",
        honest.nar_hash_hex(),
        honest.nar_size,
        leaf.path
    );
    Connection::open(db).unwrap().execute_batch(&sql).unwrap();
    let (here, _dir) = store();
    let source = CopySource::open(source_dir.path()).unwrap();
    let error = here.copy_closure(&source, std::slice::from_ref(&leaf.path), &Quiet).unwrap_err();
    assert!(error.to_string().contains(&format!("its bytes make it {}", honest.path)), "{error}");
}

#[test]
fn what_the_source_lacks_and_what_is_no_source_is_said() {
    let (source_dir, infos, system) = disk();
    let leaf = infos.iter().find(|i| i.ca.is_some()).unwrap();
    let source = CopySource::open(source_dir.path()).unwrap();
    fs::remove_dir_all(source.real_path(&leaf.path)).unwrap();
    let (here, here_dir) = store();
    let error = here.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap_err().to_string();
    assert!(error.contains(&format!("but {system} refers to it")), "{error}");
    assert_eq!(here.paths().unwrap(), []);

    let empty = tempfile::tempdir().unwrap();
    let error = CopySource::open(empty.path()).unwrap_err().to_string();
    assert!(error.contains("holds no store: there is no folder nix/store in it"), "{error}");
    fs::create_dir_all(empty.path().join("nix/store")).unwrap();
    let error = CopySource::open(empty.path()).unwrap_err().to_string();
    assert!(error.contains("there is neither nix/var/nix/db/db.sqlite nor"), "{error}");
    assert_eq!(names(empty.path()), ["nix"]);
    drop(here_dir);
}

#[test]
fn a_damaged_path_here_is_replaced_and_an_undamaged_one_of_other_bytes_stays() {
    let (source_dir, infos, system) = disk();
    let source = CopySource::open(source_dir.path()).unwrap();
    let (here, _dir) = store();
    here.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap();
    let init = here.real_path(&system).join("init");
    fs::set_permissions(&init, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::write(&init, "broken").unwrap();
    let copied = here.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap();
    assert_eq!(copied.new, std::slice::from_ref(&system));
    here.check_contents(&system).unwrap();

    // Named by its inputs, it may have come out otherwise here.
    let (here, _dir) = store();
    let leaf = add_leaf(&here);
    let scratch = here.scratch().unwrap();
    fs::write(scratch.path().join("init"), "otherwise").unwrap();
    let own = here.add_input_addressed(&system, scratch, &[leaf.path], None).unwrap();
    let copied = here.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap();
    assert!(copied.new.is_empty() && copied.closure == [own]);
    assert_ne!(copied.closure[0].nar_hash, infos.iter().find(|i| i.path == system).unwrap().nar_hash);
}

#[test]
fn what_nix_has_brought_gets_records_and_is_not_copied() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let (source_dir, infos, system) = disk();
    let source = CopySource::open(source_dir.path()).unwrap();
    // A disk with the same closure and no records.
    let (machine_dir, _, _) = disk();
    let machine = MachineStore::open(machine_dir.path()).unwrap();
    assert_eq!(machine.paths().unwrap(), []);
    let before = state(&machine_dir.path().join("nix/store"));
    let copied = machine.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap();
    assert_eq!((copied.new, copied.closure), (vec![], infos.clone()));
    assert_eq!(state(&machine_dir.path().join("nix/store")), before);
    machine.check_quick(&system).unwrap();

    // If that is damaged, Nix's own word on it decides.
    let (machine_dir, _, _) = disk();
    let init = machine_dir.path().join("nix/store").join(system.base_name()).join("init");
    fs::write(&init, "broken").unwrap();
    let machine = MachineStore::open(machine_dir.path()).unwrap();
    let copied = machine.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap();
    assert_eq!(copied.new, std::slice::from_ref(&system));
    let Some(nix) = Nix::new(machine_dir.path()) else { return };
    nix.verify();
}

/// A cache with two bases that share most of their bytes, and a system on each.
fn cache(root: &Path) -> Vec<StorePath> {
    let cache = Store::open(root).unwrap();
    let base = |version: u32| {
        let scratch = cache.scratch().unwrap();
        for (name, version) in [("same", 0), ("other", version)] {
            fs::write(scratch.path().join(name), format!("{name} {version} ").repeat(100_000)).unwrap();
        }
        cache.add("base", scratch, &[]).unwrap().path
    };
    [1, 2].map(|version| add_system(&cache, version, &[base(version)]).path).into()
}

#[test]
#[ignore = "run by another test, to be ended at some moment"]
fn child_that_copies() {
    let Some(root) = child_root() else { return };
    let source = CopySource::open(&root.join("source")).unwrap();
    let systems: Vec<StorePath> =
        fs::read_to_string(root.join("wanted")).unwrap().lines().map(|l| l.parse().unwrap()).collect();
    let machine = MachineStore::open(&root.join("machine")).unwrap();
    for system in systems {
        machine.copy_closure(&source, &[system], &Quiet).unwrap();
    }
}

/// A folder with a source, what is wanted of it, and an empty disk.
fn before_copying(made: &Path, systems: &[StorePath]) -> tempfile::TempDir {
    let dir = in_memory();
    std::os::unix::fs::symlink(made.join("source"), dir.path().join("source")).unwrap();
    let text: String = systems.iter().map(|p| format!("{p}\n")).collect();
    fs::write(dir.path().join("wanted"), text).unwrap();
    fs::create_dir(dir.path().join("machine")).unwrap();
    dir
}

/// Whatever counts is whole, and another try gets to the end.
fn whole_after_copying(root: &Path, made: &Path, systems: &[StorePath]) {
    let machine = MachineStore::open(&root.join("machine")).unwrap();
    assert_eq!(left_over(machine.root()), [""; 0]);
    let paths = machine.paths().unwrap();
    for path in &paths {
        machine.check_contents(path).unwrap();
    }
    machine.copy_closure(&CopySource::open(&made.join("source")).unwrap(), systems, &Quiet).unwrap();
    assert_eq!(machine.paths().unwrap().len(), 4);
    machine.paths().unwrap().iter().for_each(|path| machine.check_quick(path).unwrap());
}

#[test]
fn copying_may_be_killed_before_any_change_it_makes() {
    if !is_root() || !cut::can_trace() {
        return skip("needs root, and strace to end a process at a chosen system call");
    }
    let made = in_memory();
    let systems = cache(&made.path().join("source"));
    let prepare = || before_copying(made.path(), &systems);
    let judge = |root: &Path| {
        let machine = Store::open(&root.join("machine")).unwrap();
        // What counts has all that it refers to. (A cut may lose one of several infos that came at once.)
        machine.closure(&machine.paths().unwrap()).unwrap();
        whole_after_copying(root, made.path(), &systems);
    };
    let ends = cut::at_each_change("copy::child_that_copies", prepare, judge);
    assert!(ends > 100, "{ends}");
}

#[test]
fn the_power_may_fail_before_and_after_any_sync_of_copying() {
    if !is_root() || !cut::can_trace() {
        return skip("needs root, and strace to end a process at a chosen system call");
    }
    let made = in_memory();
    let systems = cache(&made.path().join("source"));
    let mut random = cut::Random(3);
    let mut durable = cut::State::default();
    let mut cuts = 0;
    for n in 1.. {
        let dir = before_copying(made.path(), &systems);
        let done = cut::until_sync("copy::child_that_copies", dir.path(), n);
        let reached = cut::State::read(&dir.path().join("machine"));
        for _ in 0..30 {
            let dir = in_memory();
            fs::create_dir(dir.path().join("machine")).unwrap();
            cut::State::torn(&durable, &reached, &mut random).write(&dir.path().join("machine"));
            whole_after_copying(dir.path(), made.path(), &systems);
            cuts += 1;
        }
        durable = reached;
        if done {
            break;
        }
    }
    assert!(cuts >= 5 * 30, "{cuts}");
}

#[test]
fn a_disk_without_room_says_so_and_keeps_nothing() {
    if !is_root() {
        return skip("needs root, for a small file system");
    }
    let made = in_memory();
    let systems = cache(&made.path().join("source"));
    let dir = before_copying(made.path(), &systems);
    let script = "mount -t tmpfs -o size=1m none \"$1/machine\"; shift; exec \"$@\"";
    let tool = cairn_process::Tool::new("unshare", "util-linux", "have a small file system");
    let tool = tool.args(["-m", "sh", "-ec", script, "sh"]).arg(dir.path()).arg(std::env::current_exe().unwrap());
    let out = crate::common::as_child(tool, "copy::child_without_room", dir.path()).output().unwrap();
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("there is no room in the store at ") && out.contains("2 MiB are needed at most"), "{out}");
}

#[test]
#[ignore = "run by another test, on a small file system"]
fn child_without_room() {
    let Some(root) = child_root() else { return };
    let source = CopySource::open(&root.join("source")).unwrap();
    let wanted = fs::read_to_string(root.join("wanted")).unwrap();
    let machine = MachineStore::open(&root.join("machine")).unwrap();
    let error = machine.copy_closure(&source, &[wanted.lines().next().unwrap().parse().unwrap()], &Quiet).unwrap_err();
    println!("{error}");
    assert_eq!((machine.paths().unwrap(), left_over(machine.root())), (vec![], vec![]));
}

#[test]
fn a_database_here_that_knows_other_bytes_is_a_contradiction() {
    let (source_dir, infos, system) = disk();
    let (here, here_dir) = store();
    let wrong: Vec<PathInfo> = infos.iter().map(|i| PathInfo { nar_hash: [1; 32], ..i.clone() }).collect();
    database::write(&here_dir.path().join(database::DATABASE_DIR), &wrong).unwrap();
    let source = CopySource::open(source_dir.path()).unwrap();
    let error = here.copy_closure(&source, &[system], &Quiet).unwrap_err();
    assert!(matches!(error, StoreError::Disagree { .. }), "{error}");
    assert_eq!(here.paths().unwrap(), []);
}

/// The store holds a real file system's worth of odd but allowed things.
#[test]
fn a_path_that_is_a_single_file_or_link_is_copied() {
    let (cache, cache_dir) = store();
    let scratch = cache.scratch().unwrap();
    fs::remove_dir(scratch.path()).unwrap();
    fs::write(scratch.path(), "alone").unwrap();
    let file = cache.add("file", scratch, &[]).unwrap().path;
    let scratch = cache.scratch().unwrap();
    fs::remove_dir(scratch.path()).unwrap();
    std::os::unix::fs::symlink("/etc", scratch.path()).unwrap();
    let link = cache.add("link", scratch, &[]).unwrap().path;
    let (here, _dir) = store();
    let source = CopySource::open(cache_dir.path()).unwrap();
    let copied = here.copy_closure(&source, &[file.clone(), link.clone()], &Quiet).unwrap();
    assert_eq!(copied.new.len(), 2);
    for path in [&file, &link] {
        here.check_contents(path).unwrap();
    }
}

fn change(root: &Path, sql: &str) {
    Connection::open(root.join(database::DATABASE_DIR).join("db.sqlite")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn what_the_database_does_not_know_is_found_out_and_what_it_knows_wrongly_is_refused() {
    let (source_dir, infos, system) = disk();
    let copied = |sql: &str| {
        let (here, _dir) = store();
        change(source_dir.path(), sql);
        here.copy_closure(&CopySource::open(source_dir.path()).unwrap(), std::slice::from_ref(&system), &Quiet)?;
        here.closure(std::slice::from_ref(&system))
    };
    // Of a Nix of old, and of another time.
    assert_eq!(copied("update ValidPaths set narSize = 0, registrationTime = 7, ca = ifnull(ca, '')").unwrap(), infos);
    let refused = |sql: &str| {
        let error = copied(sql).unwrap_err();
        assert!(matches!(error, StoreError::SourceDamaged { .. }), "{error}");
        error.to_string()
    };
    let leaf = infos.iter().find(|info| info.ca.is_some()).unwrap();
    let more = leaf.nar_size + 8;
    let error = refused(&format!("update ValidPaths set narSize = {more} where path = '{}'", leaf.path));
    assert!(error.contains(&format!("its NAR has {} bytes instead of {more}", leaf.nar_size)), "{error}");
    let error = refused("update ValidPaths set narSize = 0, ca = ca || '1' where ca <> ''");
    assert!(error.contains(&format!("its bytes make it {}", leaf.path)), "{error}");
}

#[test]
fn a_tree_in_its_place_is_recorded_by_what_it_is() {
    if !is_root() {
        return skip("needs root, to open a machine's store");
    }
    let (source_dir, infos, system) = disk();
    change(source_dir.path(), "update ValidPaths set narSize = 0, registrationTime = 7");
    let (machine_dir, _, _) = disk();
    let machine = MachineStore::open(machine_dir.path()).unwrap();
    let source = CopySource::open(source_dir.path()).unwrap();
    crate::common::settle(machine_dir.path());
    let before = state(&machine_dir.path().join("nix/store"));
    let copied = machine.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap();
    assert_eq!((copied.new, copied.closure), (vec![], infos));
    assert_eq!(state(&machine_dir.path().join("nix/store")), before, "nothing is changed in it");
    // Once more there is nothing to write down.
    use std::os::unix::fs::MetadataExt;
    let info = machine_dir.path().join(format!("nix/var/cairn/info/{}.json", system.base_name()));
    let inode = fs::metadata(&info).unwrap().ino();
    machine.copy_closure(&source, std::slice::from_ref(&system), &Quiet).unwrap();
    assert_eq!(fs::metadata(&info).unwrap().ino(), inode);
}

#[test]
fn a_path_that_does_not_name_itself_is_copied_and_one_of_another_name_is_not() {
    let (cache, cache_dir) = store();
    let path = Store::input_addressed_path("plain", b"").unwrap();
    let scratch = cache.scratch().unwrap();
    fs::write(scratch.path().join("file"), "").unwrap();
    let plain = cache.add_input_addressed(&path, scratch, &[], None).unwrap();
    let leaf = add_leaf(&cache);
    // The right bytes, and a content address that is theirs, under a name that is not.
    let wrong = Store::input_addressed_path("leaf", b"wrong").unwrap();
    fs::rename(cache.real_path(&leaf.path), cache.real_path(&wrong)).unwrap();
    let infos = [plain, PathInfo { path: wrong.clone(), ..leaf.clone() }];
    database::write(&cache_dir.path().join(database::DATABASE_DIR), &infos).unwrap();
    fs::remove_dir_all(cache_dir.path().join("nix/var/cairn")).unwrap();
    let source = CopySource::open(cache_dir.path()).unwrap();
    let (here, _dir) = store();
    assert_eq!(here.copy_closure(&source, std::slice::from_ref(&path), &Quiet).unwrap().new, [path]);
    let error = here.copy_closure(&source, &[wrong], &Quiet).unwrap_err().to_string();
    assert!(error.contains(&format!("its bytes make it {}", leaf.path)), "{error}");
}

#[test]
fn a_source_s_database_and_records_must_agree() {
    let (source, dir) = store();
    let system = add_system(&source, 1, &[add_leaf(&source).path]).path;
    let infos = source.closure(std::slice::from_ref(&system)).unwrap();
    let key = SigningKey::parse(include_str!("../fixtures/key.sec")).unwrap();
    let mut signed = infos.clone();
    signed.iter_mut().for_each(|info| info.sign(&key));
    let db = dir.path().join(database::DATABASE_DIR);
    database::write(&db, &signed).unwrap();
    let good = fs::read(db.join("db.sqlite")).unwrap();
    let closure = || CopySource::open(dir.path()).unwrap().closure(std::slice::from_ref(&system));
    assert_eq!(closure().unwrap(), signed);
    change(dir.path(), "update ValidPaths set narSize = 0");
    assert_eq!(closure().unwrap(), signed, "the record knows the sizes");
    for sql in [
        "delete from Refs where referrer <> reference".to_string(),
        format!("update ValidPaths set hash = 'sha256:{}' where path = '{system}'", "0".repeat(64)),
    ] {
        change(dir.path(), &sql);
        let error = closure().unwrap_err().to_string();
        assert!(error.contains("Nix's database and Cairn's record say different things about it"), "{error}");
        fs::write(db.join("db.sqlite"), &good).unwrap();
    }
    // A record that is damaged is none, where there is a database; and an error, where there is none.
    fs::write(dir.path().join(format!("nix/var/cairn/info/{}.json", system.base_name())), "{}").unwrap();
    assert_eq!(closure().unwrap(), signed);
    fs::remove_dir_all(&db).unwrap();
    let error = closure().unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn only_a_full_disk_is_told_as_one() {
    let (source_dir, _, system) = disk();
    let (here, here_dir) = store();
    drop(here);
    let looked_at = Store::at(here_dir.path()).unwrap();
    let error = looked_at.copy_closure(&CopySource::open(source_dir.path()).unwrap(), &[system], &Quiet).unwrap_err();
    assert!(matches!(error, StoreError::Io { action: "changing", .. }), "{error}");
}

#[test]
fn folders_are_copied_as_deep_as_nix_takes_them() {
    let (cache, cache_dir) = store();
    let name = "d".repeat(50);
    let deep = |levels: usize| vec![name.as_str(); levels].join("/");
    let scratch = cache.scratch().unwrap();
    fs::create_dir_all(scratch.path().join(deep(63))).unwrap();
    let path = cache.add("deep", scratch, &[]).unwrap().path;
    let infos = cache.closure(std::slice::from_ref(&path)).unwrap();
    database::write(&cache_dir.path().join(database::DATABASE_DIR), &infos).unwrap();
    fs::remove_dir_all(cache_dir.path().join("nix/var/cairn")).unwrap();
    change(cache_dir.path(), "update ValidPaths set narSize = 0");
    let copy =
        || store().0.copy_closure(&CopySource::open(cache_dir.path()).unwrap(), std::slice::from_ref(&path), &Quiet);
    assert_eq!(copy().unwrap().closure, infos);
    // So deep that the whole of it has no name.
    let top = cache.real_path(&path);
    let more = cache_dir.path().join("more");
    fs::create_dir_all(more.join(deep(60))).unwrap();
    fs::set_permissions(top.join(deep(63)), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    fs::rename(more, top.join(deep(63)).join("more")).unwrap();
    let error = copy().unwrap_err();
    assert!(matches!(error, StoreError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("nested deeper than 63"), "{error}");
}
