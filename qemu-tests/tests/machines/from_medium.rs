//! A computer with an empty disk is started from the medium, whatever that is taken for and whatever starts it; somebody at the serial line answers, without a
//! network; the machine starts from its disk and is what was asked for.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::cairn::repository;
use qemu_tests::machine::{CD, Controller, Disk, Firmware, NVME, USB, VIRTIO};
use qemu_tests::{Cairn, Cmd, Guest, Machine, Scenario, Setup, workbench};
use serde_json::json;
use tempfile::TempDir;

pub const NEEDS: &[&str] = &["qemu-system-x86_64", "qemu-img", "mmdebstrap"];

/// What every run has.
pub const CHOSEN: &[Scenario] = &[scenario("installed from the medium: a stick, under UEFI", |c| {
    installs(c, &Case { medium: USB, sectors: None, firmware: Firmware::Uefi, secure: false }).map(drop)
})];

/// The rest of the table.
pub const REST: &[Scenario] = &[
    scenario("installed from the medium: a CD, under UEFI", |c| on(c, CD, Firmware::Uefi)),
    scenario("installed from the medium: a CD, by a BIOS", |c| on(c, CD, Firmware::Bios)),
    scenario("installed from the medium: a stick, by a BIOS", |c| on(c, STICK, Firmware::Bios)),
    scenario("installed from the medium: a disk, by a BIOS", |c| on(c, DISK, Firmware::Bios)),
    scenario("installed from the medium: a disk, under UEFI", |c| on(c, VIRTIO, Firmware::Uefi)),
    scenario("installed from the medium: a disk with sectors of 4096 bytes, under UEFI", |c| {
        verified(c, &Case { medium: NVME, sectors: Some(4096), firmware: Firmware::Uefi, secure: false })
    }),
    scenario("installed from the medium by answers that were put on it, without a question", answered),
    scenario("installed from the medium with Secure Boot enforced: a stick", |c| {
        verified(c, &Case { medium: USB, sectors: None, firmware: Firmware::Uefi, secure: true })
    }),
    scenario("the medium starts with Secure Boot, from a CD", |c| starts_secure(c, CD)),
];

/// A BIOS tries one disk only, the one that somebody has put first: these are known by a name.
const STICK: Controller = &["qemu-xhci,id=x", "usb-kbd,bus=x.0", "usb-storage,bus=x.0,id=medium"];
const DISK: Controller = &["virtio-blk-pci,id=medium"];
const TARGET: Controller = &["virtio-blk-pci,id=target"];

fn named(case: &Case) -> bool {
    case.medium.iter().any(|device| device.contains("id=medium"))
}

/// What somebody does in the BIOS' setup.
fn put_first(machine: &mut Machine, first: &str, second: &str) -> Result<()> {
    for (device, place) in [(first, -1), (second, -1), (first, 0), (second, 1)] {
        let path = format!("/machine/peripheral/{device}");
        machine.qmp()?.ask("qom-set", &json!({"path": path, "property": "bootindex", "value": place}))?;
    }
    Ok(())
}

const fn scenario(name: &'static str, run: fn(&Cairn) -> Result<()>) -> Scenario {
    Scenario { name, needs: NEEDS, run }
}

struct Case {
    medium: Controller,
    sectors: Option<u32>,
    firmware: Firmware,
    secure: bool,
}

fn on(cairn: &Cairn, medium: Controller, firmware: Firmware) -> Result<()> {
    verified(cairn, &Case { medium, sectors: None, firmware, secure: false })
}

/// From outside, too.
fn verified(cairn: &Cairn, case: &Case) -> Result<()> {
    let folder = installs(cairn, case)?;
    cairn.cmd(["verify"]).arg(folder.path().join("target")).ok().map(drop)
}

/// The system on the medium: the tests' own user, with whom they log in.
const SYSTEM: &str = "\
# A system for the tests.
version: 1
hostname: offered
source:
  debian:
    packages: [sudo]
disks:
  main: {layout: uefi}
users:
  cairn: {groups: [sudo], hashed_password_file: hello.password}
