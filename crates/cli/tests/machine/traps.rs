//! A stranger's disk: in the place of every path that Cairn touches below a root stands something that leads out of it, that
//! never ends, or that is no file. Whatever command is run, nothing outside is changed, it ends, in one of the documented
//! ways, and who only looks leaves the disk as it is.
//!
//! Each trap meets every command that looks and one that changes the machine, another one each time; all of them with
//! `CAIRN_ALL_TRAPS` in the environment.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cairn_boot::Record;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::sys::time::TimeSpec;
use nix::unistd::mkfifo;

use crate::looks::{same, state};
use crate::made::{Made, SystemOf};

/// What stands in a path's place.
const TRAPS: [&str; 10] = [
    "a link to a folder",
    "a link to a file",
    "a relative link to a folder",
    "a dangling link out",
    "a link in a circle",
    "a link to an endless file",
    "a pipe",
    "a folder",
    "an endless file",
    "a huge file",
];

/// Commands that only look, as different from each other as they are.
const LOOKS: [&[&str]; 4] = [
    &["boot", "check"],
    &["generations", "--json"],
    &["diff", "1", "2", "--files"],
    &["gc", "--dry-run", "--keep", "1"],
];

/// The machine, the source of upgrades, and what must not change.
struct Traps {
    made: Made,
    there: Made,
    victim: tempfile::TempDir,
    watched: String,
    /// Where the machine is copied to, trap and all.
    root: PathBuf,
    turn: usize,
    runs: usize,
}

impl Drop for Traps {
    fn drop(&mut self) {
        self.unmount();
        let _ = fs::remove_dir(&self.root);
    }
}

impl Traps {
    fn new() -> Option<Traps> {
        let two = SystemOf { kernel: "6.13", ..SystemOf::named("two") };
        let mut one = SystemOf::named("one");
        one.machine += "boot: {generations: 4}\n";
        let made = Made::mounted(&[one, two])?;
        let mut record = Record::first(1);
        record.booted_well(2);
        made.record(&record);
        made.run(&["boot", "repair"]).done();
        made.run(&["gc"]).done();
        let there = Made::with(&[SystemOf { kernel: "6.14", ..SystemOf::named("three") }]);
        let (victim, watched) = victim();
        let root = made.root().with_extension("trap");
        fs::create_dir(&root).unwrap();
        Some(Traps { made, there, victim, watched, root, turn: 0, runs: 0 })
    }

    fn unmount(&self) {
        for place in [self.root.join("boot"), self.root.clone()] {
            let _ = umount2(&place, MntFlags::MNT_DETACH);
        }
    }

    /// The machine as it was, in memory, with its boot partition.
    fn fresh(&self) {
        self.unmount();
        let memory = |place: &Path| {
            mount(Some("none"), place, Some("tmpfs"), MsFlags::empty(), Some("size=256m")).unwrap();
        };
        memory(&self.root);
        for part in ["nix", "var", "proc", "run"] {
            copy(&self.made.root().join(part), &self.root.join(part));
        }
        fs::create_dir_all(self.root.join("etc")).unwrap();
        fs::create_dir_all(self.root.join("boot")).unwrap();
        memory(&self.root.join("boot"));
        for entry in fs::read_dir(self.made.root().join("boot")).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &self.root.join("boot").join(entry.file_name()));
        }
    }

    /// Puts a trap in a path's place.
    fn set(&self, path: &str, trap: &str) {
        let place = self.root.join(path);
        if path == "boot" {
            umount2(&place, MntFlags::MNT_DETACH).unwrap();
        }
        let folder = place.parent().unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        match place.symlink_metadata() {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&place).unwrap(),
            Ok(_) => fs::remove_file(&place).unwrap(),
            Err(_) => {}
        }
        let victim = self.victim.path();
        let link = |target: &Path| symlink(target, &place).unwrap();
        match trap {
            "a link to a folder" => link(victim),
            "a link to a file" => link(&victim.join("file")),
            "a relative link to a folder" => {
                link(&Path::new("../../../../../../../../../../..").join(victim.strip_prefix("/").unwrap()));
            }
            "a dangling link out" => link(&victim.join("new")),
            "a link in a circle" => link(Path::new(place.file_name().unwrap())),
            "a link to an endless file" => link(Path::new("/dev/zero")),
            "a pipe" => mkfifo(&place, Mode::S_IRWXU).unwrap(),
            "a folder" => {
                fs::create_dir(&place).unwrap();
                fs::write(place.join("inner"), "x").unwrap();
            }
            "an endless file" => mknod(&place, SFlag::S_IFCHR, Mode::S_IRWXU, makedev(1, 5)).unwrap(),
            "a huge file" => fs::File::create(&place).unwrap().set_len(1 << 42).unwrap(),
            other => panic!("{other}"),
        }
    }

    /// Runs a command with bounds that only a hang or a bomb meets: a minute, and 256 MB of memory of its own.
    #[expect(clippy::disallowed_methods, reason = "what is tested is the command itself, exit codes and all")]
    fn run(&mut self, args: &[&str], when: &str) {
        let mut command = Command::new("sh");
        let bounded = "ulimit -t 20; ulimit -d 262144; exec timeout -s KILL 60 \"$@\"";
        command.args(["-c", bounded, "sh", env!("CARGO_BIN_EXE_cairn")]).args(args).arg("--root").arg(&self.root);
        let output = command.env_remove("XDG_CACHE_HOME").stdin(Stdio::null()).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let when = format!("{when}: {args:?}");
        let code = output.status.code();
        assert!(matches!(code, Some(0 | 1 | 3 | 4)), "{when}: {:?}\n{said}", output.status);
        assert!(!said.contains("panicked"), "{when}: {said}");
        same(&self.watched, &state(self.victim.path()), &when);
        self.runs += 1;
    }

    /// Every trap in the place of each of these paths.
    fn all(&mut self, paths: &[&str]) {
        let from = self.there.root().to_str().unwrap().to_string();
        let changes: [&[&str]; 6] = [
            &["boot", "repair"],
            &["gc", "--keep", "1"],
            &["rollback", "1"],
            &["upgrade", "--from", &from],
            &["gc"],
            &["gc", "--drop", "1"],
        ];
        let every = std::env::var_os("CAIRN_ALL_TRAPS").is_some();
        let mut failed = Vec::new();
        for path in paths {
            for trap in TRAPS {
                let when = format!("{path} is {trap}");
                let one = std::panic::AssertUnwindSafe(|| {
                    self.fresh();
                    self.set(path, trap);
                    let before = state(&self.root);
                    for args in LOOKS {
                        self.run(args, &when);
                    }
                    same(&before, &state(&self.root), &format!("{when}: the disk, by who only looks"));
                    let chosen = self.turn % changes.len();
                    self.turn += 1;
                    for (n, args) in changes.iter().enumerate().filter(|(n, _)| every || *n == chosen) {
                        if n != 0 || chosen != 0 {
                            self.fresh();
                            self.set(path, trap);
                        }
                        self.run(args, &when);
                    }
                });
                if let Err(why) = std::panic::catch_unwind(one) {
                    let text = why.downcast_ref::<String>().cloned();
                    (self.victim, self.watched) = victim();
                    failed.push(text.unwrap_or_else(|| format!("{when}: {:?}", why.downcast_ref::<&str>())));
                }
            }
        }
        assert!(failed.is_empty(), "{} of {} runs failed:\n{}", failed.len(), self.runs, failed.join("\n"));
    }
}

