//! A disk with a Debian on it as Debian's own installer leaves it under UEFI: shim and GRUB as Debian signs them, also where a firmware
//! looks by itself, and half of the disk free.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{Cairn, Cmd};

/// The disk's size: as large as a card, whose sizes are powers of two.
pub const BYTES: u64 = 4 << 30;
/// The partitions, in sectors of 512 bytes: the EFI system partition and the root.
const ESP: (u64, u64) = (2048, 204_800);
const ROOT: (u64, u64) = (206_848, 3_145_728);
const ROOT_UUID: &str = "debdebde-deb0-4eb0-8eb0-debdebdebdeb";

/// The user of the examples, and a prompt at the serial console.
const SETTLE: &str = r#"
set -e
echo debian >"$1/etc/hostname"
chroot "$1" useradd -m -s /bin/bash -G sudo cairn
echo cairn:cairn | chroot "$1" chpasswd
echo "UUID=debdebde-deb0-4eb0-8eb0-debdebdebdeb / ext4 defaults 0 1" >"$1/etc/fstab"
chroot "$1" systemctl enable serial-getty@ttyS0.service
"#;
/// What `update-grub` would write.
const MENU: &str = "\
search.fs_uuid debdebde-deb0-4eb0-8eb0-debdebdebdeb root
set timeout=0
menuentry Debian {
  linux /vmlinuz root=UUID=debdebde-deb0-4eb0-8eb0-debdebdebdeb ro console=ttyS0
  initrd /initrd.img
}
";

/// Makes it, unless it is there; whoever uses it works on a copy.
///
/// # Errors
/// What mmdebstrap and the others say.
pub fn disk(cairn: &Cairn) -> Result<PathBuf> {
    let folder = cairn.work.join("debian");
    fs::create_dir_all(&folder)?;
    let turn = fs::File::create(folder.join("turn"))?;
    turn.lock().context("waiting for the others")?;
    let disk = folder.join("disk");
    if disk.exists() {
        return Ok(disk);
    }
    let at = |name: &str| folder.join(name);
    fs::write(at("settle"), SETTLE)?;
    fs::write(at("grub.cfg"), MENU)?;
    let tree = at("tree");
    if tree.exists() {
        fs::remove_dir_all(&tree)?;
    }
    let packages = "linux-image-amd64,initramfs-tools,systemd-sysv,udev,sudo,login,passwd,procps,grub-efi-amd64-signed,shim-signed";
    Cmd::new("mmdebstrap")
        .args(["--quiet", "--variant=essential", "--include", packages])
        .arg(format!("--customize-hook=sh {} \"$1\"", at("settle").display()))
        .arg("trixie")
        .arg(&tree)
        .deadline(std::time::Duration::from_mins(10))
        .ok()?;
    let new = at("new");
    fs::File::create(&new)?.set_len(BYTES)?;
    let rows = format!(
        "label: gpt\nstart={}, size={}, type=uefi\nstart={}, size={}, type=linux\n",
        ESP.0, ESP.1, ROOT.0, ROOT.1
    );
    fs::write(at("table"), rows)?;
    Cmd::new("sh").args(["-c", "sfdisk -q \"$0\" <\"$1\""]).arg(&new).arg(at("table")).ok()?;
    // What the firmware starts by itself, and what an entry in its menu would name.
    let esp = at("esp");
    fs::File::create(&esp)?.set_len(ESP.1 * 512)?;
    Cmd::new("mkfs.vfat").args(["-F", "32"]).arg(&esp).ok()?;
    Cmd::new("mmd").arg("-i").arg(&esp).args(["::EFI", "::EFI/BOOT", "::EFI/debian"]).ok()?;
    let shim = tree.join("usr/lib/shim/shimx64.efi.signed");
    let grub = tree.join("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed");
    for (from, to) in [
        (&shim, "BOOT/BOOTX64.EFI"),
        (&grub, "BOOT/grubx64.efi"),
        (&shim, "debian/shimx64.efi"),
        (&grub, "debian/grubx64.efi"),
        (&at("grub.cfg"), "debian/grub.cfg"),
    ] {
        Cmd::new("mcopy").arg("-i").arg(&esp).arg(from).arg(format!("::EFI/{to}")).ok()?;
    }
    let root = at("root");
    fs::File::create(&root)?.set_len(ROOT.1 * 512)?;
    Cmd::new("mke2fs").args(["-q", "-t", "ext4", "-U", ROOT_UUID, "-d"]).arg(&tree).arg(&root).ok()?;
    for (file, (start, _)) in [(&esp, ESP), (&root, ROOT)] {
        let to = format!("of={}", new.display());
        let from = format!("if={}", file.display());
        Cmd::new("dd")
            .args([from, to, format!("seek={}", start / 2048)])
            .args(["bs=1M", "conv=notrunc,sparse"])
            .ok()?;
        fs::remove_file(file)?;
    }
    fs::remove_dir_all(&tree)?;
    fs::rename(&new, &disk)?;
    Ok(disk)
}
