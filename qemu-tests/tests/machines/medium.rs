//! The root of an installation medium, as the initrd's helper finds and mounts it: by a real kernel's dm-verity, loop devices, squashfs
//! and overlays. The medium is a small one that other people's programs have made; an initrd around the helper is a folder.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use qemu_tests::{Cairn, Cmd, Scenario, workbench};

pub const SCENARIO: Scenario = Scenario {
    name: "a medium is found on a device or in a file, checked, copied into memory, and its damage told",
    needs: &[
        "linux.uml",
        "cc",
        "mksquashfs",
        "veritysetup",
        "mkfs.ext4",
        "mkfs.vfat",
        "mkfs.xfs",
        "dmsetup",
        "losetup",
    ],
    run,
};

/// Where the pieces of a medium are.
const TAG: u64 = 61_440;
const PAYLOAD: u64 = 1 << 20;
const SPARE: u64 = 64 << 10;
const BLOCK: u64 = 4096;
/// A file that nothing reads at boot, of bytes that do not compress.
const BIG: usize = 8 << 20;

/// `boot WORDS` starts the helper as an initrd's first process does, `leave` unmounts everything again.
const BEGIN: &str = r#"
modprobe -a loop squashfs dm-mod dm-verity overlay vfat nls_cp437 nls_ascii nls_iso8859-1 nls_utf8
top=/mnt/initrd
mkdir $top
mount -t tmpfs initrd $top
mkdir -p $top/{usr,proc,dev,sys,run,sysroot,tmp,etc}
for at in usr dev sys; do mount --rbind /$at $top/$at; done
mount -t proc proc $top/proc
for at in bin sbin lib lib64; do ln -s usr/$at $top/$at; done
cp HELPER $top/helper
cp /proc/meminfo $top/meminfo
: >$top/cmdline
mount --bind $top/cmdline $top/proc/cmdline
boot() {
    mount -t tmpfs run $top/run
    echo "init=/nix/store/s-system/init $*" >$top/cmdline
    ended=0
    chroot $top /helper root >/run/said 2>&1 </dev/null || ended=$?
    echo "== $*: $ended"
    cat /run/said
}
said() { grep -qF "$*" /run/said || { echo "it does not say: $*"; return 1; }; }
# `set -e` does not look at what `!` makes of a command.
not() { if "$@" >/run/not 2>&1; then echo "this went well: $*"; return 1; fi; }
leave() {
    umount -R $top/sysroot || true
    umount $top/run/cairn/special $top/run/cairn/medium/payload || true
    dmsetup remove cairn-medium || true
    losetup -D
    umount -R $top/run
}
# The root is whole, and nothing of it can be written to that must not be.
whole() {
    [ $ended = 0 ]
    root=$top/sysroot
    grep -q elf $root/usr/bin/sudo
    [ "$(stat -c %a $root/usr/bin/sudo)" = 4755 ]
    [ "$(cat $root/etc/hostname)" = live ]
    [ "$(findmnt -no FSTYPE $root)" = tmpfs ]
    [ "$(stat -c %a $root)" = 755 ]
    not touch $root/nix/store/x
    touch $root/var/lib/x $root/etc/x
    # The installer's cache has the payload's store, and room for more.
    [ -L $root/var/cache/cairn/nix/store/s-system/init ]
    echo more >$root/var/cache/cairn/nix/store/more
    [ ! -e $top/run/cairn/medium/payload/nix/store/more ]
    [ "$(cat $root/var/lib/cairn/medium/upper/nix/store/more)" = more ]
    cat $top/run/cairn/medium/where
}
where() { grep -qxF "$*" $top/run/cairn/medium/where; }
"#;

const TEXT: &str = r#"
# On a device, as it is; of two copies the first one. Somebody else's medium is another one.
boot cairn.medium=ONE cairn.trial
whole
where 'device /dev/ubda'; where 'ram no'; where 'root-hash ONE'; where 'spare SPARE_ONE'
dd if=/dev/ubda bs=512 skip=$((SPARE_AT / 512)) count=1 status=none | grep -q 'room for answers'
cmp $top/sysroot/nix/store/b-base/usr/share/big BIG
dmsetup status cairn-medium | grep -q ' V$'
[ -L /dev/mapper/cairn-medium ]
leave

# Checked: somebody has to press Enter, and this can be done on any console.
mkfifo /run/keys
mount --bind /run/keys $top/dev/console
echo console >/run/active
mount --bind /run/active $top/sys/class/tty/console/active
echo >/run/keys &
boot cairn.medium=ONE cairn.check
wait
said '40 % checked'; said '100 % checked'; said 'the medium is whole'
whole
leave

