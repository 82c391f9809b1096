//! A disk that was made larger after the build: the root takes the room. With a GPT it is found on NVMe.

use std::fs::File;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::disk::{Partition, table};
use qemu_tests::generations::{self, File as MachineFile, GRUB_MBR};
use qemu_tests::hello::Hello;
use qemu_tests::machine::NVME;
use qemu_tests::{Cairn, Cmd, Machine, Scenario};

pub const SCENARIO: Scenario = Scenario {
    name: "the root grows into an NVMe disk that was made larger, and the table is whole again",
    needs: &["qemu-system-x86_64", "qemu-img", "mmdebstrap", "sgdisk"],
    run,
};

pub const MBR: Scenario = Scenario {
    name: "the root grows twice into a disk with an MBR that was made larger, and starts at its old place",
    needs: &["linux.uml", "cc", "cpio", "sfdisk", "mmdebstrap", "e2fsck"],
    run: mbr,
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

fn mbr(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, GRUB_MBR, &MachineFile::named("grows"), folder.path())?;
    let (label, before) = table(&disk)?;
    ensure!(label == "dos", "the label is {label}");
    let starts = |list: &[Partition]| list.iter().map(|p| p.start).collect::<Vec<u64>>();
    for more in [1, 2] {
        let size = disk.metadata()?.len() + (more << 30);
        File::options().write(true).open(&disk)?.set_len(size)?;
        let mut guest = generations::start_uml(GRUB_MBR, &disk)?;
        let said = guest.run("df -B1 --output=size / | tail -n 1")?;
        let bytes: u64 = said.trim().parse().with_context(|| format!("'{said}' is no size"))?;
        let told = guest.run("journalctl -b -o cat -t cairn-stage1")?;
        let growing = ["growing partition 2 of /dev/ubda", "growing the file system on /dev/ubda2 to "];
        ensure!(told.lines().zip(growing).filter(|(line, words)| line.contains(words)).count() == 2, "{told}");
        ensure!(told.lines().count() == 2, "{told}");
        guest.power_off()?;
        let now = table(&disk)?.1;
        let root = now.last().context("no partition")?;
        ensure!(size - (root.start + root.size) < 2 << 20, "{now:?} leaves room on a disk of {size}");
        ensure!(bytes > root.size / 10 * 9, "the root file system has {bytes} bytes in {root:?}");
        ensure!(starts(&now) == starts(&before), "{before:?} has become {now:?}");
        Cmd::new("e2fsck").arg("-fn").arg(format!("{}?offset={}", disk.display(), root.start)).run()?.must(0)?;
    }
    Ok(())
}
