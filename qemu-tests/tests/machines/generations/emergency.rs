//! A boot that ends in emergency mode: who sits at the console becomes root there only where the machine file says so.

use std::time::Duration;

use anyhow::{Context, Result};
use qemu_tests::generations::{self, File, SYSTEMD_BOOT};
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Machine, Scenario, Setup};

pub const SCENARIO: Scenario = Scenario {
    name: "a boot that fails gives no shell, unless it is asked for: systemd-boot under UEFI",
    needs: UML,
    run,
};

const BOOT: Duration = Duration::from_secs(600);
const ANSWER: Duration = Duration::from_secs(90);

fn run(cairn: &Cairn) -> Result<()> {
    for (boot, shell) in [
        (&["kernel_parameters: [systemd.unit=emergency.target]"][..], false),
        (&["kernel_parameters: [rd.systemd.unit=emergency.target]"], false),
        (&["kernel_parameters: [systemd.unit=emergency.target]", "emergency_access: true"], true),
        (&["kernel_parameters: [rd.systemd.unit=emergency.target]", "emergency_access: true"], true),
    ] {
        one(cairn, boot, shell).with_context(|| boot.join(", "))?;
    }
    Ok(())
}

fn one(cairn: &Cairn, boot: &'static [&'static str], shell: bool) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = generations::disk(cairn, SYSTEMD_BOOT, &File { boot, ..File::named("first") }, folder.path())?;
    let mut machine = Setup::uml(&disk).boot()?;
    if !shell {
        return machine.wait_for("the root account is locked", BOOT);
    }
    machine.wait_for("Press Enter for system maintenance", BOOT)?;
    press_enter(&mut machine)?;
    // With nothing but the shell: the initrd has no `id`.
    machine.type_line(
        "while read key uid rest; do test $key != Uid: || echo user-''$uid-''here; done </proc/self/status",
    )?;
    machine.wait_for("user-0-here", ANSWER)
}

/// sulogin throws away what is typed between its question and the moment when it listens, and nothing tells that moment.
fn press_enter(machine: &mut Machine) -> Result<()> {
    let mut answer = Ok(());
    for _ in 0..9 {
        machine.type_line("")?;
        answer = machine.wait_for("# ", ANSWER / 9);
        if answer.is_ok() {
            break;
        }
    }
    answer.context("Enter opens no shell")
}
