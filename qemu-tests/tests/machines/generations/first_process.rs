//! The initrd's first process: a plain root needs no systemd there, and whatever is not plain gets it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::disk::{ROOT, partitions};
use qemu_tests::generations::{self, File, SYSTEMD_BOOT};
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Cmd, Guest, Scenario, Setup};

pub const SCENARIO: Scenario = Scenario {
    name: "a plain root is found without systemd in the initrd, any other with it: systemd-boot under UEFI",
    needs: UML,
    run,
};

const BOOT: Duration = Duration::from_secs(300);

fn run(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let plain = File::named("plain");
    let disk = generations::disk(cairn, SYSTEMD_BOOT, &plain, folder.path())?;
    // As if the power had gone while it was in use, and something had been found to be wrong.
    let root = superblock(&disk)?;
    debugfs(&root, &["-w", "-R", "set_super_value state 2"])?;
    debugfs(&root, &["-w", "-R", "set_inode_field <2> links_count 99"])?;
    let mut guest = whole(&disk, false)?;
    guest.run("test $(stat -c %h /) -lt 99")?;
    let said = guest.run("journalctl -b -o cat -t cairn-stage1")?;
    let told = "checking the file system on /dev/ubda2";
    ensure!(said.lines().count() == 1 && said.contains(told), "{said:?}");
    // On the console, too: it may take minutes.
    ensure!(guest.machine.said.contains(&format!("cairn-stage1: {told}")), "nobody was told");
    // The link is where udev would have made it, and udev knows of it.
    guest.run("test $(realpath /dev/disk/by-uuid/$(findmnt -no UUID /)) = $(findmnt -no SOURCE /)")?;
    guest.run("udevadm info --query=property --name=$(findmnt -no SOURCE /) | grep ^ID_FS_UUID=")?;
    guest.power_off()?;
    ensure!(debugfs(&root, &["-R", "stats"])?.contains("clean"), "its file system is not clean");

    let odd = File { boot: &["kernel_parameters: [rootflags=noatime]"], ..File::named("odd") };
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, SYSTEMD_BOOT, &odd, folder.path())?;
    let mut guest = whole(&disk, true)?;
    guest.run("findmnt -no OPTIONS / | grep -qw noatime")?;
    guest.power_off()
}

/// Boots it; says whether systemd was in the initrd.
fn whole(disk: &Path, systemd: bool) -> Result<Guest> {
    let mut guest = Guest::start(&Setup::uml(disk).reboots())?;
    guest.until("systemctl is-system-running", "the machine is not whole", BOOT)?;
    let time = guest.run("systemctl show --value -p InitRDTimestampMonotonic")?;
    let was: u64 = time.trim().parse().with_context(|| format!("{time} is no time"))?;
    ensure!((was > 0) == systemd, "systemd in the initrd at {was}");
    ensure!(!guest.machine.said.contains("takes over"), "something went wrong in the first process");
    Ok(guest)
}

/// The root as programs for ext4 name it.
fn superblock(disk: &Path) -> Result<String> {
    let all = partitions(disk)?;
    let root = all.iter().find(|one| one.kind == ROOT).context("no root")?;
    Ok(format!("{}?offset={}", disk.display(), root.start))
}

fn debugfs(root: &str, args: &[&str]) -> Result<String> {
    Ok(Cmd::new("debugfs").args(args).arg(root).run()?.must(0)?.stdout.clone())
}
