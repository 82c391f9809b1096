//! Beside a real Debian, on its EFI system partition: both start from the menu of the new machine, and Debian's files are what they were.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::generations::{File, GRUB_UEFI, Kind, SYSTEMD_BOOT};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Pick, Scenario, Setup, debian, installing};

use super::generations::journey::good;
use super::on_hardware::{Case, Computer, ON_VIRTIO};

pub const REST: &[Scenario] = &[
    Scenario {
        name: "beside a real Debian, both start from the menu: systemd-boot under UEFI",
        needs: QEMU,
        run: |cairn| beside(cairn, SYSTEMD_BOOT),
    },
    Scenario {
        name: "beside a real Debian, both start from the menu: GRUB under UEFI",
        needs: QEMU,
        run: |cairn| beside(cairn, GRUB_UEFI),
    },
];

/// How Debian is reached: its entry is behind the generation, with GRUB also behind the menu of all generations.
fn picks(kind: Kind) -> &'static [Pick] {
    if kind.grub() {
        &[("down", "*All generations"), ("down", "*Debian"), ("ret", "")]
    } else {
        &[("down", ""), ("ret", "")]
    }
}

/// What Debian has on the disk: its partition, and its files on the one that is shared.
const THEIRS: &str = "d=$(readlink -f /dev/disk/by-id/virtio-target); sha256sum <${d}2; mkdir -p /run/esp; mount -o ro ${d}1 /run/esp; \
                      (cd /run/esp; sha256sum EFI/BOOT/* EFI/debian/*); umount /run/esp";

fn beside(cairn: &Cairn, kind: Kind) -> Result<()> {
    let case = Case { disk: ON_VIRTIO, sectors: None, kind };
    let computer = Computer::new(cairn, &case)?;
    fs::copy(debian::disk(cairn)?, computer.path("target"))?;
    let mut guest = computer.start()?;
    let theirs = guest.run(THEIRS)?;
    let file = File { timeout: 10, ..installing::file("installed", kind) };
    computer.install(&mut guest, &file, "--into free --keep esp=1")?;
    ensure!(guest.run(THEIRS)? == theirs, "Debian's bytes are others than before");
    guest.power_off()?;
    computer.canary_lives()?;

    // The disk alone: started once by its entry, then the first.
    let setup = || computer.with_firmware(Setup::of(computer.target()));
    let mut guest = Guest::start(&setup())?;
    ensure!(guest.run("hostname")?.trim() == "installed", "another machine was started");
    good(&mut guest, 1)?;
    println!("{}", guest.run("efibootmgr; cairn boot check; ls /boot/EFI /boot/loader/entries 2>&1 || true")?);
    guest.power_off()?;

    // Debian, from the menu.
    let mut machine = setup().boot()?;
    machine.wait_for("installed, generation 1", Duration::from_secs(300))?;
    machine.pick(picks(kind))?;
    let mut guest = Guest::of(machine);
    guest.log_in()?;
    ensure!(guest.run("hostname")?.trim() == "debian", "the keys did not start Debian");
    ensure!(guest.run("cat /etc/os-release")?.contains("ID=debian"), "that is no Debian");
    // And back, without anybody touching anything.
    guest.reboot()?;
    ensure!(guest.run("hostname")?.trim() == "installed", "the machine is not the first any more");
    guest.power_off()
}
