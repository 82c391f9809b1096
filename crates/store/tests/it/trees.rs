//! What becomes of a tree on its way into the store, and what may not go there.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;

use crate::common::{
    LEAF, add_leaf, as_child, child_root, copy_of_myself, is_root, leaf, left_over, names, skip, store,
};
use cairn_process::Tool;
use cairn_store::{Store, StoreError};
use nix::sys::stat::{Mode, SFlag, mknod};

#[test]
fn a_tree_becomes_canonical_whatever_it_was() {
    let (store, dir) = store();
    let scratch = leaf(&store);
    let top = scratch.path();
    for (path, mode) in [("share/hello", 0o4640), ("bin/run", 0o6711), ("share/ünï/nothing", 0o000), ("empty", 0o1777)]
    {
        fs::set_permissions(top.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(top.join("share"), fs::Permissions::from_mode(0o000)).unwrap();
    if is_root() {
        for (path, user, group) in [("share/hello", 1000, 0), ("bin/link", 0, 1000), ("empty", 1000, 1000)] {
            lchown(top.join(path), Some(user), Some(group)).unwrap();
        }
    }
    let info = store.add("leaf", scratch, &[]).unwrap();
    assert_eq!(info.path.to_string(), LEAF);

    for entry in store.listing(&info.path).unwrap().iter() {
        let real = store.real_entry(&info.path, entry);
        let meta = fs::symlink_metadata(&real).unwrap();
        assert_eq!((meta.mtime(), meta.mtime_nsec()), (1, 0), "{}", entry.path);
        assert!(!is_root() || (meta.uid(), meta.gid()) == (0, 0), "{}", entry.path);
        let mode = match entry.path.as_str() {
            "share/hello" | "share/ünï/nothing" => 0o444,
            _ => 0o555,
        };
        if !meta.is_symlink() {
            assert_eq!(meta.mode() & 0o7777, mode, "{}", entry.path);
        }
    }
    assert_eq!(left_over(dir.path()), [""; 0]);
}

#[test]
fn the_listing_is_in_the_order_of_a_nar() {
    let (store, _dir) = store();
    let info = add_leaf(&store);
    let listing = store.listing(&info.path).unwrap();
    let paths: Vec<&str> = listing.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(
        paths,
        ["", "a-b", "bin", "bin/link", "bin/run", "empty", "share", "share/hello", "share/ünï", "share/ünï/nothing"]
    );
    assert_eq!(listing.total_size(), 25);
    assert_eq!(listing.get("bin/run").unwrap(), &listing.entries()[4]);
}

#[test]
fn extended_attributes_are_taken_off() {
    let (store, _dir) = store();
    let scratch = leaf(&store);
    let file = scratch.path().join("share/hello");
    if xattr::set(&file, "user.test", b"x").is_err() {
        return crate::common::without_object("this file system has no user attributes");
    }
    xattr::set(scratch.path(), "user.test", b"x").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    let info = store.add("leaf", scratch, &[]).unwrap();
    assert_eq!(info.path.to_string(), LEAF);
    let real = store.real_path(&info.path);
    assert_eq!(xattr::list(&real).unwrap().filter(|n| n == "user.test").count(), 0);
    assert_eq!(xattr::list(real.join("share/hello")).unwrap().filter(|n| n == "user.test").count(), 0);
    assert_eq!(fs::metadata(real.join("share/hello")).unwrap().mode() & 0o7777, 0o444);
}

fn refusal(prepare: impl FnOnce(&Path)) -> String {
    let (store, dir) = store();
    let scratch = leaf(&store);
    prepare(scratch.path());
    let error = store.add("leaf", scratch, &[]).unwrap_err();
    assert!(matches!(error, StoreError::Unsupported { .. }), "{error}");
    assert_eq!(names(dir.path().join("nix/store")), [""; 0]);
    assert_eq!(left_over(dir.path()), [""; 0]);
    error.to_string()
}

#[test]
fn a_name_that_is_not_utf8_is_refused_with_its_bytes() {
    let message = refusal(|top| fs::write(top.join("share").join(OsStr::from_bytes(b"caf\xe9")), "").unwrap());
    assert!(
        message.contains(r#"/share/caf"#) && message.contains(r#"its name is not UTF-8 ("caf\xe9"); rename it"#),
        "{message}"
    );
    let message = refusal(|top| {
        std::os::unix::fs::symlink(OsStr::from_bytes(b"\xff"), top.join("link")).unwrap();
    });
    assert!(message.contains(r#"/link cannot go into the store: its target is not UTF-8 ("\xff")"#), "{message}");
}

#[test]
fn special_files_are_refused_by_what_they_are() {
    let message = refusal(|top| nix::unistd::mkfifo(&top.join("share/pipe"), Mode::S_IRWXU).unwrap());
    assert!(message.contains("/share/pipe cannot go into the store: it is a named pipe"), "{message}");
    let message = refusal(|top| drop(std::os::unix::net::UnixListener::bind(top.join("s")).unwrap()));
    assert!(message.contains("it is a socket"), "{message}");
    if !is_root() {
        return;
    }
    // The device that takes no rights to be used.
    let message = refusal(|top| mknod(&top.join("d"), SFlag::S_IFCHR, Mode::S_IRWXU, 0).unwrap());
    assert!(message.contains("it is a device"), "{message}");
}

#[test]
fn folders_nested_deeper_than_nix_takes_are_refused() {
    let deep = |n: usize| vec!["d"; n].join("/");
    let (store, _dir) = store();
    let scratch = store.scratch().unwrap();
    fs::create_dir_all(scratch.path().join(deep(63))).unwrap();
    store.add("deep", scratch, &[]).unwrap();
    let message = refusal(|top| fs::create_dir_all(top.join(deep(64))).unwrap());
    assert!(message.contains("nested deeper than 63"), "{message}");
}

#[test]
fn a_bad_name_is_refused_before_the_work() {
    let (store, _dir) = store();
    for name in ["", "a b", "ü", ".hidden", "a/b"] {
        let error = store.add(name, store.scratch().unwrap(), &[]).unwrap_err();
        assert!(matches!(error, StoreError::BadName { .. }), "{error}");
    }
}

#[test]
fn a_tree_that_names_itself_is_input_addressed_and_refers_to_itself() {
    let (store, _dir) = store();
    let leaf = add_leaf(&store);
    let path = Store::input_addressed_path("system", b"inputs").unwrap();
    let scratch = store.scratch().unwrap();
    fs::write(scratch.path().join("init"), format!("{path}/x {}/bin/run", leaf.path)).unwrap();
    let info = store.add_input_addressed(&path, scratch, std::slice::from_ref(&leaf.path), None).unwrap();
    assert_eq!((&info.path, &info.ca), (&path, &None));
    assert!(info.references.contains(&path) && info.references.contains(&leaf.path) && info.references.len() == 2);
    let closure = store.closure(std::slice::from_ref(&path)).unwrap();
    assert!(closure.is_sorted_by_key(|i| i.path.clone()) && closure.len() == 2);
    assert_eq!(store.paths().unwrap().len(), 2);

    store.remove(&leaf.path).unwrap();
    let message = store.closure(std::slice::from_ref(&path)).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{} is not in the store at ", leaf.path)), "{message}");
    assert!(message.ends_with(&format!(", but {path} refers to it")), "{message}");
    assert_eq!(store.paths().unwrap(), [path]);
}

#[test]
fn a_key_decides_no_bytes_of_a_later_build_without_one() {
    let (store, _dir) = store();
    let key = cairn_store::SigningKey::parse(include_str!("../fixtures/key.sec")).unwrap();
    let path = Store::input_addressed_path("system", b"inputs").unwrap();
    let add = |key| store.add_input_addressed(&path, leaf(&store), &[], key).unwrap();
    let signed = add(Some(&key));
    assert!(signed.signatures.len() == 1 && signed.signatures[0].starts_with("cairn-test-1:"));
    assert_eq!(add(None).signatures, [""; 0]);
    assert_eq!(store.info(&path).unwrap().unwrap().signatures, [""; 0]);
    let mut again = signed.clone();
    again.sign(&key);
    assert_eq!(again, signed);
}

#[test]
fn an_ordinary_user_gets_the_path_that_root_gets() {
    if !is_root() {
        return skip("needs root, to become somebody else; as an ordinary user the other tests show the same path");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let user = Tool::new("setpriv", "util-linux", "become an ordinary user")
        .args(["--reuid=1000", "--regid=1000", "--clear-groups"])
        .arg(copy_of_myself(dir.path()));
    let out = as_child(user, "trees::child_of_an_ordinary_user", &dir.path().join("mine")).output().unwrap();
    assert!(String::from_utf8(out).unwrap().contains("all is well"));

    // A store of root's: to be read, not to be written to.
    let (store, theirs) = store();
    fs::set_permissions(theirs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    add_leaf(&store);
    let user = Tool::new("setpriv", "util-linux", "become an ordinary user")
        .args(["--reuid=1000", "--regid=1000", "--clear-groups"])
        .arg(dir.path().join("myself"));
    let out = as_child(user, "trees::child_with_a_store_of_roots", theirs.path()).output().unwrap();
    assert!(String::from_utf8(out).unwrap().contains("all is well"));
}

#[test]
#[ignore = "run by another test, as an ordinary user"]
fn child_of_an_ordinary_user() {
    let Some(root) = child_root() else { return };
    let _ = nix::sys::stat::umask(Mode::from_bits_truncate(0o077));
    let store = Store::open(&root).unwrap();
    let scratch = leaf(&store);
    fs::set_permissions(scratch.path().join("share"), fs::Permissions::from_mode(0o000)).unwrap();
    let info = store.add("leaf", scratch, &[]).unwrap();
    assert_eq!(info.path.to_string(), LEAF);
    store.check_quick(&info.path).unwrap();
    // Once more over a damaged tree, which has to be moved out of the way: read-only folders and all.
    let file = store.real_path(&info.path).join("share/hello");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "hallo\n").unwrap();
    store.check_quick(&info.path).unwrap_err();
    assert_eq!(add_leaf(&store), info);
    store.check_contents(&info.path).unwrap();
    store.remove(&info.path).unwrap();
    assert_eq!(names(root.join("nix/store")), [""; 0]);
    assert_eq!(left_over(&root), [""; 0]);
    println!("all is well");
}

#[test]
#[ignore = "run by another test, as an ordinary user"]
fn child_with_a_store_of_roots() {
    let Some(root) = child_root() else { return };
    let store = Store::open(&root).unwrap();
    let [path] = store.paths().unwrap().try_into().unwrap();
    store.check_quick(&path).unwrap();
    store.check_contents(&path).unwrap();
    assert_eq!(store.closure(&[path]).unwrap().len(), 1);
    let message = store.scratch().unwrap_err().to_string();
    assert!(message.starts_with("opening ") && message.ends_with("nix/var/cairn/lock"), "{message}");
    println!("all is well");
}

#[test]
fn one_thing_is_looked_up_in_a_listing_and_one_that_is_too_long_is_not_read() {
    let (store, dir) = store();
    let leaf = add_leaf(&store).path;
    // Read line by line, and looked up in the one that was read before.
    let fresh = Store::open(dir.path()).unwrap();
    for entry in fresh.listing(&leaf).unwrap().iter() {
        for store in [&store, &fresh] {
            assert_eq!(store.listed(&leaf, &entry.path).unwrap().as_ref(), Some(entry));
            assert_eq!(store.listed(&leaf, "nothing").unwrap(), None);
        }
    }
    let file = dir.path().join("nix/var/cairn/listing").join(leaf.base_name());
    fs::File::options().write(true).open(&file).unwrap().set_len((64 << 20) + 1).unwrap();
    for error in [store.listing(&leaf).unwrap_err(), store.listed(&leaf, "").unwrap_err()] {
        let StoreError::Io { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.kind(), std::io::ErrorKind::FileTooLarge);
    }
}

#[test]
fn what_is_there_and_undamaged_is_taken_as_it_is() {
    let (store, dir) = store();
    let inode = |path| fs::metadata(store.real_path(path)).unwrap().ino();
    let info = add_leaf(&store);
    let first = inode(&info.path);
    assert_eq!((add_leaf(&store), inode(&info.path)), (info.clone(), first));
    // Named by its inputs, it may come out otherwise: with other references, too.
    let path = Store::input_addressed_path("system", b"inputs").unwrap();
    let add = |text: &str| {
        let scratch = store.scratch().unwrap();
        fs::write(scratch.path().join("file"), text).unwrap();
        store.add_input_addressed(&path, scratch, std::slice::from_ref(&info.path), None).unwrap()
    };
    let one = add("one");
    let first = inode(&path);
    for other in ["two".to_string(), info.path.to_string()] {
        assert_eq!((add(&other), inode(&path)), (one.clone(), first));
    }
    // And what is taken out leaves nothing.
    for path in [&path, &info.path] {
        store.remove(path).unwrap();
    }
    for place in ["store", "var/cairn/info", "var/cairn/listing", "var/cairn/fingerprint", "var/cairn/tmp"] {
        assert_eq!(names(dir.path().join("nix").join(place)), [""; 0], "{place}");
    }
}
