//! The store of a machine, opened to be changed: under its read-only bind, and what keeps it from being opened.

use std::fs;
use std::path::Path;

use crate::common::cut::{self, in_memory};
use crate::common::{LEAF, add_leaf, as_child, child, child_root, copy_of_myself, is_root, names, skip};
use cairn_process::Tool;
use cairn_store::{MachineStore, Store, StoreError};

/// Runs a test of this binary in a mount namespace that `prepare` (with the root as `$1`) has set up, and `check`
/// afterwards in the same one.
fn in_namespace(root: &Path, prepare: &str, name: &str, check: &str) -> String {
    let script = format!("{prepare}; root=$1; shift; \"$@\"; {check}");
    let tool = Tool::new("unshare", "util-linux", "have mounts of one's own").args(["-m", "sh", "-ec", &script, "sh"]);
    let tool = tool.arg(root).arg(std::env::current_exe().unwrap());
    String::from_utf8(as_child(tool, name, root).output().unwrap()).unwrap()
}

/// The folder of a test, by the name that mount tables have for it.
fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    Store::open(&root).unwrap();
    (dir, root)
}

#[test]
fn a_store_under_its_read_only_bind_is_written_to_and_stays_bound_for_everybody_else() {
    if !is_root() {
        return skip("needs root, for mounts");
    }
    let (_dir, root) = folder();
    let out = in_namespace(
        &root,
        "mount --bind \"$1/nix/store\" \"$1/nix/store\"; mount -o remount,ro,bind \"$1/nix/store\"",
        "machine_store::child_that_adds",
        // Still bound, and the new path is seen through it.
        "! touch \"$root/nix/store/x\" 2>/dev/null; ls \"$root/nix/store\"; grep -c \"$root/nix/store\" /proc/self/mountinfo",
    );
    let seen: Vec<&str> = out.lines().rev().take(2).collect();
    assert_eq!(seen, ["1", LEAF.rsplit('/').next().unwrap()], "{out}");
}

#[test]
#[ignore = "run by another test, in a mount namespace"]
fn child_that_adds() {
    let Some(root) = child_root() else { return };
    if fs::write(root.join("nix/store/x"), "").is_ok() {
        fs::remove_file(root.join("nix/store/x")).unwrap();
    }
    let store = MachineStore::open(&root).unwrap();
    let info = add_leaf(&store);
    store.sync().unwrap();
    // Threads that are made later are in the same namespace.
    std::thread::scope(|scope| scope.spawn(|| store.remove(&info.path)).join().unwrap()).unwrap();
    // Opened once more, there is nothing left to take away.
    assert_eq!(add_leaf(&MachineStore::open(&root).unwrap()), info);
    store.check_contents(&info.path).unwrap();
}

#[test]
fn a_mounted_disk_without_the_bind_needs_no_namespace() {
    if !is_root() {
        return skip("needs root");
    }
    let (_dir, root) = folder();
    let before = fs::read_link("/proc/thread-self/ns/mnt").unwrap();
    let store = MachineStore::open(&root).unwrap();
    let info = add_leaf(&store);
    assert_eq!(fs::read_link("/proc/thread-self/ns/mnt").unwrap(), before);
    // No machine runs from it, so what is replaced is not kept.
    fs::write(store.real_path(&info.path).join("share/hello"), "hallo\n").unwrap();
    assert_eq!(add_leaf(&store), info);
    assert!(!root.join("nix/var/cairn/aside").exists());
    assert_eq!(names(root.join("nix/store")), [info.path.base_name()]);
}

