//! An older generation, picked in the menu with the keyboard; the next start is the menu's own choice again.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Pick, Scenario, Setup};

use super::journey::good;
use qemu_tests::generations::{self, File, GRUB_GPT, GRUB_MBR, GRUB_UEFI, Kind, SYSTEMD_BOOT};

pub const ON_SYSTEMD_BOOT: Scenario = Scenario {
    name: "an image with two generations, the older one picked by keys: systemd-boot under UEFI",
    needs: QEMU,
    run: |cairn| run(cairn, SYSTEMD_BOOT),
};
pub const ON_GRUB_UEFI: Scenario = Scenario {
    name: "an image with two generations, the older one picked by keys: GRUB under UEFI",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_UEFI),
};
pub const ON_GRUB_GPT: Scenario = Scenario {
    name: "an image with two generations, the older one picked by keys: GRUB under BIOS on GPT",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_GPT),
};
pub const ON_GRUB_MBR: Scenario = Scenario {
    name: "an image with two generations, the older one picked by keys: GRUB under BIOS on MBR",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_MBR),
};

/// The newest generation comes first. GRUB has the older ones in a menu of their own, behind the trial.
fn picks(kind: Kind) -> &'static [Pick] {
    if kind.grub() {
        &[("down", "*All generations"), ("ret", "*second, generation 2"), ("down", "*first, generation 1"), ("ret", "")]
    } else {
        &[("down", ""), ("ret", "")]
    }
}

fn run(cairn: &Cairn, kind: Kind) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    // Time enough for the first key, wherever this runs.
    let file = |name| File { timeout: 10, ..File::named(name) };
    let disk = generations::disk_with_two(cairn, kind, &file("first"), &file("second"), folder.path())?;
    let mut machine = Setup::new(&disk).firmware(kind.firmware).reboots().boot()?;
    // The title of the newer one stands in the menu.
    machine.wait_for("second, generation 2", Duration::from_secs(300))?;
    machine.pick(picks(kind))?;
    let mut guest = Guest::of(machine);
    guest.log_in()?;
    ensure!(guest.booted()? == (1, false), "the keys did not boot generation 1");
    guest.reboot()?;
    ensure!(guest.booted()? == (2, true), "without keys the newest generation has its trial");
    good(&mut guest, 2)?;
    guest.power_off()
}
