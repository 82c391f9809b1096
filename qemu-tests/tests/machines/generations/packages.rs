//! Other packages: the machine asks a mirror for them, makes their base itself, and boots it.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::generations::{self, File, SYSTEMD_BOOT};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Scenario, Setup};

use super::agreed;
use super::journey::good;

pub const ON_SYSTEMD_BOOT: Scenario =
    Scenario { name: "other packages, their base made on the machine: systemd-boot under UEFI", needs: QEMU, run };

/// Some 200 packages, fetched, unpacked and configured in emulation.
const MAKING: Duration = Duration::from_secs(3600);

fn run(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let maker = File { packages: &["debian-archive-keyring", "mmdebstrap"], fetches: true, ..File::named("first") };
    let disk = generations::disk(cairn, SYSTEMD_BOOT, &maker, folder.path())?;
    let mut guest = Guest::start(&Setup::new(&disk).reboots().watchdog().network())?;
    good(&mut guest, 1)?;

    let more =
        File { packages: &["debian-archive-keyring", "hello", "mmdebstrap"], fetches: true, ..File::named("second") };
    generations::edit(&mut guest, SYSTEMD_BOOT, &more)?;
    guest.refused("cairn upgrade", "`cairn lock /etc/cairn/machine.yaml` makes it anew")?;
    guest.run("(cairn lock /etc/cairn/machine.yaml && cairn upgrade; echo $? >/tmp/ended) >/tmp/said 2>&1 &")?;
    guest.until("test -s /tmp/ended", "the base is not made", MAKING)?;
    guest.run("cat /tmp/said; test $(cat /tmp/ended) = 0")?;
    guest.run("! command -v hello")?;
    agreed::check(&mut guest, SYSTEMD_BOOT)?;

    guest.reboot()?;
    ensure!(guest.booted()?.0 == 2 && guest.run("hostname")?.trim() == "second", "the new generation was not booted");
    good(&mut guest, 2)?;
    ensure!(guest.run("hello")?.contains("Hello, world!"), "the new package does not run");
    ensure!(guest.run("cairn diff 1 2")?.contains("hello"), "the difference does not name the new package");
    agreed::check(&mut guest, SYSTEMD_BOOT)?;

    guest.run("cairn rollback")?;
    guest.reboot()?;
    ensure!(guest.booted()? == (1, false), "the older generation was not booted");
    guest.run("! command -v hello")?;
    good(&mut guest, 1)?;
    agreed::check_all(&mut guest, SYSTEMD_BOOT)?;
    guest.power_off()
}
