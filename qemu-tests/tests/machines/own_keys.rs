//! A machine that signs what it starts by with keys of its own: it draws them at its first boot, systemd-boot gives them to a firmware
//! that has none, and from then on an upgrade is counted, becomes good and can be gone back from under a firmware that enforces them.
//! What somebody has changed on the boot partition is not started, and the generation before it is.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::generations::{self, File, SYSTEMD_BOOT};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Scenario, Setup, workbench};

use crate::generations::journey::good;

pub const SCENARIO: Scenario = Scenario {
    name: "a machine with keys of its own: they are enrolled, what is signed starts, and nothing else",
    needs: QEMU,
    run,
};

/// The rest.
pub const REST: &[Scenario] = &[
    Scenario {
        name: "a machine with keys of its own where nobody enforces any, and away from them",
        needs: QEMU,
        run: not_enforced,
    },
    Scenario { name: "a machine with keys of its own is installed onto a disk", needs: QEMU_AND_UML, run: installed },
];
const QEMU_AND_UML: &[&str] = &["linux.uml", "qemu-system-x86_64", "qemu-img", "mmdebstrap"];

/// An emulated firmware writes its variables slowly, and systemd-boot counts down before it gives it keys.
const PATIENCE: Duration = Duration::from_secs(300);
const KEYS: &str = "/var/lib/cairn/secure-boot/keys";

fn file(host: &'static str, tries: usize) -> File {
    File {
        tries,
        boot: &["secure_boot: {keys: own}"],
        packages: &["openssl", "sbsigntool"],
        early: Some("ls /boot/loader/entries >/run/counting 2>&1; mv /run/counting /run/counted".into()),
        ..File::named(host)
    }
}

/// A variable of the firmware's: `SecureBoot` or `SetupMode`.
fn is(guest: &mut Guest, variable: &str, value: u8) -> Result<()> {
    let found = guest.run(&format!("od -An -tu1 -j4 -N1 /sys/firmware/efi/efivars/{variable}-*"))?;
    ensure!(found.trim() == value.to_string(), "{variable} is {found}, not {value}");
    Ok(())
}

/// Everything on the boot partition that starts is signed, which somebody else's program says; and it is as it should be.
fn all_is_signed(guest: &mut Guest, images: usize) -> Result<()> {
    let programs = "/boot/EFI/BOOT/BOOTX64.EFI /boot/EFI/systemd/systemd-bootx64.efi /boot/cairn/*/*-image.efi";
    guest.run(&format!("for program in {programs}; do sbverify --cert {KEYS}/db.crt $program || exit 1; done"))?;
    let found = guest.run(
        "ls /boot/cairn/*/*-image.efi | wc -l; ls /boot/cairn/*/*-linux /boot/cairn/*/*-initrd 2>/dev/null | wc -l",
    )?;
    ensure!(found.split_whitespace().collect::<Vec<_>>() == [&*images.to_string(), "0"], "{found}");
    guest.run("cairn boot check").map(drop)
}

fn run(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, SYSTEMD_BOOT, &file("first", 2), folder.path())?;
    let mut guest = Guest::start(&Setup::new(&disk).setup_mode().reboots())?;

    // The image has no keys, and the firmware none either.
    is(&mut guest, "SetupMode", 1)?;
    good(&mut guest, 1)?;
    all_is_signed(&mut guest, 1)?;
    let modes = guest.run(&format!("stat -c %a {KEYS} {KEYS}/..; stat -c %a {KEYS}/* | sort -u"))?;
    ensure!(modes.split_whitespace().collect::<Vec<_>>() == ["700", "700", "600"], "{modes}");
    guest.run("bootctl list --no-pager | grep -q image.efi")?;
    let drawn = guest.run(&format!("sha256sum {KEYS}/*"))?;

    // systemd-boot gives the firmware the keys, restarts it, and is itself started by them.
    guest.reboot()?;
    is(&mut guest, "SecureBoot", 1)?;
    is(&mut guest, "SetupMode", 0)?;
    ensure!(guest.booted()? == (1, false), "generation 1 has booted well before");
    good(&mut guest, 1)?;
    all_is_signed(&mut guest, 1)?;

    // An upgrade is signed, counted, tried, and good. What was signed before stays as it was.
    let before = guest.run("ls /boot/cairn/*/*-image.efi")?;
    generations::upgrade(&mut guest, SYSTEMD_BOOT, &file("second", 2))?;
    all_is_signed(&mut guest, 2)?;
    ensure!(guest.run("ls /boot/cairn/*/*-image.efi")?.contains(before.trim()), "the first one was signed again");
    guest.reboot()?;
    ensure!(guest.booted()? == (2, true), "generation 2 was to be tried");
    guest.until("test -e /run/counted", "nobody has looked at what was counted", Duration::from_mins(2))?;
    let counted = guest.run("cat /run/counted")?;
    ensure!(
        counted.lines().any(|line| line.contains("-2-") && line.trim().ends_with("+1-1.conf")),
        "not counted: {counted}"
    );
    good(&mut guest, 2)?;
    all_is_signed(&mut guest, 2)?;

    // Somebody changes a byte of the kernel in what is to be tried next. The firmware does not start it; a reset later it is over.
    generations::upgrade(&mut guest, SYSTEMD_BOOT, &file("third", 1))?;
    let image = "$(sed -n 's/^efi //p' /boot/loader/entries/cairn-*-3-*.conf)";
    guest.run(&format!("printf X | dd of=/boot{image} bs=1 seek=5000000 conv=notrunc && sync"))?;
    guest.run(&format!("! sbverify --cert {KEYS}/db.crt /boot{image}"))?;
    guest.machine.type_line("systemctl reboot")?;
    guest
        .machine
        .wait_for("Error loading", PATIENCE)
        .context("the firmware started what was changed, or said nothing")?;
    guest.machine.qmp()?.ask("system_reset", &serde_json::json!({}))?;
    guest.log_in()?;
    ensure!(guest.booted()? == (2, false), "the last good one was to boot");
    good(&mut guest, 2)?;
    guest.run("cairn generations 2>&1 | grep 'generation 3 did not boot well'")?;

    // Back, and there again: what is good starts.
    guest.run("cairn rollback 1")?;
    guest.reboot()?;
    ensure!(guest.booted()? == (1, false), "generation 1 was wanted");
    is(&mut guest, "SecureBoot", 1)?;
    good(&mut guest, 1)?;

    // Without its key nothing is changed: what nobody signs would not start.
    guest.run(&format!("mv {KEYS}/db.key /root/; find /boot -type f | sort | xargs sha256sum >/run/before"))?;
    generations::edit(&mut guest, SYSTEMD_BOOT, &file("fourth", 1))?;
    guest.refused("cairn upgrade", "db.key is lost: bring it back from a copy")?;
    guest.run("find /boot -type f | sort | xargs sha256sum | cmp - /run/before")?;
    guest.run(&format!("mv /root/db.key {KEYS}/"))?;

    // Nor does a machine file that forgets of it, or other keys.
    generations::edit(&mut guest, SYSTEMD_BOOT, &File { boot: &[], ..file("fourth", 1) })?;
    guest.refused("cairn upgrade", "starts only what is signed")?;
    guest.run(&format!("mv {KEYS} /root/keys"))?;
    generations::edit(&mut guest, SYSTEMD_BOOT, &file("fourth", 1))?;
    guest.refused("cairn upgrade", "has no keys of its own")?;
    guest.run(&format!(
        "mv /root/keys {KEYS}; cairn boot check; sha256sum {KEYS}/* | cmp - <(echo '{}')",
        drawn.trim()
    ))?;
    guest.run("find /boot -type f | sort | xargs sha256sum | cmp - /run/before")?;
    guest.power_off()
}

