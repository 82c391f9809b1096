//! A hundred generations on one machine: each has its entry, the newest boots, the oldest boots, and all but some can go. They are
//! made and collected without an emulator; with them all there, a real loader boots.

use anyhow::{Result, ensure};
use qemu_tests::{Cairn, Scenario};

use super::agreed::{self, listed};
use super::journey::good;
use qemu_tests::generations::{self, File, GRUB_GPT, Kind, SYSTEMD_BOOT};

pub const ON_SYSTEMD_BOOT: Scenario = Scenario {
    name: "a hundred generations on one machine: systemd-boot under UEFI",
    needs: NEEDS,
    run: |cairn| run(cairn, SYSTEMD_BOOT),
};
pub const ON_GRUB_GPT: Scenario = Scenario {
    name: "a hundred generations on one machine: GRUB under BIOS on GPT",
    needs: NEEDS,
    run: |cairn| run(cairn, GRUB_GPT),
};

const NEEDS: &[&str] = &["linux.uml", "cc", "cpio", "sfdisk", "qemu-system-x86_64", "qemu-img", "mmdebstrap"];

const MANY: usize = 100;

fn run(cairn: &Cairn, kind: Kind) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, kind, &File::named("first"), folder.path())?;
    let mut guest = generations::start_uml(kind, &disk)?;
    good(&mut guest, 1)?;
    for number in 2..=MANY {
        guest.run(&format!(
            "sed -i 's/^hostname: .*/hostname: number-{number}/' /etc/cairn/machine.yaml && cairn upgrade"
        ))?;
    }
    ensure!(listed(&mut guest)?.len() == MANY, "there are not {MANY} generations");
    agreed::check(&mut guest, kind)?;
    guest.power_off()?;

    let mut guest = generations::start(kind, &disk)?;
    ensure!(guest.run("hostname")?.trim() == "number-100", "another generation was booted");
    good(&mut guest, 100)?;

    guest.run("cairn rollback 1")?;
    guest.reboot()?;
    ensure!(guest.booted()? == (1, false), "the oldest generation was not booted");
    guest.power_off()?;

    let mut guest = generations::start_uml(kind, &disk)?;
    ensure!(guest.booted()? == (1, false), "the menu's entry is another one");
    agreed::check_all(&mut guest, kind)?;

    guest.run("cairn gc --keep 5")?;
    let left: Vec<u64> = listed(&mut guest)?.iter().map(|g| g.number).collect();
    // The five newest, and the one that runs.
    ensure!(left == [1, 96, 97, 98, 99, 100], "{left:?} are left");
    agreed::check_all(&mut guest, kind)?;
    guest.power_off()
}
