//! `cairn install` in front of an emulated computer: its own firmware, its own controllers, sectors of 4096 bytes. A machine that runs
//! installs another one onto the disk that is tried; the firmware starts that once, and from then on by itself if it was good.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use qemu_tests::generations::{File, GRUB_GPT, GRUB_UEFI, Kind, SYSTEMD_BOOT, put};
use qemu_tests::installing::{self, Installer};
use qemu_tests::machine::{Controller, Disk, Firmware, NVME, SATA, SCSI, SD, USB, VIRTIO};
use qemu_tests::{Cairn, Cmd, Guest, Scenario, Setup, workbench};

use super::generations::journey::{GOOD, good};

pub const NEEDS: &[&str] = &["qemu-system-x86_64", "qemu-img", "mmdebstrap", "mke2fs", "mcopy", "zstd", "cpio"];

/// What every run has.
pub const CHOSEN: &[Scenario] = &[scenario(
    "installed and started by the firmware, on NVMe with sectors of 4096 bytes: systemd-boot under UEFI",
    |c| installs(c, &NVME_4096, false),
)];

/// The rest of the table; these machines are upgraded and taken back, too.
pub const REST: &[Scenario] = &[
    scenario(
        "installed, and its first start hangs, on NVMe with sectors of 4096 bytes: systemd-boot under UEFI",
        |c| comes_back(c, &NVME_4096),
    ),
    scenario("installed and upgraded, on NVMe with sectors of 4096 bytes: systemd-boot under UEFI", |c| {
        installs(c, &NVME_4096, true)
    }),
    scenario("installed and upgraded, on SCSI: systemd-boot under UEFI", |c| on(c, ON_SCSI, None, SYSTEMD_BOOT)),
    scenario("installed and upgraded, on SATA: systemd-boot under UEFI", |c| on(c, ON_SATA, None, SYSTEMD_BOOT)),
    scenario("installed and upgraded, on USB: systemd-boot under UEFI", |c| on(c, ON_USB, None, SYSTEMD_BOOT)),
    scenario("installed and upgraded, on USB: GRUB under UEFI", |c| on(c, ON_USB, None, GRUB_UEFI)),
    scenario("installed and upgraded, on NVMe: GRUB under UEFI", |c| on(c, ON_NVME, None, GRUB_UEFI)),
    scenario("installed and upgraded, on virtio with sectors of 4096 bytes: GRUB under UEFI", |c| {
        on(c, ON_VIRTIO, Some(4096), GRUB_UEFI)
    }),
    scenario("installed and upgraded, on SCSI with sectors of 4096 bytes: GRUB under UEFI", |c| {
        on(c, ON_SCSI, Some(4096), GRUB_UEFI)
    }),
    scenario("installed and upgraded, on SATA: GRUB under BIOS on GPT", |c| on(c, ON_SATA, None, GRUB_GPT)),
    scenario("installed and upgraded, on NVMe: GRUB under BIOS on GPT", |c| on(c, ON_NVME, None, GRUB_GPT)),
    scenario("installed and upgraded, on virtio: GRUB under BIOS on GPT", |c| on(c, ON_VIRTIO, None, GRUB_GPT)),
    scenario("installed and upgraded, on USB: GRUB under BIOS on GPT", |c| on(c, ON_USB, None, GRUB_GPT)),
    scenario("installed and upgraded, on an SD card: GRUB under BIOS on GPT", |c| on(c, ON_SD, None, GRUB_GPT)),
    scenario("installed and upgraded, on virtio: systemd-boot under UEFI", |c| on(c, ON_VIRTIO, None, SYSTEMD_BOOT)),
    scenario("installed and upgraded, on NVMe with sectors of 4096 bytes: GRUB under UEFI", |c| {
        on(c, ON_NVME, Some(4096), GRUB_UEFI)
    }),
];

const fn scenario(name: &'static str, run: fn(&Cairn) -> Result<()>) -> Scenario {
    Scenario { name, needs: NEEDS, run }
}

/// A disk to install on: what it hangs on, its serial number, and the module by which the initrd has it.
#[derive(Clone, Copy)]
pub struct On {
    controller: Controller,
    serial: &'static str,
    module: &'static str,
}