/// A folder with what somebody who tidies up would remove.
fn victim() -> (tempfile::TempDir, String) {
    let victim = tempfile::tempdir().unwrap();
    for path in ["file", "x.deb", "system-2-link", "dead/inner/file", "00000000000000000000000000000000-x"] {
        let path = victim.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "as it was\n").unwrap();
    }
    let watched = state(victim.path());
    (victim, watched)
}

/// With times and modes, as `cp -a`.
fn copy(from: &Path, to: &Path) {
    let meta = from.symlink_metadata().unwrap();
    if meta.is_symlink() {
        symlink(fs::read_link(from).unwrap(), to).unwrap();
    } else if meta.is_dir() {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
        fs::set_permissions(to, meta.permissions()).unwrap();
    } else {
        fs::copy(from, to).unwrap();
    }
    use std::os::unix::fs::MetadataExt;
    let time = TimeSpec::new(meta.mtime(), meta.mtime_nsec());
    let no_follow = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
    nix::sys::stat::utimensat(nix::fcntl::AT_FDCWD, to, &time, &time, no_follow).unwrap();
}

#[test]
fn without_a_trap_all_goes_well() {
    let Some(mut traps) = Traps::new() else { return };
    let from = traps.there.root().to_str().unwrap().to_string();
    let root = traps.root.clone();
    let changes: [&[&str]; 4] = [&["boot", "repair"], &["upgrade", "--from", &from], &["rollback", "1"], &["gc"]];
    traps.fresh();
    for args in LOOKS.iter().chain(&changes) {
        let mut all = args.to_vec();
        all.extend(["--root", root.to_str().unwrap()]);
        crate::made::cairn(&all).done();
        traps.run(args, "nothing");
    }
}

