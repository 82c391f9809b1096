//! `cairn install` onto disks that exist: all of one, a machine made anew with its data kept, beside another system.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use qemu_tests::generations::{self, File, GRUB_GPT};
use qemu_tests::hello::Hello;
use qemu_tests::scenario::{QEMU, UML};
use qemu_tests::{Cairn, Guest, Scenario, Setup, workbench};

pub const WHOLE: Scenario =
    Scenario { name: "a machine is installed onto a whole disk, twice, and boots", needs: UML, run: whole };
pub const AGAIN: Scenario =
    Scenario { name: "a machine is made anew on its disk, and its data stay", needs: UML, run: again };
pub const RENEWED: Scenario = Scenario {
    name: "a machine is made anew in the root that it has, and all else in it stays",
    needs: UML,
    run: renewed,
};
pub const BESIDE: Scenario = Scenario {
    name: "a machine is installed beside another system, of which no byte changes",
    needs: UML,
    run: beside,
};

pub const UNATTENDED: Scenario = Scenario {
    name: "a machine is installed without anybody being asked, or nothing happens",
    needs: UML,
    run: unattended,
};

pub const REHEARSED: Scenario =
    Scenario { name: "an installation is rehearsed on a twin of a disk that is not here", needs: QEMU, run: rehearsed };

pub const REHEARSED_RECORDED: Scenario = Scenario {
    name: "an installation is rehearsed on a disk that a hardware file has, beside somebody else, with GRUB under BIOS",
    needs: QEMU,
    run: rehearsed_recorded,
};

const GIB: u64 = 1 << 30;

/// Disks for a test, the last one a canary: nobody has any business on it.
struct Disks {
    folder: tempfile::TempDir,
    canary: Vec<u8>,
}

impl Disks {
    fn new(cairn: &Cairn, bytes: u64) -> Result<Disks> {
        let folder = tempfile::tempdir_in(&cairn.work)?;
        let canary: Vec<u8> = (0..2_u32 << 20).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        let disks = Disks { folder, canary };
        workbench::disk(&disks.path("disk"), bytes)?;
        fs::write(disks.path("canary"), &disks.canary)?;
        Ok(disks)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, cairn: &Cairn, file: &Path, script: &str) -> Result<String> {
        let script = script.replace("MACHINE", &file.display().to_string());
        let said = workbench::script(cairn, &[&self.path("disk"), &self.path("canary")], &script)?;
        ensure!(fs::read(self.path("canary"))? == self.canary, "the other disk was written to:\n{said}");
        Ok(said)
    }

    /// Boots what was installed, and asks it.
    fn boots(&self, ask: &[(&str, &str)]) -> Result<()> {
        let mut guest = Guest::start(&Setup::uml(&self.path("disk")))?;
        for (question, answer) in ask {
            let said = guest.run(question)?;
            ensure!(said.trim() == *answer, "{question}: {said}");
        }
        guest.power_off()
    }
}

/// A machine file with a home of its own.
fn with_home(hello: &Hello, folder: &Path) -> Result<PathBuf> {
    let layout = "    layout: uefi        # an EFI system partition, and a root that grows to the end of the disk\n";
    let partitions = "    partitions: [{type: esp}, {type: root, size_min: 1500M, weight: 1}, {type: home, size_min: 500M, weight: 1}]\n";
    let file = hello.edited(folder, |text| text.replace(layout, partitions))?;
    ensure!(fs::read_to_string(&file)?.contains("type: home"), "the example has another layout");
    Ok(file)
}