pub const ON_VIRTIO: On = On { controller: VIRTIO, serial: "target", module: "virtio_blk" };
const ON_NVME: On = On { controller: NVME, serial: "target", module: "nvme" };
const ON_SATA: On = On { controller: SATA, serial: "target", module: "ahci" };
const ON_USB: On = On { controller: USB, serial: "target", module: "usb_storage" };
const ON_SCSI: On = On { controller: SCSI, serial: "target", module: "virtio_scsi" };
const ON_SD: On = On { controller: SD, serial: "0xdeadbeef", module: "sdhci_pci" };

/// A kind of machine on a kind of disk.
pub struct Case {
    pub disk: On,
    pub sectors: Option<u32>,
    pub kind: Kind,
}

pub const NVME_4096: Case = Case { disk: ON_NVME, sectors: Some(4096), kind: SYSTEMD_BOOT };

/// A card's size is a power of two.
const BYTES: u64 = 4 << 30;
/// Where the machine that installs has the disk with the cache.
const MOUNTED: &str = "/mnt";

/// The computer: a disk with a machine that installs, one with the cache, the one to install on, and one on which nobody has any business.
pub struct Computer<'c> {
    case: &'c Case,
    folder: tempfile::TempDir,
    installer: Installer,
    canary: Vec<u8>,
}

impl Computer<'_> {
    pub fn new<'c>(cairn: &Cairn, case: &'c Case) -> Result<Computer<'c>> {
        let folder = tempfile::tempdir_in(&cairn.work)?;
        let canary: Vec<u8> = (0..2_u32 << 20).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        let computer = Computer { case, folder, installer: Installer::get(cairn)?, canary };
        workbench::disk(&computer.path("target"), BYTES)?;
        fs::write(computer.path("canary"), &computer.canary)?;
        Ok(computer)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn target(&self) -> Disk {
        let disk = Disk::new(&self.path("target")).on(self.case.disk.controller).persist();
        // A card's serial number is its own.
        let disk = match self.case.disk.controller {
            SD => disk,
            // The firmware knows it by its slot, and may have no room to know it by another.
            NVME | VIRTIO => disk.serial(self.case.disk.serial).slot(0x10),
            _ => disk.serial(self.case.disk.serial),
        };
        match self.case.sectors {
            Some(bytes) => disk.sectors(bytes),
            None => disk,
        }
    }

    fn uefi(&self) -> bool {
        self.case.kind.firmware == Firmware::Uefi
    }

    pub fn with_firmware(&self, setup: Setup) -> Setup {
        let setup = setup.firmware(self.case.kind.firmware).restarts().watchdog();
        // A BIOS remembers nothing, and starts the first disk.
        if self.uefi() { setup.remembers(&self.path("variables")) } else { setup }
    }

    /// With all of its disks: the machine that installs runs, and is what the firmware starts.
    pub fn start(&self) -> Result<Guest> {
        let installer = Disk::new(&self.installer.machine).serial("installer");
        let setup = Setup::of(installer)
            .with(Disk::new(&self.installer.cache).serial("cache"))
            .with(self.target())
            .with(Disk::new(&self.path("canary")).serial("canary").persist());
        let mut guest = Guest::start(&self.with_firmware(setup))?;
        ensure!(guest.run("hostname")?.trim() == "installer", "another machine was started");
        if self.uefi() {
            good(&mut guest, 1)?;
        }
        guest.run(&format!("mount /dev/disk/by-id/virtio-cache {MOUNTED}"))?;
        Ok(guest)
    }

    /// Installs this machine file: what is said.
    pub fn install(&self, guest: &mut Guest, file: &File, more: &str) -> Result<String> {
        let serial = self.case.disk.serial;
        let disks = guest.run("cairn disks")?;
        println!("{disks}");
        ensure!(disks.contains(serial), "the disk is not among these:\n{disks}");
        put(guest, self.case.kind, file, &format!("{MOUNTED}/{}", installing::FILE))?;
        let install =
            format!("XDG_CACHE_HOME={MOUNTED} cairn install {MOUNTED}/{} --disk serial={serial}", installing::FILE);
        // Without a terminal it says each thing once.
        let said = guest
            .run(&format!("{install} {more} --yes-erase {serial} >/tmp/said 2>&1; c=$?; cat /tmp/said; (exit $c)"))?;
        println!("{said}");
        let node = self.node(guest)?;
        let sound = guest.run(&format!("sgdisk -v {node}"))?;
        ensure!(sound.contains("No problems found"), "{sound}");
        let sector = guest.run(&format!("blockdev --getss {node}"))?;
        ensure!(sector.trim() == self.case.sectors.unwrap_or(512).to_string(), "sectors have {sector} bytes");
        for (kind, check) in [("vfat", "fsck.fat -n"), ("ext4", "e2fsck -fn")] {
            guest.run(&format!("{} | xargs -rn1 {check}", of_kind(&node, kind)))?;
        }
        Ok(said)
    }

    /// The modules in the initrd that lies on the disk, as other people's programs read it. No machine runs meanwhile.
    fn modules(&self) -> Result<BTreeSet<String>> {
        // Of all layouts the partition with the kernels is the first or, behind a megabyte for GRUB, the second.
        let volumes = [1, 2].map(|mib| format!("{}@@{}", self.path("target").display(), mib << 20));
        let list = |volume: &String| {
            Some((volume.clone(), Cmd::new("mdir").args(["-/", "-b", "-i", volume, "::"]).ok().ok()?))
        };
        let (volume, listed) = volumes.iter().find_map(list).context("the disk has no boot partition")?;
        let mut initrds = listed.lines().filter(|path| path.contains("initrd"));
        let initrd = initrds.next().with_context(|| format!("there is no initrd in\n{listed}"))?;
        ensure!(initrds.next().is_none(), "there is more than one initrd in\n{listed}");
        let copy = self.path("initrd");
        Cmd::new("mcopy").args(["-n", "-i", &volume, initrd]).arg(&copy).ok()?;
        let names = Cmd::new("sh").args(["-c", "zstd -qdc \"$0\" | cpio -t --quiet"]).arg(&copy).ok()?;
        let modules = names.lines().filter_map(|path| path.rsplit('/').next()?.strip_suffix(".ko"));
        Ok(modules.map(|name| name.replace('-', "_")).collect())
    }

    /// The node of the disk that is installed on.
    pub fn node(&self, guest: &mut Guest) -> Result<String> {
        let node = guest.run(&format!("lsblk -dnpo NAME,SERIAL | sed -n 's/ *{}$//p'", self.case.disk.serial))?;
        Ok(node.trim().to_string())
    }

    /// Nobody has written to the disk that is none of anybody's business.
    pub fn canary_lives(&self) -> Result<()> {
        ensure!(fs::read(self.path("canary"))? == self.canary, "the other disk was written to");
        Ok(())
    }
}

