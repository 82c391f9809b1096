//! A generation that does not boot well: the machine comes up by itself in the last good one, and says so.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Scenario};

use super::agreed::{self, marked};
use super::journey::good;
use qemu_tests::generations::{self, File, GRUB_GPT, GRUB_MBR, GRUB_UEFI, Kind, SYSTEMD_BOOT};

/// What is wrong with a generation.
struct Fault {
    host: &'static str,
    early: Option<&'static str>,
    check: Option<&'static str>,
    /// Done after the upgrade, before the restart.
    then: Option<&'static str>,
}

const PANICS: Fault = Fault { host: "panics", early: Some("echo c >/proc/sysrq-trigger"), check: None, then: None };
/// PID 1 is stopped for good; only the watchdog can help.
const HANGS: Fault =
    Fault { host: "hangs", early: Some("echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze"), check: None, then: None };
const WITHOUT_INIT: Fault = Fault {
    host: "without-init",
    early: None,
    check: None,
    then: Some(
        "unshare -m sh -c 'umount /nix/store; rm $(readlink -f /nix/var/nix/profiles/system)/init'; \
                test ! -e /nix/var/nix/profiles/system/init",
    ),
};
const CHECK_FAILS: Fault = Fault { host: "check-fails", early: None, check: Some("false"), then: None };

pub const A_HANG_AND_NO_INIT_SYSTEMD_BOOT: Scenario = Scenario {
    name: "a hang and a missing init fall back: systemd-boot under UEFI",
    needs: QEMU,
    run: |cairn| run(cairn, SYSTEMD_BOOT, &[HANGS, WITHOUT_INIT]),
};
pub const A_PANIC_AND_A_CHECK_SYSTEMD_BOOT: Scenario = Scenario {
    name: "a panic and a failed check fall back: systemd-boot under UEFI",
    needs: QEMU,
    run: |cairn| run(cairn, SYSTEMD_BOOT, &[PANICS, CHECK_FAILS]),
};
pub const A_PANIC_AND_A_CHECK_GRUB_MBR: Scenario = Scenario {
    name: "a panic and a failed check fall back: GRUB under BIOS on MBR",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_MBR, &[PANICS, CHECK_FAILS]),
};
pub const A_HANG_AND_NO_INIT_GRUB_MBR: Scenario = Scenario {
    name: "a hang and a missing init fall back: GRUB under BIOS on MBR",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_MBR, &[HANGS, WITHOUT_INIT]),
};
pub const ALL_FOUR_GRUB_UEFI: Scenario = Scenario {
    name: "a panic, a hang, a missing init and a failed check fall back: GRUB under UEFI",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_UEFI, &[PANICS, HANGS, WITHOUT_INIT, CHECK_FAILS]),
};
pub const ALL_FOUR_GRUB_GPT: Scenario = Scenario {
    name: "a panic, a hang, a missing init and a failed check fall back: GRUB under BIOS on GPT",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_GPT, &[PANICS, HANGS, WITHOUT_INIT, CHECK_FAILS]),
};

fn run(cairn: &Cairn, kind: Kind, faults: &[Fault]) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, kind, &File::named("first"), folder.path())?;
    let mut guest = generations::start(kind, &disk)?;
    good(&mut guest, 1)?;
    for (number, fault) in (2..).zip(faults) {
        falls_back(&mut guest, kind, number, fault)?;
    }
    guest.power_off()
}

fn falls_back(guest: &mut Guest, kind: Kind, number: u64, fault: &Fault) -> Result<()> {
    let file = File { early: fault.early, check: fault.check, ..File::named(fault.host) };
    generations::upgrade(guest, kind, &file)?;
    ensure!(marked(guest, "trial")? == number, "generation {number} is not on trial");
    if let Some(then) = fault.then {
        guest.run(then)?;
    }
    // Nobody touches it: it tries the new one, comes back to the first, and says so above the prompt.
    let tells = format!("`cairn rollback {number}` tries it again");
    guest.machine.type_line("systemctl reboot")?;
    guest.machine.wait_for(&tells, Duration::from_secs(900))?;
    guest.log_in()?;
    ensure!(guest.booted()? == (1, false), "it did not come back to the first generation");
    let notice = guest.run("cat /run/motd.d/cairn")?;
    println!("{notice}");
    ensure!(notice.contains("did not boot well") && notice.contains(&tells), "nothing at login tells of it: {notice}");
    ensure!(over_ssh(guest)?.contains(&tells), "a login over SSH does not tell of it");
    let all = agreed::listed(guest)?;
    let failed: Vec<u64> = all.iter().filter(|g| g.is("failed")).map(|g| g.number).collect();
    ensure!(failed.contains(&number), "{failed:?} have failed, and not {number}");
    ensure!(marked(guest, "last_good")? == 1, "the last good generation has changed");
    good(guest, 1)?;
    guest.run("cairn boot check")?;
    Ok(())
}

/// What somebody reads who logs in over the network.
fn over_ssh(guest: &mut Guest) -> Result<String> {
    guest.run(
        "rm -f /tmp/key && ssh-keygen -q -t ed25519 -N '' -f /tmp/key && install -d -o cairn -m 700 ~cairn/.ssh && \
         install -o cairn -m 600 /tmp/key.pub ~cairn/.ssh/authorized_keys",
    )?;
    guest.run(
        "echo exit | ssh -tt -i /tmp/key -o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no cairn@localhost",
    )
}
