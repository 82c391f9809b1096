//! The root file system of a new machine: the store on it knows what it has, before anything was ever run there.

use std::collections::BTreeMap;
use std::fs::{self, FileTimes};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use cairn_disk::{Content, Node, Tree};
use cairn_make::contents::{RootContents, tree};
use cairn_store::{PathInfo, Store, StorePath, profile};

/// A base, and a system that names itself and the base.
fn closure(store: &Store) -> Vec<PathInfo> {
    let scratch = store.scratch().unwrap();
    fs::create_dir_all(scratch.path().join("usr/bin")).unwrap();
    fs::write(scratch.path().join("usr/bin/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(scratch.path().join("usr/bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(scratch.path().join("usr/one"), "same").unwrap();
    fs::write(scratch.path().join("usr/two"), "same").unwrap();
    let base = store.add("base", scratch, &[]).unwrap().path;
    let path = Store::input_addressed_path("system", b"inputs").unwrap();
    let scratch = store.scratch().unwrap();
    fs::write(scratch.path().join("init"), format!("{path}")).unwrap();
    symlink(base.to_string(), scratch.path().join("base")).unwrap();
    store.add_input_addressed(&path, scratch, &[base], None).unwrap();
    store.closure(&[path]).unwrap()
}

fn root(store: &Store, closure: &[PathInfo]) -> Tree {
    let system = closure.iter().find(|i| i.ca.is_none()).unwrap();
    let links = profile::links(1, &system.path);
    let contents = RootContents {
        store,
        closure,
        record: "{}",
        links: &links,
        passwords: &BTreeMap::new(),
        passphrases: &[("686f6d65".to_string(), "psk=\"a secret\"".to_string())].into(),
        mount_points: &["/boot".to_string()],
        epoch: 1_700_000_000,
    };
    tree(&contents).unwrap()
}

/// What the ext4 writer and a mount would give.
fn unpack(tree: &Tree, to: &Path) {
    for entry in tree.entries() {
        let path = to.join(&entry.path);
        match &entry.node {
            Node::Dir => fs::create_dir_all(&path).unwrap(),
            Node::File { content: Content::Path(from), .. } => drop(fs::copy(from, &path).unwrap()),
            Node::File { content: Content::Bytes(bytes), .. } => fs::write(&path, bytes).unwrap(),
            Node::Symlink(target) => symlink(target, &path).unwrap(),
            Node::Hardlink(first) => fs::hard_link(to.join(&tree.entries()[*first].path), &path).unwrap(),
        }
    }
    for entry in tree.entries().iter().rev() {
        let path = to.join(&entry.path);
        let time = UNIX_EPOCH + Duration::from_secs(entry.mtime.try_into().unwrap());
        if let Node::Symlink(_) = entry.node {
            let time = nix::sys::time::TimeSpec::new(entry.mtime, 0);
            let flag = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
            nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, &path, &time, &time, flag).unwrap();
            continue;
        }
        fs::File::open(&path).unwrap().set_times(FileTimes::new().set_modified(time)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(entry.mode.into())).unwrap();
    }
}

#[test]
fn the_store_on_a_new_machine_knows_its_closure() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("builder")).unwrap();
    let infos = closure(&store);
    let machine = dir.path().join("machine");
    unpack(&root(&store, &infos), &machine);

    let there = Store::open(&machine).unwrap();
    let system: StorePath = infos.iter().find(|i| i.ca.is_none()).unwrap().path.clone();
    assert_eq!(there.closure(&[system]).unwrap(), infos);
    for info in &infos {
        there.check_quick(&info.path).unwrap();
        there.check_contents(&info.path).unwrap();
        assert_eq!(there.listing(&info.path).unwrap(), store.listing(&info.path).unwrap());
        let fingerprint = machine.join("nix/var/cairn/fingerprint").join(info.path.base_name());
        assert!(!fs::read_to_string(fingerprint).unwrap().contains("as listed"), "it was not looked at");
    }
}

#[test]
fn the_records_are_roots_and_of_the_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let infos = closure(&store);
    let one = root(&store, &infos);
    let records: Vec<_> = one.entries().iter().filter(|e| e.path.starts_with("nix/var/cairn/")).collect();
    assert_eq!(records.iter().filter(|e| matches!(e.node, Node::File { .. })).count(), 3 * infos.len());
    for entry in records {
        let mode = if entry.node == Node::Dir { 0o755 } else { 0o644 };
        let found = (entry.uid, entry.gid, entry.mtime, entry.mode);
        assert_eq!(found, (0, 0, 1_700_000_000, mode), "{}", entry.path);
    }
    assert_eq!(one.entries(), root(&store, &infos).entries());
}
