//! A disk that was part of something: what was put together of it is taken apart before it is installed on, and nothing of it is ever
//! found again.

use anyhow::{Result, ensure};
use qemu_tests::hello::Hello;
use qemu_tests::{Cairn, Scenario, workbench};

pub const SCENARIO: Scenario = Scenario {
    name: "arrays, volume groups, LUKS and btrfs on a disk are taken apart, and nobody finds them again",
    needs: &[
        "linux.uml",
        "cc",
        "sfdisk",
        "mdadm",
        "lvm",
        "cryptsetup",
        "mkfs.btrfs",
        "wipefs",
        "mmdebstrap",
        "dmsetup",
    ],
    run,
};

const SCRIPT: &str = "
modprobe -a dm-mod dm-crypt raid1
# Nobody here makes nodes for it but itself.
lvm() { command lvm \"$@\" --config 'activation { udev_sync=0 udev_rules=0 } devices { use_devicesfile=0 }'; }
array() { mdadm --create /dev/$1 --run --force --metadata=$2 --level=1 --raid-devices=2 $3 missing </dev/null; }
# All of the disk was half of an array once, of the old kind, which is found by its end.
array md9 0.90 /dev/ubda
mdadm --stop /dev/md9
printf 'start=1MiB, size=300MiB\\nsize=300MiB\\nsize=300MiB\\nsize=300MiB\\n' | sfdisk -q -X gpt /dev/ubda
# A volume group on an array; an array that is found by its end, with a file system; LUKS that is open; btrfs.
array md1 1.2 /dev/ubda1
lvm pvcreate -qy /dev/md1; lvm vgcreate -q old /dev/md1; lvm lvcreate -qy -n root -L 100M old
array md2 1.0 /dev/ubda2
mkfs.ext4 -q /dev/md2
echo secret | cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file=- /dev/ubda3
echo secret | cryptsetup open --key-file=- /dev/ubda3 secret
mkfs.btrfs -qf /dev/ubda4
$CAIRN disks
# What is in use is named, and nothing is taken apart for it.
mkdir /mnt/x; mount /dev/md2 /mnt/x
exits 3 'md2 is mounted at /mnt/x' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase BYTES --receipt /run/r0
[ -b /dev/md1 ] && [ -e /sys/block/dm-1 ]
umount /mnt/x
# Nor for one whose tool is missing.
: >/run/nothing; mount --bind /run/nothing /usr/sbin/mdadm
exits 1 'mdadm' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase BYTES --receipt /run/r0
umount /usr/sbin/mdadm
[ -b /dev/md1 ] && [ -e /sys/block/dm-1 ] && [ ! -e /run/r0 ]
$CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase BYTES --receipt /run/r1
! grep -q ^md /proc/mdstat
! ls /sys/block | grep -q '^dm-'
kinds() { wipefs -n --noheadings -O TYPE \"$1\" | sort -u | tr '\\n' ' '; }
[ \"$(kinds /dev/ubda1)\" = 'vfat ' ] && [ \"$(kinds /dev/ubda2)\" = 'ext4 ' ]
[ \"$(kinds /dev/ubda)\" = 'PMBR gpt ' ]
for node in /dev/ubda /dev/ubda1 /dev/ubda2; do
    mdadm --examine $node >/run/found 2>&1 || true
    ! grep -q a92b4efc /run/found
done
mdadm --assemble --scan || true
! grep -q ^md /proc/mdstat
[ -z \"$(lvm pvs -q --noheadings)\" ]
# Where partitions were before nothing is left either.
for at in 301 601 901; do ! blkid -p --offset $((at << 20)) --size $((300 << 20)) /dev/ubda; done
";

fn run(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let (file, disk, bytes) = (hello.small(&folder.path().join("machine"))?, folder.path().join("disk"), 2_u64 << 30);
    workbench::disk(&disk, bytes)?;
    let script = SCRIPT.replace("MACHINE", &file.display().to_string()).replace("BYTES", &bytes.to_string());
    let said = workbench::script(cairn, &[&disk], &script)?;
    for name in ["secret", "md2", "old-root", "md1"] {
        ensure!(said.contains(&format!("note: {name}")), "{name} is taken apart, and nobody says so:\n{said}");
    }
    Ok(())
}
