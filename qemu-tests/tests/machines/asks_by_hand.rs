//! A disk by hand, at the questions: the EFI system partition of another system is shared, a partition gets the machine's root, one with
//! pictures is kept; what was asked for starts, and nobody's bytes have changed but those that were given up.

use anyhow::{Context, Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Cmd, Guest, Scenario, Setup, workbench};

use crate::asks_rich::PERSON;

pub const SCENARIO: Scenario =
    Scenario { name: "who lays out a disk by hand keeps what they say, and the rest of it starts", needs: UML, run };

/// In lines; before each, what is on the screen.
const SAID: &[(&str, &str)] = &[
    ("1 of 10", ""),
    ("2 of 10", ""),
    ("3 of 10", "UTC"),
    ("4 of 10", "1"),
    ("5 of 10", "by-hand"),
    ("The disk by hand", "done"),
    // It is refused, with what is missing.
    ("cannot start yet", "partition-1"),
    ("What becomes of", "keep-esp"),
    ("The disk by hand", "partition-2"),
    ("What becomes of", "root"),
    ("The disk by hand", "partition-3"),
    ("What becomes of", "keep-data"),
    ("Where partition 3", "/srv/pictures"),
    ("The disk by hand", ""),
    ("7 of 10", "by-hand"),
    ("8 of 10", "anna"),
    ("9 of 10", "secret"),
    ("once more", "secret"),
    ("10 of 10", ""),
    ("What now?", ""),
    ("type its name", "8589934592"),
];

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let path = |name: &str| folder.path().join(name);
    let (disk, canary) = (path("disk"), path("canary"));
    workbench::disk(&disk, 8 << 30)?;
    workbench::disk(&canary, 64 << 20)?;
    let table = "label: gpt\n,400M,U\n,4G,L\n,1G,L\n,1G,L\n";
    Cmd::new("sh").args(["-c", "printf \"$2\" | sfdisk -q \"$1\"", "-"]).arg(&disk).arg(table).ok()?;
    let system = path("system");
    let file = hello.small(&system)?;
    std::fs::rename(&file, system.join("machine.yaml"))?;
    if system.join("hello.lock").exists() {
        std::fs::rename(system.join("hello.lock"), system.join("machine.lock"))?;
    }
    let said: String = SAID.iter().map(|(words, line)| format!("comes '{words}' '{line}\\n'\n")).collect();
    let script = format!(
        "modprobe -a vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8
         mkdir -p /dev/pts /mnt/x; mount -t devpts devpts /dev/pts
         mkfs.vfat -F 32 /dev/ubda1 >/dev/null
         for one in 2 3 4; do mkfs.ext4 -q -F /dev/ubda$one; mount /dev/ubda$one /mnt/x; echo of $one >/mnt/x/mine; umount /mnt/x; done
         mount /dev/ubda1 /mnt/x; mkdir -p /mnt/x/EFI/other; echo theirs >/mnt/x/EFI/other/loader.efi; umount /mnt/x
         before=$(cat /dev/ubda3 /dev/ubda4 | sha256sum)
         mkdir -p $XDG_CACHE_HOME/cairn/systems; cp -r {system} $XDG_CACHE_HOME/cairn/systems/hello
         mount -t tmpfs tmp /sys/firmware; mkdir /sys/firmware/efi
         cd {folder}
         {PERSON}
         comes() {{
             local tries=0
             until since >seen; grep -qaF -- \"$1\" seen; do
                 tries=$((tries + 1)); [ $tries -lt 600 ] || {{ echo \"no: $1\"; since | cat -v; exit 1; }}
                 sleep 0.1
             done
             types \"$1\" ''; types '> ' \"$2\"
         }}
         begin 24 100 '' --plain
         {said}
         ends 0
         [ \"$(cat /dev/ubda3 /dev/ubda4 | sha256sum)\" = \"$before\" ]
         sgdisk -v /dev/ubda | tee /run/sound; grep -q 'No problems found' /run/sound
         mount /dev/ubda1 /mnt/x; grep -q theirs /mnt/x/EFI/other/loader.efi; umount /mnt/x",
        system = system.display(),
        folder = folder.path().display(),
    );
    let told = workbench::script_with("1G", cairn, &[&disk, &canary], &script)?;
    let empty = std::fs::read(&canary)?.iter().all(|byte| *byte == 0);
    ensure!(empty, "the other disk was written to:\n{told}");
    let mut guest = Guest::start(&Setup::uml(&disk)).context("what was installed does not start")?;
    for (question, answer) in [("hostname", "by-hand"), ("cat /srv/pictures/mine", "of 3")] {
        let said = guest.run(question)?;
        ensure!(said.trim() == answer, "{question}: {said}");
    }
    guest.power_off()
}
