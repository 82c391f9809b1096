//! A machine that starts from an EFI system partition which is there already, and which other systems start from: their files keep every
//! byte, and the machine's menu starts them too.

use std::fs;

use anyhow::{Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Guest, Scenario, Setup, workbench};

pub const SHARED: Scenario = Scenario {
    name: "a machine shares the EFI system partition of other systems, whose files keep every byte",
    needs: UML,
    run: shared,
};

/// A disk as Windows and Debian leave it: one EFI system partition of 100 MB with the loaders of both.
const OTHERS: &str = "
sfdisk -q /dev/ubda <<EOF
label: gpt
start=2048, size=204800, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, name=\"EFI system partition\"
start=206848, size=32768, type=e3c9e316-0b5c-4db8-817d-f92df00215ae, attrs=\"GUID:63\"
start=239616, size=400000, type=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7
start=639616, size=400000, type=0fc63daf-8483-4772-8e79-3d69d8477de4
EOF
mkfs.vfat -F 32 -i 5EED0001 -n ESP /dev/ubda1 >/dev/null
mkdir -p /mnt/esp /mnt/x
mount /dev/ubda1 /mnt/esp
mkdir -p /mnt/esp/EFI/BOOT /mnt/esp/EFI/Microsoft/Boot /mnt/esp/EFI/debian
for file in BOOT/bootx64.efi Microsoft/Boot/bootmgfw.efi Microsoft/Boot/BCD debian/shimx64.efi debian/grubx64.efi debian/grub.cfg; do
    yes \"the bytes of $file\" | head -c 900000 >/mnt/esp/EFI/$file
