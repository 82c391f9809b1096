//! `cairn run` of a folder with a machine file whose hardware file has recorded a computer: the machine finds itself in such a computer,
//! and writes the same hardware file there.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::generations::{self, SYSTEMD_BOOT};
use qemu_tests::machine::Machine;
use qemu_tests::{Cairn, Guest, Scenario, installing};

pub const SCENARIO: Scenario = Scenario {
    name: "run makes the computer that was recorded: NVMe with sectors of 4096 bytes beside SATA, UEFI, a TPM",
    needs: &["qemu-system-x86_64", "qemu-img", "mmdebstrap", "swtpm"],
    run,
};

/// A slow processor looks for disks for a while.
const PATIENCE: Duration = Duration::from_mins(5);
/// The disk with the root is the second one that the kernel of that computer met.
const HARDWARE: &str = "version: 1
architecture: x86-64
firmware: uefi
tpm: 2
memory: 1G
processors: 1
initrd_modules: [ahci, atkbd, i8042, nvme, sd_mod]
disks:
  - {name: sda, model: \"ACME Turning Disk\", serial: \"SATA-7\", wwn: \"0x5002538e00000001\", transport: sata, drivers: [sd_mod, ahci],
     bytes: 3221225472, sector_size: 512, physical_sector_size: 4096, rotational: true}
  - {name: nvme0n1, serial: \"NVME-4\", transport: nvme, drivers: [nvme], bytes: 6442450944, sector_size: 4096,
     physical_sector_size: 4096, used: [\"/\"]}
";

fn run(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let at = |name: &str| folder.path().join(name);
    generations::disk(cairn, SYSTEMD_BOOT, &installing::file("recorded", SYSTEMD_BOOT), folder.path())?;
    let text = fs::read_to_string(at("new.yaml"))?;
    fs::write(at("machine.yaml"), format!("{text}\nhardware: hardware.yaml\n"))?;
    fs::rename(at("new.lock"), at("machine.lock"))?;
    fs::write(at("hardware.yaml"), HARDWARE)?;

    let machine = Machine::of_command(&cairn.cmd(["run"]).arg(folder.path()), &at("said"));
    let ran = machine.and_then(inside);
    let said = fs::read_to_string(at("said"))?;
    println!("{said}");
    ran.map_err(|error| error.context(said.clone()))?;
    // Nothing was to be said of what is not as it was.
    for words in ["does not hang on", "swtpm", "QEMU has", "memory"] {
        ensure!(!said.contains(words), "it said {words}: {said}");
    }
    Ok(())
}

fn inside(machine: Machine) -> Result<()> {
    let mut guest = Guest::of(machine);
    guest.log_in()?;
    // Nothing of the machine is on it, so nothing waits for it.
    guest.until("lsblk -dno SERIAL /dev/sda | grep -q SATA-7", "the other disk does not come", PATIENCE)?;
    let mut is = |question: &str, answer: &str| -> Result<()> {
        let found = guest.run(question)?;
        println!("{question}\n{found}");
        let found: Vec<&str> = found.split_whitespace().collect();
        ensure!(found.join(" ") == answer, "{question}: {found:?}");
        Ok(())
    };
    // Without what is no disk.
    let disks = "nvme0n1 nvme 4096 4096 6442450944 0 NVME-4 sda sata 512 4096 3221225472 1 SATA-7";
    is("lsblk -dnbe 7,11 -o NAME,TRAN,LOG-SEC,PHY-SEC,SIZE,ROTA,SERIAL | sort", disks)?;
    is("lsblk -dno MODEL,WWN /dev/sda", "ACME Turning Disk 0x5002538e00000001")?;
    is("cat /sys/class/tpm/tpm0/tpm_version_major", "2")?;
    is("test -d /sys/firmware/efi && echo uefi", "uefi")?;
    is("nproc", "1")?;
    is("findmnt -no SOURCE /nix/store | sed 's/p[0-9].*//'", "/dev/nvme0n1")?;
    is("sgdisk -v /dev/nvme0n1 | grep -c 'No problems found'", "1")?;
    // What it needs is what the file says, but for what the processor can do, which is another one wherever KVM runs it; and what is
    // recorded of it comes out as it stands there.
    let (_, differs) = guest.ask("cairn hardware --diff /etc/cairn/hardware.yaml")?;
    let differs: Vec<&str> =
        differs.lines().filter(|line| !line.contains("the processor can run virtual machines")).collect();
    ensure!(differs.concat().trim().is_empty(), "what was recorded differs from what is there: {differs:?}");
    let said = guest.run("cairn hardware")?;
    println!("{said}");
    for line in ["firmware: uefi\n", "tpm: 2\n", "memory: 1G\n", "processors: 1\n"] {
        ensure!(said.contains(line), "no line {line}");
    }
    guest.power_off()
}
