//! A process that updates real files is killed at every single change it makes, and every single call of it fails: the machine
//! boots a generation that booted before, and another run completes the update.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::common::changes::{CHANGES, Change, start};
use crate::common::*;
use cairn_boot::effects::Mounted;
use cairn_boot::*;
use tempfile::TempDir;

/// Calls that change what another process sees; of those that open, the ones that make something.
#[rustfmt::skip]
const CHANGE: &[&str] = &[
    "openat2", "write", "pwrite64", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "ftruncate",
];
/// These, and calls that make room or say that something is on the disk.
#[rustfmt::skip]
const WRITES: &[&str] = &[
    "write", "pwrite64", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "ftruncate", "fallocate",
    "sync_file_range", "fsync", "fdatasync", "syncfs",
];
/// Calls that only look.
#[rustfmt::skip]
const READS: &[&str] = &[
    "openat", "openat2", "read", "pread64", "getdents64", "statx", "newfstatat", "fstat", "fstatfs", "readlink", "lseek",
    "fadvise64",
];

/// The process looks for these files when it has got started, and when it is done.
const BEGIN: &str = "begin";
const END: &str = "end";

/// Brings the folder up to date, or as far as it gets.
fn update(machine: &Machine, folder: &Path) -> Result<Update, String> {
    let mut volume = Mounted::open(folder).map_err(|e| e.to_string())?;
    let fixed = machine.menu_of(|menu| menu.fixed_paths().unwrap());
    let present = survey(Partitions { esp: Some(&volume), boot: None }, installation(), &fixed);
    let plan = machine.plan_for(&present.map_err(|e| e.to_string())?).map_err(|e| e.to_string())?;
    let mut target = Target { esp: Some(&mut volume), boot: None };
    apply(&plan, &mut target, &open, &mut |_| ()).map_err(|e| e.to_string())?;
    Ok(plan)
}

/// The process that is disturbed.
#[test]
#[ignore = "run by the others as a process of its own"]
fn child() {
    let (Some(folder), Some(name)) = (std::env::var_os("CHILD_FOLDER"), std::env::var("CHILD_CHANGE").ok()) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let (_, change, _) = CHANGES.into_iter().find(|(n, ..)| *n == name).unwrap();
    let mut machine = start(&name);
    change(&mut machine);
    let _ = fs::File::open(folder.join(BEGIN));
    if let Err(error) = update(&machine, &folder) {
        panic!("{error}");
    }
    let _ = fs::File::open(folder.join(END));
}