/// What the firmware remembers, as efibootmgr says it.
#[derive(Debug)]
pub struct Remembers {
    pub order: String,
    pub next: Option<String>,
    pub current: String,
    /// Our entry for the machine that was installed.
    pub ours: Option<String>,
}

impl Remembers {
    /// `others` are the names of entries that were there before.
    pub fn ask(guest: &mut Guest, others: &[String]) -> Result<Remembers> {
        let said = guest.run("efibootmgr")?;
        let find =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_string());
        let ours = cairns(&said).into_iter().find(|(_, name)| !others.contains(name));
        Ok(Remembers {
            order: find("BootOrder:").with_context(|| format!("there is no order in {said}"))?,
            next: find("BootNext:"),
            current: find("BootCurrent:").with_context(|| format!("nothing was started in {said}"))?,
            ours: ours.map(|(number, _)| number),
        })
    }
}

/// Numbers and names of the entries that machines of Cairn have.
pub fn cairns(said: &str) -> Vec<(String, String)> {
    let lines = said.lines().filter_map(|line| line.strip_prefix("Boot")?.split_once("* "));
    let named = lines.filter(|(_, rest)| rest.starts_with("Cairn ("));
    named.map(|(number, rest)| (number.into(), rest.split('\t').next().unwrap_or_default().trim().into())).collect()
}

