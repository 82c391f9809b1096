//! What the tests share: the tree of the fixtures, and running a test of this binary in a process of its own.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod cut;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cairn_process::Tool;
use cairn_store::{PathInfo, Scratch, Store};
pub use cairn_testkit::{skip, without_object};

/// The path that Nix itself gave to [`leaf`]; see `fixtures/generate.sh`.
pub const LEAF: &str = "/nix/store/jicldk2hzis2zgi4x52fr0wx78fkah44-leaf";

/// A new store in a folder that goes away.
pub fn store() -> (Store, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Store::open(dir.path()).unwrap(), dir)
}

/// The tree of `fixtures/generate.sh`.
pub fn leaf(store: &Store) -> Scratch {
    let scratch = store.scratch().unwrap();
    leaf_in(scratch.path());
    scratch
}

pub fn leaf_in(top: &Path) {
    for dir in ["bin", "empty", "share/ünï"] {
        fs::create_dir_all(top.join(dir)).unwrap();
    }
    fs::write(top.join("share/hello"), "hello\n").unwrap();
    fs::write(top.join("share/ünï/nothing"), "").unwrap();
    fs::write(top.join("bin/run"), "#!/bin/sh\necho run\n").unwrap();
    fs::set_permissions(top.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("../share/hello", top.join("bin/link")).unwrap();
    symlink("/nowhere", top.join("a-b")).unwrap();
}

pub fn add_leaf(store: &Store) -> PathInfo {
    store.add("leaf", leaf(store), &[]).unwrap()
}

/// Waits until the clock of the file system has gone on, so that what was written before is surely older than what comes: its
/// tick is not the same everywhere, and a busy machine may be late with it.
pub fn settle(dir: &Path) {
    let file = dir.join("clock");
    let now = || {
        fs::write(&file, "").unwrap();
        let meta = fs::metadata(&file).unwrap();
        (meta.ctime(), meta.ctime_nsec())
    };
    let before = now();
    while now() <= before {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::remove_file(&file).unwrap();
}

/// What is in a folder.
pub fn names(dir: impl AsRef<Path>) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The left-overs in a store.
pub fn left_over(root: &Path) -> Vec<String> {
    names(root.join("nix/var/cairn/tmp"))
}

/// A copy of this test binary where any user can run it.
pub fn copy_of_myself(dir: &Path) -> PathBuf {
    let copy = dir.join("myself");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    copy
}

/// Runs the ignored test `name` of this binary as a process of its own, with `CHILD_ROOT` set.
pub fn child(name: &str, root: &Path) -> Tool {
    as_child(Tool::new(std::env::current_exe().unwrap(), "cargo", "test"), name, root)
}

/// The same behind some wrapper, whose last argument so far is the binary.
pub fn as_child(tool: Tool, name: &str, root: &Path) -> Tool {
    tool.args(["--exact", name, "--ignored", "--nocapture", "--test-threads=1"]).env("CHILD_ROOT", root)
}

/// The store root that the parent gave; nothing when the test was started by hand (`--run-ignored`).
pub fn child_root() -> Option<PathBuf> {
    std::env::var_os("CHILD_ROOT").map(PathBuf::from)
}

pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A real Nix that works on the store at a root, as on a chroot store.
pub struct Nix {
    root: PathBuf,
    conf: tempfile::TempDir,
}

impl Nix {
    /// Nothing, and a counted skip, where there is no Nix.
    pub fn new(root: &Path) -> Option<Nix> {
        if cairn_process::find("nix-store").is_none() {
            skip("nix-bin is needed, to show the store to a real Nix");
            return None;
        }
        let conf = tempfile::tempdir().unwrap();
        let text = "build-users-group =\nsubstituters =\nexperimental-features = nix-command ca-derivations\n";
        fs::write(conf.path().join("nix.conf"), text).unwrap();
        Some(Nix { root: root.to_path_buf(), conf })
    }

    pub fn tool(&self, program: &str, args: &[&str]) -> Tool {
        let store = format!("local?root={}", self.root.display());
        Tool::new(program, "nix-bin", "test with a real Nix")
            .args(["--store", &store])
            .args(args)
            .env("NIX_CONF_DIR", self.conf.path())
            .env("NIX_REMOTE", "")
            .env("HOME", self.conf.path())
    }

    /// What the command prints.
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        String::from_utf8(self.tool(program, args).output().unwrap()).unwrap()
    }

    /// Nix finds nothing wrong, whatever it looks at.
    #[track_caller]
    pub fn verify(&self) {
        self.run("nix-store", &["--verify", "--check-contents"]);
        self.run("nix", &["store", "verify", "--all", "--no-trust"]);
    }

    /// The paths that Nix holds to be valid, sorted.
    pub fn valid(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.run("nix", &["path-info", "--all"]).lines().map(String::from).collect();
        paths.sort();
        paths
    }
}

/// A small system that names itself and refers to `base`, with `files` of its own.
pub fn add_system(store: &Store, number: u32, references: &[cairn_store::StorePath]) -> PathInfo {
    let inputs = format!("{number} {references:?}");
    let path = Store::input_addressed_path("system", inputs.as_bytes()).unwrap();
    let scratch = store.scratch().unwrap();
    fs::write(scratch.path().join("init"), format!("{path} {number}\n")).unwrap();
    for (n, reference) in references.iter().enumerate() {
        symlink(reference.to_string(), scratch.path().join(format!("link-{n}"))).unwrap();
    }
    store.add_input_addressed(&path, scratch, references, None).unwrap()
}
