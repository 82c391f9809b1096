//! The machine finds its disk on whatever controller it hangs.

use std::time::Duration;

use anyhow::{Context, Result};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Machine, Scenario};

pub const SCENARIO: Scenario =
    Scenario { name: "the machine boots from NVMe, from SATA and from SCSI", needs: QEMU, run };

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let controllers: [&[&str]; 3] =
        [&["nvme,serial=one"], &["ide-hd,bus=ide.0"], &["virtio-scsi-pci,id=s", "scsi-hd,bus=s.0"]];
    for devices in controllers {
        let mut machine = Machine::boot_on(devices, &hello.raw, false)?;
        let prompt = machine.wait_for("hello login:", Duration::from_secs(600));
        prompt.with_context(|| format!("on {}", devices.join(" and ")))?;
    }
    Ok(())
}
