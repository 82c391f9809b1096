//! Machines in trouble: a root file system that is full in the middle of an upgrade, a clock that runs backwards, generations
//! that cannot be read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cairn_boot::Record;
use cairn_process::Tool;
use cairn_store::{Generations, Store};
use nix::fcntl::AT_FDCWD;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::statvfs::statvfs;
use nix::sys::time::TimeSpec;
use serde_json::json;

use crate::made::{FIRST, Made, Ran, SystemOf, cairn};

/// A machine on a file system of its own, with so many bytes free.
struct Small(PathBuf);

impl Small {
    fn new(made: &Made, free: u64) -> Small {
        let root = made.root().join("small");
        fs::create_dir_all(&root).unwrap();
        mount(Some("none"), &root, Some("tmpfs"), MsFlags::empty(), Some("size=16m")).unwrap();
        let copy = Tool::new("cp", "coreutils", "copy a machine").arg("-a");
        copy.args(["nix", "var", "proc", "run"].map(|part| made.root().join(part))).arg(&root).run().unwrap();
        fs::create_dir(root.join("boot")).unwrap();
        mount(Some("none"), &root.join("boot"), Some("tmpfs"), MsFlags::empty(), Some("size=8m")).unwrap();
        let small = Small(root);
        small.run(&["boot", "repair"]).done();
        small.run(&["gc"]).done();
        let there = statvfs(&small.0).unwrap();
        let filler = there.blocks_available() * there.fragment_size() - free;
        fs::write(small.0.join("filler"), vec![1; usize::try_from(filler).unwrap()]).unwrap();
        small
    }

    fn run(&self, args: &[&str]) -> Ran {
        let mut all = args.to_vec();
        all.extend(["--root", self.0.to_str().unwrap()]);
        cairn(&all)
    }

    fn numbers(&self) -> Vec<u64> {
        Generations::at(&self.0).list().unwrap().into_iter().map(|g| g.number).collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        for place in [self.0.join("boot"), self.0.clone()] {
            let _ = umount(&place);
        }
    }
}

/// Every path that counts is whole.
fn whole(root: &Path) {
    let store = Store::open(root).unwrap();
    for path in store.paths().unwrap() {
        store.check_contents(&path).unwrap();
    }
}

#[test]
fn an_upgrade_on_a_full_root_is_completed_once_there_is_room() {
    let Some(made) = Made::mounted(&[SystemOf::named("one")]) else { return };
    let there = Made::with(&[SystemOf { kernel: "6.13", ..SystemOf::named("two") }]);
    let args = ["upgrade", "--from", there.root().to_str().unwrap()];
    let (mut failed, mut done) = (0, 0);
    for room in (0..=14).map(|n| n * 16384) {
        let small = Small::new(&made, room);
        let ran = small.run(&args);
        if ran.code == 0 {
            done += 1;
        } else {
            failed += 1;
            // By whether the generation had been made by then.
            let code = if small.numbers() == [1] { 1 } else { 4 };
            assert_eq!(ran.code, code, "{room}: {}", ran.err);
            assert!(ran.err.contains("`cairn gc --keep N`"), "{room}: {}", ran.err);
        }
        let entries = fs::read_dir(small.0.join("boot/loader/entries")).unwrap().count();
        assert!(entries == small.numbers().len() || entries == 1, "{room}");
        whole(&small.0);
        fs::remove_file(small.0.join("filler")).unwrap();
        small.run(&args).done();
        assert_eq!(small.numbers(), [1, 2], "{room}");
        small.run(&["boot", "check"]).done();
        whole(&small.0);
    }
    assert!(failed > 3 && done > 1, "{failed} {done}");
}

#[test]
fn a_collection_makes_room_on_a_disk_that_has_none() {
    let system = |name, kernel| SystemOf { kernel, ..SystemOf::named(name) };
    let Some(made) = Made::mounted(&[system("one", "6.1"), system("two", "6.2"), system("three", "6.3")]) else {
        return;
    };
    let mut record = Record::first(1);
    (2..=3).for_each(|n| record.booted_well(n));
    made.record(&record);
    for room in [0, 4096, 12288] {
        let small = Small::new(&made, room);
        let ran = small.run(&["gc", "--keep", "1"]);
        assert!(ran.code == 0, "{room}: {}", ran.err);
        assert_eq!(small.numbers(), [3]);
        whole(&small.0);
        small.run(&["boot", "check"]).done();
    }
}

