//! The store of a machine, opened to be changed: under its read-only bind, and what keeps it from being opened.

mod common;

use std::fs;
use std::path::Path;

use cairn_process::Tool;
use cairn_store::{MachineStore, Store, StoreError};
use common::{LEAF, add_leaf, as_child, child, child_root, copy_of_myself, is_root, names, skip};

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
        "child_that_adds",
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
    let info = add_leaf(&MachineStore::open(&root).unwrap());
    assert_eq!(fs::read_link("/proc/thread-self/ns/mnt").unwrap(), before);
    assert_eq!(names(root.join("nix/store")), [info.path.base_name()]);
}

#[test]
fn what_cannot_be_written_to_is_refused_with_the_way_on() {
    if !is_root() {
        return skip("needs root, for mounts");
    }
    let (_dir, root) = folder();
    let refused = |prepare: &str| in_namespace(&root, prepare, "child_that_is_refused", "true");
    let read_only = refused("mount --bind \"$1\" \"$1\"; mount -o remount,ro,bind \"$1\"");
    assert!(read_only.contains("is mounted read-only: `mount -o remount,rw "), "{read_only}");
    let separate = refused("mount -t tmpfs none \"$1/nix/store\"");
    assert!(separate.contains("/nix/store is a file system of its own"), "{separate}");
    let elsewhere = refused("mkdir -p \"$1/other\"; mount --bind \"$1/other\" \"$1/nix/store\"");
    assert!(elsewhere.contains("/nix/store is a file system of its own"), "{elsewhere}");
    assert_eq!(names(root.join("nix/store")), [""; 0]);

    let user = Tool::new("setpriv", "util-linux", "become an ordinary user").args([
        "--reuid=1000",
        "--regid=1000",
        "--clear-groups",
    ]);
    fs::set_permissions(&root, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let out = as_child(user.arg(copy_of_myself(&root)), "child_that_is_refused", &root).output().unwrap();
    assert!(String::from_utf8(out).unwrap().contains("needs root, to whom all of it belongs"));
}

#[test]
#[ignore = "run by another test, where the store cannot be opened"]
fn child_that_is_refused() {
    let Some(root) = child_root() else { return };
    println!("{}", MachineStore::open(&root).unwrap_err());
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
    let one = common::add_system(&store, 1, std::slice::from_ref(&leaf.path));
    // The leaf is damaged, and replaced by a good one.
    let file = store.real_path(&leaf.path).join("share/hello");
    fs::write(&file, "hallo\n").unwrap();
    add_leaf(&store);
    common::add_system(&store, 2, &[one.path]);
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
    let trace = |root: &Path, n: usize| {
        let inject = format!("inject=syncfs:signal=KILL:when={n}");
        let strace = Tool::new("strace", "strace", "end a process at a chosen sync")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=syncfs", "-e", &inject])
            .arg(std::env::current_exe().unwrap());
        as_child(strace, "child_that_upgrades", root).output().is_ok()
    };
    let usable = Tool::new("strace", "strace", "test").args(["-qq", "-o", "/dev/null", "true"]).run().is_ok();
    if !is_root() || !usable {
        return skip("needs root, and strace to end a process at a chosen system call");
    }
    let mut random = cut::Random(1);
    let mut durable = cut::State::default();
    let mut cuts = 0;
    // What a sync does is told here, and not by a disk.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    for n in 1.. {
        let dir = tempfile::tempdir_in(&place).unwrap();
        let root = dir.path().canonicalize().unwrap();
        let done = trace(&root, n);
        let reached = cut::State::read(&root);
        for _ in 0..30 {
            let dir = tempfile::tempdir_in(&place).unwrap();
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

/// A file system that loses what was not synced.
mod cut {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    #[derive(Clone, PartialEq, Eq, Debug)]
    enum Node {
        Dir(u32),
        File(u32, Vec<u8>),
        Link(PathBuf),
    }

    #[derive(Default)]
    pub(super) struct State(BTreeMap<PathBuf, Node>);

    pub(super) struct Random(pub(super) u64);

    impl Random {
        fn below(&mut self, n: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % n
        }
    }

    impl State {
        pub(super) fn read(root: &Path) -> State {
            fn walk(root: &Path, dir: &Path, found: &mut BTreeMap<PathBuf, Node>) {
                for entry in fs::read_dir(dir).unwrap() {
                    let path = entry.unwrap().path();
                    let meta = path.symlink_metadata().unwrap();
                    let name = path.strip_prefix(root).unwrap().to_path_buf();
                    let mode = meta.mode() & 0o7777;
                    if meta.is_symlink() {
                        found.insert(name, Node::Link(fs::read_link(&path).unwrap()));
                    } else if meta.is_dir() {
                        found.insert(name, Node::Dir(mode));
                        walk(root, &path, found);
                    } else {
                        found.insert(name, Node::File(mode, fs::read(&path).unwrap()));
                    }
                }
            }
            let mut found = BTreeMap::new();
            walk(root, root, &mut found);
            State(found)
        }

        /// For each name that changed: as it was, as it is, or (for contents that were nowhere on the disk before) as
        /// it is but empty, or full of zeros.
        pub(super) fn torn(durable: &State, reached: &State, random: &mut Random) -> State {
            let contents: BTreeSet<&[u8]> = durable
                .0
                .values()
                .filter_map(|n| if let Node::File(_, b) = n { Some(b.as_slice()) } else { None })
                .collect();
            let names: BTreeSet<&PathBuf> = durable.0.keys().chain(reached.0.keys()).collect();
            // Sometimes nearly everything got there, sometimes nearly nothing.
            let likely = random.below(11);
            let mut torn = BTreeMap::new();
            for name in names {
                let (old, new) = (durable.0.get(name), reached.0.get(name));
                let mut node = if old == new || random.below(10) < likely { new.cloned() } else { old.cloned() };
                if let Some(Node::File(_, bytes)) = &mut node
                    && node_is_new(old, bytes, &contents)
                {
                    match random.below(4) {
                        0 => bytes.clear(),
                        1 => bytes.fill(0),
                        _ => {}
                    }
                }
                if let Some(node) = node {
                    torn.insert(name.clone(), node);
                }
            }
            State(torn)
        }

        pub(super) fn write(&self, root: &Path) {
            for (name, node) in &self.0 {
                let path = root.join(name);
                // Without its folder, a name is lost.
                if !path.parent().unwrap().is_dir() {
                    continue;
                }
                match node {
                    Node::Dir(_) => fs::create_dir(&path).unwrap(),
                    Node::File(mode, bytes) => {
                        fs::write(&path, bytes).unwrap();
                        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
                    }
                    Node::Link(target) => symlink(target, &path).unwrap(),
                }
            }
            for (name, node) in &self.0 {
                if let Node::Dir(mode) = node
                    && root.join(name).is_dir()
                {
                    fs::set_permissions(root.join(name), fs::Permissions::from_mode(*mode)).unwrap();
                }
            }
        }
    }

    fn node_is_new(old: Option<&Node>, bytes: &[u8], durable: &BTreeSet<&[u8]>) -> bool {
        !matches!(old, Some(Node::File(_, b)) if b == bytes) && !durable.contains(bytes)
    }
}

#[test]
fn a_child_ends_well_without_a_cut() {
    if !is_root() {
        return skip("needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let out = child("child_that_upgrades", dir.path()).output().unwrap();
    assert!(String::from_utf8(out).unwrap().contains("all is well"));
}