/// What is signed starts where nobody asks for it, on trial too, and a machine may come to keys of its own and leave them.
fn not_enforced(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, SYSTEMD_BOOT, &File { boot: &[], ..file("first", 2) }, folder.path())?;
    let mut guest = Guest::start(&Setup::new(&disk).reboots())?;
    good(&mut guest, 1)?;
    guest.run(&format!("! ls {KEYS} && ! ls /boot/loader/keys/auto/PK.auth"))?;
    // The upgrade that says so draws the keys: whatever is in the menu then is signed.
    generations::upgrade(&mut guest, SYSTEMD_BOOT, &file("second", 2))?;
    all_is_signed(&mut guest, 2)?;
    guest.reboot()?;
    ensure!(guest.booted()? == (2, true), "generation 2 was to be tried");
    good(&mut guest, 2)?;
    all_is_signed(&mut guest, 2)?;
    guest.run("cairn rollback 1")?;
    guest.reboot()?;
    ensure!(guest.booted()? == (1, false), "generation 1 was wanted");
    good(&mut guest, 1)?;
    // And back to what nobody has signed. The keys stay, for the next time.
    generations::upgrade(&mut guest, SYSTEMD_BOOT, &File { boot: &[], ..file("third", 2) })?;
    guest.run("! ls /boot/loader/keys/auto/PK.auth && ! ls /boot/cairn/*/*-image.efi && ls /boot/cairn/*/*-linux")?;
    guest.run("! sbverify --list /boot/EFI/BOOT/BOOTX64.EFI | grep 'signature 1' && cairn boot check")?;
    guest.reboot()?;
    ensure!(guest.booted()? == (3, true), "generation 3 was to be tried");
    good(&mut guest, 3)?;
    guest.run(&format!("test -s {KEYS}/db.key && cairn boot check"))?;
    guest.power_off()
}

/// What an installer writes is what an image is: verified as it is, drawing keys at its first start, signed from then on.
fn installed(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    // Beside its image are its file and its lock. What verifies it asks for its network, too.
    let wanted = File { fetches: true, ..file("first", 2) };
    generations::disk(cairn, SYSTEMD_BOOT, &wanted, folder.path())?;
    let disk = folder.path().join("disk");
    workbench::disk(&disk, 6 << 30)?;
    let machine = folder.path().join("new.yaml");
    let install = format!(
        "$CAIRN install {} --disk /dev/ubda --elsewhere --yes-erase $((6 << 30)) --receipt /run/r",
        machine.display()
    );
    workbench::script(cairn, &[&disk], &install)?;
    cairn.cmd(["verify"]).arg(&disk).deadline(Duration::from_mins(20)).ok()?;
    let mut guest = Guest::start(&Setup::new(&disk).setup_mode().reboots())?;
    good(&mut guest, 1)?;
    all_is_signed(&mut guest, 1)?;
    guest.reboot()?;
    is(&mut guest, "SecureBoot", 1)?;
    good(&mut guest, 1)?;
    all_is_signed(&mut guest, 1)?;
    guest.power_off()
}
