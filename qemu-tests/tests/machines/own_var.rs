//! What an administrator did to `/var` and to the groups is as it was left after a restart, whatever it is.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Guest, Scenario, Setup};

pub const SCENARIO: Scenario = Scenario {
    name: "folders of /var that are moved, linked or removed and members whom nobody knows survive a restart",
    needs: UML,
    run,
};

const BOOT: Duration = Duration::from_secs(300);

/// Folders moved away with a link left, as when a disk is full; one to a disk that is not there; files and a folder that the
/// base has, removed; a FIFO where the base has a file, a file where it has a folder; a member of a directory service.
const DONE: &str = "(set -e; mv /var/cache /srv/cache; ln -s /srv/cache /var/cache; \
                    mv /usr/local/share /srv/share; ln -s /srv/share /usr/local/share; \
                    mv /var/log /srv/log; ln -s /srv/log /var/log; \
                    rm -rf /var/opt; ln -s /mnt/gone/opt /var/opt; \
                    rm /var/lib/pam/seen; rm -r /var/lib/ucf; \
                    rm /var/lib/shells.state; mkfifo /var/lib/shells.state; \
                    rmdir /var/local; echo mine >/var/local; \
                    sed -i '/^sudo:/s/$/,ldapuser/; /^plugdev:/s/$/homed/' /etc/group)";
/// What of it can be seen.
const SEEN: &str = "readlink /var/cache /usr/local/share /var/log /var/opt; ls /var/cache; test -p /var/lib/shells.state && echo fifo; \
                    cat /var/local; ls -d /var/lib/pam/seen /var/lib/ucf; grep -E '^(sudo|plugdev):' /etc/group; \
                    ls /srv/cache /srv/share; sort /var/lib/cairn/given | sha256sum";

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.raw");
    hello.copy(&disk)?;
    let mut guest = Guest::start(&Setup::uml(&disk).reboots())?;
    guest.until("systemctl is-system-running", "the first boot is not whole", BOOT)?;
    guest.run("grep -q '^base /nix/store/' /var/lib/cairn/given && test -e /var/lib/pam/seen")?;
    guest.run(DONE)?;
    let (_, left) = guest.ask(SEEN)?;
    ensure!(left.contains("sudo:x:27:cairn,ldapuser\n") && left.contains("fifo\nmine\n"), "{left}");

    guest.reboot()?;
    guest.until("systemctl is-system-running", "the machine is not whole after the restart", BOOT)?;
    let (_, seen) = guest.ask(SEEN)?;
    ensure!(seen == left, "it was left like this:\n{left}\nand is like this:\n{seen}");
    let (_, said) = guest.ask("journalctl -b -o cat -t cairn-stage1")?;
    ensure!(!said.contains("cairn-stage1"), "nothing of this is worth a word at every boot:\n{said}");
    guest.run("test -d /srv/log/journal/$(cat /etc/machine-id)")?;
    guest.power_off()
}