files:
  /etc/from-the-medium: {text: \"It was on the medium.\\n\"}
";

/// From the firmware to the first question, emulated, on a busy computer.
pub const START: Duration = Duration::from_secs(600);
pub const ANSWER: Duration = Duration::from_secs(300);
pub const INSTALL: Duration = Duration::from_secs(1200);

/// The medium, made once for all of them.
pub fn medium(cairn: &Cairn) -> Result<PathBuf> {
    let folder = cairn.work.join("medium");
    std::fs::create_dir_all(&folder)?;
    let lock = File::create(cairn.work.join("medium.lock"))?;
    lock.lock().context("waiting for the others")?;
    let medium = folder.join("cairn.iso");
    let made = folder.join("made-by");
    let by = Cmd::new("sha256sum").arg(&cairn.command).ok()?;
    if medium.is_file() && std::fs::read_to_string(&made).is_ok_and(|text| text == by) {
        return Ok(medium);
    }
    std::fs::copy(repository().join("examples/hello.password"), folder.join("hello.password"))?;
    std::fs::write(folder.join("offered.yaml"), SYSTEM)?;
    // An older one's locks may not be those that this one asks for.
    let locks = folder.join("cairn.medium");
    if locks.exists() {
        std::fs::remove_dir_all(locks)?;
    }
    let make = || cairn.cmd(["medium", "--firmware", "none", "-o"]).arg(&medium).arg(folder.join("offered.yaml")).ok();
    let sum = || Cmd::new("sha256sum").arg(&medium).ok();
    make()?;
    let first = sum()?;
    make()?;
    ensure!(sum()? == first, "of the same files and locks two media were made that differ");
    std::fs::write(made, by)?;
    Ok(medium)
}

fn set_up(cairn: &Cairn, case: &Case, target: Disk) -> Result<Setup> {
    let medium = Disk::new(&medium(cairn)?).on(case.medium);
    let medium = case.sectors.map_or(medium.clone(), |bytes| medium.sectors(bytes));
    let medium = if named(case) { medium.first() } else { medium };
    let setup = beside(medium, target).firmware(case.firmware);
    Ok(if case.secure { setup.secure_boot() } else { setup })
}

/// A computer without any network device, with a medium. The disk comes first, as on a computer that somebody has: there is nothing on
/// it yet.
pub fn beside(medium: Disk, target: Disk) -> Setup {
    Setup::of(target.serial("target").persist()).with(medium).without_network().restarts()
}

/// An empty disk, in a folder that goes with it.
pub fn target(cairn: &Cairn) -> Result<(TempDir, PathBuf)> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let target = folder.path().join("target");
    workbench::disk(&target, 4 << 30)?;
    Ok((folder, target))
}

/// The folder with the disk, `target`, on which the machine is then.
fn installs(cairn: &Cairn, case: &Case) -> Result<TempDir> {
    let (folder, target) = target(cairn)?;
    let named = named(case);
    let disk = Disk::new(&target);
    let mut guest = Guest::of(set_up(cairn, case, if named { disk.on(TARGET) } else { disk })?.boot()?);
    answers(&mut guest.machine)?;
    guest.machine.wait_for("Enter restarts the computer", INSTALL)?;
    if named {
        put_first(&mut guest.machine, "target", "medium")?;
    }
    guest.machine.type_line("")?;
    is_what_was_asked_for(guest, "new-one")?;
    Ok(folder)
}

/// Answers, until the disk is written to.
pub fn answers(machine: &mut Machine) -> Result<()> {
    for (question, answer) in [
        ("1 of 10  The language", "en_GB"),
        ("2 of 10  The keyboard", "German (de)"),
        ("3 of 10  The time zone", "berlin"),
        ("4 of 10  The disk", ""),
        ("5 of 10  What the machine gets", ""),
        ("6 of 10  Room", "1"),
        ("7 of 10  The name of the machine", "new-one"),
        ("8 of 10  The name with which", "anna"),
        ("9 of 10  Your password", "a secret"),
        ("once more", "a secret"),
        ("10 of 10  An SSH key", ""),
    ] {
        machine.wait_for(question, START)?;
        machine.wait_for(if question.starts_with("once") { ": " } else { "> " }, ANSWER)?;
        machine.type_line(answer)?;
    }
    machine.wait_for("What now?", INSTALL)?;
    machine.type_line("")?;
    machine.wait_for("type its name: target", ANSWER)?;
    machine.type_line("target")
}

