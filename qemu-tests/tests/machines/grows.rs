//! A disk that was made larger after the build: the root takes the room. The disk is found on NVMe.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::machine::NVME;
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Cmd, Machine, Scenario};

pub const SCENARIO: Scenario = Scenario {
    name: "the root grows into an NVMe disk that was made larger, and the table is whole again",
    needs: QEMU,
    run,
};

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.raw");
    hello.copy(&disk)?;
    let size = disk.metadata()?.len() + (3 << 30);
    File::options().write(true).open(&disk)?.set_len(size)?;
    let mut machine = Machine::boot(&disk, NVME, true)?;
    crate::logs_in::log_in(&mut machine)?;
    // What is typed is echoed, so the last word is typed in two.
    machine.type_line("echo grown-$(df -B1 --output=size / | tail -n 1)-by''tes")?;
    machine.wait_for("-bytes", Duration::from_secs(60))?;
    let said = machine.said.rsplit("grown-").next().and_then(|t| t.split('-').next()).unwrap_or_default();
    let bytes: u64 = said.trim().parse().with_context(|| format!("'{said}' is no size"))?;
    ensure!(bytes > 3 << 30, "the root file system has {bytes} bytes on a disk of {size}");
    machine.type_line("echo cairn | sudo -S poweroff")?;
    machine.wait_for_end(Duration::from_secs(120))?;
    let table = Cmd::new("sgdisk").arg("-v").arg(&disk).run()?;
    ensure!(table.must(0)?.stdout.contains("No problems found"), "{table}");
    Ok(())
}
