//! A file system that loses what was not synced, and the ends of processes between two syncs.
#![allow(dead_code, missing_debug_implementations, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cairn_process::Tool;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Node {
    Dir(u32),
    File(u32, Vec<u8>),
    Link(PathBuf),
}

#[derive(Default)]
pub struct State(BTreeMap<PathBuf, Node>);

pub struct Random(pub u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

impl State {
    pub fn read(root: &Path) -> State {
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
    pub fn torn(durable: &State, reached: &State, random: &mut Random) -> State {
        let contents: BTreeSet<&[u8]> = durable
            .0
            .values()
            .filter_map(|n| if let Node::File(_, b) = n { Some(b.as_slice()) } else { None })
            .collect();
        let links: BTreeSet<&PathBuf> =
            durable.0.values().filter_map(|n| if let Node::Link(target) = n { Some(target) } else { None }).collect();
        let names: BTreeSet<&PathBuf> = durable.0.keys().chain(reached.0.keys()).collect();
        // Sometimes nearly everything got there, sometimes nearly nothing.
        let likely = random.below(11);
        let mut torn = BTreeMap::new();
        for name in names {
            let (old, new) = (durable.0.get(name), reached.0.get(name));
            let mut node = if old == new || random.below(10) < likely { new.cloned() } else { old.cloned() };
            // A link without what it says is nothing that can be made here; a file without anything is as useless.
            if let Some(Node::Link(target)) = &node
                && node != old.cloned()
                && !links.contains(target)
                && random.below(4) == 0
            {
                node = Some(Node::File(0o644, Vec::new()));
            }
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

    pub fn write(&self, root: &Path) {
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

/// A folder whose syncs cost nothing: what a sync does is told here, and not by a disk.
pub fn in_memory() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

pub fn can_trace() -> bool {
    cairn_process::find("strace").is_some()
        && Tool::new("strace", "strace", "test").args(["-qq", "-o", "/dev/null", "true"]).run().is_ok()
}

/// Runs the ignored test `name` of this binary until just before its `n`th `syncfs`; says whether it got to its end.
pub fn until_sync(name: &str, root: &Path, n: usize) -> bool {
    killed(name, root, "syncfs", n)
}

/// Ends the ignored test `name` of this binary before each system call that changes something, in a folder that `prepare`
/// makes and `judge` looks at afterwards. Gives the number of ends.
pub fn at_each_change(name: &str, prepare: impl Fn() -> tempfile::TempDir, judge: impl Fn(&Path)) -> usize {
    let mut ends = 0;
    let whole = prepare();
    let all = changes(name, whole.path());
    judge(whole.path());
    for (call, n) in all {
        let dir = prepare();
        // Threads may share the work in another way this time, so that it gets to its end.
        ends += usize::from(!killed(name, dir.path(), call, n));
        judge(dir.path());
    }
    ends
}

/// Calls that may change something.
#[rustfmt::skip]
const CHANGES: [&str; 30] = [
    "openat", "openat2", "write", "pwrite64", "copy_file_range", "sendfile", "truncate", "ftruncate", "fallocate", "mkdir",
    "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "symlink", "symlinkat", "link", "linkat",
    "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utimensat", "fsetxattr",
];

/// The calls of the ignored test `name` of this binary that change something, each as the kind and its number among those of
/// the kind that its thread makes, as strace counts them.
fn changes(name: &str, root: &Path) -> BTreeSet<(&'static str, usize)> {
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in traced(name, root, &format!("?{}", CHANGES.join(",?"))) {
        // 123 openat(AT_FDCWD</folder>, "name", O_WRONLY|O_CREAT) = 4</folder/name>
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((kind, rest)) = call.trim_start().split_once('(') else { continue };
        let Some(kind) = CHANGES.into_iter().find(|known| *known == kind) else { continue };
        let count = counts.entry((thread.to_string(), kind)).or_default();
        *count += 1;
        let changes = match kind {
            "openat" | "openat2" => ["O_CREAT", "O_TRUNC", "O_TMPFILE"].iter().any(|flag| rest.contains(flag)),
            // Not what is said to whoever reads the output.
            "write" | "pwrite64" => rest.contains(&format!("<{}/", root.display())),
            _ => true,
        };
        if changes && !rest.contains(" = -1 ") {
            found.insert((kind, *count));
        }
    }
    found
}

/// A call that puts something on the disk.
#[derive(Debug)]
pub struct Sync {
    /// `syncfs` or `fsync`.
    pub name: String,
    /// Of what.
    pub path: PathBuf,
}

/// The calls of these kinds that the ignored test `name` of this binary makes, in order, as strace tells them.
pub fn calls(name: &str, root: &Path, kinds: &str) -> Vec<String> {
    // 123 fsync(4</folder/name>) = 0
    let lines = traced(name, root, kinds).into_iter();
    lines.filter_map(|line| Some(line.split_once(' ')?.1.trim_start().to_string())).collect()
}

/// The lines of strace, with the number of the thread in front.
fn traced(name: &str, root: &Path, kinds: &str) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let strace = Tool::new("strace", "strace", "see what a process does with the disk")
        .args(["-f", "--seccomp-bpf", "-qq", "-y", "-e", &format!("trace={kinds}"), "-e", "signal=none", "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().unwrap());
    super::as_child(strace, name, root).run().unwrap();
    fs::read_to_string(log.path()).unwrap().lines().map(str::to_string).collect()
}

/// All syncs that the ignored test `name` of this binary makes, in order.
pub fn syncs(name: &str, root: &Path) -> Vec<Sync> {
    let call = |call: &String| {
        let (name, rest) = call.split_once('(')?;
        let path = rest.split_once('<')?.1.split_once('>')?.0;
        Some(Sync { name: name.to_string(), path: path.into() })
    };
    calls(name, root, "syncfs,fsync").iter().filter_map(call).collect()
}

/// Ends the ignored test `name` of this binary just before the `n`th call of a kind; says whether it got to its end.
pub fn killed(name: &str, root: &Path, calls: &str, n: usize) -> bool {
    let strace = Tool::new("strace", "strace", "end a process at a chosen system call")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={calls}"), "-e"])
        .arg(format!("inject={calls}:signal=KILL:when={n}"))
        .arg(std::env::current_exe().unwrap());
    match super::as_child(strace, name, root).run() {
        Ok(()) => true,
        Err(cairn_process::ToolError::Failed { status, stderr, .. }) => {
            let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
            assert!(killed, "{status}: {stderr}");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

impl State {
    /// Makes everything below a folder as it is in another state.
    pub fn take(&mut self, other: &State, folder: &Path) {
        self.0.retain(|name, _| !name.starts_with(folder));
        self.0.extend(other.0.iter().filter(|(name, _)| name.starts_with(folder)).map(|(n, s)| (n.clone(), s.clone())));
    }
}