#[test]
fn what_cannot_be_written_to_is_refused_with_the_way_on() {
    if !is_root() {
        return skip("needs root, for mounts");
    }
    let (_dir, root) = folder();
    let refused = |prepare: &str| in_namespace(&root, prepare, "machine_store::child_that_is_refused", "true");
    let read_only = refused("mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"");
    assert!(read_only.contains("is mounted read-only: `mount -o remount,rw "), "{read_only}");
    let separate = refused("mount -t tmpfs none \"$1/nix/store\"");
    assert!(separate.contains("/nix/store is a tmpfs that is on no disk"), "{separate}");
    let elsewhere = refused("mkdir -p \"$1/other\"; mount --bind \"$1/other\" \"$1/nix/store\"");
    assert!(elsewhere.contains("/nix/store is a file system of its own"), "{elsewhere}");
    assert_eq!(names(root.join("nix/store")), [""; 0]);

    let user = Tool::new("setpriv", "util-linux", "become an ordinary user").args([
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
    ]);
    fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let out =
        as_child(user.arg(copy_of_myself(&root)), "machine_store::child_that_is_refused", &root).output().unwrap();
    assert!(String::from_utf8(out).unwrap().contains("needs root, to whom all of it belongs"));
}

#[test]
#[ignore = "run by another test, where the store cannot be opened"]
fn child_that_is_refused() {
    let Some(root) = child_root() else { return };
    let error = MachineStore::open(&root).unwrap_err();
    println!("{error}: {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default());
}

#[test]
fn nobody_collects_garbage_meanwhile_and_nobody_opens_it_while_somebody_does() {
    if !is_root() {
        return skip("needs root");
    }
    let (_dir, root) = folder();
    fs::create_dir_all(root.join("nix/var/nix")).unwrap();
    let lock = root.join("nix/var/nix/gc.lock");
    fs::write(&lock, "").unwrap();
    let try_lock = |mode: &str| {
        let tool = Tool::new("flock", "util-linux", "hold a lock as Nix does");
        tool.args(["-n", mode]).arg(&lock).arg("true").run().is_ok()
    };
    let store = MachineStore::open(&root).unwrap();
    assert!(try_lock("-s") && !try_lock("-x"));
    drop(store);
    assert!(try_lock("-x"));
    let held = nix::fcntl::Flock::lock(fs::File::open(&lock).unwrap(), nix::fcntl::FlockArg::LockExclusive).unwrap();
    let error = MachineStore::open(&root).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    drop(held);
    MachineStore::open(&root).unwrap();
}

/// The steps of an upgrade as far as the store is concerned.
fn upgrade(root: &Path) {
    let store = MachineStore::open(root).unwrap();
    let leaf = add_leaf(&store);
    let one = crate::common::add_system(&store, 1, std::slice::from_ref(&leaf.path));
    // The leaf is damaged, and replaced by a good one.
    let file = store.real_path(&leaf.path).join("share/hello");
    fs::write(&file, "hallo\n").unwrap();
    add_leaf(&store);
    crate::common::add_system(&store, 2, &[one.path]);
    store.sync().unwrap();
}

#[test]
#[ignore = "run by another test, to lose its power"]
fn child_that_upgrades() {
    let Some(root) = child_root() else { return };
    upgrade(&root);
    println!("all is well");
}

/// What got to the disk before the cut is everything up to the last `syncfs`, and of what came later anything or nothing.
#[test]
fn the_power_may_fail_before_and_after_any_sync() {
    if !is_root() || !cut::can_trace() {
        return skip("needs root, and strace to end a process at a chosen system call");
    }
    let mut random = cut::Random(1);
    let mut durable = cut::State::default();
    let mut cuts = 0;
    for n in 1.. {
        let dir = in_memory();
        let root = dir.path().canonicalize().unwrap();
        let done = cut::until_sync("machine_store::child_that_upgrades", &root, n);
        let reached = cut::State::read(&root);
        for _ in 0..30 {
            let dir = in_memory();
            let root = dir.path().canonicalize().unwrap();
            cut::State::torn(&durable, &reached, &mut random).write(&root);
            whole_after_cut(&root);
            cuts += 1;
        }
        durable = reached;
        if done {
            break;
        }
    }
    assert!(cuts >= 6 * 30, "{cuts}");
}

/// Every info that is there describes a whole tree (but the one that the child damages itself), and a second try gets to
/// the end.
fn whole_after_cut(root: &Path) {
    let store = Store::open(root).unwrap();
    for path in store.paths().unwrap() {
        if let Err(error) = store.check_contents(&path) {
            let own = error.to_string().contains("share/hello differs (expected sha256 5891b5b5");
            // "hallo", or what a cut makes of it.
            assert!(own && path.to_string() == LEAF, "{error}");
        }
    }
    upgrade(root);
    for path in store.paths().unwrap() {
        store.check_contents(&path).unwrap();
    }
    assert_eq!(store.paths().unwrap().len(), 3);
    assert_eq!(names(root.join("nix/store")).len(), 3);
}

/// A tree is touched when the disk no longer says that it is valid: its info is gone, and that is on the disk.
#[test]
fn a_tree_that_is_replaced_loses_its_info_before_it_is_touched() {
    if !is_root() || !cut::can_trace() {
        return skip("needs root, and strace to see a process's system calls");
    }
    let dir = in_memory();
    let root = dir.path().canonicalize().unwrap();
    let calls =
        cut::calls("machine_store::child_that_upgrades", &root, "unlink,unlinkat,rename,renameat,renameat2,syncfs");
    let base = LEAF.strip_prefix("/nix/store/").unwrap();
    let named = |call: &String, name: &str| call.ends_with(" = 0") && call.contains(name);
    let (tree, info) = (format!("/nix/store/{base}\", "), format!("/{base}.json\""));
    let touched = calls.iter().position(|call| call.starts_with("rename") && named(call, &tree)).unwrap();
    let forgotten = calls.iter().position(|call| call.starts_with("unlink") && named(call, &info)).unwrap();
    assert!(forgotten < touched, "{calls:#?}");
    assert!(calls[forgotten..touched].iter().any(|call| call.starts_with("syncfs(")), "{calls:#?}");
}

#[test]
fn an_upgrade_may_be_killed_before_any_change_it_makes() {
    if !is_root() || !cut::can_trace() {
        return skip("needs root, and strace to end a process at a chosen system call");
    }
    let ends = cut::at_each_change("machine_store::child_that_upgrades", in_memory, whole_after_cut);
    assert!(ends > 100, "{ends}");
}

#[test]
fn a_child_ends_well_without_a_cut() {
    if !is_root() {
        return skip("needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let out = child("machine_store::child_that_upgrades", dir.path()).output().unwrap();
    assert!(String::from_utf8(out).unwrap().contains("all is well"));
}