/// A disk whose GRUB would have to be made by its own programs: these are somebody's.
#[test]
fn no_program_of_the_disk_is_run() {
    let mut system = SystemOf::named("one");
    system.machine += "boot: {loader: grub}\n";
    let Some(made) = Made::mounted(&[system]) else { return };
    let (victim, watched) = victim();
    let inside = |path: &str| made.root().join(path.trim_start_matches('/'));
    let base = fs::read_link(inside(&made.systems[0].to_string()).join("base")).unwrap();
    let base = inside(base.to_str().unwrap());
    let folders = ["usr/lib/grub/x86_64-efi", "usr/bin", "usr/lib/x86_64-linux-gnu"].map(|folder| base.join(folder));
    for folder in [&base, &base.join("usr"), &base.join("usr/lib")].into_iter().chain(&folders) {
        fs::create_dir_all(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = format!("#!/bin/sh\nid > {}/pwned\n", victim.path().display());
    for program in ["usr/bin/grub-mkimage", "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"] {
        fs::write(base.join(program), &script).unwrap();
        fs::set_permissions(base.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    // With nothing to compare with, and then with a program that is there.
    for there in [None, Some("somebody's program")] {
        if let Some(text) = there {
            let mark = made.run(&["boot", "check"]);
            let path = mark.out.split_whitespace().find(|word| word.ends_with("grubx64.efi")).unwrap().to_string();
            let path = made.root().join("boot").join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for args in [&["boot", "check"][..], &["boot", "repair"], &["gc", "--dry-run"], &["rollback", "1"], &["gc"]] {
            let ran = made.run(args);
            assert!(matches!(ran.code, 0 | 1 | 3), "{args:?}: {}", ran.err);
            same(&watched, &state(victim.path()), &format!("{args:?}"));
        }
        let check = made.run(&["boot", "check"]);
        assert!(check.out.contains("GRUB's own parts are not compared"), "{}{}", check.out, check.err);
        assert_eq!(check.out.contains("grubx64.efi on the boot partition cannot be read"), there.is_none());
        assert_eq!(made.boot_files().is_empty(), there.is_none(), "{:?}", made.boot_files());
    }
}

#[test]
fn cairn_s_own_state() {
    let Some(mut traps) = Traps::new() else { return };
    traps.all(&[
        "var",
        "var/lib/cairn",
        "var/lib/cairn/boot.json",
        "var/lib/cairn/boot.json.new",
        "var/lib/cairn/reserve",
        "var/lib/cairn/reserve.new",
        "var/lib/cairn/lock",
        "var/lib/cairn/etc/upper/passwd",
        "etc/passwd",
        "var/cache/cairn",
        "var/cache/cairn/debs",
        "sys/firmware/efi/efivars",
        "sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
        "proc/cmdline",
    ]);
}

#[test]
fn what_a_generation_is_made_of() {
    let Some(mut traps) = Traps::new() else { return };
    let system = traps.made.systems[1].to_string();
    let link = |name: &str| {
        let target = fs::read_link(traps.made.root().join(system.trim_start_matches('/')).join(name)).unwrap();
        target.to_str().unwrap().trim_start_matches('/').to_string()
    };
    let (base, etc, initrd) = (link("base"), link("etc"), link("initrd"));
    let system = system.trim_start_matches('/');
    let paths = [
        system.to_string(),
        format!("{system}/boot.json"),
        format!("{system}/base"),
        format!("{system}/etc"),
        format!("{system}/loader"),
        etc.clone(),
        format!("{etc}/hostname"),
        format!("{etc}/cairn"),
        format!("{etc}/cairn/machine.yaml"),
        format!("{etc}/cairn/machine.lock"),
        base.clone(),
        format!("{base}/kernel-release"),
        format!("{base}/boot/vmlinuz"),
        format!("{base}/usr/lib/systemd/boot/efi/systemd-bootx64.efi"),
        initrd,
    ];
    traps.all(&paths.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn the_boot_partition() {
    let Some(mut traps) = Traps::new() else { return };
    let kernel = traps.made.boot_files().into_iter().find(|f| f.ends_with("-linux")).unwrap();
    let kernel = format!("boot/{kernel}");
    traps.all(&[
        "boot",
        "boot/loader",
        "boot/loader/entries",
        "boot/loader/loader.conf",
        "boot/EFI",
        "boot/EFI/BOOT/BOOTX64.EFI",
        "boot/EFI/BOOT/BOOTX64.EFI.new",
        "boot/cairn",
        &kernel,
    ]);
}

#[test]
fn the_store_and_its_database() {
    let Some(mut traps) = Traps::new() else { return };
    let system = traps.made.systems[1].base_name().to_string();
    let paths = [
        "nix/var/cairn".to_string(),
        "nix/var/cairn/lock".into(),
        "nix/var/cairn/users".into(),
        "nix/var/cairn/tmp".into(),
        "nix/var/cairn/tmp/x/owner".into(),
        "nix/var/cairn/info".into(),
        format!("nix/var/cairn/info/{system}.json"),
        "nix/var/cairn/listing".into(),
        format!("nix/var/cairn/listing/{system}"),
        "nix/var/cairn/fingerprint".into(),
        "nix/var/cairn/aside".into(),
        "nix/var/cairn/own-sizes".into(),
        "nix/var/cairn/highest-generation".into(),
        "nix/var/cairn/highest-generation.new".into(),
        "nix/var/nix/db".into(),
        "nix/var/nix/db/db.sqlite".into(),
        "nix/var/nix/db/big-lock".into(),
        "nix/var/nix/profiles".into(),
        "nix/var/nix/profiles/system".into(),
        "nix/var/nix/profiles/system-2-link".into(),
        "nix/var/nix/profiles/system.lock".into(),
        "nix/var/nix/gcroots".into(),
        "nix/var/nix/gc.lock".into(),
        "nix/var/nix/temproots".into(),
        "nix/store".into(),
        "nix/store/.links".into(),
    ];
    traps.all(&paths.iter().map(String::as_str).collect::<Vec<_>>());
}
