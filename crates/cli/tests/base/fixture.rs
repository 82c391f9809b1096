//! A machine file, a lock with one small package, and an mmdebstrap that does as a test says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cairn_machine::lock::{Lock, LockedDebian, LockedPackage};
use cairn_machine::{SourceFile, check};
use cairn_process::{Tool, find};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// What a machine file must say.
const MACHINE: &str = "\
version: 1
hostname: m
source: {debian: {packages: [sample]}}
disks: {main: {layout: uefi}}
users: {root: {ssh_authorized_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzJ3yXhJqWbWqLkK2v6Jw3i0eWcLhWq0dZgk0c0kJ8P x\"]}}
";

/// As the real mmdebstrap when nobody reads its stream any more: SIGHUP to all of its process group.
pub const STREAM: &str = "trap '' PIPE\ncat \"$here/stream.tar\" 2>/dev/null && exit 0\nkill -HUP 0\nexit 1\n";

/// A machine to build, in a folder of its own.
pub struct Fixture {
    pub folder: TempDir,
}

impl Fixture {
    /// One whose mmdebstrap is this script; `here` is the fixture's folder to it. None where no base can be made.
    pub fn new(script: &str) -> Option<Fixture> {
        let root = nix::unistd::geteuid().is_root();
        if !root || find("dpkg-deb").is_none() || find("unshare").is_none() {
            cairn_testkit::skip("needs root and dpkg-deb");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let made = Fixture { folder };
        let bin = made.path("bin");
        fs::create_dir(&bin).unwrap();
        let mmdebstrap = bin.join("mmdebstrap");
        let here = made.folder.path().display();
        fs::write(&mmdebstrap, format!("#!/bin/sh\nhere='{here}'\n{script}")).unwrap();
        fs::set_permissions(&mmdebstrap, fs::Permissions::from_mode(0o755)).unwrap();
        made.lock();
        Some(made)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn lock(&self) {
        let tree = self.path("sample");
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let control = "Package: sample\nVersion: 1\nArchitecture: all\nMaintainer: x <x@localhost>\nDescription: x\n";
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let deb = self.path("sample.deb");
        Tool::new("dpkg-deb", "dpkg", "test").arg("--build").arg(&tree).arg(&deb).run().unwrap();
        let bytes = fs::read(&deb).unwrap();
        let sha256: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let debs = self.path("cache/cairn/debs");
        fs::create_dir_all(&debs).unwrap();
        fs::write(debs.join(format!("{sha256}.deb")), &bytes).unwrap();

        fs::write(self.path("m.yaml"), MACHINE).unwrap();
        let machine = check(&SourceFile::new("m.yaml", MACHINE), &mut |_| Err("none".into())).unwrap().machine;
        let package = LockedPackage {
            name: "sample".into(),
            version: "1".into(),
            architecture: "all".into(),
            filename: "sample.deb".into(),
            size: bytes.len() as u64,
            sha256,
        };
        let debian = LockedDebian {
            recommends: false,
            debconf: Vec::new(),
            suite: machine.source.debian().suite.clone(),
            components: machine.source.debian().components.clone(),
            architecture: "amd64".into(),
            requested: cairn_system::debian::requested(&machine).into_iter().collect(),
            date: 1_750_000_000,
            packages: vec![package],
        };
        fs::write(self.path("m.lock"), Lock::Debian(debian).to_yaml()).unwrap();
    }

    /// Makes the stream that mmdebstrap gives of a folder, with so much behind it that a pipe cannot hold it.
    pub fn stream(&self, fill: impl FnOnce(&Path)) {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("boot")).unwrap();
        fs::create_dir_all(tree.join("usr/lib/modules/6.1")).unwrap();
        fs::write(tree.join("boot/vmlinuz-6.1"), "kernel").unwrap();
        fill(&tree);
        fs::create_dir_all(tree.join("var/zz")).unwrap();
        fs::write(tree.join("var/zz/large"), vec![7; 24 << 20]).unwrap();
        let tar = Tool::new("tar", "tar", "test").arg("--create").arg("--file").arg(self.path("stream.tar"));
        tar.args(["--sort=name", "--directory"]).arg(&tree).arg(".").run().unwrap();
    }

    /// `cairn build`, with this mmdebstrap.
    #[expect(clippy::disallowed_methods, reason = "what is tested is the command itself, exit codes and all")]
    pub fn build(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(args)
            .current_dir(self.folder.path())
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it to its end: exit code and standard error.
    pub fn ran(&self) -> (Option<i32>, String) {
        told(&self.build(env!("CARGO_BIN_EXE_cairn"), &["build", "m.yaml"]).output().unwrap())
    }
}

/// Exit code and standard error.
pub fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
