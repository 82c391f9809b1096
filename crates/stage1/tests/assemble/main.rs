//! The assembly of a root as it really happens, with its mounts, around whatever may be on a machine's disk.

mod machine;
mod traps;

use std::fs;
use std::path::Path;

use cairn_process::Tool;
use nix::mount::MsFlags;

use machine::Machine;
use traps::{KINDS, SOFT, VITAL, identity, spring};

/// Runs a test of this binary in a mount namespace of its own; false where that cannot be.
fn in_namespace(child: &str) {
    let able = nix::unistd::geteuid().is_root();
    if !able {
        cairn_testkit::skip("needs root, for mounts");
        return;
    }
    let me = std::env::current_exe().unwrap();
    let tool = Tool::new("unshare", "util-linux", "mount where nobody else sees it");
    let tool = tool.args(["--mount", "--propagation", "private"]).arg(me);
    let output = tool.args([child, "--exact", "--ignored", "--nocapture"]).output();
    let output = String::from_utf8(output.unwrap_or_else(|e| panic!("{e}"))).unwrap();
    assert!(output.contains("1 passed"), "{output}");
}

#[test]
fn whatever_is_in_the_place_of_anything_the_machine_comes_up_and_nothing_outside_is_touched() {
    in_namespace("child_with_traps");
}

#[test]
#[ignore = "run by another test, in a mount namespace"]
fn child_with_traps() {
    let machine = Machine::new();
    let outside = machine.outside();
    let (mut runs, mut gave_up) = (0, 0);
    // A machine that has not booted yet has no more than its store and the first passwords.
    for booted in [true, false] {
        for path in SOFT.iter().chain(&VITAL) {
            // Half of them on trial.
            machine.command_line(if runs % 2 == 0 { "cairn.trial" } else { "" });
            for (what, make) in KINDS.into_iter().step_by(if booted { 1 } else { 3 }) {
                let case = format!("{what} at /{path}, booted before: {booted}");
                machine.fresh("size=64M");
                if booted {
                    assert_eq!(machine.boot(), (Some(0), String::new()), "{case}");
                    machine.stop();
                }
                let before = spring(&machine.at(path), make);
                let (code, said) = machine.boot();
                match code {
                    // Of a system with something else in it not everything can be there.
                    Some(0) if VITAL.contains(path) => {}
                    Some(0) => machine.assert_whole(&case),
                    Some(1) if VITAL.contains(path) => gave_up += 1,
                    _ => panic!("{case}: ended with {code:?}: {said}"),
                }
                assert!(!said.contains('\u{1b}'), "{case}: {said:?}");
                assert_eq!(machine.outside(), outside, "{case}: something outside was touched");
                if is_the_administrators(path) {
                    machine.stop();
                    assert_eq!(identity(&machine.at(path)), before, "{case}: it was not left alone");
                }
                machine.scrap();
                runs += 1;
            }
        }
    }
    println!("{runs} boots, {gave_up} of them without something vital");
    assert!(gave_up > 0, "no trap was sprung at all");
}

/// What somebody may have put there, and wants to have there.
fn is_the_administrators(path: &str) -> bool {
    let ours = ["var/lib/cairn", "var/lib/dpkg", "var/lib/systemd/catalog", "bin", "lib64", "nix", "usr", "etc"];
    !ours.iter().any(|ours| Path::new(path).starts_with(ours))
}

#[test]
fn a_link_that_somebody_left_in_var_is_followed_by_the_machine_alone() {
    in_namespace("child_with_a_moved_cache");
}

