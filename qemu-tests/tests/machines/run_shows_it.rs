//! `cairn run` shows the machine's console, leaves the image as it is, and takes the machine with it when it ends.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use qemu_tests::generations::{self, File, GRUB_GPT};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Cmd, Scenario};

pub const SCENARIO: Scenario =
    Scenario { name: "run brings the login prompt, changes nothing, and leaves nothing running", needs: QEMU, run };

pub const REST: Scenario =
    Scenario { name: "run starts what only a BIOS starts: GRUB under BIOS on GPT", needs: QEMU, run: by_a_bios };

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("run.raw");
    hello.copy(&disk)?;
    shown(cairn, &disk, "hello")
}

fn by_a_bios(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, GRUB_GPT, &File::named("first"), folder.path())?;
    shown(cairn, &disk, "first")
}

fn shown(cairn: &Cairn, disk: &Path, name: &str) -> Result<()> {
    let before = Cmd::new("sha256sum").arg(disk).ok()?;
    // With the machine's own QEMU, where the tests have another.
    let mut started =
        cairn.cmd(["run"]).arg(disk).env("PATH", own_path()?).env("OVMF_CODE", "").env("OVMF_VARS", "").start()?;
    let mut out = started.child.stdout.take().context("no standard output")?;
    let (tell, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = out.read(&mut buffer) {
            if tell.send(String::from_utf8_lossy(&buffer[..n]).into_owned()).is_err() {
                break;
            }
        }
    });
    let mut text = String::new();
    let end = Instant::now() + Duration::from_secs(600);
    while !text.contains(&format!("{name} login:")) {
        let left = end.saturating_duration_since(Instant::now());
        text += &said.recv_timeout(left).with_context(|| format!("no login prompt on standard output:\n{text}"))?;
    }
    // Killed, not asked: then nothing of its own can clean up.
    started.signal("KILL")?;
    started.wait(Duration::from_secs(10))?.context("it lives on")?;
    let ours = disk.display().to_string();
    let end = Instant::now() + Duration::from_secs(20);
    while Cmd::new("pgrep").args(["-f", "--"]).arg(format!("file={ours}")).run()?.status.success() {
        ensure!(Instant::now() < end, "QEMU still runs");
        std::thread::sleep(Duration::from_millis(200));
    }
    ensure!(Cmd::new("sha256sum").arg(disk).ok()? == before, "the image has changed");
    Ok(())
}

/// The search path without what `scripts/emulator` put into it.
fn own_path() -> Result<OsString> {
    let (path, other) = (std::env::var_os("PATH").context("no PATH")?, std::env::var_os("CAIRN_EMULATOR"));
    let own = std::env::split_paths(&path).filter(|folder| Some(folder.as_os_str()) != other.as_deref());
    Ok(std::env::join_paths(own)?)
}
