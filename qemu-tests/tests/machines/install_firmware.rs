//! `cairn install` where the firmware remembers nothing more: its memory is full, it may not be written to, nobody sees it. The machine is
//! there all the same and boots, nothing of others is lost, and what is started next is told.

use anyhow::{Result, ensure};
use qemu_tests::generations::SYSTEMD_BOOT;
use qemu_tests::hello::Hello;
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Guest, Scenario, Setup, installing, workbench};

use super::generations::journey::good;
use super::on_hardware::{self, Computer, NVME_4096, Remembers, cairns};

/// A folder stands for the firmware's memory.
pub const STAND_IN: Scenario = Scenario {
    name: "the firmware's memory is not to be seen, read-only or full, and a machine is installed",
    needs: UML,
    run: stand_in,
};

/// The firmware itself, and what the machine does about it when it has booted.
pub const REST: &[Scenario] = &[Scenario {
    name: "installed while the firmware's memory is not to be seen, read-only and full: systemd-boot under UEFI",
    needs: on_hardware::NEEDS,
    run: real,
}];

const BYTES: u64 = 2 << 30;

const SCRIPT: &str = r#"
mount -t tmpfs firmware /sys/firmware
vars=/sys/firmware/efi/efivars; mkdir -p $vars
N=0
# It ends well, says the first words, and not the second.
says() {
    N=$((N + 1))
    $CAIRN install MACHINE --disk /dev/ubda --yes-erase BYTES --receipt /run/r$N >/run/said 2>&1 || { cat /run/said; return 1; }
    cat /run/said
    grep -qF "$1" /run/said || { echo "it does not say: $1"; return 1; }
    ! grep -qF "$2" /run/said || { echo "it says: $2"; return 1; }
    fsck.fat -n /dev/ubda1; e2fsck -fn /dev/ubda2
}
says 'efivarfs is not mounted (`mount -t efivarfs' 'at the next start'
mount -t tmpfs -o size=16k vars $vars
of=8be4df61-93ca-11d2-aa0d-00e098032b8c
# Somebody's entry and the order.
printf '\7\0\0\0\1\0\0\0\0\0O\0t\0h\0e\0r\0\0\0' >$vars/Boot0000-$of
printf '\7\0\0\0\0\0' >$vars/BootOrder-$of
theirs() { (cd $vars; ls; cat *); }
before=$(theirs | sha256sum)
mount -o remount,ro $vars
says 'read-only (Read-only file system (os error 30)); `mount -o remount,rw' 'once, at the next start'
grep -qF 'starts Boot0000 at the next start, as before' /run/said
grep -qF 'so the new machine is not tried by itself' /run/said
[ "$(theirs | sha256sum)" = "$before" ]
mount -o remount,rw $vars
head -c 8192 /dev/zero >$vars/Dump
before=$(theirs | sha256sum)
says 'making the entry Boot0001 did not work: the firmware'"'"'s memory for variables is full' 'once, at the next start'
[ "$(theirs | sha256sum)" = "$before" ]
# With room again.
rm $vars/Dump
says ') once, at the next start' 'did not work'
[ "$(od -An -tx1 $vars/BootOrder-$of)" = ' 07 00 00 00 00 00' ]
[ "$(od -An -tx1 $vars/BootNext-$of)" = ' 07 00 00 00 01 00' ]
"#;

fn stand_in(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let file = hello
        .edited(&folder.path().join("machine"), |text| text.replace("\nusers:\n", "\nboot: {nvram: true}\nusers:\n"))?;
    let disk = folder.path().join("disk");
    workbench::disk(&disk, BYTES)?;
    let script = SCRIPT.replace("MACHINE", &file.display().to_string()).replace("BYTES", &BYTES.to_string());
    println!("{}", workbench::script(cairn, &[&disk], &script)?);
    Ok(())
}

