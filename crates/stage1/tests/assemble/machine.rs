//! A machine's disk and an initrd around it, in a mount namespace: the real helper puts the root together for real.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use cairn_process::{Running, Tool, ToolError};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, chroot, fchdir};

/// What a boot may take before it counts as one that never ends, and how many bytes of memory.
const PATIENCE: Duration = Duration::from_secs(120);
const MEMORY: u64 = 400_000_000;

/// Where the initrd has the helper.
const HELPER: &str = "/cairn-stage1";

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000::/home/ann:/bin/sh\n";
const GROUP: &str = "root:x:0:\nsudo:x:27:ann\nshadow:x:42:\nann:x:1000:\n";
const SHADOW: &str = "root:*:20000:0:99999:7:::\nann:!:::::::\n";

/// The initrd, whose folder `sysroot` is the machine's disk.
pub struct Machine {
    top: PathBuf,
}

impl Machine {
    /// Makes the initrd. Everything is on file systems in memory that only this process and its children see.
    pub fn new() -> Machine {
        let top = std::env::temp_dir().join(format!("cairn-stage1-initrd-{}", std::process::id()));
        fs::create_dir_all(&top).unwrap();
        tmpfs(&top, "");
        for folder in ["usr", "proc", "dev", "run", "sysroot", "victim/folder", "etc", "srv/moved", "var/lib"] {
            fs::create_dir_all(top.join(folder)).unwrap();
        }
        for folder in ["usr", "proc", "dev"] {
            bind(&Path::new("/").join(folder), &top.join(folder));
        }
        for link in ["lib", "lib64", "bin"] {
            symlink(format!("usr/{link}"), top.join(link)).unwrap();
        }
        for (file, text) in
            [("victim/file", "outside"), ("etc/passwd", "the initrd's\n"), ("srv/moved/x", "the initrd's")]
        {
            fs::write(top.join(file), text).unwrap();
        }
        fs::copy(env!("CARGO_BIN_EXE_cairn-stage1"), top.join("cairn-stage1")).unwrap();
        let machine = Machine { top };
        machine.command_line("");
        bind(&machine.top.join("cmdline"), &machine.top.join("proc/cmdline"));
        machine
    }

    pub fn command_line(&self, more: &str) {
        fs::write(self.top.join("cmdline"), format!("init=/nix/store/s-system/init {more}\n")).unwrap();
    }

    /// A path of the machine.
    pub fn at(&self, path: &str) -> PathBuf {
        self.top.join("sysroot").join(path)
    }

    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Puts a new disk with a new machine into it.
    pub fn fresh(&self, options: &str) {
        tmpfs(&self.at(""), options);
        let base = [
            ("usr/bin/sudo", "\x7fELF sudo"),
            ("usr/lib/systemd/systemd", "\x7fELF"),
            ("usr/local/share/x", "x"),
            ("var/cache/man/index", "index"),
            ("var/www/html/index.html", "html"),
            ("var/lib/db/data.mdb", "data"),
            ("var/lib/dpkg/status", "status"),
            ("var/lib/systemd/catalog/database", "catalog"),
            ("var/log/apt/keep", "log"),
            ("srv/ftp/welcome", "welcome"),
        ];
        let etc = [
            ("passwd", PASSWD),
            ("group", GROUP),
            ("shadow", SHADOW),
            ("gshadow", "root:*::\n"),
            ("fstab", "# nothing\n"),
            ("hostname", "trap\n"),
            ("cairn/machine.yaml", "same\n"),
        ];
        let base = base.map(|(path, text)| (format!("a-base/{path}"), text));
        for (path, text) in base.into_iter().chain(etc.map(|(path, text)| (format!("e-etc/{path}"), text))) {
            self.put(&format!("nix/store/{path}"), text);
        }
        for program in ["usr/bin/sudo", "usr/lib/systemd/systemd"] {
            let path = self.at("nix/store/a-base").join(program);
            fs::set_permissions(path, fs::Permissions::from_mode(0o555)).unwrap();
        }
        let modes = "4755 0 0 usr/bin/sudo\n0640 0 42 etc/shadow\n0750 3 4 var/lib/db\n";
        self.put("nix/store/s-system/modes", modes);
        for (link, target) in [
            ("nix/store/s-system/base", "/nix/store/a-base"),
            ("nix/store/s-system/etc", "/nix/store/e-etc"),
            ("nix/store/s-system/init", "/usr/lib/systemd/systemd"),
            ("nix/var/nix/profiles/system-1-link", "/nix/store/s-system"),
        ] {
            fs::create_dir_all(self.at(link).parent().unwrap()).unwrap();
            symlink(target, self.at(link)).unwrap();
        }
        self.put("var/lib/cairn/passwords/ann", "$y$first\n");
    }

    pub fn put(&self, path: &str, text: &str) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Puts the root together: how the helper ended, and what it said.
    pub fn boot(&self) -> (Option<i32>, String) {
        self.run(Tool::new(HELPER, "cairn", "put the root together"))
    }

    /// The same, by a program of the initrd that runs the rest of its command line.
    pub fn boot_under(&self, tool: Tool) -> (Option<i32>, String) {
        self.run(tool.arg(HELPER))
    }

