//! A user logs in with a password: on the serial console, and with the keyboard on the screen; the disk is found on SATA and SCSI.

use std::time::Duration;

use anyhow::Result;
use qemu_tests::hello::Hello;
use qemu_tests::machine::{SATA, SCSI};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Machine, Scenario, Setup};

pub const SERIAL: Scenario = Scenario {
    name: "a user logs in on the serial console and becomes root by sudo, the disk on SATA",
    needs: QEMU,
    run: serial,
};

pub const SCREEN: Scenario =
    Scenario { name: "a user logs in on the screen with the keyboard, the disk on SCSI", needs: QEMU, run: screen };

/// An emulated machine on a busy computer.
const BOOT: Duration = Duration::from_secs(600);
const ANSWER: Duration = Duration::from_secs(90);

/// Waits for the prompt, logs in as the example's user, and gets a shell that knows us.
pub fn log_in(machine: &mut Machine) -> Result<()> {
    machine.wait_for("login:", BOOT)?;
    machine.type_line("cairn")?;
    machine.wait_for("Password:", ANSWER)?;
    machine.type_line("cairn")?;
    machine.wait_for("$", ANSWER)?;
    Ok(())
}

fn serial(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    // Two processors, here alone.
    let mut machine = Setup::new(&hello.raw).controller(SATA).processors(2).boot()?;
    log_in(&mut machine)?;
    // What is typed is echoed: the words that are waited for must be the shell's.
    machine.type_line("echo i-am-$(id -un)-of-$(id -gn)")?;
    machine.wait_for("i-am-cairn-of-cairn", ANSWER)?;
    machine.type_line("echo cairn | sudo -S echo root-is-$(id -u)-$(sudo -n id -u)")?;
    machine.wait_for("root-is-1000-", ANSWER)?;
    machine.type_line("echo now-$(sudo -n id -u)-")?;
    machine.wait_for("now-0-", ANSWER)?;
    machine.type_line("echo with-$(nproc)-")?;
    machine.wait_for("with-2-", ANSWER)?;
    machine.type_line("echo state-$(systemctl is-system-running --wait)-")?;
    machine.wait_for("state-running-", ANSWER)?;
    machine.type_line("sudo -n poweroff")?;
    machine.wait_for_end(Duration::from_secs(120))
}

fn screen(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let mut machine = Machine::boot(&hello.raw, SCSI, false)?;
    // The prompt of the serial console comes together with the screen's.
    machine.wait_for("login:", BOOT)?;
    let scratch = machine.folder().join("screen.ppm");
    machine.qmp()?.wait_for_text(&scratch, 0, 200, ANSWER)?;
    // "cairn" comes back on the screen, and then the words "Password:"; after the password the greeting.
    for more in [250, 400] {
        let before = machine.qmp()?.lit(&scratch)?;
        machine.qmp()?.type_text("cairn\n")?;
        machine.qmp()?.wait_for_text(&scratch, before, more, ANSWER)?;
    }
    machine.qmp()?.type_text("tty >a; echo cairn | sudo -S sh -c 'cat a >/dev/ttyS0; id -un >/dev/ttyS0'\n")?;
    machine.wait_for("/dev/tty1", ANSWER)?;
    machine.wait_for("root", ANSWER)
}