const SAFE: &str = "
# What is wrong is found before anything is written.
sum() { sha256sum < /dev/ubda; }
clean=$(sum)
exits 3 'nothing was written' $CAIRN install MACHINE --disk /dev/ubda --elsewhere
exits 3 'does not name ubda' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase ubda --receipt /run/r0
exits 3 'no disk is like that' $CAIRN install MACHINE --disk serial=nothing --elsewhere
exits 1 'not started by UEFI' $CAIRN install MACHINE --disk /dev/ubda --yes-erase 2147483648
$CAIRN install MACHINE --disk /dev/ubda --elsewhere --plan /run/plan.json
[ \"$(sum)\" = \"$clean\" ]
# It is no longer what it was.
printf x | dd of=/dev/ubda bs=1 seek=2147483000 conv=notrunc status=none
exits 3 'no longer as it was' $CAIRN install --apply /run/plan.json --receipt /run/r2
printf '\\0' | dd of=/dev/ubda bs=1 seek=2147483000 conv=notrunc status=none
[ \"$(sum)\" = \"$clean\" ]
# On an empty disk nothing is lost, so the plan alone says enough.
$CAIRN install --apply /run/plan.json --receipt /run/r3
";

/// Checked by somebody else's programs.
const SOUND: &str = "
sgdisk -v /dev/ubda | tee /run/sound; grep -q 'No problems found' /run/sound
fsck.fat -n /dev/ubda1; e2fsck -fn /dev/ubda2
[ \"$(blkid -s TYPE -o value -p /dev/ubda1)\" = vfat ]
[ \"$(blkid -s TYPE -o value -p /dev/ubda2)\" = ext4 ]
";

fn whole(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let disks = Disks::new(cairn, 2 * GIB)?;
    let twice = "
    # Once more, over what is there: what is lost is told, and has to be allowed.
    exits 3 'partition 2' $CAIRN install MACHINE --disk /dev/ubda --elsewhere
    mkdir /mnt/x; mount /dev/ubda2 /mnt/x
    mkdir -p /mnt/x/home/somebody
    exits 3 'is mounted at /mnt/x' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase 2147483648
    [ -s /mnt/x/var/log/cairn/install-plan.json ]
    umount /mnt/x
    exits 3 '/home is a folder of partition 2, and goes with it: somebody' $CAIRN install MACHINE --disk /dev/ubda --elsewhere
    exits 3 'is there already' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase 2147483648 --receipt /run/r3
    $CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase 2147483648 --receipt /run/r4
    exits 3 'cannot be brought back' $CAIRN install --undo /run/r4
    ";
    disks.run(cairn, &hello.file, &format!("{SAFE}{SOUND}{twice}{SOUND}"))?;
    disks.boots(&[
        ("hostname", "hello"),
        ("grep -c 'clearing what would be found' /var/log/cairn/install.log", "1"),
        ("cat /etc/hello", "Hello. This machine was made from one file."),
    ])
}

fn again(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let disks = Disks::new(cairn, 3 * GIB)?;
    let file = with_home(&hello, &disks.path("home"))?;
    let script = "
    # A tool that is missing is told before anything is written.
    : >/run/nothing; mount --bind /run/nothing /usr/sbin/resize2fs
    exits 1 'e2fsprogs' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase 3221225472 --receipt /run/r1
    umount /usr/sbin/resize2fs
    [ ! -e /run/r1 ] && ! sfdisk -d /dev/ubda
    $CAIRN install MACHINE --disk /dev/ubda --elsewhere --yes-erase 3221225472 --receipt /run/r1
    mkdir /mnt/x
    mount /dev/ubda3 /mnt/x; mkdir /mnt/x/somebody; echo precious > /mnt/x/somebody/file; umount /mnt/x
    home=$(sha256sum < /dev/ubda3) id=$(blkid -p -s PART_ENTRY_UUID -o value /dev/ubda3)
    # The file systems are as large as their partitions, though none of them grows when the machine boots.
    for n in 2 3; do
        blocks=$(dumpe2fs -h /dev/ubda$n 2>/dev/null | awk '/^Block count/ {print $3}')
        [ $((blocks * 4096 + (1 << 27))) -gt $(blockdev --getsize64 /dev/ubda$n) ]
    done
    $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into again --plan /run/plan.json
    exits 3 'say --yes-erase' $CAIRN install --apply /run/plan.json --receipt /run/r2
    $CAIRN install --apply /run/plan.json --receipt /run/r2 --yes-erase 3221225472
    [ \"$(sha256sum < /dev/ubda3)\" = \"$home\" ]
    [ \"$(blkid -p -s PART_ENTRY_UUID -o value /dev/ubda3)\" = \"$id\" ]
    # The machine has another seed now, and finds its home all the same.
    mount -o ro /dev/ubda2 /mnt/x
    find /mnt/x/nix/store -maxdepth 4 -name hardware.yaml -exec grep -q \"home.*$id\" {} + -print | grep -q hardware.yaml
    umount /mnt/x
    ";
    disks.run(cairn, &file, &format!("{script}{SOUND}"))?;
    disks.boots(&[("cat /home/somebody/file", "precious"), ("findmnt -no FSTYPE /home", "ext4")])
}

/// A machine whose /home and /var are folders of its root.
fn renewed(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let disks = Disks::new(cairn, 3 * GIB)?;
    let file = hello.edited(&disks.path("renewed"), |text| text.replace("hostname: hello", "hostname: renewed"))?;
    ensure!(fs::read_to_string(&file)?.contains("hostname: renewed"), "the example has another name");
    let script = "
    $CAIRN install FIRST --disk /dev/ubda --elsewhere --yes-erase 3221225472 --receipt /run/r1
    # As at its first start.
    e2fsck -fp /dev/ubda2; resize2fs /dev/ubda2
    mkdir /mnt/x; mount /dev/ubda2 /mnt/x
    exits 3 'is mounted at' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into renew --yes-erase 3221225472 --receipt /run/r0
    mkdir -p /mnt/x/home/somebody /mnt/x/var/lib/own /mnt/x/data /mnt/x/.nix.new/of/an/earlier/one
    echo precious >/mnt/x/home/somebody/file; echo state >/mnt/x/var/lib/own/state; echo mine >/mnt/x/data/file
    chown 1234:5678 /mnt/x/home/somebody/file
    mkdir -p /mnt/x/var/lib/cairn/etc/upper/cairn; echo 'hostname: edited' >/mnt/x/var/lib/cairn/etc/upper/cairn/machine.yaml
    old=$(readlink -f /mnt/x/nix/var/nix/profiles/system | sed s,/mnt/x,,); ls -d /mnt/x/nix/store/*hello*
    umount /mnt/x
    id=$(blkid -p -s UUID -o value /dev/ubda2) part=$(blkid -p -s PART_ENTRY_UUID -o value /dev/ubda2)
    exits 3 'into renew` makes the system in partition 2 anew' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into again
    exits 3 'say --yes-erase' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into renew
    # No room for two: nothing is written.
    mount /dev/ubda2 /mnt/x; fallocate -l 2300M /mnt/x/home/big; umount /mnt/x
    esp=$(sha256sum </dev/ubda1)
    exits 3 'beside the old one' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into renew --yes-erase 3221225472 --receipt /run/r2
    [ \"$(sha256sum </dev/ubda1)\" = \"$esp\" ]
    mount /dev/ubda2 /mnt/x; rm /mnt/x/home/big; umount /mnt/x
    # Wherever it is ended, nothing of what people have is touched, and the next one goes on.
    kept() {
        mount /dev/ubda2 /mnt/x
        [ \"$(cat /mnt/x/home/somebody/file /mnt/x/var/lib/own/state /mnt/x/data/file | tr '\\n' ' ')\" = 'precious state mine ' ]
        umount /mnt/x
    }
    for call in CALLS; do
        echo \"== killed at $call\"
        ended=0
        strace -f -qq -o /dev/null -e trace=${call%:*} -e inject=${call%:*}:signal=KILL:when=${call#*:} \\
            $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into renew --yes-erase 3221225472 --receipt /run/$call || ended=$?
        [ $ended = 137 ]
        kept
    done
    $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into renew --yes-erase 3221225472 --receipt /run/r3
    e2fsck -fn /dev/ubda2; fsck.fat -n /dev/ubda1
    sgdisk -v /dev/ubda | tee /run/sound; grep -q 'No problems found' /run/sound
    [ $(blkid -p -s UUID -o value /dev/ubda2) = $id ] && [ $(blkid -p -s PART_ENTRY_UUID -o value /dev/ubda2) = $part ]
    mount -o ro /dev/ubda2 /mnt/x
    [ \"$(stat -c %u:%g /mnt/x/home/somebody/file)\" = 1234:5678 ]
    [ ! -e /mnt/x/.nix.new ] && [ \"$(ls /mnt/x/nix/var/nix/profiles | wc -l)\" = 2 ]
    ! ls -d /mnt/x/nix/store/*-cairn-system-hello 2>/dev/null
    stat -c %Y /mnt/x/nix/store/* | sort -u | tee /run/times; [ \"$(cat /run/times)\" = 1 ]
    umount /mnt/x
    ";
    let calls = if std::env::var_os("CAIRN_WHOLE_TABLE").is_some() {
        "symlinkat:200 linkat:20 syncfs:1 renameat2:1 syncfs:2 unlinkat:500"
    } else {
        "renameat2:1"
    };
    let script = script.replace("FIRST", &hello.file.display().to_string()).replace("CALLS", calls);
    disks.run(cairn, &file, &script)?;
    disks.boots(&[
        ("hostname", "renewed"),
        ("cat /home/somebody/file /var/lib/own/state /data/file", "precious\nstate\nmine"),
        ("cairn boot check >/dev/null 2>&1 && echo whole", "whole"),
        ("grep ^hostname: /etc/cairn/machine.yaml /etc/cairn.old/machine.yaml", OLD_AND_NEW),
        ("cairn generations --json | grep -c '\"number\"'", "1"),
    ])
}

const OLD_AND_NEW: &str = "/etc/cairn/machine.yaml:hostname: renewed\n/etc/cairn.old/machine.yaml:hostname: edited";

fn beside(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let disks = Disks::new(cairn, 4 * GIB)?;
    let script = "
    # As Windows lays out a disk: numbers in order, the recovery partition at the end, an attribute, nothing aligned by us.
    sfdisk -q /dev/ubda <<EOF
label: gpt
start=2048, size=204800, type=c12a7328-f81f-11d2-ba4b-00a0c93ec93b, name=\"EFI system partition\"
start=206848, size=32768, type=e3c9e316-0b5c-4db8-817d-f92df00215ae, name=\"Microsoft reserved partition\", attrs=\"GUID:63\"
start=239616, size=400001, type=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7, name=\"Basic data partition\"
start=7000000, size=700000, type=de94bba4-06d1-4d40-a16a-bfd50179d6ac, attrs=\"RequiredPartition GUID:63\"
EOF
    for n in 1 2 3 4; do
        yes \"the bytes of partition $n\" | head -c $(blockdev --getsize64 /dev/ubda$n) >/dev/ubda$n || true
    done
    theirs() { for n in 1 2 3 4; do sha256sum </dev/ubda$n; done; sfdisk -d /dev/ubda | grep '^/dev/ubda[1-4] '; }
    before=$(theirs) table=$(sfdisk -d /dev/ubda)
    exits 3 'more than there are' $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into free --replace root=4
    mkdir /mnt/x
    $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into free --plan /run/plan.json
    $CAIRN install --apply /run/plan.json --receipt /run/r1
    [ \"$(theirs)\" = \"$before\" ]
    [ -b /dev/ubda5 ] && [ -b /dev/ubda6 ]
    fsck.fat -n /dev/ubda5; e2fsck -fn /dev/ubda6
    sgdisk -v /dev/ubda | tee /run/sound; grep -q 'No problems found' /run/sound
    # It can be undone, and done again.
    $CAIRN install --undo /run/r1
    [ \"$(theirs)\" = \"$before\" ] && [ \"$(sfdisk -d /dev/ubda)\" = \"$table\" ]
    exits 3 'has been undone already' $CAIRN install --undo /run/r1
    $CAIRN install MACHINE --disk /dev/ubda --elsewhere --into free --yes-erase 4294967296 --receipt /run/r2
    [ \"$(theirs)\" = \"$before\" ]
    # What has changed since is not undone.
    sfdisk -q --part-label /dev/ubda 5 other
    exits 3 'has changed since' $CAIRN install --undo /run/r2
    sfdisk -q --part-label /dev/ubda 5 esp
    # A machine of the same seed cannot be there twice; one with another seed can.
    sgdisk -v /dev/ubda | tee /run/sound; grep -q 'No problems found' /run/sound
    ";
    let said = disks.run(cairn, &hello.file, script)?;
    ensure!(said.contains("nothing that is there is lost"), "{said}");
    Ok(())
}

/// Instructions in a file, on a stick that is labelled for it, and in a credential.
fn unattended(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let disks = Disks::new(cairn, 2 * GIB)?;
    workbench::disk(&disks.path("stick"), 64 << 20)?;
    let machine = hello.edited(&disks.path("files"), |text| text)?;
    let script = "
    files=$(dirname MACHINE)
    clean=$(sha256sum </dev/ubda)
    exits 3 'there are no instructions' $CAIRN install --unattended
    exits 2 'say which disk' $CAIRN install MACHINE --elsewhere
    cp -r $files /run/files
    # A key that nobody knows, a disk that is not singled out, contents that nobody gave away: nothing is written.
    echo 'install: {disk: only, eraze: x}' | cat MACHINE - > /run/files/odd.yaml; cp $files/hello.lock /run/files/odd.lock
    exits 1 'did you mean `erase`' $CAIRN install /run/files/odd.yaml --elsewhere
    echo 'install: {disk: \"size=1M..1T\"}' | cat MACHINE - > /run/files/odd.yaml
    exits 3 'disks are like that' $CAIRN install /run/files/odd.yaml --elsewhere
    [ \"$(sha256sum </dev/ubda)\" = \"$clean\" ]
    # A stick.
    mkfs.vfat -n CAIRN /dev/ubdc >/dev/null
    exits 3 'neither install.yaml nor machine.yaml' $CAIRN install --unattended --elsewhere
    mcopy -i /dev/ubdc /run/files/hello.yaml /run/files/hello.lock /run/files/hello.password ::
    printf 'version: 1\\nmachine: hello.yaml\\ninstall: {disk: \"size=2G..3G\"}\\n' | mcopy -i /dev/ubdc - ::install.yaml
    $CAIRN install --unattended --elsewhere --progress /run/lines --receipt /run/r1
    [ \"$(blkid -p -s TYPE -o value /dev/ubda2)\" = ext4 ]
    grep -q '\"event\":\"phase\"' /run/lines && tail -1 /run/lines | grep -q '\"ok\":true'
    # The same again would lose what is there, and nobody said that it may be lost.
    exits 3 'erase: 2147483648' $CAIRN install --unattended --elsewhere --receipt /run/r2
    tail -1 /run/lines
    # What systemd hands over goes first.
    mkdir -p /run/credentials/@system
    printf 'version: 1\\nmachine: %s\\ninstall: {disk: \"size=2G..3G\", erase: \"2147483648\"}\\n' MACHINE > /run/credentials/@system/cairn.install
    $CAIRN install --unattended --elsewhere --receipt /run/r2
    ";
    let script = script.replace("MACHINE", &machine.display().to_string());
    let all = [disks.path("disk"), disks.path("canary"), disks.path("stick")];
    let said = workbench::script(cairn, &all.each_ref().map(PathBuf::as_path), &script)?;
    ensure!(fs::read(disks.path("canary"))? == disks.canary, "the other disk was written to:\n{said}");
    Ok(())
}

/// A twin with sectors of 4096 bytes, which is started alone and once more; and ones that nothing would start.
fn rehearsed(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let bios = hello.edited(&folder.path().join("bios"), |text| {
        text.replace("layout: uefi", "layout: bios").replace("\nusers:\n", "\nboot: {loader: grub}\nusers:\n")
    })?;
    fs::remove_file(bios.with_extension("lock"))?;
    let twin = folder.path().join("twin.raw");
    let refused = cairn.cmd(["rehearse", "--size", "4G", "--sector-size", "4096"]).arg(&bios).run()?;
    refused.must(1)?.says("from which no BIOS boots: use a layout with UEFI")?;
    cairn
        .cmd(["rehearse", "--size", "1G"])
        .arg(&hello.file)
        .run()?
        .must(3)?
        .says("are missing. Choose a larger one")?;
    let done = cairn.cmd(["rehearse", "--size", "5G", "--sector-size", "4096", "-o"]).arg(&twin).arg(&hello.file);
    let done = done.deadline(std::time::Duration::from_mins(12)).run()?;
    done.must(0)?;
    ensure!(
        done.stdout.contains("root fills the disk") && done.stdout.contains("another order of the disks"),
        "{done}"
    );
    ensure!(fs::metadata(&twin)?.len() == 5 * GIB, "the twin has another size");
    Ok(())
}

/// A computer with a BIOS and two disks, on one of which somebody has a partition.
const RECORDED: &str = "version: 1
firmware: bios
initrd_modules: [virtio_pci, virtio_blk]
disks:
  - {name: vda, serial: \"FIRST\", transport: virtio, drivers: [virtio_blk, virtio_pci], bytes: 6442450944, sector_size: 512,
     table: {kind: gpt, id: \"0b7c2f7e-2d9c-4ad3-8a0f-52ff1b2b8e7d\", first_lba: 34, last_lba: 12582878, entries: 128},
     partitions: [{number: 3, start: 2048, size: 2097152, type: \"0fc63daf-8483-4772-8e79-3d69d8477de4\", name: \"theirs\",
                   uuid: \"7c0ba8f3-5a0a-4a8f-9d3a-1f6b4f5a2f10\", signature: {type: ext4, usage: filesystem, label: theirs}},
                  {number: 5, start: 2099200, size: 204800, type: \"e6d6d379-f507-44c2-a23c-238f2a3df928\",
                   uuid: \"7c0ba8f3-5a0a-4a8f-9d3a-1f6b4f5a2f11\", signature: {type: zfs_member}}]}
  - {name: vdb, serial: \"SECOND\", transport: virtio, drivers: [virtio_blk, virtio_pci], bytes: 6442450944, sector_size: 512}
";

fn rehearsed_recorded(cairn: &Cairn) -> Result<()> {
    let hello = Hello::get(cairn)?;
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let hardware = folder.path().join("recorded.yaml");
    fs::write(&hardware, RECORDED)?;
    generations::disk(cairn, GRUB_GPT, &File::named("rehearsed"), folder.path())?;
    let file = folder.path().join("new.yaml");
    // A rehearsal looks at the network, too.
    let text = fs::read_to_string(&file)?.replace("systemd-networkd, systemd-networkd.socket, ", "");
    fs::write(&file, text + "\ninstall: {disk: \"serial=FIRST\", into: free}\n")?;
    let rehearse = |more: &[&str]| cairn.cmd(["rehearse"]).arg(&file).arg("--hardware").arg(&hardware).args(more);
    // What starts that computer would not start the machine; a disk that is not there.
    cairn
        .cmd(["rehearse", "--disk", "serial=FIRST", "--hardware"])
        .args([&hardware, &hello.file])
        .run()?
        .must(1)?
        .says("that computer is not started by UEFI")?;
    rehearse(&["--disk", "serial=THIRD"]).run()?.must(3)?.says("SECOND")?;
    let done = rehearse(&[]).deadline(std::time::Duration::from_mins(15)).run()?;
    done.must(0)?;
    for tick in ["partition 3 stays", "partition 5 stays", "another order of the disks"] {
        ensure!(done.stdout.contains(tick), "no tick for {tick}: {done}");
    }
    done.says("zfs_member cannot be made here").map(drop)
}