# In memory, where there is room for it.
echo >/run/keys &
boot cairn.medium=ONE cairn.toram cairn.check
wait
said '100 % copied into memory'; said 'the medium is whole'
whole
where 'device /dev/ubda'; where 'ram yes'
losetup -l | grep /run/cairn/medium/ram/payload
leave
sed -i 's/^MemAvailable:.*/MemAvailable: 300000 kB/' $top/meminfo
mount --bind $top/meminfo $top/proc/meminfo
boot cairn.medium=ONE cairn.toram
said 'the medium is not copied into memory: that takes'; said 'and 292 MiB are free'
whole
where 'ram no'
leave
umount $top/proc/meminfo

# A byte of a file that nothing reads at boot is another one: the boot goes well, the byte is given to nobody.
boot cairn.medium=TWO
whole
not cat $top/sysroot/nix/store/b-base/usr/share/big
dmsetup status cairn-medium | grep -q ' C$'
leave
boot cairn.medium=TWO cairn.check
[ $ended = 1 ]
said 'is not as it was written, at byte DAMAGE of'; said 'the medium, /dev/ubdb, is damaged.'; said 'write it again'
not said 'Press Enter'
# Once more, for whoever sees only the end of the screen.
not chroot $top /helper assemble
grep -q 'write it again' /run/not
leave
# The same in memory; and one whose first block is another one.
boot cairn.medium=TWO cairn.toram cairn.check
[ $ended = 1 ]; said 'at byte DAMAGE of'; said 'is damaged'
leave
boot cairn.medium=THREE
[ $ended = 1 ]; said "mounting the medium's file system"; said 'the medium, /dev/ubdc, is damaged.'
leave
boot cairn.medium=ONExx
[ $ended = 1 ]; said 'must be the 64 digits of a root hash'
umount $top/run

# In a file, by either word, on several kinds of file systems; links in there lead to nothing outside.
files() {
    mount "$1" /mnt/files
    mkdir -p /mnt/files/isos
    cp FOUR /mnt/files/isos/live.iso
    if [ -n "$2" ]; then ln -s /isos/live.iso /mnt/files/link.iso; fi
    umount /mnt/files
}
mkdir /mnt/files
mkfs.vfat -F 32 /dev/ubdd >/dev/null
files /dev/ubdd ""
boot cairn.medium=FOURTH findiso=/isos/live.iso
whole
where 'device /run/cairn/medium/host/isos/live.iso'
leave
for kind in ext4 xfs; do
    wipefs -qa /dev/ubdd
    mkfs.$kind -q /dev/ubdd
    files /dev/ubdd link
    sync
    before=$(sha256sum </dev/ubdd)
    boot cairn.medium=FOURTH iso-scan/filename=/link.iso cairn.toram
    whole
    where 'device /run/cairn/medium/host/isos/live.iso'; where 'ram yes'
    leave
    [ "$(sha256sum </dev/ubdd)" = "$before" ]
done

# It is not there, and that is told after a minute; then it is plugged in, and the boot goes on.
cp FOUR /run/stick
( sleep 75; wipefs -qa /dev/ubdd; dd if=FOUR of=/dev/ubdd bs=1M status=none ) &
boot cairn.medium=FOURTH findiso=/nothing.iso
whole
said 'a slow drive needs up to a minute'
said "the installation medium ($(echo FOURTH | head -c 12)"
said 'These can be seen:'; said '  /dev/ubda ('; said 'it is another medium of Cairn ('; said 'it is no medium of Cairn'
said 'in the file /nothing.iso'; said 'or into another port'
where 'device /dev/ubdd'
leave
"#;

fn run(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let at = |name: &str| folder.path().join(name);
    let mut hashes = Vec::new();
    for name in ["one", "two", "three", "four"] {
        hashes.push(medium(&at(name), name)?);
    }
    // The first one has its big file as it was.
    let big = at("one.tree/nix/store/b-base/usr/share/big");
    let damage = PAYLOAD + (2 << 20) + 77;
    flip(&at("two"), damage)?;
    flip(&at("three"), PAYLOAD + 8)?;
    workbench::disk(&at("files"), 512 << 20)?;
    let helper = helper(cairn)?;
    let spare = spare_of(&at("one"))?;
    let text = format!("{BEGIN}{TEXT}")
        .replace("HELPER", &helper.display().to_string())
        .replace("SPARE_ONE", &format!("{spare} {SPARE}"))
        .replace("SPARE_AT", &spare.to_string())
        .replace("DAMAGE", &(damage / BLOCK * BLOCK).to_string())
        .replace("FOURTH", &hashes[3])
        .replace("ONE", &hashes[0])
        .replace("TWO", &hashes[1])
        .replace("THREE", &hashes[2])
        .replace("FOUR", &at("four").display().to_string())
        .replace("BIG", &big.display().to_string());
    let disks = ["one", "two", "three", "files"].map(at);
    let disks: Vec<&Path> = disks.iter().map(PathBuf::as_path).collect();
    println!("{}", workbench::script_with("1G", cairn, &disks, &text)?);
    Ok(())
}