#[test]
#[ignore = "run by another test, in a mount namespace"]
fn child_with_a_moved_cache() {
    let machine = Machine::new();
    machine.fresh("");
    machine.command_line("");
    assert_eq!(machine.boot(), (Some(0), String::new()));
    machine.assert_whole("the first boot");
    assert_eq!(fs::metadata(machine.at("usr/bin/sudo")).map(|m| mode(&m)).unwrap(), 0o4755);
    assert_eq!(machine.text("usr/local/share/x"), "x");
    assert!(machine.text("etc/shadow").contains("ann:$y$first:"));
    let id = machine.text("etc/machine-id");
    machine.stop();
    // As people do when a disk is full; the whole state of the machine too.
    for (folder, to) in [("var/cache", "srv/cache"), ("var/lib", "srv/lib"), ("var/usrlocal", "srv/local")] {
        fs::rename(machine.at(folder), machine.at(to)).unwrap();
        std::os::unix::fs::symlink(Path::new("/").join(to), machine.at(folder)).unwrap();
    }
    fs::remove_file(machine.at("var/www/html/index.html")).unwrap();
    for trial in ["", "cairn.trial", ""] {
        machine.command_line(trial);
        assert_eq!(machine.boot(), (Some(0), String::new()));
        machine.assert_whole("after the move");
        assert_eq!(machine.text("etc/machine-id"), id);
        assert!(machine.text("etc/shadow").contains("ann:$y$first:"));
        assert_eq!(machine.text("srv/cache/man/index"), "index");
        assert_eq!(machine.text("usr/local/share/x"), "x");
        assert!(!machine.at("var/www/html/index.html").exists());
        machine.stop();
    }
}

fn mode(meta: &fs::Metadata) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777
}

#[test]
fn a_disk_that_is_full_or_read_only_does_not_stop_a_boot_and_what_it_lacked_comes_when_there_is_room() {
    in_namespace("child_without_room");
}

#[test]
#[ignore = "run by another test, in a mount namespace"]
fn child_without_room() {
    let machine = Machine::new();
    let given = ["var/cache/man/index", "var/www/html/index.html", "var/lib/db/data.mdb", "usr/local/share/x"];
    for blocks in 0..40 {
        let case = format!("{blocks} blocks are free");
        machine.fresh("size=64M");
        let size = machine.used() + blocks * 4096;
        machine.remount(&format!("size={size}"), MsFlags::empty());
        let (code, said) = machine.boot();
        assert_eq!(code, Some(0), "{case}: {said}");
        assert_eq!(machine.text("etc/hostname"), "trap\n", "{case}");
        machine.stop();
        machine.remount("size=64M", MsFlags::empty());
        assert_eq!(machine.boot(), (Some(0), String::new()), "{case}");
        machine.assert_whole(&case);
        for path in given {
            assert!(machine.at(path).is_file(), "{case}: {path} was never given");
        }
        let record = machine.text("var/lib/cairn/given");
        assert!(record.contains("\nbase /nix/store/a-base\n") && !record.contains("\nlack "), "{case}: {record}");
        assert!(machine.text("etc/shadow").contains("ann:$y$first:"), "{case}");
        machine.scrap();
    }
    for booted in [true, false] {
        machine.fresh("size=64M");
        if booted {
            assert_eq!(machine.boot(), (Some(0), String::new()));
            machine.stop();
        }
        machine.remount("", MsFlags::MS_RDONLY);
        let (code, said) = machine.boot();
        if booted {
            assert_eq!(code, Some(0), "{said}");
            machine.assert_whole("read-only");
            assert!(machine.text("etc/shadow").contains("ann:$y$first:"));
        } else {
            // There is not even a folder that /usr could be mounted on.
            assert!(code == Some(1) && said.contains("/usr"), "{said}");
        }
        machine.scrap();
    }
}

#[test]
fn ended_at_any_change_the_next_boot_makes_it_whole() {
    in_namespace("child_that_is_ended");
}