    /// Fills partitions, as the machine does when it runs.
    pub fn fill(&self) -> (Option<i32>, String) {
        // The helper of a test is no static program.
        for folder in ["run", "proc", "usr", "dev"] {
            bind(&self.top.join(folder), &self.at(folder));
        }
        bind(&self.top.join("cmdline"), &self.at("proc/cmdline"));
        fs::copy(self.top.join("cairn-stage1"), self.at("cairn-stage1")).unwrap();
        self.wait(self.inside(&self.at(""), || {
            Tool::new(HELPER, "cairn", "fill partitions").arg("fill").start(Stdio::null(), Stdio::null()).unwrap()
        }))
    }

    /// Mounts a partition, which is a folder with a file system of its own.
    pub fn mount(&self, partition: &Path, at: &str) {
        bind(partition, &self.at(at));
    }

    /// Makes a partition, and gives its folder.
    pub fn partition(&self, name: &str) -> PathBuf {
        let at = self.top.join("partitions").join(name);
        fs::create_dir_all(&at).unwrap();
        tmpfs(&at, "size=8M");
        at
    }

    fn run(&self, tool: Tool) -> (Option<i32>, String) {
        tmpfs(&self.top.join("run"), "");
        self.wait(self.inside(&self.top, || tool.arg("assemble").start(Stdio::null(), Stdio::null()).unwrap()))
    }

    fn wait(&self, running: Running) -> (Option<i32>, String) {
        let helper = Pid::from_raw(running.id().try_into().unwrap());
        let (ended, end) = channel::<()>();
        let watch = std::thread::spawn(move || {
            if end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = killpg(helper, Signal::SIGKILL);
            }
        });
        let result = running.wait();
        drop(ended);
        watch.join().unwrap();
        match result {
            Ok(()) => (Some(0), String::new()),
            Err(ToolError::Failed { status, stderr, .. }) => (status.code(), stderr),
            Err(e) => panic!("{e}"),
        }
    }

    /// Starts something in the initrd, with no more memory than it may have. It is this process that goes there and comes back:
    /// to start the programs that others have for that, two thousand times, took longer than all that is tested.
    fn inside<T>(&self, top: &Path, start: impl FnOnce() -> T) -> T {
        let outside = fs::File::open("/").unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
        chroot(top).unwrap();
        std::env::set_current_dir("/").unwrap();
        setrlimit(Resource::RLIMIT_AS, MEMORY, hard).unwrap();
        let started = start();
        setrlimit(Resource::RLIMIT_AS, soft, hard).unwrap();
        fchdir(&outside).unwrap();
        chroot(".").unwrap();
        started
    }

    /// Takes the mounts of a boot away; the disk stays.
    pub fn stop(&self) {
        let disk = self.at("").canonicalize().unwrap();
        let points = || -> Vec<PathBuf> {
            let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
            let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
            points.filter(|point| point.starts_with(&disk) && *point != disk).collect()
        };
        // One takes those in it away, too.
        for point in points() {
            let _ = umount2(&point, MntFlags::MNT_DETACH);
        }
        assert!(points().is_empty(), "{:?}", points());
        umount2(&self.top.join("run"), MntFlags::MNT_DETACH).unwrap();
    }

    /// Takes the disk away, and all that was mounted.
    pub fn scrap(&self) {
        umount2(&self.at(""), MntFlags::MNT_DETACH).unwrap();
        // A machine that was stopped has none.
        let _ = umount2(&self.top.join("run"), MntFlags::MNT_DETACH);
    }

    /// Mounts the disk with other options.
    pub fn remount(&self, options: &str, flags: MsFlags) {
        mount(None::<&str>, &self.at(""), None::<&str>, MsFlags::MS_REMOUNT | flags, Some(options)).unwrap();
    }

    /// How much of the disk is used.
    pub fn used(&self) -> u64 {
        let room = nix::sys::statvfs::statvfs(&self.at("")).unwrap();
        (room.blocks() - room.blocks_free()) * room.fragment_size()
    }

    /// What is in the initrd and is none of the helper's business: names, kinds, sizes, owners.
    pub fn outside(&self) -> BTreeMap<PathBuf, (u32, u64, u32, u64)> {
        let mut found = BTreeMap::new();
        let mut waiting = vec![self.top.clone()];
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                let meta = fs::symlink_metadata(&entry).unwrap();
                let mounted =
                    ["usr", "proc", "dev", "run", "sysroot", "cmdline"].iter().any(|name| entry == self.top.join(name));
                if meta.is_dir() && !mounted {
                    waiting.push(entry.clone());
                }
                if !mounted {
                    found.insert(entry, (meta.mode(), meta.len(), meta.uid(), meta.ino()));
                }
            }
        }
        found
    }

    /// Whether there is a whole system in the root.
    pub fn assert_whole(&self, case: &str) {
        assert_eq!(self.text("etc/hostname"), "trap\n", "{case}");
        assert!(self.at("usr/lib/systemd/systemd").is_file(), "{case}");
        fs::write(self.at("etc/written"), "x").unwrap_or_else(|e| panic!("{case}: /etc cannot be written to: {e}"));
        fs::remove_file(self.at("etc/written")).unwrap();
        assert!(fs::write(self.at("usr/written"), "x").is_err(), "{case}");
        assert!(fs::write(self.at("nix/store/written"), "x").is_err(), "{case}");
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = umount2(&self.top, MntFlags::MNT_DETACH);
        let _ = fs::remove_dir(&self.top);
    }
}

fn tmpfs(at: &Path, options: &str) {
    let options = format!("mode=0755,{options}");
    mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some(options.trim_end_matches(','))).unwrap();
}

fn bind(from: &Path, at: &Path) {
    mount(Some(from), at, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
}