fn write_out(machine: &Machine) -> TempDir {
    // In memory, where a sync costs nothing.
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    for (path, bytes) in &machine.volume.files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn read_in(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(top: &Path, folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(top, &path, found),
                false => {
                    let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_string();
                    found.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// Runs the process under strace; its calls as strace writes them down.
#[expect(clippy::disallowed_methods, reason = "what is tested is a process that is killed")]
fn traced(folder: &Path, change: &str, options: &[&str]) -> (ExitStatus, String) {
    let calls = tempfile::NamedTempFile::new().unwrap();
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(calls.path())
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "real_files::child", "--ignored", "--nocapture", "--test-threads=1"])
        .env_remove("LD_LIBRARY_PATH")
        // A child that fails would read all that is known of its own lines, each time.
        .env("RUST_BACKTRACE", "0")
        .env("CHILD_FOLDER", folder)
        .env("CHILD_CHANGE", change)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    (status, fs::read_to_string(calls.path()).unwrap())
}

#[expect(clippy::disallowed_methods, reason = "whether strace works here is asked of itself")]
fn can_trace() -> bool {
    let can =
        Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success());
    if !can {
        cairn_testkit::skip("needs strace");
    }
    can
}

/// The thread and the name of a call in a line of strace's.
fn call(line: &str) -> Option<(&str, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let name = rest.trim_start().split_once('(')?.0;
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_').then_some((thread, name))
}

/// The update's own calls of these kinds, each with its number among those that its thread makes.
fn own_calls(start: &Machine, change: &str, kinds: &[&'static str], only_makes: bool) -> Vec<(&'static str, usize)> {
    let dir = write_out(start);
    let trace = format!("trace=?{},openat", kinds.join(",?"));
    let (status, lines) = traced(dir.path(), change, &["-e", &trace]);
    assert!(status.success(), "{change}: {status}");
    let at =
        |name: &str| lines.lines().position(|line| line.contains(&format!("/{name}\""))).expect("the process said so");
    let (begin, end) = (at(BEGIN), at(END));
    let (thread, _) = lines.lines().nth(begin).and_then(call).unwrap();
    let of = |kind: &'static str| {
        let all = lines.lines().enumerate().filter(move |(_, line)| call(line) == Some((thread, kind)));
        let own = all.enumerate().filter(move |(_, (line, _))| (begin + 1..end).contains(line));
        let wanted = own.filter(move |(_, (_, line))| !only_makes || kind != "openat2" || line.contains("O_CREAT"));
        wanted.map(move |(n, _)| (kind, n + 1)).collect::<Vec<_>>()
    };
    kinds.iter().flat_map(|kind| of(kind)).collect()
}

/// Lets every call of these kinds meet `fault`, one in each run.
fn each_call(changes: impl Iterator<Item = Change>, kinds: &[&'static str], fault: &str) {
    if !can_trace() {
        return;
    }
    for (name, change, good) in changes {
        let start = start(name);
        let mut whole = start.clone();
        change(&mut whole);
        let changed = whole.clone();
        whole.update().unwrap();
        let mut runs = 0;
        for (kind, n) in own_calls(&start, name, kinds, fault.starts_with("signal")) {
            let mut machine = changed.clone();
            let dir = write_out(&start);
            // Quicker by far, and it knows nothing of signals.
            let quick = if fault.starts_with("error") { "--seccomp-bpf" } else { "-f" };
            let options = [quick, "-e", &format!("trace={kind}"), "-e", &format!("inject={kind}:{fault}:when={n}")];
            let (status, lines) = traced(dir.path(), name, &options);
            let when = format!("{name}: {fault} at {kind} {n}");
            let met = status.signal() == Some(9) || lines.contains("(INJECTED)");
            // How often the process opens and reads something before it begins is not the same each time.
            assert!(met || READS.contains(&kind), "{when}: {status}\n{lines}");
            runs += usize::from(met);
            machine.volume.files = read_in(dir.path());
            assert!(is_safe(&machine, good), "{when}: {:?}", machine.menu());

            update(&machine, dir.path()).unwrap_or_else(|e| panic!("{when}, again: {e}"));
            let aside = |mut files: BTreeMap<String, Vec<u8>>| {
                // What may be a second name of a file stays; a program that was replaced already is kept as the one before.
                files.retain(|path, _| !path.ends_with(".new") && !path.ends_with("/previous.efi"));
                files
            };
            let (there, wanted) = (aside(read_in(dir.path())), aside(whole.volume.files.clone()));
            assert!(there == wanted, "{when}: another run completes it\n{:?}\n{:?}", there.keys(), wanted.keys());
        }
        assert!(runs > 2, "{name}: {runs} runs only");
    }
}

/// Changes that between them write, replace, overwrite and remove.
fn some() -> impl Iterator<Item = Change> {
    CHANGES
        .into_iter()
        .filter(|(name, ..)| ["a new generation", "a lower limit", "another loader, and other settings"].contains(name))
}

#[test]
fn a_process_that_is_killed_at_any_change_leaves_a_machine_that_boots() {
    each_call(CHANGES.into_iter(), CHANGE, "signal=KILL");
}

#[test]
fn a_file_system_that_is_full_at_any_write_leaves_a_machine_that_boots() {
    each_call(some(), WRITES, "error=ENOSPC");
}

#[test]
fn a_disk_that_fails_at_any_write_leaves_a_machine_that_boots() {
    each_call(some(), WRITES, "error=EIO");
}

#[test]
fn a_disk_that_fails_at_any_read_leaves_a_machine_that_boots() {
    each_call(some(), READS, "error=EIO");
}
