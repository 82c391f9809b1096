//! Upgrades and collections that are killed at chosen system calls: what stays boots, and the same command completes it.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use cairn_process::{Tool, ToolError, find};

use crate::made::{Made, SystemOf};

/// Calls that change something, on the boot partition or on the root, or say that it is on the disk.
#[rustfmt::skip]
const CHANGES: [&str; 13] = [
    "openat", "openat2", "rename", "renameat", "renameat2", "unlink", "unlinkat", "symlink", "symlinkat", "mkdirat",
    "pwrite64", "fsync", "syncfs",
];

fn can_trace() -> bool {
    let can = nix::unistd::geteuid().is_root()
        && find("strace").is_some()
        && Tool::new("strace", "strace", "test").args(["-qq", "-o", "/dev/null", "true"]).run().is_ok();
    if !can {
        cairn_testkit::skip("needs root and strace");
    }
    can
}

/// Runs the command until just before its `n`th call of a kind; says whether it got to its end.
fn until(made: &Made, args: &[&str], call: &str, n: usize) -> bool {
    let strace = Tool::new("strace", "strace", "end a process at a chosen system call")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace=?{call}"), "-e"])
        .arg(format!("inject=?{call}:signal=KILL:when={n}"))
        .arg(env!("CARGO_BIN_EXE_cairn"))
        .args(args)
        .arg("--root")
        .arg(made.root());
    match strace.run() {
        Ok(()) => true,
        Err(ToolError::Failed { status, stderr, .. }) => {
            assert_eq!(status.signal(), Some(9), "{call} {n}: {status}: {stderr}");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

/// Every entry without a counter names files that are there, of a generation that is there.
fn boots(made: &Made, when: &str) {
    let boot = made.root().join("boot");
    let mut good = 0;
    for name in made.boot_files().iter().filter(|f| f.starts_with("loader/entries/cairn-") && !f.contains('+')) {
        let text = fs::read_to_string(boot.join(name)).unwrap();
        let word =
            |key: &str| text.split_ascii_whitespace().skip_while(|w| *w != key).nth(1).unwrap_or_default().to_string();
        for file in [word("linux"), word("initrd")] {
            let len = boot.join(file.trim_start_matches('/')).metadata().map(|m| m.len());
            assert!(len.is_ok_and(|len| len > 0), "{when}: {name} names {file}");
        }
        let init = text.split_ascii_whitespace().find_map(|w| w.strip_prefix("init=")?.strip_suffix("/init")).unwrap();
        assert!(made.root().join(init.trim_start_matches('/')).join("boot.json").is_file(), "{when}: {name}: {init}");
        good += 1;
    }
    assert!(good > 0, "{when}: there is nothing left to boot");
}

/// Kills the command at points that lie ever further apart, on a machine of its own each time. `finished` is what must be
/// there when the same command has then run to its end.
fn at_many_points(prepare: &dyn Fn() -> Option<Made>, args: &[&str], finished: &dyn Fn(&Made, &str)) {
    let mut kills = 0;
    for call in CHANGES {
        let mut n = 1;
        loop {
            let Some(made) = prepare() else { return };
            let done = until(&made, args, call, n);
            let when = format!("{args:?} killed at {call} {n}");
            boots(&made, &when);
            made.run(args).done();
            boots(&made, &when);
            finished(&made, &when);
            if done {
                break;
            }
            kills += 1;
            n *= 2;
        }
    }
    assert!(kills > 20, "{kills} kills only");
}

fn there(made: &Made) -> Vec<u64> {
    made.generations().list().unwrap().into_iter().map(|g| g.number).collect()
}

#[test]
fn an_upgrade_that_is_killed_anywhere_is_completed_by_the_next() {
    if !can_trace() {
        return;
    }
    let newer = SystemOf { kernel: "6.13", ..SystemOf::named("two") };
    let source = Made::with(&[newer]);
    let prepare = || {
        let made = Made::mounted(&[SystemOf::named("one")])?;
        made.run(&["boot", "repair"]).done();
        Some(made)
    };
    let args = ["upgrade", "--from", source.root().to_str().unwrap()];
    at_many_points(&prepare, &args, &|made, when| {
        // Two, whatever was half done: the killed run's generation is taken up and not made once more.
        assert_eq!((there(made), made.entries()), (vec![1, 2], vec!["1".to_string(), "2+3".into()]), "{when}");
        assert_eq!(made.generations().current().unwrap(), Some(2), "{when}");
        assert_eq!(made.recorded().trial, Some(2), "{when}");
        made.store.check_contents(&source.systems[0]).unwrap();
        made.run(&["boot", "check"]).done();
    });
}

#[test]
fn a_collection_that_is_killed_anywhere_is_completed_by_the_next() {
    if !can_trace() {
        return;
    }
    let prepare = || {
        let system = |name, kernel| SystemOf { kernel, ..SystemOf::named(name) };
        let made = Made::mounted(&[system("one", "6.1"), system("two", "6.2"), system("three", "6.3")])?;
        let mut record = cairn_boot::Record::first(1);
        (2..=3).for_each(|n| record.booted_well(n));
        made.record(&record);
        made.run(&["boot", "repair"]).done();
        Some(made)
    };
    at_many_points(&prepare, &["gc", "--keep", "1"], &|made, when| {
        assert_eq!((there(made), made.entries()), (vec![3], vec!["3".to_string()]), "{when}");
        assert_eq!(made.store.paths().unwrap().len(), 4, "{when}");
        made.run(&["boot", "check"]).done();
    });
}
