//! What another system says of itself in its files: whatever that is, the machine file that `cairn capture` makes of it is one that
//! `cairn check` takes, and no hash of a password is in a file that everybody may read.

use std::fs;
use std::os::unix::fs::symlink;

use cairn_machine::{SourceFile, check};
use cairn_observe::foreign::{Hardware, capture, open};

use super::Target;
use crate::parts::{parts, whole};

/// The files of a system.
pub(super) const SYSTEM: Target = Target {
    name: "system",
    seeds,
    words: &[
        "\u{1e}",
        "\n",
        ":",
        "::",
        " ",
        "=",
        "\"",
        "#",
        "/",
        "..",
        "0",
        "1000",
        "65534",
        "$6$",
        "wheel",
        "ssh-ed25519 AAAA",
        "[Match]",
        "[Network]",
        "Address=192.0.2.1/24",
        "iface eth0 inet static",
        "address ",
        "Package: ",
        "Status: install ok installed",
        "Depends: ",
        "ethernets:",
        "&a",
        "*a",
        "\u{1b}[2J",
        "ext4",
        "swap",
        "[Service]",
        "ExecStart=",
    ],
    most: 4096,
    quick: 600,
    run: system,
};

/// Each part of an input is one of them.
const FILES: [&str; 20] = [
    "etc/os-release",
    "etc/hostname",
    "etc/passwd",
    "etc/group",
    "etc/shadow",
    "home/anna/.ssh/authorized_keys",
    "etc/default/locale",
    "etc/default/keyboard",
    "etc/fstab",
    "etc/sysctl.conf",
    "etc/modules",
    "etc/modprobe.d/x.conf",
    "etc/default/grub",
    "etc/network/interfaces",
    "etc/netplan/x.yaml",
    "etc/systemd/network/x.network",
    "etc/NetworkManager/system-connections/x",
    "etc/systemd/system/x.service",
    "var/lib/dpkg/status",
    "etc/ssh/sshd_config",
];

/// A hash that somebody has, which is in the file for it and nowhere else.
const HASH: &str = "$6$salt$hashhashhashhashhashhashhashhash";

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "PRETTY_NAME=Debian\nID=debian\nVERSION_CODENAME=trixie\n",
        "host\n",
        "root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000:Anna,,,:/home/anna:/usr/bin/zsh\n",
        "sudo:x:27:anna\nanna:x:1000:\nfamily:x:1500:anna\n",
        &format!("anna:{HASH}:1::::::\n"),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwYJgVdFx0xHnWSbZPXNJqWVxE3gJ6bq2zKo0m3tq5d anna@laptop\n",
        "LANG=de_DE.UTF-8\n",
        "XKBLAYOUT=de\n",
        "UUID=1 / ext4 defaults 0 1\nUUID=2 /home xfs defaults 0 2\nUUID=3 none swap sw 0 0\n",
        "net.ipv4.ip_forward=1\n",
        "br_netfilter\n",
        "blacklist pcspkr\noptions snd x=1\n",
        "GRUB_TIMEOUT=1\nGRUB_CMDLINE_LINUX=\"quiet console=ttyS0\"\n",
        "auto eth0\niface eth0 inet static\n  address 192.0.2.9/24\n  gateway 192.0.2.1\n",
        "network:\n  ethernets:\n    eth1: {dhcp4: true}\n",
        "[Match]\nName=eth2\n[Network]\nDHCP=yes\n",
        "[connection]\ntype=ethernet\ninterface-name=eth3\n[ipv4]\nmethod=auto\n",
        "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
        "Package: openssh-server\nStatus: install ok installed\nSection: net\n\nPackage: sudo\nStatus: install ok installed\n",
        "Port 22\n",
    ];
    let other = ["ID=fedora\nNAME=Fedora\n"].into_iter().chain(texts[1..].iter().copied()).collect::<Vec<_>>();
    vec![whole(&texts), whole(&other)]
}

fn system(bytes: &[u8]) {
    let folder = crate::scratch().unwrap();
    let root = folder.path();
    let texts: [String; FILES.len()] = parts(bytes);
    for (file, text) in FILES.iter().zip(&texts) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let wants = root.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants).unwrap();
    symlink("/etc/systemd/system/x.service", wants.join("x.service")).unwrap();
    let view = open(root).unwrap().unwrap();
    let found = match capture(&view, &Hardware::default()) {
        Ok(found) => found,
        Err(refused) => return assert!(refused.is_refusal(), "{refused:?}"),
    };
    let text = String::from_utf8(found.files["machine.yaml"].clone()).unwrap();
    let checked = check(&SourceFile::new("machine.yaml", text.clone()), &mut |_| Err("none".into()));
    let checked = checked.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert!(checked.named_files().iter().all(|named| found.files.contains_key(&named.path)), "{text}");
    for (name, bytes) in found.files.iter().filter(|(name, _)| !found.secret.contains(name)) {
        // Only where the hash is in the file for hashes, and in no other.
        let elsewhere = texts.iter().enumerate().any(|(index, text)| index != 4 && text.contains("$6$"));
        assert!(elsewhere || !String::from_utf8_lossy(bytes).contains("$6$salt$hash"), "{name} has a hash in it");
    }
}
