//! A whole life on a real loader: a generation on trial boots well and stays; the next one does not, and the machine comes up by
//! itself in the last good one, and says so; then it goes back to the first.
//!
//! All faults are those of one generation, a try for each: what the last try has done is on the disk, and the next try there is
//! only if the machine came back by itself.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Scenario};

use super::agreed::{self, marked};
use super::journey::good;
use qemu_tests::generations::{self, File, GRUB_GPT, GRUB_MBR, GRUB_UEFI, Kind, SYSTEMD_BOOT};

/// What is wrong with a generation when it is tried.
struct Fault {
    name: &'static str,
    /// What makes the try fail, early in it. The failed check comes by itself when nothing else has.
    does: &'static str,
    /// What the try before it has to do, since this one does not get that far.
    before: &'static str,
}

const PANIC: Fault = Fault { name: "panic", does: "echo c >/proc/sysrq-trigger", before: "" };
/// PID 1 is stopped for good; only the watchdog can help.
const HANG: Fault = Fault { name: "hang", does: "echo 1 >/sys/fs/cgroup/init.scope/cgroup.freeze", before: "" };
const CHECK: Fault = Fault { name: "check", does: "", before: "" };
/// The last one: nothing of the generation is ever run again.
const NO_INIT: Fault = Fault {
    name: "no-init",
    does: "",
    before: "unshare -m sh -c 'umount /nix/store; rm /nix/store/*-cairn-system-faulty/init'",
};

pub const A_HANG_AND_NO_INIT_SYSTEMD_BOOT: Scenario = Scenario {
    name: "a hang and a missing init fall back: systemd-boot under UEFI",
    needs: QEMU,
    run: |cairn| run(cairn, SYSTEMD_BOOT, &[HANG, NO_INIT]),
};
pub const A_PANIC_AND_A_CHECK_SYSTEMD_BOOT: Scenario = Scenario {
    name: "a panic and a failed check fall back: systemd-boot under UEFI",
    needs: QEMU,
    run: |cairn| run(cairn, SYSTEMD_BOOT, &[PANIC, CHECK]),
};
pub const A_PANIC_AND_A_CHECK_GRUB_MBR: Scenario = Scenario {
    name: "a panic and a failed check fall back: GRUB under BIOS on MBR",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_MBR, &[PANIC, CHECK]),
};
pub const A_HANG_AND_NO_INIT_GRUB_MBR: Scenario = Scenario {
    name: "a hang and a missing init fall back: GRUB under BIOS on MBR",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_MBR, &[HANG, NO_INIT]),
};
pub const ALL_FOUR_GRUB_UEFI: Scenario = Scenario {
    name: "a panic, a hang, a missing init and a failed check fall back: GRUB under UEFI",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_UEFI, &[PANIC, CHECK, HANG, NO_INIT]),
};
pub const ALL_FOUR_GRUB_GPT: Scenario = Scenario {
    name: "a panic, a hang, a missing init and a failed check fall back: GRUB under BIOS on GPT",
    needs: QEMU,
    run: |cairn| run(cairn, GRUB_GPT, &[PANIC, CHECK, HANG, NO_INIT]),
};

/// Where the tries of the faulty generation leave their names.
const TRIED: &str = "/var/lib/tried";

/// What the faulty generation does early in each of its tries.
fn script(faults: &[Fault]) -> String {
    let before = faults.iter().skip(1).map(|fault| fault.before).chain([""]);
    let tries = faults.iter().zip(before).enumerate().map(|(n, (fault, before))| {
        format!("{n})\n  echo {} >>{TRIED}\n  {before}\n  sync\n  {}\n  ;;\n", fault.name, fault.does)
    });
    format!("touch {TRIED}\ncase $(wc -l <{TRIED}) in\n{}esac\n", tries.collect::<String>())
}

fn run(cairn: &Cairn, kind: Kind, faults: &[Fault]) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let (first, second) = (File::named("first"), File::named("second"));
    let disk = generations::disk_with_two(cairn, kind, &first, &second, folder.path())?;
    let mut guest = generations::start(kind, &disk)?;
    ensure!(guest.booted()? == (2, true), "the newest generation has its trial");
    good(&mut guest, 2)?;
    ensure!(marked(&mut guest, "default")? == 2, "it did not become the default");

    let check = faults.iter().any(|fault| fault.name == CHECK.name).then_some("false");
    let faulty = File { early: Some(script(faults)), check, tries: faults.len(), ..File::named("faulty") };
    generations::upgrade(&mut guest, kind, &faulty)?;
    ensure!(marked(&mut guest, "trial")? == 3, "the faulty generation is not on trial");
    falls_back(&mut guest, faults)?;

    guest.run("cairn rollback 1")?;
    guest.reboot()?;
    ensure!(guest.booted()? == (1, false), "the first generation was not booted");
    good(&mut guest, 1)?;
    guest.run("cairn boot check")?;
    guest.power_off()
}

fn falls_back(guest: &mut Guest, faults: &[Fault]) -> Result<()> {
    // Nobody touches it: it tries the new one, comes back to the second, and says so above the prompt.
    let tells = "`cairn rollback 3` tries it again";
    guest.machine.type_line("systemctl reboot")?;
    let from = guest.machine.said.len();
    guest.machine.wait_for(tells, Duration::from_secs(1800))?;
    // Each of its tries, also one of which nothing is left, and the one that came after them.
    // A system says so when it starts; one without an init only the initrd's systemd.
    let starts = ["Welcome to ", "Booting initrd of "].map(|words| guest.machine.said[from..].matches(words).count());
    let starts: usize = starts.iter().sum();
    ensure!(starts == faults.len() + 1, "{starts} starts for {} tries and what came after", faults.len());
    // What is missing the first process sees, and systemd sees it again and ends the try.
    let left = guest.machine.said[from..].contains("systemd takes over");
    ensure!(left == faults.iter().any(|fault| fault.name == NO_INIT.name), "systemd in the initrd: {left}");
    guest.log_in()?;
    ensure!(guest.booted()? == (2, false), "it did not come back to the second generation");
    let tried = guest.run(&format!("cat {TRIED}"))?;
    let names: Vec<&str> = faults.iter().map(|fault| fault.name).filter(|name| *name != NO_INIT.name).collect();
    ensure!(tried.lines().eq(names.iter().copied()), "what was tried is {tried}");
    if names.len() < faults.len() {
        guest
            .run("test ! -e /nix/store/*-cairn-system-faulty/init && test -e /nix/store/*-cairn-system-second/init")?;
    }
    let notice = guest.run("cat /run/motd.d/cairn")?;
    println!("{notice}");
    ensure!(notice.contains("did not boot well") && notice.contains(tells), "nothing at login tells of it: {notice}");
    ensure!(over_ssh(guest)?.contains(tells), "a login over SSH does not tell of it");
    let all = agreed::listed(guest)?;
    let failed: Vec<u64> = all.iter().filter(|g| g.is("failed")).map(|g| g.number).collect();
    ensure!(failed == [3], "{failed:?} have failed, and not 3");
    ensure!(marked(guest, "last_good")? == 2, "the last good generation has changed");
    good(guest, 2)?;
    guest.run("cairn boot check").map(drop)
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
