//! Several processes at once, processes that are killed, and a disk that is full.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::common::cut;
use crate::common::{LEAF, add_leaf, as_child, child, child_root, leaf, left_over, names, skip, store};
use cairn_process::Tool;
use cairn_store::{Store, StoreError, StorePath};

#[test]
fn what_a_killed_process_leaves_is_removed_and_what_a_living_one_uses_is_not() {
    let (store, dir) = store();
    let mine = leaf(&store);
    let mut other = child("crashes::child_that_waits", dir.path()).start(Stdio::piped(), Stdio::piped()).unwrap();
    let _stdin = other.take_stdin();
    let out = BufReader::new(other.take_stdout().unwrap());
    assert!(out.lines().map_while(Result::ok).any(|line| line.contains("ready")));
    Store::open(dir.path()).unwrap();
    assert_eq!(left_over(dir.path()).len(), 2);
    other.kill();
    Store::open(dir.path()).unwrap();
    assert_eq!(left_over(dir.path()).len(), 1);
    assert!(mine.path().join("bin/run").exists());
    drop(mine);
    assert_eq!(left_over(dir.path()), [""; 0]);
}

#[test]
#[ignore = "run by another test, to be killed"]
fn child_that_waits() {
    let Some(root) = child_root() else { return };
    let store = Store::open(&root).unwrap();
    let scratch = leaf(&store);
    // Read-only folders must not keep it from being removed.
    for dir in ["bin", "share", "share/ünï", ""] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o555);
        fs::set_permissions(scratch.path().join(dir), mode).unwrap();
    }
    println!("ready");
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// Kills a process before its first change to a file, before its second, and so on, until it gets to its end.
#[test]
fn a_process_may_be_killed_before_any_change_it_makes() {
    if !cut::can_trace() {
        return skip("strace is needed to kill a process at a chosen system call, and it cannot be used here");
    }
    let kills = cut::at_each_change("crashes::child_that_adds_and_replaces", cut::in_memory, whole);
    assert!(kills > 100, "{kills}");
}

/// Whatever the store says it has, it has; and it takes the tree again.
fn whole(root: &Path) {
    let store = Store::open(root).unwrap();
    assert_eq!(left_over(root), [""; 0]);
    for path in store.paths().unwrap() {
        // The child damages its tree on purpose. A listing that does not fit would be our own fault.
        if let Err(error) = store.check_quick(&path) {
            assert!(error.to_string().contains("share/hello differs"), "{error}");
        }
    }
    let info = add_leaf(&store);
    assert_eq!(info.path.to_string(), LEAF);
    store.check_contents(&info.path).unwrap();
    store.check_quick(&info.path).unwrap();
    assert_eq!(names(root.join("nix/store")), [info.path.base_name()]);
    assert_eq!(left_over(root), [""; 0]);
}

/// Adds the tree and damages it.
fn damage_leaf(store: &Store) {
    let file = store.real_path(&add_leaf(store).path).join("share/hello");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&file, mode).unwrap();
    fs::write(&file, "hallo\n").unwrap();
}

#[test]
#[ignore = "run by another test, to be killed"]
fn child_that_adds_and_replaces() {
    let Some(root) = child_root() else { return };
    let store = Store::open(&root).unwrap();
    damage_leaf(&store);
    // The damaged tree is moved away, and another takes its place.
    let info = add_leaf(&store);
    store.remove(&info.path).unwrap();
}

#[test]
fn processes_that_add_and_remove_the_same_tree_at_once_do_not_disturb_each_other() {
    let (store, dir) = store();
    let children: Vec<_> = (0..4)
        .map(|_| {
            let child = child("crashes::child_that_adds_many_times", dir.path());
            std::thread::spawn(move || child.output().unwrap())
        })
        .collect();
    for child in children {
        let said = String::from_utf8(child.join().unwrap()).unwrap();
        assert!(said.contains("all is well"), "{said}");
    }
    assert_eq!(left_over(dir.path()), [""; 0]);
    let path = StorePath::from_absolute(LEAF).unwrap();
    if store.info(&path).unwrap().is_some() {
        store.check_contents(&path).unwrap();
    }
    assert_eq!(add_leaf(&store).path, path);
    store.check_quick(&path).unwrap();
}

#[test]
#[ignore = "run by another test, several times at once"]
fn child_that_adds_many_times() {
    let Some(root) = child_root() else { return };
    for round in 0..30 {
        let store = Store::open(&root).unwrap();
        let info = add_leaf(&store);
        assert_eq!(info.path.to_string(), LEAF);
        if round % 3 == 0 {
            store.remove(&info.path).unwrap();
        }
    }
    println!("all is well");
}

#[test]
fn a_full_disk_leaves_the_store_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let unshare = |program: &str| {
        Tool::new("unshare", "util-linux", "have a small file system").args(["-rm", "sh", "-ec", program, "sh"])
    };
    let mount = "mount -t tmpfs -o size=512k,mode=755 tmpfs \"$1\"; shift; exec \"$@\"";
    if unshare(mount).arg(dir.path()).arg("true").run().is_err() {
        return skip("no user namespace, in which a small file system could be mounted");
    }
    let tool = unshare(mount).arg(dir.path()).arg(std::env::current_exe().unwrap());
    let out = as_child(tool, "crashes::child_on_a_small_disk", dir.path()).output().unwrap();
    assert!(String::from_utf8(out).unwrap().contains("all is well"));
}

#[test]
#[ignore = "run by another test, on a small file system"]
fn child_on_a_small_disk() {
    let Some(root) = child_root() else { return };
    let store = Store::open(&root).unwrap();
    let scratch = leaf(&store);
    let filler = root.join("filler");
    let full = fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let error = store.add("leaf", scratch, &[]).unwrap_err();
    let StoreError::Io { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(error.to_string().starts_with("writing "), "{error}");
    assert_eq!(store.paths().unwrap(), []);
    assert_eq!(left_over(&root), [""; 0]);
    fs::remove_file(filler).unwrap();
    whole(&root);
    println!("all is well");
}