done
umount /mnt/esp
for n in 3 4; do yes \"the bytes of partition $n\" | head -c $(blockdev --getsize64 /dev/ubda$n) >/dev/ubda$n || true; done
others() {
    for n in 2 3 4; do sha256sum </dev/ubda$n; done
    sfdisk -d /dev/ubda | grep '^/dev/ubda[1-4] '
    mount -o ro /dev/ubda1 /mnt/esp
    (cd /mnt/esp; find EFI/[A-Za-bd-z]* -type f -exec sha256sum {} + | sort)
    umount /mnt/esp
}
esp() { mount -o ro /dev/ubda1 /mnt/esp; (cd /mnt/esp; find . | sort); umount /mnt/esp; }
sound() {
    fsck.fat -n /dev/ubda1
    sgdisk -v /dev/ubda | tee /run/sound; grep -q 'No problems found' /run/sound
    [ \"$(others)\" = \"$before\" ]
}
before=$(others) files=$(esp)
";

fn shared(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let disk = folder.path().join("disk");
    workbench::disk(&disk, 4 << 30)?;
    let seed = "seed: 5eed5eed-5eed-4eed-8eed-5eed5eed5eed\n";
    let machine = |name: &str, text: &dyn Fn(&str) -> String| hello.edited(&folder.path().join(name), |it| text(&it));
    let plain = machine("plain", &|text| format!("{text}{seed}"))?;
    let systemd = machine("systemd", &|text| {
        format!("{text}{seed}").replace("\nusers:\n", "\nboot: {nvram: true, generations: 2}\nusers:\n")
    })?;
    let script = format!(
        "{OTHERS}
    exits 1 'is another system' $CAIRN install @PLAIN@ --disk /dev/ubda --elsewhere --into free --keep esp=1
    exits 3 'cannot be kept as `esp`' $CAIRN install @SYSTEMD@ --disk /dev/ubda --elsewhere --into free --keep esp=3
    mkfs.ext4 -q /dev/ubda4
    exits 3 'of which the system could be made anew' $CAIRN install @SYSTEMD@ --disk /dev/ubda --elsewhere --into free --keep esp=1 --keep root=4
    before=$(others)
    exits 3 'is mounted at' bash -c 'mount /dev/ubda1 /mnt/esp; $CAIRN install @SYSTEMD@ --disk /dev/ubda --elsewhere --into free --keep esp=1 --receipt /run/r0 --yes-erase 4294967296; rc=$?; umount /mnt/esp; exit $rc'
    # No room: told before anything is written.
    mount /dev/ubda1 /mnt/esp; head -c 85M /dev/zero >/mnt/esp/big; umount /mnt/esp
    exits 3 'type: xbootldr' $CAIRN install @SYSTEMD@ --disk /dev/ubda --elsewhere --into free --keep esp=1
    mount /dev/ubda1 /mnt/esp; rm /mnt/esp/big; umount /mnt/esp
    sound
    # Another system's systemd-boot has its settings there.
    mount /dev/ubda1 /mnt/esp; mkdir /mnt/esp/loader; echo 'default debian*' >/mnt/esp/loader/loader.conf; umount /mnt/esp
    exits 3 'take GRUB' $CAIRN install @SYSTEMD@ --disk /dev/ubda --elsewhere --into free --keep esp=1
    mount /dev/ubda1 /mnt/esp; rm -r /mnt/esp/loader; umount /mnt/esp
    $CAIRN install @SYSTEMD@ --disk /dev/ubda --elsewhere --into free --keep esp=1 --plan /run/plan.json
    $CAIRN install --apply /run/plan.json --receipt /run/r1
    sound
    [ -b /dev/ubda5 ] && [ ! -e /dev/ubda6 ]
    mount -o ro /dev/ubda1 /mnt/esp
    cat /mnt/esp/loader/entries/cairn-*-x-other-debian-*.conf | tee /run/entry; grep -q '^efi /EFI/debian/shimx64.efi' /run/entry
    [ -s /mnt/esp/EFI/cairn-*/systemd-bootx64.efi ] && [ ! -e /mnt/esp/EFI/systemd ]
    umount /mnt/esp
    # It can be undone: what was added goes.
    $CAIRN install --undo /run/r1
    sound
    [ \"$(esp)\" = \"$files\" ]
    # And made anew: the partition stays shared.
    $CAIRN install @SYSTEMD@ --disk /dev/ubda --elsewhere --into free --keep esp=1 --receipt /run/r3 --yes-erase 4294967296
    find /mnt/x -maxdepth 0; mount -o ro /dev/ubda5 /mnt/x
    hardware=$(find /mnt/x/nix/store -maxdepth 4 -name hardware.yaml | head -1); cat $hardware; cp $hardware /run/hardware.yaml
    umount /mnt/x
    grep -q 'esp.*'$(blkid -p -s PART_ENTRY_UUID -o value /dev/ubda1) /run/hardware.yaml
    cp $(dirname @SYSTEMD@)/* /run/; sed -i 's/^version: 1$/version: 1\\nhardware: hardware.yaml/' /run/hello.yaml
    exits 3 'say --yes-erase' $CAIRN install /run/hello.yaml --disk /dev/ubda --elsewhere --into again --receipt /run/r4
    $CAIRN install /run/hello.yaml --disk /dev/ubda --elsewhere --into again --receipt /run/r4 --yes-erase 4294967296
    sound
    "
    );
    let files = [("@PLAIN@", &plain), ("@SYSTEMD@", &systemd)];
    let script = files.iter().fold(script, |text, (name, path)| text.replace(name, &path.display().to_string()));
    let said = workbench::script(cairn, &[&disk], &script)?;
    ensure!(said.contains("menu starts Debian too"), "{said}");
    let mut guest = Guest::start(&Setup::uml(&disk))?;
    for (question, answer) in [
        ("hostname", "hello"),
        ("findmnt -t vfat -no SOURCE", "/dev/ubda1"),
        ("cairn boot check >/dev/null 2>&1 && echo whole", "whole"),
        ("ls /boot/EFI/debian/shimx64.efi", "/boot/EFI/debian/shimx64.efi"),
    ] {
        let said = guest.run(question)?;
        ensure!(said.trim() == answer, "{question}: {said}");
    }
    guest.power_off()?;
    ensure!(fs::metadata(&disk)?.len() == 4 << 30, "the disk has another size");
    Ok(())
}
