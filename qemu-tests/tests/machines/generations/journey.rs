//! Upgrade, restart, roll back, restart: each time the machine is the one that was asked for, with its own state. What the loader
//! has to do for that is tried in `falls_back`.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Guest, Scenario};

use super::agreed::{self, marked};
use qemu_tests::generations::{self, File, GRUB_GPT, GRUB_MBR, GRUB_UEFI, Kind, SYSTEMD_BOOT};

pub const ON_SYSTEMD_BOOT: Scenario = Scenario {
    name: "upgrade, restart, roll back, restart: systemd-boot under UEFI",
    needs: UML,
    run: |cairn| run(cairn, SYSTEMD_BOOT),
};
pub const ON_GRUB_UEFI: Scenario = Scenario {
    name: "upgrade, restart, roll back, restart: GRUB under UEFI",
    needs: UML,
    run: |cairn| run(cairn, GRUB_UEFI),
};
pub const ON_GRUB_GPT: Scenario = Scenario {
    name: "upgrade, restart, roll back, restart: GRUB under BIOS on GPT",
    needs: UML,
    run: |cairn| run(cairn, GRUB_GPT),
};
pub const ON_GRUB_MBR: Scenario = Scenario {
    name: "upgrade, restart, roll back, restart: GRUB under BIOS on MBR",
    needs: UML,
    run: |cairn| run(cairn, GRUB_MBR),
};

/// What is the machine's own.
const STATE: &str = "sha256sum /etc/ssh/ssh_host_*_key /var/lib/mine /home/cairn/mine; getent shadow root; \
                     cat /etc/machine-id";
/// Until a boot is complete and known to be good.
pub const GOOD: Duration = Duration::from_secs(300);

/// Waits until the generation that runs is recorded as good.
pub fn good(guest: &mut Guest, number: u64) -> Result<()> {
    // Of two units `is-active` would be content with one; this one is started when the boot is complete.
    guest.until("systemctl is-active cairn-boot-good.service", "the boot is not complete", GOOD)?;
    let last = marked(guest, "last_good")?;
    ensure!(last == number, "the last good generation is {last}, not {number}");
    Ok(())
}

fn run(cairn: &Cairn, kind: Kind) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, kind, &File::named("first"), folder.path())?;
    let mut guest = generations::start_uml(kind, &disk)?;
    good(&mut guest, 1)?;
    guest.run("echo root:changed | chpasswd; echo a >/var/lib/mine; echo b >/home/cairn/mine")?;
    let state = guest.run(STATE)?;
    agreed::check(&mut guest, kind)?;

    generations::upgrade(&mut guest, kind, &File::named("second"))?;
    ensure!(guest.run("hostname")?.trim() == "first", "the running system has changed");
    agreed::check(&mut guest, kind)?;
    guest.reboot()?;
    ensure!(guest.run("hostname")?.trim() == "second", "the new generation was not booted");
    ensure!(guest.booted()?.0 == 2, "another generation was booted");
    good(&mut guest, 2)?;
    ensure!(marked(&mut guest, "default")? == 2, "it did not become the default");
    ensure!(guest.run(STATE)? == state, "the upgrade has changed the machine's own state");
    agreed::check(&mut guest, kind)?;

    guest.run("cairn rollback")?;
    agreed::check(&mut guest, kind)?;
    guest.reboot()?;
    ensure!(guest.run("hostname")?.trim() == "first", "the older generation was not booted");
    ensure!(guest.booted()? == (1, false), "another generation was booted");
    good(&mut guest, 1)?;
    ensure!(guest.run(STATE)? == state, "going back has changed the machine's own state");
    agreed::check_all(&mut guest, kind)?;

    // What is neither the newest nor booted, default or last good goes, from the store, Nix's database and the menu.
    generations::upgrade(&mut guest, kind, &File::named("third"))?;
    guest.run("cairn gc --keep 1")?;
    let left: Vec<u64> = agreed::listed(&mut guest)?.iter().map(|g| g.number).collect();
    ensure!(left == [1, 3], "{left:?} are left");
    guest.run("! ls -d /nix/store/*-cairn-system-second")?;
    agreed::check_all(&mut guest, kind)?;
    guest.power_off()
}