/// The helper that the built command puts into initrds.
fn helper(cairn: &Cairn) -> Result<PathBuf> {
    let target = cairn.command.ancestors().nth(2).context("the command is in no target folder")?;
    let helper = target.join("stage1/x86_64-unknown-linux-gnu/release/cairn-stage1");
    ensure!(helper.is_file(), "{} is not there: it is made when the command is built", helper.display());
    Ok(helper)
}

/// Makes a medium of a small system, and gives its root hash.
fn medium(path: &Path, name: &str) -> Result<String> {
    let tree = path.with_extension("tree");
    system(&tree, name)?;
    let [payload, hashes, root] = ["payload", "hashes", "root"].map(|end| path.with_extension(end));
    Cmd::new("mksquashfs")
        .arg(&tree)
        .arg(&payload)
        .args(["-quiet", "-no-progress", "-comp", "zstd", "-all-root"])
        .ok()?;
    let length = fs::metadata(&payload)?.len().next_multiple_of(BLOCK);
    File::options().write(true).open(&payload)?.set_len(length)?;
    Cmd::new("veritysetup")
        .args(["format", "--no-superblock", "--hash=sha256", "--salt=-"])
        .args(["--data-block-size=4096", "--hash-block-size=4096"])
        .arg(format!("--root-hash-file={}", root.display()))
        .arg(&payload)
        .arg(&hashes)
        .ok()?;
    let root = fs::read_to_string(root)?.trim().to_string();
    let (payload, hashes) = (fs::read(payload)?, fs::read(hashes)?);
    let behind = PAYLOAD + length;
    let spare = behind + hashes.len() as u64;
    let medium = File::create(path)?;
    let tag = format!(
        "CAIRN MEDIUM 1\nroot-hash {root}\npayload {PAYLOAD} {length}\nhashes {behind} {}\nspare {spare} {SPARE}\n",
        hashes.len()
    );
    medium.write_all_at(tag.as_bytes(), TAG)?;
    medium.write_all_at(&payload, PAYLOAD)?;
    medium.write_all_at(&hashes, behind)?;
    medium.write_all_at(b"room for answers\n", spare)?;
    medium.set_len(spare + SPARE)?;
    Ok(root)
}

/// Where a medium's spare file system begins: it is the last thing on it.
fn spare_of(medium: &Path) -> Result<u64> {
    Ok(fs::metadata(medium)?.len() - SPARE)
}

/// The parts of a system that the helper reads.
fn system(tree: &Path, name: &str) -> Result<()> {
    let store = tree.join("nix/store");
    let put = |path: &str, bytes: &[u8], mode| -> Result<()> {
        let path = store.join(path);
        fs::create_dir_all(path.parent().context("no folder")?)?;
        fs::write(&path, bytes)?;
        Ok(fs::set_permissions(path, fs::Permissions::from_mode(mode))?)
    };
    put("b-base/usr/bin/sudo", b"\x7fELF, an elf", 0o555)?;
    put("b-base/usr/lib/systemd/systemd", b"\x7fELF", 0o555)?;
    put("b-base/usr/share/big", &noise(name), 0o444)?;
    put("b-base/usr/local/share/x", b"x", 0o444)?;
    put("b-base/var/lib/dpkg/status", b"status", 0o444)?;
    put("e-etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n", 0o444)?;
    put("e-etc/group", b"root:x:0:\nshadow:x:42:\n", 0o444)?;
    put("e-etc/shadow", b"root:*:20000:0:99999:7:::\n", 0o444)?;
    put("e-etc/gshadow", b"root:*::\n", 0o444)?;
    put("e-etc/fstab", b"# nothing\n", 0o444)?;
    put("e-etc/hostname", b"live\n", 0o444)?;
    put("s-system/modes", b"4755 0 0 usr/bin/sudo\n0640 0 42 etc/shadow\n", 0o444)?;
    for (link, target) in
        [("base", "/nix/store/b-base"), ("etc", "/nix/store/e-etc"), ("init", "/usr/lib/systemd/systemd")]
    {
        symlink(target, store.join("s-system").join(link))?;
    }
    Ok(())
}

/// Bytes that do not compress, other ones for each name (xorshift).
fn noise(name: &str) -> Vec<u8> {
    let mut state = name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| state.rotate_left(9) ^ u64::from(byte));
    let mut bytes = Vec::with_capacity(BIG);
    while bytes.len() < BIG {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes
}

fn flip(path: &Path, at: u64) -> Result<()> {
    let file = File::options().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    Ok(file.write_all_at(&[byte[0] ^ 1], at)?)
}
