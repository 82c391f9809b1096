//! Packages of distributions that are not made of Debian's: those that Debian has too, by a table, and the names of all others.

use std::collections::{BTreeMap, BTreeSet};

use super::seen::Seen;
use super::{Carried, Kind, System};

/// How many names a line of the list has.
const IN_A_LINE: usize = 40;

/// What others call a package, and what Debian does, where it is not the same.
const CALLED: [(&str, &str); 42] = [
    ("apache", "apache2"),
    ("apache-httpd", "apache2"),
    ("base-devel", "build-essential"),
    ("bind", "bind9"),
    ("bind-utils", "bind9-dnsutils"),
    ("cronie", "cron"),
    ("dnsutils", "bind9-dnsutils"),
    ("docker", "docker.io"),
    ("fd", "fd-find"),
    ("ffmpeg-free", "ffmpeg"),
    ("go", "golang"),
    ("gnupg2", "gnupg"),
    ("httpd", "apache2"),
    ("imagemagick", "imagemagick"),
    ("inetutils", "inetutils-tools"),
    ("iputils", "iputils-ping"),
    ("java-latest-openjdk", "default-jdk"),
    ("jdk-openjdk", "default-jdk"),
    ("libvirt", "libvirt-daemon-system"),
    ("mariadb", "mariadb-server"),
    ("neovim-unwrapped", "neovim"),
    ("netcat", "netcat-openbsd"),
    ("nfs-utils", "nfs-kernel-server"),
    ("openldap", "slapd"),
    ("openssh", "openssh-server"),
    ("openssh-clients", "openssh-client"),
    ("openssh-server", "openssh-server"),
    ("postgresql-server", "postgresql"),
    ("procps-ng", "procps"),
    ("python", "python3"),
    ("python-pip", "python3-pip"),
    ("python3-minimal", "python3"),
    ("qemu", "qemu-system-x86"),
    ("qemu-kvm", "qemu-system-x86"),
    ("redis", "redis-server"),
    ("samba", "samba"),
    ("shadow-utils", "passwd"),
    ("the_silver_searcher", "silversearcher-ag"),
    ("vim-enhanced", "vim"),
    ("vim-minimal", "vim-tiny"),
    ("wireguard-tools", "wireguard-tools"),
    ("xz", "xz-utils"),
];

/// Names that are the same.
const SAME: [&str; 103] = [
    "acpid",
    "ansible",
    "avahi-daemon",
    "bash-completion",
    "bat",
    "borgbackup",
    "btop",
    "btrfs-progs",
    "bzip2",
    "caddy",
    "certbot",
    "chrony",
    "clang",
    "cmake",
    "cpio",
    "cryptsetup",
    "curl",
    "diffutils",
    "direnv",
    "dnsmasq",
    "dosfstools",
    "emacs",
    "ethtool",
    "exim4",
    "fail2ban",
    "ffmpeg",
    "file",
    "firefox-esr",
    "firewalld",
    "fish",
    "fzf",
    "gcc",
    "gdb",
    "gimp",
    "git",
    "git-lfs",
    "gnupg",
    "golang",
    "graphviz",
    "haproxy",
    "hdparm",
    "htop",
    "iftop",
    "inkscape",
    "iotop",
    "iperf3",
    "jq",
    "keepalived",
    "less",
    "libreoffice",
    "lm-sensors",
    "lsof",
    "lvm2",
    "lynx",
    "make",
    "mc",
    "mdadm",
    "memcached",
    "minicom",
    "mosh",
    "mosquitto",
    "mtr",
    "nano",
    "ncdu",
    "neovim",
    "nftables",
    "nginx",
    "nmap",
    "nodejs",
    "nvme-cli",
    "openvpn",
    "pandoc",
    "parted",
    "pigz",
    "podman",
    "postfix",
    "postgresql",
    "prometheus",
    "python3",
    "restic",
    "ripgrep",
    "rsync",
    "ruby",
    "screen",
    "smartmontools",
    "socat",
    "sqlite3",
    "strace",
    "sudo",
    "sysstat",
    "tcpdump",
    "tmux",
    "traceroute",
    "tree",
    "unbound",
    "unzip",
    "vim",
    "wget",
    "xfsprogs",
    "zip",
    "zsh",
    "zstd",
    "tar",
];