#[test]
fn a_clock_that_runs_backwards_changes_dates_and_nothing_else() {
    let Some(made) = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two"), SystemOf::named("three")]) else {
        return;
    };
    let mut record = Record::first(1);
    (2..=3).for_each(|n| record.booted_well(n));
    made.record(&record);
    // Each was made a year before the one before; the last one before 1970, and the first in a hundred years.
    for (number, time) in [(1, FIRST + 3_155_760_000), (2, FIRST), (3, -86_400)] {
        let link = made.root().join(format!("nix/var/nix/profiles/system-{number}-link"));
        let time = TimeSpec::new(time, 0);
        utimensat(AT_FDCWD, &link, &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
    }
    made.run(&["boot", "repair"]).done();
    let list = made.run(&["generations", "--json"]).json();
    let all = list["generations"].as_array().unwrap();
    assert_eq!(all.iter().map(|g| g["number"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(all[2]["date"], "1969-12-31T00:00:00Z");
    assert_eq!((&all[2]["default"], &all[2]["last_good"]), (&json!(true), &json!(true)));
    // The menu sorts by number, whatever the dates say.
    let text = |n: u64| {
        let name =
            made.boot_files().into_iter().find(|f| f.starts_with("loader/entries") && f.contains(&format!("-{n}-")));
        fs::read_to_string(made.root().join("boot").join(name.unwrap())).unwrap()
    };
    for n in 1..=3 {
        assert!(text(n).contains(&format!("\nversion {n}\n")), "{}", text(n));
    }
    // What seems to come from the future is young; what is needed stays however old it seems.
    let gone = made.run(&["gc", "--older-than", "1d", "--json"]).json();
    assert_eq!((&gone["removed"], &gone["kept"]), (&json!([2]), &json!([1, 3])));
    let there = Made::with(&[SystemOf::named("four")]);
    made.run(&["upgrade", "--from", there.root().to_str().unwrap()]).done();
    assert_eq!(made.recorded().trial, Some(4), "numbers go on");
}

#[test]
fn what_cannot_be_read_is_left_out_and_said_and_keeps_everything_else() {
    for damage in [
        (|made: &Made| made.store.remove(&made.systems[1]).unwrap()) as fn(&Made),
        |made| made.damage(1, "boot.json"),
        |made| {
            let link = made.root().join("nix/var/nix/profiles/system-2-link");
            fs::remove_file(&link).unwrap();
            std::os::unix::fs::symlink("/somewhere/else", link).unwrap();
        },
    ] {
        let kernels =
            ["6.1", "6.2", "6.3"].map(|kernel| SystemOf { kernel, ..SystemOf::named(&kernel.replace('.', "-")) });
        let Some(made) = Made::mounted(&kernels) else { return };
        let mut record = Record::first(1);
        (2..=3).for_each(|n| record.booted_well(n));
        made.record(&record);
        made.run(&["boot", "repair"]).done();
        let before: BTreeSet<String> = made.boot_files().into_iter().collect();
        damage(&made);
        let there = Made::with(&[SystemOf { kernel: "6.4", ..SystemOf::named("four") }]);
        let ran = made.run(&["upgrade", "--from", there.root().to_str().unwrap()]).done();
        assert!(ran.err.contains("generation 2 is left out: "), "{}", ran.err);
        assert!(ran.err.contains("nothing is removed from the boot partition"), "{}", ran.err);
        let after: BTreeSet<String> = made.boot_files().into_iter().collect();
        assert!(after.is_superset(&before), "{:?}", before.difference(&after));
        assert_eq!(made.entries(), ["1", "2", "3", "4+3"]);
        made.run(&["rollback", "2"]).refused("generation 2 cannot be booted: ");
        made.run(&["gc"]).refused("nothing is removed while it is there; if it can go, `cairn gc --drop 2`");
        // Said goodbye to, it goes, and removing works again.
        made.run(&["gc", "--drop", "2"]).done();
        assert_eq!(made.entries(), ["1", "3", "4+3"]);
    }
}

#[test]
fn a_boot_partition_that_is_read_only_is_told_before_anything_is_made() {
    let Some(made) = Made::mounted(&[SystemOf::named("one")]) else { return };
    made.run(&["boot", "repair"]).done();
    let remount = |flags| {
        let flags = MsFlags::MS_REMOUNT | flags;
        mount(None::<&str>, &made.root().join("boot"), None::<&str>, flags, Some("size=64m")).unwrap();
    };
    remount(MsFlags::MS_RDONLY);
    let there = Made::with(&[SystemOf::named("two")]);
    let paths = made.store.paths().unwrap();
    let args = ["upgrade", "--from", there.root().to_str().unwrap()];
    made.run(&args).refused("is mounted read-only: `mount -o remount,rw ");
    assert_eq!(made.store.paths().unwrap(), paths);
    made.run(&["boot", "check"]).done();
    made.run(&["boot", "repair"]).done();
    remount(MsFlags::empty());
    made.run(&args).done();
    remount(MsFlags::MS_RDONLY);
    for args in [&["rollback", "1"][..], &["gc", "--drop", "2"]] {
        let before = made.recorded();
        let ran = made.run(args);
        assert_eq!(ran.code, 3, "{args:?}: {}", ran.err);
        assert_eq!((made.recorded(), made.generations().current().unwrap()), (before, Some(2)), "{args:?}");
    }
}

#[test]
fn a_folder_of_cairn_s_that_is_a_link_is_refused() {
    let Some(made) = Made::mounted(&[SystemOf::named("one"), SystemOf::named("two")]) else { return };
    made.run(&["boot", "repair"]).done();
    let (root, aside) = (made.root(), made.root().join("aside"));
    for folder in ["var/lib/cairn", "nix/var/cairn", "nix/var/nix/profiles", "nix/store"] {
        let place = root.join(folder);
        fs::rename(&place, &aside).unwrap();
        for file in [false, true] {
            match file {
                true => fs::write(&place, "no folder").unwrap(),
                false => std::os::unix::fs::symlink(&aside, &place).unwrap(),
            }
            for args in [&["gc"][..], &["rollback", "1"], &["boot", "repair"]] {
                let ran = made.run(args);
                // Whoever only reads a folder may do so, wherever it is.
                let may = folder == "nix/var/cairn" && args[0] != "gc";
                assert!(ran.code == 3 || may && ran.code == 0, "{folder} {args:?}: {} {}", ran.code, ran.err);
                let unusable = ran.err.contains("cannot be used, for it must be a folder itself");
                let must = folder == "var/lib/cairn" || args[0] == "gc";
                assert!(unusable || !must, "{folder} {args:?}: {}", ran.err);
            }
            fs::remove_file(&place).unwrap();
        }
        fs::rename(&aside, &place).unwrap();
    }
}
