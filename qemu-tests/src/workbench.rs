//! A kernel of our own over the host's tree: its programs and files are the host's, its disks are ours. What a host's kernel may not
//! have, and what must not happen to the host's own devices, is done here: partitions that the kernel finds by itself, disks that are
//! in use, vfat, device mapper, arrays.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::preload::{self, library};
use crate::{Cairn, Cmd};

/// What every script begins with. `exits CODE WORDS COMMAND…` wants a command to end like that and to say these words.
const BEGIN: &str = r#"
set -eE
modprobe() { command modprobe -d /run/m "$@"; }
trap 'echo "line $LINENO of the script: $BASH_COMMAND failed"' ERR
exits() {
    local code=$1 words=$2 said rc=0
    shift 2
    said=$("$@" 2>&1) || rc=$?
    echo "$said"
    [ "$rc" = "$code" ] || { echo "$* ended with $rc, not with $code"; return 1; }
    case "$said" in *"$words"*) ;; *) echo "it does not say: $words"; return 1;; esac
}
# A SCSI disk, /dev/sda, over a device of any kind, by the kernel's own target: partitions, flushes and errors
# are those of a real one. `unplug` takes it away, as when a cable is pulled, and `plug` puts it back.
sd() {
    local target=/sys/kernel/config/target
    modprobe -a dm-mod target_core_iblock tcm_loop sd_mod
    # Else each partition would be met twice.
    partx -d "$1" || true
    [ -d $target ] || mount -t configfs none /sys/kernel/config
    SDS=$((${SDS:-0} + 1))
    local core=$target/core/iblock_$SDS/it port=$target/loopback/naa.500140500000000$SDS
    mkdir -p $core
    echo "udev_path=$1" >$core/control
    echo 1 >$core/enable
    mkdir -p $port/tpgt_1/lun/lun_0
    echo naa.600140500000000$SDS >$port/tpgt_1/nexus
    ln -s $core $port/tpgt_1/lun/lun_0/it
    until [ -b /dev/sda ]; do sleep 0.1; done
}
unplug() { echo 1 >/sys/block/"$1"/device/delete; }
plug() {
    local scan
    for scan in /sys/class/scsi_host/*/scan; do echo '- - -' >"$scan"; done
    until [ -b /dev/"$1" ]; do sleep 0.1; done
}
"#;
/// The last line of a script that came to its end.
const END: &str = "the script has come to its end";

/// Runs a script in which these disks are `/dev/ubda`, `/dev/ubdb` and so on, and gives what it said. `$CAIRN` is the command.
///
/// # Errors
/// When the script does not come to its end: all that it said.
pub fn script(cairn: &Cairn, disks: &[&Path], text: &str) -> Result<String> {
    script_with("512M", cairn, disks, text)
}

/// The same with so much memory.
///
/// # Errors
/// As [`script`].
pub fn script_with(memory: &str, cairn: &Cairn, disks: &[&Path], text: &str) -> Result<String> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let at = |name: &str| folder.path().join(name);
    // What the kernel looks for by itself comes from there too.
    let modules = "mkdir -p /run/m/lib && ln -s /usr/lib/uml/modules /run/m/lib/modules\n\
         printf '#!/bin/sh\\nexec modprobe -d /run/m \"$@\"\\n' >/run/m/modprobe; chmod 755 /run/m/modprobe\n\
         echo /run/m/modprobe >/proc/sys/kernel/modprobe";
    // Locks of this kernel's programs are not seen outside of it, nor the other way round: what is half made in the cache by one
    // would be nobody's for the other, and be removed. So nothing that is done here to the cache reaches the host's.
    let cache = cairn.cache();
    fs::create_dir_all(&cache)?;
    let cache = cache.display();
    let own_cache = format!(
        "modprobe -d /run/m overlay; mkdir -p /run/cache/upper /run/cache/work\n\
         mount -t overlay -o lowerdir={cache},upperdir=/run/cache/upper,workdir=/run/cache/work cache {cache} || exit"
    );
    let init = format!(
        "#!/bin/bash\n\
         export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C CAIRN={command} XDG_CACHE_HOME={cache}\n\
         mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmp /run\n\
         mount -t tmpfs tmp /mnt\n\
         mkdir -p /var/lib/cairn; mount -t tmpfs tmp /var/lib/cairn\n\
         {modules}\n\
         {own_cache}\n\
         cd {folder}\n\
         bash ./script >said 2>&1 </dev/null && echo '{END}' >>said\n\
         sync; echo o >/proc/sysrq-trigger; sleep 100\n",
        command = cairn.command.display(),
        folder = folder.path().display(),
    );
    fs::write(at("init"), init)?;
    fs::set_permissions(at("init"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fs::write(at("script"), format!("{BEGIN}{text}"))?;
    let names = disks.iter().enumerate().map(|(number, disk)| format!("ubd{number}={}", disk.display()));
    let kernel = Cmd::new("linux.uml")
        .env("LD_PRELOAD", library(&cairn.work, preload::PROCESSOR_STATE)?)
        .arg(format!("mem={memory}"))
        .args(["rootfstype=hostfs", "root=/dev/root", "rw", "con=null", "con0=null,fd:1", "ssl=null", "quiet"])
        .arg(format!("uml_dir={}", folder.path().display()))
        .arg(format!("init={}", at("init").display()))
        .args(names)
        .deadline(Duration::from_mins(8));
    let console = kernel.run()?;
    let said = fs::read_to_string(at("said")).unwrap_or_default();
    ensure!(said.trim_end().ends_with(END), "{said}\nThe console:\n{console}");
    Ok(said)
}

/// Runs a script on each of these disks in turn, which is `/dev/sda` then; it is given the disk's number. `before` comes first.
///
/// # Errors
/// As [`script`].
pub fn on_each(cairn: &Cairn, disks: &[PathBuf], before: &str, each: &dyn Fn(usize) -> String) -> Result<String> {
    let one = |n: usize| {
        let letter = char::from(b'a' + n as u8);
        format!("sd /dev/ubd{letter}\n{}\nunplug sda\nuntil ! [ -b /dev/sda ]; do sleep 0.1; done\n", each(n))
    };
    let text: String = (0..disks.len()).map(one).collect();
    let paths: Vec<&Path> = disks.iter().map(PathBuf::as_path).collect();
    // They may be one machine several times: nobody is to meet the others. And each installation leaves something in memory.
    let apart = "for disk in /dev/ubd?; do partx -d $disk || true; done";
    script_with("1G", cairn, &paths, &format!("{before}\n{apart}\n{text}"))
}

/// A disk of this size, of which nothing is there yet.
///
/// # Errors
/// The system's.
pub fn disk(path: &Path, bytes: u64) -> Result<()> {
    fs::File::create(path)?.set_len(bytes).with_context(|| format!("making {}", path.display()))
}
