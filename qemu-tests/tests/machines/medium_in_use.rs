//! A medium as it is used: as one of many on a stick, chosen otherwise than by itself in its menu, pulled out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_tests::machine::{Disk, USB};
use qemu_tests::{Cairn, Cmd, Guest, Scenario, workbench};
use serde_json::json;

use crate::from_medium::{ANSWER, INSTALL, NEEDS, START, answers, beside, medium, starts, target};

/// Not in every run.
pub const REST: &[Scenario] = &[
    Scenario {
        name: "installed from the medium: its file on a stick with many, by GRUB's loopback",
        needs: &["qemu-system-x86_64", "qemu-img", "mmdebstrap", "grub-mkstandalone", "sfdisk", "mcopy", "mformat"],
        run: one_of_many,
    },
    Scenario {
        name: "installed from the medium: checked and copied into memory, the stick pulled out before the first question",
        needs: NEEDS,
        run: in_memory,
    },
    Scenario { name: "the medium is pulled out while it installs: what happened is said", needs: NEEDS, run: pulled },
];

/// What somebody has who collects installers: a stick with a GRUB of his own, which knows the files by `loopback.cfg`.
const MENU: &str = "\
search --no-floppy --file --set=stick /isos/cairn.iso
set iso_path=/isos/cairn.iso
export iso_path
loopback loop ($stick)$iso_path
set root=loop
configfile /boot/grub/loopback.cfg
";

fn one_of_many(cairn: &Cairn) -> Result<()> {
    let (folder, target) = target(cairn)?;
    let path = |name: &str| folder.path().join(name);
    let stick = path("stick");
    workbench::disk(&stick, 1 << 30)?;
    Cmd::new("sh").args(["-c", "echo 'start=1MiB, type=ef' | sfdisk -q -X dos \"$1\"", "-"]).arg(&stick).ok()?;
    let place = format!("{}@@1M", stick.display());
    Cmd::new("mformat").args(["-i", &place, "-F", "-v", "MANY"]).ok()?;
    std::fs::write(path("grub.cfg"), MENU)?;
    Cmd::new("grub-mkstandalone")
        .args(["-O", "x86_64-efi", "--modules", "part_msdos fat", "-o"])
        .arg(path("grub.efi"))
        .arg(format!("boot/grub/grub.cfg={}", path("grub.cfg").display()))
        .ok()?;
    Cmd::new("mmd").args(["-i", &place, "::EFI", "::EFI/BOOT", "::isos"]).ok()?;
    for (file, name) in [(path("grub.efi"), "::EFI/BOOT/BOOTX64.EFI"), (medium(cairn)?, "::isos/cairn.iso")] {
        Cmd::new("mcopy").args(["-i", &place]).arg(file).arg(name).ok()?;
    }
    let mut guest = Guest::of(beside(Disk::new(&stick).on(USB), Disk::new(&target)).boot()?);
    answers(&mut guest.machine)?;
    starts(guest)
}

fn in_memory(cairn: &Cairn) -> Result<()> {
    let (folder, target) = target(cairn)?;
    let medium = chosen(&medium(cairn)?, &folder.path().join("cairn.iso"), "toram", "cairn.toram' 'cairn.check")?;
    let mut guest = Guest::of(beside(Disk::new(&medium).on(USB_STICK), Disk::new(&target)).boot()?);
    let machine = &mut guest.machine;
    machine.wait_for("100 % copied into memory", START)?;
    machine.wait_for("the medium is whole", START)?;
    machine.wait_for("Press Enter", ANSWER)?;
    machine.type_line("")?;
    machine.wait_for("Some questions", START)?;
    pull(&mut guest)?;
    answers(&mut guest.machine)?;
    starts(guest)
}

fn pulled(cairn: &Cairn) -> Result<()> {
    let (_folder, target) = target(cairn)?;
    let mut guest = Guest::of(beside(Disk::new(&medium(cairn)?).on(USB_STICK), Disk::new(&target)).boot()?);
    answers(&mut guest.machine)?;
    guest.machine.wait_for("writing root", INSTALL)?;
    pull(&mut guest)?;
    guest.machine.wait_for("the installation medium, ", INSTALL)?;
    guest.machine.wait_for("was pulled out", ANSWER)?;
    guest.machine.wait_for("starts nothing.", ANSWER)?;
    // Neither the page nor what comes after it is read from the medium.
    guest.machine.wait_for("Code", ANSWER)?;
    guest.machine.wait_for("Enter begins once more", ANSWER)
}

/// A stick that can be pulled out by its name.
const USB_STICK: &[&str] = &["qemu-xhci,id=x", "usb-kbd,bus=x.0", "usb-storage,bus=x.0,id=stick"];

fn pull(guest: &mut Guest) -> Result<()> {
    guest.machine.qmp()?.ask("device_del", &json!({"id": "stick"})).map(drop)
}

/// A copy whose menu starts this entry by itself, with more words for the kernel.
pub fn chosen(medium: &Path, copy: &Path, entry: &str, words: &str) -> Result<PathBuf> {
    Cmd::new("cp").arg("--sparse=always").arg(medium).arg(copy).ok()?;
    let (_, partitions) = qemu_tests::disk::table(copy)?;
    let place = format!("{}@@{}", copy.display(), partitions.first().context("the medium has no partition")?.start);
    let menu = Cmd::new("mtype").args(["-i", &place, "::boot/grub/grub.cfg"]).ok()?;
    let changed = menu.replace("set default=0", &format!("set default={entry}")).replace("cairn.toram", words);
    ensure!(changed != menu, "the medium's menu has another form: {menu}");
    let file = copy.with_extension("cfg");
    std::fs::write(&file, changed)?;
    Cmd::new("mcopy").args(["-o", "-i", &place]).arg(&file).arg("::boot/grub/grub.cfg").ok()?;
    Ok(copy.to_path_buf())
}