#[test]
#[ignore = "run by another test, in a mount namespace"]
fn child_that_is_ended() {
    if let Err(e) = Tool::new("strace", "strace", "end the helper at any change").check() {
        return cairn_testkit::skip(e);
    }
    let machine = Machine::new();
    let mut ended = 0;
    for call in
        ["mkdirat", "symlinkat", "openat", "write", "copy_file_range", "fchown", "renameat", "renameat2", "syncfs"]
    {
        for count in 1.. {
            let case = format!("ended at {call} {count}");
            machine.fresh("size=64M");
            let tool = Tool::new("strace", "strace", "end the helper at any change");
            let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={count}"));
            let options = ["-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let (code, _) = machine.boot_under(tool.args(options));
            machine.stop();
            ended += u32::from(code != Some(0));
            assert_eq!(machine.boot(), (Some(0), String::new()), "{case}");
            machine.assert_whole(&case);
            for path in ["var/cache/man/index", "var/www/html/index.html", "var/lib/db/data.mdb", "usr/local/share/x"] {
                assert!(fs::metadata(machine.at(path)).is_ok_and(|meta| meta.len() > 0), "{case}: {path}");
            }
            assert_eq!(fs::metadata(machine.at("var/lib/db")).map(|m| mode(&m)).unwrap(), 0o750, "{case}");
            let state = fs::read_dir(machine.at("var/lib/cairn")).unwrap().map(|entry| entry.unwrap().file_name());
            let left: Vec<_> = state.filter(|name| name.to_string_lossy().contains("filling")).collect();
            assert!(left.is_empty(), "{case}: {left:?}");
            machine.scrap();
            if code == Some(0) {
                break;
            }
        }
    }
    println!("ended {ended} times");
    assert!(ended > 50);
}

#[test]
fn a_partition_below_var_gets_what_packages_have_there_once_and_keeps_what_it_had() {
    in_namespace("child_with_partitions");
}

#[test]
#[ignore = "run by another test, in a mount namespace"]
fn child_with_partitions() {
    let machine = Machine::new();
    machine.fresh("");
    machine.command_line("");
    let fstab = "P=1 /var/www ext4 defaults 0 2\nP=2 /var/lib/db ext4 defaults 0 2\nP=3 /var/log ext4 defaults 0 2\n\
                 P=4 /var/lib/gone ext4 nofail 0 2\n";
    machine.put("nix/store/e-etc/fstab", fstab);
    let owner = |path: &str| {
        let meta = fs::metadata(machine.at(path)).unwrap();
        use std::os::unix::fs::MetadataExt;
        (mode(&meta), meta.uid(), meta.gid())
    };
    let [www, db, log] = ["www", "db", "log"].map(|name| machine.partition(name));
    // It had been somebody's before: what is in its folders is as it is to be.
    fs::create_dir_all(log.join("nginx")).unwrap();
    fs::write(log.join("nginx/access.log"), "old").unwrap();
    machine.put("nix/store/a-base/var/log/nginx/README", "of the package");
    let mount = |db: &Path| {
        machine.mount(&www, "var/www");
        machine.mount(db, "var/lib/db");
        machine.mount(&log, "var/log");
    };
    for turn in 0..3 {
        assert_eq!(machine.boot(), (Some(0), String::new()));
        assert_eq!(machine.text("srv/ftp/welcome"), "welcome");
        mount(&db);
        // One that is not mounted is told, and is no failure.
        assert_eq!(machine.fill(), (Some(0), String::new()));
        assert_eq!(machine.at("var/www/html/index.html").exists(), turn == 0, "{turn}");
        assert_eq!(machine.text("var/lib/db/data.mdb"), "data");
        assert_eq!(owner("var/lib/db"), (0o750, 3, 4));
        assert_eq!(machine.text("var/log/apt/keep"), "log");
        assert_eq!(machine.text("var/log/nginx/access.log"), "old");
        assert!(!machine.at("var/log/nginx/README").exists());
        assert_eq!(mode(&fs::metadata(machine.at("var/log/journal")).unwrap()), 0o2755);
        for folder in ["var/www", "var/lib/db", "var/log"] {
            assert!(!machine.at(folder).join(".cairn-filling").exists());
        }
        if turn == 0 {
            fs::remove_dir_all(machine.at("var/www/html")).unwrap();
        }
        machine.stop();
    }
    // Another file system in its place is a new one.
    let other = machine.partition("other");
    assert_eq!(machine.boot(), (Some(0), String::new()));
    mount(&other);
    assert_eq!(machine.fill().0, Some(0));
    assert_eq!((machine.text("var/lib/db/data.mdb").as_str(), owner("var/lib/db")), ("data", (0o750, 3, 4)));
    machine.stop();
}
