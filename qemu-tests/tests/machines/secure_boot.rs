//! Under a firmware that enforces Secure Boot a machine boots by Debian's signed chain: an upgrade is counted there and becomes good,
//! and so does the way from a machine without it and back.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::generations::{self, File, GRUB_UEFI, Kind, SYSTEMD_BOOT};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Scenario, Setup};

use crate::generations::journey::good;
use crate::verified::result;

/// What every run has.
pub const ON_SYSTEMD_BOOT: Scenario = Scenario {
    name: "Secure Boot is enforced, and an upgrade is counted and becomes good: systemd-boot behind shim",
    needs: QEMU,
    run: |cairn| enforced(cairn, SYSTEMD_BOOT),
};
/// The rest.
pub const REST: &[Scenario] = &[
    Scenario {
        name: "Secure Boot is enforced, and an upgrade is counted and becomes good: GRUB behind shim",
        needs: QEMU,
        run: |cairn| enforced(cairn, GRUB_UEFI),
    },
    Scenario {
        name: "shim comes and goes with an upgrade: systemd-boot",
        needs: QEMU,
        run: |cairn| comes_and_goes(cairn, SYSTEMD_BOOT),
    },
    Scenario {
        name: "shim comes and goes with an upgrade: GRUB",
        needs: QEMU,
        run: |cairn| comes_and_goes(cairn, GRUB_UEFI),
    },
    Scenario {
        name: "an image for Secure Boot is verified under it: systemd-boot behind shim",
        needs: QEMU,
        run: |cairn| verified(cairn, SYSTEMD_BOOT),
    },
    Scenario {
        name: "an image for Secure Boot is verified under it: GRUB behind shim",
        needs: QEMU,
        run: |cairn| verified(cairn, GRUB_UEFI),
    },
];

const SHIM: &[&str] = &["secure_boot: shim"];
/// What the loader has counted, before anything takes the count away.
const COUNTED: &str = "(ls /boot/loader/entries; grep -a ^cairn_left= /boot/cairn/*/grub/grubenv) >/run/counting 2>&1; mv /run/counting /run/counted";

fn file(host: &'static str, boot: &'static [&'static str]) -> File {
    File { boot, tries: 3, early: Some(COUNTED.into()), ..File::named(host) }
}

/// The generation on trial runs, and one of its tries has been taken.
fn is_counted(guest: &mut Guest, kind: Kind, number: u64) -> Result<()> {
    ensure!(guest.booted()?.0 == number, "another generation was booted");
    guest.until("test -e /run/counted", "nobody has looked at what was counted", Duration::from_mins(2))?;
    let counted = guest.run("cat /run/counted")?;
    let word = if kind.grub() { "cairn_left=2".to_string() } else { format!("-{number}-") };
    let is = |line: &&str| line.contains(&word) && (kind.grub() || line.ends_with("+2-1.conf"));
    ensure!(counted.lines().any(|line| is(&line.trim())), "this was not counted: {counted}");
    Ok(())
}

fn enforced(cairn: &Cairn, kind: Kind) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, kind, &file("first", SHIM), folder.path())?;
    let mut guest = Guest::start(&Setup::new(&disk).secure_boot().reboots())?;
    good(&mut guest, 1)?;
    guest.run("test $(od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/SecureBoot-*) = 1")?;
    guest.run("cairn boot check")?;

    // A machine file that forgets it would end the machine.
    generations::edit(&mut guest, kind, &file("second", &[]))?;
    guest.run("! cairn upgrade 2>/run/told && grep 'secure_boot: shim' /run/told")?;

    generations::upgrade(&mut guest, kind, &file("second", SHIM))?;
    guest.run("cairn boot check")?;
    guest.reboot()?;
    is_counted(&mut guest, kind, 2)?;
    good(&mut guest, 2)?;
    guest.run("cairn boot check")?;
    guest.power_off()
}

/// Without Secure Boot the chain boots as well, so that it can be put on before that is switched on.
fn comes_and_goes(cairn: &Cairn, kind: Kind) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, kind, &file("first", &[]), folder.path())?;
    let mut guest = Guest::start(&Setup::new(&disk).reboots())?;
    good(&mut guest, 1)?;
    for (number, boot) in [(2, SHIM), (3, &[])] {
        generations::upgrade(&mut guest, kind, &file("next", boot))?;
        guest.run("cairn boot check")?;
        let has_shim = guest.run("ls /boot/EFI/BOOT /boot/EFI/debian 2>/dev/null || true")?.contains("grubx64.efi");
        ensure!(has_shim != boot.is_empty(), "what shim starts is not there, or left");
        guest.reboot()?;
        is_counted(&mut guest, kind, number)?;
        good(&mut guest, number)?;
    }
    guest.power_off()
}

fn verified(cairn: &Cairn, kind: Kind) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    // With a network, which is among what is verified.
    let file = File { boot: SHIM, fetches: true, ..File::named("first") };
    let disk = generations::disk(cairn, kind, &file, folder.path())?;
    let done = cairn.cmd(["verify", "--json"]).arg(&disk).deadline(Duration::from_secs(2400)).run()?;
    let (json, failed) = result(&done)?;
    ensure!(failed.is_empty(), "{failed:?}\n{json:#}");
    let checks = json["checks"].as_array().into_iter().flatten();
    let on = checks.filter(|check| check["name"].as_str().is_some_and(|name| name.ends_with("Secure Boot"))).count();
    ensure!(on == 2, "both boots should have been asked: {json:#}");
    done.must(0).map(drop)
}