/// Is installed to the end, restarts, and is the machine that was asked for.
pub fn starts(mut guest: Guest) -> Result<()> {
    guest.machine.wait_for("Enter restarts the computer", INSTALL)?;
    guest.machine.type_line("")?;
    is_what_was_asked_for(guest, "new-one")
}

/// Starts from its disk, with this name, and is good.
pub fn is_what_was_asked_for(mut guest: Guest, name: &str) -> Result<()> {
    looks_right(&mut guest, name)?;
    guest.power_off()
}

/// The same, and it goes on running.
pub fn looks_right(guest: &mut Guest, name: &str) -> Result<()> {
    guest.log_in()?;
    for (command, answer) in [
        ("hostname", name),
        ("cat /etc/from-the-medium", "It was on the medium."),
        ("cat /etc/timezone 2>/dev/null || readlink /etc/localtime", "Europe/Berlin"),
        ("grep -c ^anna: /etc/passwd", "1"),
        ("locale -a | grep -c en_GB", "1"),
        ("cat /proc/cmdline | grep -c cairn.medium || true", "0"),
        ("findmnt -no FSTYPE /", "ext4"),
    ] {
        let said = guest.run(command)?;
        ensure!(said.contains(answer), "{command} says {said}");
    }
    guest.until("cairn generations | grep -q good", "the first boot was not good", ANSWER)
}

/// What somebody puts onto the medium for a machine that is installed by itself.
const ANSWERS: &str = "
hostname: by-itself
install: {disk: only, erase: target, then: reboot}
";

fn answered(cairn: &Cairn) -> Result<()> {
    let (folder, target) = target(cairn)?;
    let path = |name: &str| folder.path().join(name);
    let made = medium(cairn)?;
    Cmd::new("cp").args(["--sparse=always"]).arg(&made).arg(path("cairn.iso")).ok()?;
    // The system as it is on the medium, so that its packages are there.
    let offered = std::fs::read_to_string(made.with_file_name("cairn.medium").join("offered.yaml"))?;
    std::fs::write(path("answers.yaml"), offered.replace("hostname: offered\n", "") + ANSWERS)?;
    std::fs::copy(repository().join("examples/hello.password"), path("hello.password"))?;
    cairn.cmd(["medium", "add"]).arg(path("cairn.iso")).arg("--config").arg(path("answers.yaml")).ok()?;
    let setup = beside(Disk::new(&path("cairn.iso")).on(USB).persist(), Disk::new(&target));
    let mut guest = Guest::of(setup.boot()?);
    guest.log_in()?;
    let name = guest.run("hostname")?;
    ensure!(name.trim() == "by-itself", "the machine is {name}");
    guest.power_off()?;
    // What happened is on the stick.
    let tag = std::fs::read(path("cairn.iso"))?;
    let text = String::from_utf8_lossy(&tag[61_440..65_536]).into_owned();
    let spare = text.lines().find_map(|line| line.strip_prefix("spare ")).context("the medium has no tag")?;
    let offset = spare.split(' ').next().unwrap_or_default();
    let image = format!("{}@@{offset}", path("cairn.iso").display());
    let logs = Cmd::new("mdir").args(["-b", "-i", &image, "::logs"]).ok()?;
    ensure!(logs.contains(".jsonl") && logs.contains(".txt"), "the log is not on the stick: {logs}");
    Ok(())
}

fn starts_secure(cairn: &Cairn, medium: Controller) -> Result<()> {
    let (_folder, target) = target(cairn)?;
    let case = Case { medium, sectors: None, firmware: Firmware::Uefi, secure: true };
    let mut machine = set_up(cairn, &case, Disk::new(&target))?.boot()?;
    machine.wait_for("1 of 10  The language", START)?;
    // Ctrl-C ends the questions, for who says so; a shell is offered.
    machine.type_line("\u{3}yes")?;
    machine.wait_for("by typing s", ANSWER)?;
    machine.type_line("s")?;
    machine.wait_for("#", ANSWER)?;
    machine.type_line("od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-*; cat /sys/kernel/security/lockdown")?;
    machine.wait_for("   1", ANSWER)?;
    machine.wait_for("[integrity]", ANSWER)
}