const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Whose the variables are that fill the memory.
const NOBODY: &str = "5a3e1ca1-0000-4000-8000-00ca1a5ca1a5";
/// Fills the memory, until Linux has no room for one byte more.
const FILL: &str = "n=$(ls VARIABLES | grep -c ^Full); for size in 16384 2048 256 16 1; do { printf '\\7\\0\\0\\0'; head -c $size /dev/zero; } >/run/full; \
                    while cat /run/full >VARIABLES/Full$n-NOBODY; do n=$((n + 1)); done; \
                    chattr -i VARIABLES/Full$n-NOBODY; rm VARIABLES/Full$n-NOBODY; done; echo $n";
const EMPTY: &str = "chattr -i VARIABLES/Full*-NOBODY && rm VARIABLES/Full*-NOBODY";

fn with_names(script: &str) -> String {
    script.replace("VARIABLES", VARIABLES).replace("NOBODY", NOBODY)
}

fn real(cairn: &Cairn) -> Result<()> {
    let computer = Computer::new(cairn, &NVME_4096)?;
    let mut guest = computer.start()?;
    let file = installing::file("installed", SYSTEMD_BOOT);
    let before = guest.run("efibootmgr -v")?;
    let install = |guest: &mut Guest, first: &str, last: &str, words: &[&str]| -> Result<()> {
        guest.run(first)?;
        let said = computer.install(guest, &file, "")?;
        guest.run(last)?;
        for words in words {
            ensure!(said.contains(words), "it does not say '{words}':\n{said}");
        }
        let after = guest.run("efibootmgr -v")?;
        ensure!(after == before, "the firmware began with\n{before}\nand has\n{after}");
        Ok(())
    };
    let here = |command: &str| format!("{command} {VARIABLES}");
    install(
        &mut guest,
        &here("umount"),
        &here("mount -t efivarfs efivarfs"),
        &["efivarfs is not mounted (`mount -t efivarfs efivarfs", "it boots without one"],
    )?;
    install(
        &mut guest,
        &here("mount -o remount,ro"),
        &here("mount -o remount,rw"),
        &[
            "read-only (Read-only file system",
            "at the next start, as before",
            "so the new machine is not tried by itself",
        ],
    )?;
    install(
        &mut guest,
        &with_names(FILL),
        "true",
        &["memory for variables is full (No space left", "at the next start, as before", "efibootmgr -b NUMBER -B"],
    )?;
    guest.power_off()?;
    computer.canary_lives()?;

    // The disk alone, with a memory that is full: by the path for removable media.
    let mut guest = Guest::start(&computer.with_firmware(Setup::of(computer.target())))?;
    ensure!(guest.run("hostname")?.trim() == "installed", "another machine was started");
    good(&mut guest, 1)?;
    // Whether there was room depends on what the firmware has forgotten meanwhile: disks that are no more. So once more, without any.
    println!("{}", guest.run("journalctl -b -o cat -u cairn-boot-good.service")?);
    let others: Vec<String> = cairns(&before).into_iter().map(|(_, name)| name).collect();
    for (number, _) in cairns(&guest.run("efibootmgr")?).iter().filter(|(_, name)| !others.contains(name)) {
        guest.run(&format!("efibootmgr -q -b {number} -B"))?;
    }
    guest.run(&with_names(FILL))?;
    let before = guest.run("efibootmgr -v")?;
    let repaired = guest.run("cairn boot repair")?;
    ensure!(repaired.contains("memory for variables is full"), "{repaired}");
    guest.run(&here("mount -o remount,ro"))?;
    let repaired = guest.run("cairn boot repair")?;
    ensure!(repaired.contains("remount,rw"), "{repaired}");
    guest.run(&here("mount -o remount,rw"))?;
    let after = guest.run("efibootmgr -v")?;
    ensure!(after == before && cairns(&after).len() == others.len(), "the firmware had\n{before}\nand has\n{after}");

    // With room again, which this firmware has after a restart only, it enters itself.
    guest.run(&with_names(EMPTY))?;
    guest.reboot()?;
    good(&mut guest, 1)?;
    let now = Remembers::ask(&mut guest, &others)?;
    ensure!(now.ours.as_ref().is_some_and(|ours| now.order.starts_with(ours)), "it has not entered itself: {now:?}");
    guest.power_off()
}
