//! A machine that was installed from the medium, without a network ever: it is upgraded, gone back from, and gives back the files that make
//! the same machine elsewhere.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use qemu_tests::machine::{Disk, USB};
use qemu_tests::{Cairn, Cmd, Guest, Scenario};
use serde_json::Value;

use crate::from_medium::{INSTALL, NEEDS, answers, beside, looks_right, medium, target};
use crate::generations::journey::good;

/// Not in every run.
pub const REST: &[Scenario] = &[Scenario {
    name: "installed from the medium: upgraded without a network, gone back from, captured, and made again elsewhere",
    needs: NEEDS,
    run,
}];

fn run(cairn: &Cairn) -> Result<()> {
    let (folder, target) = target(cairn)?;
    let at = |name: &str| folder.path().join(name);
    let mut guest = Guest::of(beside(Disk::new(&medium(cairn)?).on(USB), Disk::new(&target)).boot()?);
    answers(&mut guest.machine)?;
    guest.machine.wait_for("Enter restarts the computer", INSTALL)?;
    guest.machine.type_line("")?;
    looks_right(&mut guest, "new-one")?;
    good(&mut guest, 1)?;

    // What a person does in the first week.
    guest.run("echo mine >/var/lib/mine; echo anna:another | chpasswd; cairn capture -o /root/first")?;
    guest.run("sed -i 's/^hostname: .*/hostname: newer/' /etc/cairn/machine.yaml && cairn upgrade")?;
    guest.reboot()?;
    ensure!(guest.run("hostname")?.trim() == "newer", "the new generation was not booted");
    good(&mut guest, 2)?;
    guest.run("cairn rollback")?;
    guest.reboot()?;
    ensure!(guest.run("hostname")?.trim() == "new-one", "the older generation was not booted");
    good(&mut guest, 1)?;
    ensure!(guest.run("cat /var/lib/mine")?.trim() == "mine", "the machine's own state is gone");
    guest.run("cairn boot check; test -z \"$(systemctl --failed --no-legend)\"")?;
    let there = guest.run("cd /root/first && sha256sum machine.yaml machine.lock")?;
    guest.power_off()?;

    // What runs and what lies on its disk say the same; where the medium was made it makes the same system.
    cairn.cmd(["capture", "--generation", "1", "--image"]).arg(&target).arg("-o").arg(at("files")).ok()?;
    let here = Cmd::new("sha256sum").args(["machine.yaml", "machine.lock"]).dir(at("files")).ok()?;
    ensure!(there == here, "captured on the machine: {there}from its disk: {here}");
    let built = cairn.cmd(["build", "--format", "raw", "-o"]).arg(at("built")).arg(at("files/machine.yaml"));
    let image = built.deadline(INSTALL).ok()?;
    let image = image.lines().next().context("no image")?;
    let (first, again) = (system(cairn, &target)?, system(cairn, Path::new(image))?);
    ensure!(first == again, "on the machine {first}, made again {again}");
    Ok(())
}

/// The store path of a disk's first generation.
fn system(cairn: &Cairn, image: &Path) -> Result<String> {
    let text = cairn.cmd(["generations", "--json", "--image"]).arg(image).ok()?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))?;
    let path = json["generations"][0]["system"].as_str();
    path.map(String::from).with_context(|| format!("no system in {text}"))
}
