//! What only looks writes nothing: not a lock, not a folder, not a tidied one; nothing on the disk, and nothing of the user's.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use cairn_boot::Record;

use crate::made::{Made, SystemOf};

/// Every command that promises to change nothing.
pub const LOOKS: [&[&str]; 7] = [
    &["boot", "check"],
    &["generations"],
    &["generations", "--json"],
    &["diff", "1", "2"],
    &["diff", "1", "2", "--files"],
    &["gc", "--dry-run"],
    &["gc", "--dry-run", "--keep", "1"],
];

/// Names, kinds, owners, times and contents of everything below a folder.
pub fn state(top: &Path) -> String {
    fn walk(path: &Path, text: &mut String) {
        let meta = path.symlink_metadata().unwrap();
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let what = match meta.file_type() {
            kind if kind.is_symlink() => format!("{:?}", fs::read_link(path).unwrap()),
            kind if kind.is_file() && meta.len() < 1 << 22 => hash(&fs::read(path).unwrap()),
            _ => String::new(),
        };
        let head = (path, meta.ino(), meta.mode(), meta.uid(), meta.nlink(), meta.len(), times);
        writeln!(text, "{head:?} {what}").unwrap();
        if meta.is_dir() {
            let mut all: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect();
            all.sort();
            all.iter().for_each(|path| walk(path, text));
        }
    }
    let mut text = String::new();
    walk(top, &mut text);
    text
}

fn hash(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("{:x}", hasher.finish())
}

/// The lines in which two states differ.
#[track_caller]
pub fn same(before: &str, after: &str, when: &str) {
    if before != after {
        let (gone, new) = (lines_without(before, after), lines_without(after, before));
        panic!("{when}: changed\n  before: {gone:?}\n  after: {new:?}");
    }
}

fn lines_without(text: &str, other: &str) -> Vec<String> {
    let other: std::collections::BTreeSet<&str> = other.lines().collect();
    text.lines().filter(|l| !other.contains(l)).map(|l| l.chars().take(200).collect()).take(8).collect()
}

/// A machine with two generations, and left-overs that somebody who writes would tidy.
fn machine() -> Option<Made> {
    let two = SystemOf { kernel: "6.13", ..SystemOf::named("two") };
    let made = Made::mounted(&[SystemOf::named("one"), two])?;
    let mut record = Record::first(1);
    record.booted_well(2);
    made.record(&record);
    made.run(&["boot", "repair"]).done();
    for folder in ["nix/var/cairn/tmp/dead", "nix/var/cairn/aside/old", "var/cache/cairn/debs"] {
        fs::create_dir_all(made.root().join(folder)).unwrap();
    }
    for file in ["var/lib/cairn/boot.json.new", "var/lib/cairn/reserve.new", "var/cache/cairn/debs/x.deb"] {
        fs::write(made.root().join(file), "left").unwrap();
    }
    for lock in ["nix/var/cairn/lock", "nix/var/cairn/users", "var/lib/cairn/lock"] {
        let _ = fs::remove_file(made.root().join(lock));
    }
    Some(made)
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is tested is the command itself, as another user and from another home"
)]
fn look(made: &Made, program: &Path, home: &Path, user: Option<u32>, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program);
    command.args(args).arg("--root").arg(made.root()).stdin(Stdio::null());
    command.env_remove("XDG_CACHE_HOME").env("HOME", home.join("home")).env("TMPDIR", home.join("tmp"));
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_only_looks_writes_nothing_anywhere() {
    let Some(made) = machine() else { return };
    let home = tempfile::tempdir().unwrap();
    for folder in ["home", "tmp"] {
        fs::create_dir(home.path().join(folder)).unwrap();
        fs::set_permissions(home.path().join(folder), fs::Permissions::from_mode(0o777)).unwrap();
    }
    for path in [made.root(), home.path(), &made.root().join("boot")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let bin = tempfile::tempdir().unwrap();
    fs::set_permissions(bin.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = bin.path().join("cairn");
    fs::copy(env!("CARGO_BIN_EXE_cairn"), &program).unwrap();
    let (before, own) = (state(made.root()), state(&home.path().join("home")));
    for user in [None, Some(65534)] {
        for args in LOOKS {
            let (code, err) = look(&made, &program, home.path(), user, args);
            assert_eq!(code, Some(0), "{args:?} as {user:?}: {err}");
            same(&before, &state(made.root()), &format!("{args:?} as {user:?}"));
            same(&own, &state(&home.path().join("home")), &format!("{args:?} as {user:?}, at home"));
            // A database with a log can only be read in a copy, which goes again.
            assert_eq!(fs::read_dir(home.path().join("tmp")).unwrap().count(), 0, "{args:?}");
        }
    }
    // Somebody changes the machine meanwhile: who only looks does not wait.
    let lock = |name: &str| {
        let file = fs::File::create(made.root().join(name)).unwrap();
        file.lock().unwrap();
        file
    };
    let _held = (lock("var/lib/cairn/lock"), lock("nix/var/cairn/lock"), lock("nix/var/cairn/users"));
    let before = state(made.root());
    for args in LOOKS {
        let (code, err) = look(&made, &program, home.path(), None, args);
        assert_eq!(code, Some(0), "{args:?}: {err}");
    }
    same(&before, &state(made.root()), "beside somebody who writes");
}
