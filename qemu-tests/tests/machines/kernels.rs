//! Each of Debian's kernels for this architecture boots from a disk on each common bus, with a machine file that names nothing
//! but the kernel.
//!
//! The word comes from a unit that runs before udev does on the real root: all that has led to the root by then came with the
//! initrd.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::machine::{Controller, NVME, SATA, USB, VIRTIO};
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Machine, Scenario};

/// A kernel's package, and what the release of its kernel ends with.
struct Kernel {
    package: &'static str,
    flavour: &'static str,
}

const CLOUD: Kernel = Kernel { package: "linux-image-cloud-amd64", flavour: "-cloud-amd64" };
const REAL: Kernel = Kernel { package: "linux-image-amd64", flavour: "-amd64" };
const REAL_TIME: Kernel = Kernel { package: "linux-image-rt-amd64", flavour: "-rt-amd64" };

/// A bus, and the driver by which the kernel has a disk on it.
struct Bus {
    controller: Controller,
    driver: &'static str,
}

const ON_VIRTIO: Bus = Bus { controller: VIRTIO, driver: "virtio_blk" };
const ON_NVME: Bus = Bus { controller: NVME, driver: "nvme" };
const ON_SATA: Bus = Bus { controller: SATA, driver: "ahci" };
const ON_USB: Bus = Bus { controller: USB, driver: "usb-storage" };

/// What every run has: each bus with a kernel for real hardware, and each of these kernels. The default kernel boots in all
/// other scenarios, on virtio, NVMe, SATA and SCSI.
pub const CHOSEN: &[Scenario] = &[
    scenario("a disk on virtio is found: linux-image-amd64 under UEFI", |c| boots(c, &REAL, &ON_VIRTIO)),
    scenario("a disk on SATA is found: linux-image-amd64 under UEFI", |c| boots(c, &REAL, &ON_SATA)),
    scenario("a disk on USB is found: linux-image-amd64 under UEFI", |c| boots(c, &REAL, &ON_USB)),
    scenario("a disk on NVMe is found: linux-image-rt-amd64 under UEFI", |c| boots(c, &REAL_TIME, &ON_NVME)),
];

/// The rest of the table. The cloud kernel has no driver for USB.
pub const REST: &[Scenario] = &[
    scenario("a disk on NVMe is found: linux-image-amd64 under UEFI", |c| boots(c, &REAL, &ON_NVME)),
    scenario("a disk on virtio is found: linux-image-rt-amd64 under UEFI", |c| boots(c, &REAL_TIME, &ON_VIRTIO)),
    scenario("a disk on SATA is found: linux-image-rt-amd64 under UEFI", |c| boots(c, &REAL_TIME, &ON_SATA)),
    scenario("a disk on USB is found: linux-image-rt-amd64 under UEFI", |c| boots(c, &REAL_TIME, &ON_USB)),
    scenario("a disk on virtio is found: linux-image-cloud-amd64 under UEFI", |c| boots(c, &CLOUD, &ON_VIRTIO)),
    scenario("a disk on SATA is found: linux-image-cloud-amd64 under UEFI", |c| boots(c, &CLOUD, &ON_SATA)),
    scenario("a disk on NVMe is found: linux-image-cloud-amd64 under UEFI", |c| boots(c, &CLOUD, &ON_NVME)),
];

const fn scenario(name: &'static str, run: fn(&Cairn) -> Result<()>) -> Scenario {
    Scenario { name, needs: QEMU, run }
}

/// The machine file. Its script says which kernel runs, and by which drivers it has the disk of its root and all that this disk
/// hangs on.
fn machine_file(kernel: &Kernel) -> String {
    format!(
        r#"version: 1
hostname: plain
source:
  debian:
    suite: trixie
    kernel: {}
disks:
  main: {{layout: uefi}}
files:
  /etc/here:
    text: |
      cd -P "/sys/dev/block/$(mountpoint -d /nix/store)"
      said=$(uname -r)
      while [ "$PWD" != / ]; do
          if [ -e driver ]; then link=$(readlink driver); said="$said ${{link##*/}}"; fi
          cd ..
      done
      echo "here: $said, all told" >/dev/ttyS0
services:
  units:
    here.service:
      text: |
        [Unit]
        Description=Tell which kernel runs and by which drivers it has its root
        DefaultDependencies=no
        Before=sysinit.target systemd-udevd.service systemd-udev-trigger.service

        [Service]
        Type=oneshot
        ExecStart=/bin/sh /etc/here

        [Install]
        WantedBy=sysinit.target
"#,
        kernel.package
    )
}

/// The image of a machine with this kernel, made once for all of its scenarios.
fn image(cairn: &Cairn, kernel: &Kernel) -> Result<PathBuf> {
    let folder = cairn.work.join(kernel.package);
    std::fs::create_dir_all(&folder)?;
    let lock = File::create(folder.join("turn"))?;
    lock.lock().context("waiting for the others")?;
    let (file, image) = (folder.join("plain.yaml"), folder.join("plain.raw"));
    std::fs::write(&file, machine_file(kernel))?;
    let build = cairn.cmd(["build", "--format", "raw"]).arg(&file).arg("-o").arg(&folder);
    build.deadline(Duration::from_secs(2400)).run()?.must(0)?;
    Ok(image)
}

fn boots(cairn: &Cairn, kernel: &Kernel, bus: &Bus) -> Result<()> {
    let mut machine = Machine::boot(&image(cairn, kernel)?, bus.controller, false)?;
    machine.wait_for("here: ", Duration::from_secs(600))?;
    machine.wait_for(", all told", Duration::from_secs(60))?;
    ensure!(!machine.said.contains("takes over"), "the first process has not found the root:\n{}", machine.said);
    let said = machine.said.rsplit("here: ").next().and_then(|s| s.split(", all told").next()).unwrap_or_default();
    let words: Vec<&str> = said.split_whitespace().collect();
    let release = words.first().copied().unwrap_or_default();
    ensure!(release.ends_with(kernel.flavour) && words.contains(&bus.driver), "the machine said '{said}'");
    Ok(())
}