/// Debian's name of a package.
fn debian(name: &str) -> Option<&str> {
    let called = CALLED.iter().find(|(other, _)| *other == name).map(|(_, debian)| *debian);
    called.or_else(|| SAME.contains(&name).then_some(name))
}

/// Carries them over.
pub fn carry(seen: &Seen, system: &System, to: &mut Carried) {
    let what = format!(
        "the system is {}, and the machine is made of Debian {}",
        system.name,
        to.machine.source.debian().suite
    );
    to.left("packages", what);
    let names: BTreeSet<String> = match system.kind {
        Kind::Arch => seen.pacman.iter().filter_map(|desc| asked_for(desc)).collect(),
        Kind::NixOs => nix_packages(seen),
        _ => dnf_packages(seen.text("/usr/lib/sysimage/libdnf5/packages.toml").unwrap_or_default()),
    };
    if names.is_empty() {
        let how = match system.kind {
            Kind::Rpm => "RPM's database is not read: `dnf repoquery --userinstalled` lists them",
            _ => "there is no book of them that is known",
        };
        to.left("packages", format!("which were installed: {how}"));
    }
    let mut others: Vec<&str> = Vec::new();
    for name in &names {
        match debian(name) {
            Some(name) => to.package(name),
            None => others.push(name),
        }
    }
    for some in others.chunks(IN_A_LINE) {
        to.left("packages", format!("{}: Debian may have them under another name", some.join(", ")));
    }
}

/// Of pacman's description of a package its name, where somebody has asked for it.
fn asked_for(desc: &str) -> Option<String> {
    let value = |key: &str| desc.split_once(&format!("%{key}%\n")).and_then(|(_, rest)| rest.lines().next());
    let name = value("NAME")?;
    (value("REASON").is_none_or(|reason| reason.trim() == "0") && is_name(name)).then(|| name.to_string())
}

/// Of dnf's book of reasons the names with "User".
fn dnf_packages(text: &str) -> BTreeSet<String> {
    let mut reasons: BTreeMap<&str, bool> = BTreeMap::new();
    let mut last = "";
    for line in text.lines() {
        if let Some((name, _)) = line.split_once('"').and_then(|(_, rest)| rest.split_once('"'))
            && let Some((name, arch)) = name.rsplit_once('.')
            && is_name(name)
            && matches!(arch, "x86_64" | "noarch" | "i686")
        {
            last = name;
        }
        if let Some((_, reason)) = line.split_once("reason") {
            let reason = reason.split('"').nth(1).unwrap_or_default();
            reasons.insert(last, matches!(reason.to_ascii_lowercase().as_str(), "user" | "external user"));
        }
    }
    reasons.into_iter().filter(|(name, asked)| *asked && !name.is_empty()).map(|(name, _)| name.to_string()).collect()
}

/// The packages that the system's programs are in, by the names of their store paths.
fn nix_packages(seen: &Seen) -> BTreeSet<String> {
    let programs = seen.links.iter().filter(|(path, _)| path.contains("/sw/bin/"));
    let name = |target: &String| {
        let path = target.strip_prefix("/nix/store/")?.split('/').next()?;
        let (_, name) = path.split_once('-')?;
        // The version begins with the first part that is a number.
        let parts = name.split('-').take_while(|part| !part.starts_with(|c: char| c.is_ascii_digit()));
        let name = parts.collect::<Vec<_>>().join("-");
        is_name(&name).then_some(name)
    };
    programs.filter_map(|(_, target)| name(target)).collect()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_somebody_asked_for_counts() {
        let toml = "version = \"1.0\"\n[packages]\n\"git.x86_64\" = {reason = \"User\"}\n\"glibc.x86_64\" = {reason = \"Dependency\"}\n\
                    \"vim-enhanced.x86_64\" = {\nreason = \"External User\"\n}\n";
        assert_eq!(dnf_packages(toml).into_iter().collect::<Vec<_>>(), ["git", "vim-enhanced"]);
        assert_eq!(asked_for("%NAME%\nhtop\n\n%VERSION%\n3\n").as_deref(), Some("htop"));
        assert_eq!(asked_for("%NAME%\nlibnl\n\n%REASON%\n1\n"), None);
        assert_eq!((debian("vim-enhanced"), debian("git"), debian("yay")), (Some("vim"), Some("git"), None));
    }
}