/// Installs under UEFI: what the firmware remembers after it, but for the order and the next start what it did before.
fn install_under_uefi(computer: &Computer<'_>, guest: &mut Guest, file: &File) -> Result<(Vec<String>, Remembers)> {
    let (numbers, others): (Vec<_>, Vec<_>) = cairns(&guest.run("efibootmgr")?).into_iter().unzip();
    let before = Remembers::ask(guest, &others)?;
    ensure!(others.len() == 1 && before.next.is_none(), "the firmware begins with {others:?}, {before:?}");
    ensure!(before.order.starts_with(&numbers[0]), "the machine that installs is not the first: {before:?}");
    computer.install(guest, file, "")?;
    let after = Remembers::ask(guest, &others)?;
    ensure!(after.ours.is_some() && after.next == after.ours, "the new machine is not what is started next: {after:?}");
    ensure!(after.order == before.order, "the order was {}, and is {}", before.order, after.order);
    Ok((others, after))
}

/// A command that says which partition of a disk has such a file system.
fn of_kind(node: &str, kind: &str) -> String {
    format!("lsblk -lnpo NAME,FSTYPE {node} | sed -n 's/ *{kind}$//p'")
}

fn on(cairn: &Cairn, disk: On, sectors: Option<u32>, kind: Kind) -> Result<()> {
    installs(cairn, &Case { disk, sectors, kind }, true)
}

/// Installs, and starts it alone. Where it is `upgraded` the firmware has it beside the machine that installed it before that, and it is
/// also taken back.
fn installs(cairn: &Cairn, case: &Case, upgraded: bool) -> Result<()> {
    let computer = Computer::new(cairn, case)?;
    let mut guest = computer.start()?;
    let file = installing::file("installed", case.kind);
    let mut entered = None;
    if computer.uefi() {
        let (others, before) = install_under_uefi(&computer, &mut guest, &file)?;
        if upgraded {
            guest.reboot()?;
            let order = is_first(&mut guest, &others, &before)?;
            let all = order.split_once(',').map(|(_, rest)| rest);
            ensure!(all == Some(&before.order), "the order is {order}, and was {}", before.order);
        } else {
            entered = Some((others, before));
        }
    } else {
        computer.install(&mut guest, &file, "")?;
    }
    guest.power_off()?;
    computer.canary_lives()?;
    let held = computer.modules()?;

    // The disk alone.
    let mut guest = Guest::start(&computer.with_firmware(Setup::of(computer.target())))?;
    match &entered {
        Some((others, before)) => drop(is_first(&mut guest, others, before)?),
        None => good(&mut guest, 1)?,
    }
    ensure!(
        guest.run("hostname")?.trim() == "installed" && guest.booted()? == (1, false),
        "another machine was started"
    );
    guest.until("systemctl is-system-running", "the machine is not whole", GOOD)?;
    let bytes = guest.run("findmnt -bno SIZE /nix/store")?;
    let bytes: u64 = bytes.trim().parse().with_context(|| format!("the root has {bytes} bytes"))?;
    ensure!(bytes > BYTES * 4 / 5, "the root has {bytes} of the disk's {BYTES} bytes");
    let hardware = guest.run("cat /etc/cairn/hardware.yaml")?;
    println!("{hardware}");
    ensure!(hardware.contains(case.disk.module), "the disk's driver was not detected:\n{hardware}");
    only_what_is_needed(&mut guest, &held)?;
    guest.run("cairn boot check && test -s /var/log/cairn/install-plan.json")?;

    if upgraded {
        upgrade(&mut guest)?;
    }
    guest.power_off()
}

/// The machine that was installed was started by its own entry, once; it has booted well, and put itself in front of the others, which are
/// all there. Gives the order.
fn is_first(guest: &mut Guest, others: &[String], before: &Remembers) -> Result<String> {
    ensure!(guest.run("hostname")?.trim() == "installed", "the firmware has not started the new machine");
    good(guest, 1)?;
    let now = Remembers::ask(guest, others)?;
    ensure!(Some(&now.current) == before.ours.as_ref(), "it was not started by its own entry: {now:?}");
    ensure!(now.next.is_none(), "it is started once more: {now:?}");
    let has = |order: &str, one: &str| order.split(',').any(|other| other == one);
    let both = |of: &str, and: &str| of.split(',').filter(|one| has(and, one)).map(str::to_string).collect::<Vec<_>>();
    // The firmware itself forgets disks that are no more.
    let (rest, left) = (both(&now.order, &before.order), both(&before.order, &now.order));
    let first = before.order.split(',').next();
    ensure!(now.order.starts_with(&now.current), "it is not the first after a good boot: {now:?}");
    ensure!(
        rest == left && left.first().map(String::as_str) == first,
        "the firmware has {now:?}, and before {before:?}"
    );
    Ok(now.order)
}

/// What every initrd has, and what one has that is watched over; see `crates/system/src/initrd/sets.rs`.
const FIXED: &str = "ext4 overlay autofs4 i6300esb iTCO_wdt lpc_ich i2c_i801 wdat_wdt sp5100_tco hpwdt";
/// Drivers of disks that one initrd for all computers would have.
const ELSEWHERE: [&str; 8] =
    ["megaraid_sas", "mpt3sas", "vmw_pvscsi", "hv_storvsc", "xen_blkfront", "vmd", "sata_sil24", "pata_acpi"];

/// The initrd has the modules that were detected, those that all have, and what these depend on, in modprobe's words; and no other.
fn only_what_is_needed(guest: &mut Guest, held: &BTreeSet<String>) -> Result<()> {
    let said = guest.run("sed -n '/^initrd_modules:/,/^[a-z]/s/^ *- *//p' /etc/cairn/hardware.yaml")?;
    let detected: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    ensure!(!detected.is_empty(), "nothing was detected");
    let named = detected.iter().copied().chain(FIXED.split(' ')).collect::<Vec<_>>().join(" ");
    // What is built in has no file.
    let needs = guest.run(&format!("for m in {named}; do modprobe -D $m || true; done | sed -n 's/^insmod //p'"))?;
    let file = |line: &str| line.split_whitespace().next()?.rsplit('/').next()?.split('.').next().map(str::to_string);
    let needed: BTreeSet<String> = needs.lines().filter_map(file).map(|name| name.replace('-', "_")).collect();
    println!("in the initrd: {held:?}");
    let (more, less): (Vec<_>, Vec<_>) = (held.difference(&needed).collect(), needed.difference(held).collect());
    ensure!(
        more.is_empty() && less.is_empty(),
        "the initrd has besides what was detected {more:?}, and lacks {less:?}"
    );
    let strangers: Vec<&str> = ELSEWHERE.into_iter().filter(|name| held.contains(*name)).collect();
    ensure!(strangers.is_empty(), "the initrd has {strangers:?}, which this computer does not");
    Ok(())
}

/// A second generation, and back to the first.
fn upgrade(guest: &mut Guest) -> Result<()> {
    guest.run("sed -i 's/^hostname: .*/hostname: upgraded/' /etc/cairn/machine.yaml && cairn upgrade")?;
    guest.reboot()?;
    ensure!(guest.run("hostname")?.trim() == "upgraded" && guest.booted()?.0 == 2, "the new generation was not booted");
    good(guest, 2)?;
    guest.run("cairn rollback")?;
    guest.reboot()?;
    ensure!(guest.run("hostname")?.trim() == "installed" && guest.booted()? == (1, false), "it did not go back");
    good(guest, 1)?;
    guest.run("cairn boot check").map(drop)
}

/// Where the first start leaves a word before it hangs.
const TRIED: &str = "/var/lib/tried";

fn comes_back(cairn: &Cairn, case: &Case) -> Result<()> {
    let computer = Computer::new(cairn, case)?;
    let mut guest = computer.start()?;
    let hangs = format!("echo once >>{TRIED}\nsync\necho 1 >/sys/fs/cgroup/init.scope/cgroup.freeze\n");
    let file = File { early: Some(hangs), ..installing::file("installed", case.kind) };
    let (others, before) = install_under_uefi(&computer, &mut guest, &file)?;
    // The watchdog ends it, and nobody touches anything.
    guest.reboot()?;
    ensure!(guest.run("hostname")?.trim() == "installer", "the firmware has not gone back");
    let now = Remembers::ask(&mut guest, &others)?;
    ensure!(now.next.is_none() && now.order == before.order, "the firmware begins with {now:?}, and before {before:?}");
    let root = of_kind(&computer.node(&mut guest)?, "ext4");
    let tried = guest.run(&format!("mount -o ro $({root}) /media && cat /media{TRIED}"))?;
    ensure!(tried == "once\n", "the new machine was tried like this: {tried}");
    guest.power_off()?;
    computer.canary_lives()
}
