//! Small systems, each as its files: what comes out of them, that `cairn check` takes it, and what a stranger's tree does not get.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use cairn_machine::model::{Loader, PartitionKind, SecureBoot, SignedBy, SysctlValue};
use cairn_machine::{SourceFile, check};

use cairn_observe::foreign::{Foreign, HARDWARE, Hardware, LEFT, Left, capture, open};

const HASH: &str = "$6$salt$xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwYJgVdFx0xHnWSbZPXNJqWVxE3gJ6bq2zKo0m3tq5d anna@laptop";

struct Tree(tempfile::TempDir);

impl Tree {
    fn with(files: &[(&str, &str)]) -> Tree {
        let tree = Tree(tempfile::tempdir().unwrap());
        for (path, text) in files {
            tree.put(path, text.as_bytes());
        }
        tree
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> &Tree {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        self
    }

    fn link(&self, path: &str, to: &str) -> &Tree {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(to, path).unwrap();
        self
    }

    /// What comes out, which `cairn check` takes.
    fn captured(&self) -> Foreign {
        self.with_hardware(&Hardware::default())
    }

    fn with_hardware(&self, hardware: &Hardware) -> Foreign {
        let view = open(self.0.path()).unwrap().expect("it is taken for a machine of Cairn's");
        let found = capture(&view, hardware).unwrap();
        let text = String::from_utf8(found.files["machine.yaml"].clone()).unwrap();
        let read = |name: &str| found.files.get(name).cloned().ok_or_else(|| "it is not there".to_string());
        let checked = check(&SourceFile::new("machine.yaml", text.clone()), &mut |name| read(name));
        let checked = checked.unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        for named in checked.named_files() {
            assert!(found.files.contains_key(&named.path), "{} is not there", named.path);
        }
        found
    }
}

fn says(found: &Foreign, topic: &str, words: &str) {
    let is = |one: &Left| one.topic == topic && one.what.contains(words);
    assert!(found.left.iter().any(is), "{topic}: {words} is not in {:#?}", found.left);
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                      anna:x:1000:1000:Anna Example,,,:/home/anna:/usr/bin/zsh\nbob:x:1001:100::/srv/bob:/bin/bash\n\
                      nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\nsudo:x:27:anna\nwheel:x:998:bob\nusers:x:100:\ndocker:x:995:anna,bob\nanna:x:1000:\nfamily:x:1500:anna\n";

fn status(packages: &[(&str, &str)]) -> String {
    let stanza = |(name, more): &(&str, &str)| {
        format!(
            "Package: {name}\nStatus: install ok installed\nMaintainer: Somebody <x@debian.org>\nDescription: one\n two\n{more}\n\n"
        )
    };
    packages.iter().map(stanza).collect()
}

fn debian() -> Tree {
    let packages = status(&[
        ("base-files", "Essential: yes"),
        ("openssh-server", "Section: net"),
        ("nginx-light", "Section: httpd"),
        ("libfoo1", "Section: libs"),
        ("python3.11", "Section: python"),
        ("docker-ce", "Section: admin"),
        ("firmware-realtek", "Section: non-free-firmware/kernel"),
        ("sudo", ""),
        ("linux-image-amd64", ""),
        ("ifupdown", "Priority: important"),
        ("perl-doc", ""),
    ]);
    let tree = Tree::with(&[
        ("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_CODENAME=bookworm\n"),
        ("etc/hostname", "Web.Example.org\n"),
        ("etc/default/locale", "LANG=\"de_DE.utf8\"\nLC_TIME=en_GB.UTF-8\n"),
        ("etc/default/keyboard", "XKBLAYOUT=\"de\"\nXKBVARIANT=\"nodeadkeys\"\nXKBOPTIONS=\"ctrl:nocaps\"\n"),
        ("etc/passwd", PASSWD),
        ("etc/group", GROUP),
        ("home/anna/.ssh/authorized_keys", &format!("# mine\n{KEY}\nno key at all\n")),
        ("home/anna/.ssh/id_ed25519", "PRIVATE"),
        ("var/lib/dpkg/status", &packages),
        ("var/lib/apt/extended_states", "Package: perl-doc\nAuto-Installed: 1\n\n"),
        ("var/lib/apt/lists/host_InRelease", "Origin: Debian\nSuite: stable\n"),
        (
            "var/lib/apt/lists/host_main_binary-amd64_Packages",
            "Package: openssh-server\n\nPackage: nginx-light\n\nPackage: libfoo1\n\nPackage: python3.11\n\nPackage: sudo\n\nPackage: firmware-realtek\n",
        ),
        ("var/lib/dpkg/info/openssh-server.list", "/usr/lib/systemd/system/ssh.service\n"),
        ("var/lib/dpkg/info/nginx-light.list", "/lib/systemd/system/nginx.service\n"),
        ("var/lib/dpkg/info/docker-ce.list", "/usr/lib/systemd/system/docker.service\n"),
        ("etc/apt/sources.list", "deb http://me:secret@mirror.example/debian bookworm main\n"),
        (
            "etc/systemd/system/backup.service",
            "[Service]\nExecStart=/usr/local/bin/backup\n[Install]\nWantedBy=multi-user.target\n",
        ),
        (
            "etc/systemd/system/sync.service",
            "[Service]\nEnvironment=API_TOKEN=abc\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n",
        ),
        ("usr/local/bin/backup", ""),
        ("etc/sysctl.d/local.conf", "net.ipv4.ip_forward = 1\n# no\nkernel.core_pattern=|/usr/bin/x %p\n"),
        ("etc/modules", "br_netfilter\n"),
        ("etc/modprobe.d/local.conf", "blacklist pcspkr\noptions snd power_save=1\ninstall evil /bin/sh\n"),
        (
            "etc/default/grub",
            "GRUB_TIMEOUT=7\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"console=ttyS0,115200 mitigations=off\"\n",
        ),
        (
            "etc/fstab",
            "UUID=1 / ext4 defaults 0 1\nUUID=2 /home xfs defaults 0 2\nUUID=3 none swap sw 0 0\nUUID=4 /boot/efi vfat umask=0077 0 1\nhost:/x /mnt/x nfs ro 0 0\n",
        ),
        (
            "etc/network/interfaces",
            "auto lo\niface lo inet loopback\nallow-hotplug enp1s0\niface enp1s0 inet static\n  address 192.0.2.10\n  netmask 255.255.255.0\n  gateway 192.0.2.1\n\niface wlan0 inet dhcp\n  wpa-ssid home\n  wpa-psk secret-of-wifi\n",
        ),
        ("etc/resolv.conf", "nameserver 192.0.2.53\nsearch example.org\n"),
        (
            "etc/ssh/sshd_config",
            "Include /etc/ssh/sshd_config.d/*.conf\nPort 2222\nUsePAM yes\nPasswordAuthentication no\n",
        ),
        ("etc/ssh/ssh_host_ed25519_key", "PRIVATE"),
        (
            "etc/shadow",
            &format!("root:*:1::::::\nanna:{HASH}:1:0:99999:7:::\nbob:$1$old$xxxxxxxxxxxxxxxxxxxxxx:1::::::\n"),
        ),
        ("var/spool/cron/crontabs/anna", "* * * * * true\n"),
    ]);
    tree.link("etc/localtime", "/usr/share/zoneinfo/Europe/Berlin")
        .link("etc/systemd/system/multi-user.target.wants/ssh.service", "/usr/lib/systemd/system/ssh.service")
        .link("etc/systemd/system/multi-user.target.wants/docker.service", "/usr/lib/systemd/system/docker.service")
        .link("etc/systemd/system/multi-user.target.wants/backup.service", "/etc/systemd/system/backup.service")
        .link("etc/systemd/system/nginx.service", "/dev/null");
    tree
}

#[test]
fn a_debian_keeps_its_name_people_packages_services_and_settings() {
    let found = debian().captured();
    let machine = &found.machine;
    assert_eq!((machine.hostname.as_str(), machine.timezone.as_str()), ("web.example.org", "Europe/Berlin"));
    assert_eq!(
        (machine.locale.lang.as_str(), machine.locale.categories["LC_TIME"].as_str()),
        ("de_DE.UTF-8", "en_GB.UTF-8")
    );
    assert_eq!((machine.keyboard.layout.as_str(), machine.keyboard.variant.as_deref()), ("de", Some("nodeadkeys")));
    let debian = machine.source.debian();
    assert_eq!(debian.packages, ["firmware-realtek", "nginx-light", "openssh-server", "sudo", "zsh"]);
    assert_eq!((debian.suite.as_str(), debian.kernel.as_str()), ("trixie", "linux-image-amd64"));
    assert_eq!(debian.components, ["main", "non-free-firmware"]);
    let anna = &machine.users["anna"];
    assert_eq!(
        (anna.uid, anna.description.as_deref(), anna.shell.as_deref()),
        (Some(1000), Some("Anna Example"), Some("/usr/bin/zsh"))
    );
    assert_eq!(
        (anna.groups.join(" "), anna.ssh_authorized_keys.as_slice()),
        ("sudo docker family".into(), [KEY.to_string()].as_slice())
    );
    assert_eq!(anna.hashed_password_file.as_deref(), Some("anna.password"));
    assert_eq!(
        (found.files["anna.password"].as_slice(), found.secret.as_slice()),
        (format!("{HASH}\n").as_bytes(), ["anna.password".to_string()].as_slice())
    );
    let bob = &machine.users["bob"];
    assert_eq!(
        (bob.group.as_deref(), bob.home.as_deref(), bob.groups.join(" ")),
        (Some("users"), Some("/srv/bob"), "sudo docker".into())
    );
    assert_eq!((machine.groups["family"].gid, machine.groups["docker"].system), (Some(1500), true));
    assert_eq!(
        (machine.services.enable.join(" "), machine.services.disable.join(" ")),
        ("ssh".into(), "nginx.service".into())
    );
    assert!(machine.services.units["backup.service"].enable && machine.services.units.len() == 1);
    assert_eq!(machine.sysctl["net.ipv4.ip_forward"], SysctlValue::Number(1));
    assert_eq!(
        (machine.kernel_modules.load.join(" "), machine.kernel_modules.blacklist.join(" ")),
        ("br_netfilter".into(), "pcspkr".into())
    );
    assert_eq!(machine.boot.kernel_parameters, ["mitigations=off", "quiet"]);
    assert_eq!((machine.boot.timeout, machine.boot.consoles.join(" ")), (7, "ttyS0,115200".into()));
    let kinds: Vec<_> = machine.disks["main"].partitions.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [PartitionKind::Esp, PartitionKind::Swap, PartitionKind::Home, PartitionKind::Root]);
    let card = &machine.network.interfaces["enp1s0"];
    assert_eq!(
        (card.addresses.join(" "), card.gateways.join(" "), card.optional),
        ("192.0.2.10/24".into(), "192.0.2.1".into(), true)
    );
    assert_eq!(
        (machine.network.nameservers.join(" "), machine.network.search.join(" ")),
        ("192.0.2.53".into(), "example.org".into())
    );
    let ssh = machine.files["/etc/ssh/sshd_config.d/10-captured.conf"].text.as_deref();
    assert_eq!(ssh, Some("Port 2222\nPasswordAuthentication no\n"));
    for (topic, words) in [
        ("packages", "docker-ce: which are not in Debian's archive"),
        ("packages", "libfoo1: libraries"),
        ("packages", "python3.11: whose names are of another release"),
        ("packages", "the system is Debian GNU/Linux 12"),
        ("package sources", "http://mirror.example/debian"),
        ("passwords", "bob: the hash is made by a method that is too weak"),
        ("SSH keys", "1 lines of the keys of anna"),
        ("services", "docker.service is started: its package, docker-ce"),
        ("services", "sync.service is left out: it looks as if it had a secret"),
        ("services", "backup.service runs /usr/local/bin/backup"),
        ("kernel modules", "install evil"),
        ("disks", "/home has xfs, and gets ext4"),
        ("disks", "/mnt/x is mounted from host:/x (nfs)"),
        ("network", "wlan0 is Wi-Fi, with its secret"),
        ("secrets", "/etc/ssh/ssh_host_ed25519_key is not read"),
        ("secrets", "/home/anna/.ssh/id_ed25519 is not read"),
        ("timetables", "crontabs/anna"),
        ("programs", "/usr/local/bin has backup"),
    ] {
        says(&found, topic, words);
    }
    let all: String = found
        .files
        .iter()
        .filter(|(name, _)| !found.secret.contains(name))
        .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    for secret in ["secret-of-wifi", "me:secret", "API_TOKEN", "PRIVATE", "$6$salt", "$1$old"] {
        assert!(!all.contains(secret), "{secret} is in a file that everybody may read");
    }
}

#[test]
fn an_ubuntu_has_its_packages_from_debian_and_its_network_from_netplan() {
    let of = |name: &str, maintainer: &str| {
        format!(
            "Package: {name}\nStatus: install ok installed\nMaintainer: Ubuntu Developers <u@ubuntu.example>\n{maintainer}\n\n"
        )
    };
    let debians = "Original-Maintainer: Debian Nginx <x@tracker.debian.org>";
    let tree = Tree::with(&[
        ("usr/lib/os-release", "PRETTY_NAME=\"Ubuntu 24.04 LTS\"\nID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n"),
        ("etc/hostname", "u\n"),
        ("etc/passwd", "anna:x:1000:1000::/home/anna:/bin/bash\n"),
        ("etc/group", "anna:x:1000:\n"),
        ("var/lib/dpkg/status", &format!("{}{}{}", of("nginx", debians), of("ubuntu-server", ""), of("snapd", ""))),
        (
            "etc/netplan/50-cloud-init.yaml",
            "network:\n  version: 2\n  ethernets:\n    eth0:\n      match: {macaddress: \"52:54:00:12:34:56\"}\n      set-name: eth0\n      dhcp4: true\n    enp2s0:\n      addresses: [10.1.2.3/24, \"2001:db8::3/64\"]\n      routes: [{to: default, via: 10.1.2.1}, {to: 10.9.0.0/16, via: 10.1.2.9}]\n      nameservers: {addresses: [10.1.2.1], search: [lan.example]}\n      mtu: 9000\n  wifis:\n    wlan0: {access-points: {home: {password: secret-of-wifi}}}\n  bridges: {br0: {}}\n",
        ),
        ("etc/sudoers.d/90-cloud-init-users", "anna ALL=(ALL) NOPASSWD:ALL\n"),
    ]);
    tree.link("snap/core", "x");
    let found = tree.captured();
    let machine = &found.machine;
    assert_eq!(machine.source.debian().packages, ["nginx"]);
    let network = &machine.network;
    assert_eq!(network.interfaces.len(), 2);
    let by_mac = &network.interfaces["52-54-00-12-34-56"];
    assert_eq!(
        (by_mac.dhcp, by_mac.matches.as_ref().unwrap().mac_address.as_deref()),
        (Some(true), Some("52:54:00:12:34:56"))
    );
    let fixed = &network.interfaces["enp2s0"];
    assert_eq!(
        (fixed.dhcp, fixed.addresses.len(), fixed.gateways.join(" "), fixed.nameservers.join(" ")),
        (Some(false), 2, "10.1.2.1".into(), "10.1.2.1".into())
    );
    for (topic, words) in [
        ("packages", "snapd, ubuntu-server: which are not in Debian's archive"),
        ("network", "wlan0 is Wi-Fi"),
        ("network", "`bridges`"),
        ("network", "`mtu` of enp2s0"),
        ("network", "a route of enp2s0 to 10.9.0.0/16"),
        ("sudo", "90-cloud-init-users: its rules"),
        ("programs", "snaps: core"),
    ] {
        says(&found, topic, words);
    }
    assert!(!String::from_utf8_lossy(&found.files[LEFT]).contains("secret-of-wifi"));
}

#[test]
fn a_fedora_and_an_arch_get_what_debian_has_of_them() {
    let fedora = Tree::with(&[
        ("etc/os-release", "NAME=\"Fedora Linux\"\nID=fedora\n"),
        ("etc/hostname", "f\n"),
        ("etc/vconsole.conf", "KEYMAP=\"uk\"\n"),
        ("etc/locale.conf", "LANG=\"en_GB.UTF-8\"\n"),
        ("etc/passwd", "anna:x:1000:1000::/home/anna:/bin/bash\n"),
        ("etc/group", "wheel:x:10:anna\nanna:x:1000:\n"),
        (
            "usr/lib/sysimage/libdnf5/packages.toml",
            "[packages]\n\"openssh-server.x86_64\" = {reason = \"User\"}\n\"akmod-nvidia.x86_64\" = {reason = \"User\"}\n",
        ),
        (
            "etc/NetworkManager/system-connections/wired.nmconnection",
            "[connection]\ntype=ethernet\ninterface-name=enp1s0\n[ipv4]\nmethod=manual\naddress1=192.0.2.7/24,192.0.2.1\ndns=192.0.2.53;\n[ipv6]\nmethod=auto\n",
        ),
        (
            "etc/NetworkManager/system-connections/home.nmconnection",
            "[connection]\ntype=wifi\n[wifi-security]\npsk=secret-of-wifi\n",
        ),
        (
            "etc/fstab",
            "UUID=1 / btrfs subvol=root 0 0\nUUID=1 /home btrfs subvol=home 0 0\nUUID=2 /boot/efi vfat x 0 0\n",
        ),
    ]);
    fedora.link("etc/systemd/system/multi-user.target.wants/sshd.service", "/usr/lib/systemd/system/sshd.service");
    let found = fedora.captured();
    let machine = &found.machine;
    assert_eq!(
        (machine.source.debian().packages.join(" "), machine.services.enable.join(" ")),
        ("openssh-server sudo".into(), "ssh".into())
    );
    assert_eq!((machine.keyboard.layout.as_str(), machine.users["anna"].groups.join(" ")), ("gb", "sudo".into()));
    let card = &machine.network.interfaces["enp1s0"];
    assert_eq!(
        (card.addresses.join(" "), card.gateways.join(" "), card.nameservers.join(" ")),
        ("192.0.2.7/24".into(), "192.0.2.1".into(), "192.0.2.53".into())
    );
    says(&found, "packages", "akmod-nvidia: Debian may have them under another name");
    says(&found, "network", "home.nmconnection: a connection of the kind wifi, with its secret");
    says(&found, "disks", "/ has btrfs, and gets ext4");

    let arch = Tree::with(&[
        ("etc/os-release", "NAME=\"Arch Linux\"\nID=arch\n"),
        ("etc/hostname", "a\n"),
        ("var/lib/pacman/local/htop-3/desc", "%NAME%\nhtop\n"),
        ("var/lib/pacman/local/glibc-2/desc", "%NAME%\nglibc\n\n%REASON%\n1\n"),
        ("var/lib/pacman/local/yay-1/desc", "%NAME%\nyay\n"),
        ("etc/systemd/network/20-wired.network", "[Match]\nName=en*\n[Network]\nDHCP=yes\nMulticastDNS=yes\n"),
        ("boot/grub/i386-pc/normal.mod", ""),
    ]);
    let found = arch.captured();
    let machine = &found.machine;
    assert_eq!((machine.source.debian().packages.join(" "), machine.boot.loader), ("htop".into(), Loader::Grub));
    let card = machine.network.interfaces.values().next().unwrap();
    assert_eq!((card.dhcp, card.matches.as_ref().unwrap().name.as_deref()), (Some(true), Some("en*")));
    says(&found, "packages", "yay: Debian may have");
    says(&found, "network", "MulticastDNS= in [Network]");
}

#[test]
fn a_nixos_keeps_its_own_files_and_names_its_closure() {
    let etc = "nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-etc/etc";
    let tree = Tree::with(&[
        (&format!("{etc}/os-release"), "PRETTY_NAME=\"NixOS 25.05\"\nID=nixos\n"),
        (&format!("{etc}/hostname"), "nix\n"),
        (&format!("{etc}/ssh/authorized_keys.d/anna"), &format!("{KEY}\n")),
        ("etc/passwd", "anna:x:1000:100::/home/anna:/run/current-system/sw/bin/fish\n"),
        ("etc/group", "users:x:100:\nwheel:x:1:anna\n"),
        ("etc/nixos/configuration.nix", "{ users.users.anna.hashedPassword = \"$6$x\"; }\n"),
        ("run/current-system-is", ""),
    ]);
    let system = "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-nixos-system-nix-25.05";
    tree.link("etc/os-release", "/etc/static/os-release")
        .link("etc/hostname", "/etc/static/hostname")
        .link("etc/ssh/authorized_keys.d/anna", "/etc/static/ssh/authorized_keys.d/anna")
        .link("etc/static", &format!("/{etc}"))
        .link("etc/localtime", "/etc/zoneinfo/Europe/Vienna")
        .link("nix/var/nix/profiles/system", "system-3-link")
        .link("nix/var/nix/profiles/system-3-link", system)
        .link("run/current-system", system)
        .link(&format!("{}/sw/bin/git", &system[1..]), "/nix/store/cccccccccccccccccccccccccccccccc-git-2.50.1/bin/git")
        .link(&format!("{}/sw/bin/hx", &system[1..]), "/nix/store/dddddddddddddddddddddddddddddddd-helix-25.1/bin/hx");
    let found = tree.captured();
    let machine = &found.machine;
    assert_eq!((machine.hostname.as_str(), machine.timezone.as_str()), ("nix", "Europe/Vienna"));
    assert_eq!(machine.source.debian().packages, ["fish", "git", "sudo"]);
    let anna = &machine.users["anna"];
    assert_eq!(
        (anna.shell.as_deref(), anna.group.as_deref(), anna.groups.join(" ")),
        (Some("/usr/bin/fish"), Some("users"), "sudo".into())
    );
    assert_eq!(anna.ssh_authorized_keys, [KEY]);
    assert!(
        found.secret.contains(&"nixos/configuration.nix".to_string())
            && found.files.contains_key("nixos/configuration.nix")
    );
    says(&found, "NixOS", system);
    says(&found, "packages", "helix: Debian may have");
}

#[test]
fn the_hardware_decides_what_starts_the_machine_and_which_firmware_it_gets() {
    let hardware = Hardware {
        file: Some("version: 1\ninitrd_modules: [nvme]\n".into()),
        packages: vec!["intel-microcode".into()],
        uefi: Some(true),
        secure_boot: true,
    };
    let found = debian().with_hardware(&hardware);
    assert_eq!(
        (found.machine.hardware.as_deref(), found.machine.boot.secure_boot),
        (Some(HARDWARE), Some(SecureBoot::By(SignedBy::Shim)))
    );
    assert!(found.machine.source.debian().packages.contains(&"intel-microcode".to_string()));
    assert!(found.files[HARDWARE].starts_with(b"version: 1\n"));
    let bios = Hardware { uefi: Some(false), secure_boot: false, ..hardware };
    let found = debian().with_hardware(&bios);
    assert_eq!((found.machine.boot.loader, found.machine.boot.secure_boot), (Loader::Grub, None));
}

#[test]
fn nothing_leads_out_of_a_tree_and_what_is_odd_is_left_out_in_words() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), format!("{KEY}\nroot:{HASH}:1\n")).unwrap();
    let out = |path: &Path| path.join("secret").display().to_string();
    let names = "root:x:0:0::/root:/bin/bash\nAnna:x:1000:1000::/home/Anna:/bin/bash\nbo\u{1b}b:x:1001:1001::/home/b:/bin/bash\n\
                 ../../up:x:1002:1002::/home/up:/bin/bash\ncarl:x:1003:1003::/home/../../..:/bin/bash\ntoor:x:0:0::/root:/bin/sh\n\
                 dora:x:1004:1004:D\u{7}ora:/home/dora:/opt/odd\nevil:x:99999999999:1::/:/bin/sh\nshort:x\n";
    let tree = Tree::with(&[
        ("etc/os-release", "PRETTY_NAME=\"Deb\u{1b}[2Jian\"\nID=debian\nVERSION_CODENAME=trixie\n"),
        ("etc/hostname", "evil\nversion: 2\n"),
        ("etc/passwd", names),
        ("etc/group", "wheel:x:10:dora\nbad group:x:1700:dora\n"),
        ("etc/locale.conf", "LANG=$(reboot)\n"),
        ("etc/default/keyboard", "XKBLAYOUT=\"de; reboot\"\n"),
        ("etc/sysctl.conf", "net.ipv4.ip_forward\n../../x = 1\nkernel.x =\n"),
        ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"init=/bin/sh a\\\"b root=/dev/sda1\"\n"),
        (
            "etc/fstab",
            "garbage\n/dev/mapper/vg-root / xfs defaults 0 0\n//me:secret@nas/x /mnt/x cifs password=hidden 0 0\n",
        ),
        ("etc/netplan/x.yaml", "a: &a [*a, *a]\nnetwork: {ethernets: *a}\n"),
        ("etc/systemd/system/x\u{1b}.service", "[Service]\n"),
        ("etc/systemd/system/y.service", "no section\n"),
        (
            "var/lib/dpkg/status",
            "Package: -rf\nStatus: install ok installed\n\nPackage: Bad_Name\nStatus: install ok installed\n\ngarbage",
        ),
    ]);
    tree.put("etc/ssh/sshd_config", &[0xff, 0xfe, 0]).put("etc/shadow", &vec![b'x'; 2 << 20]);
    tree.link("home/dora/.ssh/authorized_keys", &out(outside.path()))
        .link("root/.ssh/authorized_keys", &format!("../../../../../../../../..{}", out(outside.path())))
        .link("etc/nixos/out.nix", &out(outside.path()))
        .link("etc/localtime", "/usr/share/zoneinfo/../../etc/shadow")
        .link("etc/modules", "modules");
    nix::unistd::mkfifo(&tree.at("etc/crontab"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let found = tree.captured();
    let machine = &found.machine;
    assert_eq!(
        (machine.hostname.as_str(), machine.timezone.as_str(), machine.locale.lang.as_str()),
        ("machine", "UTC", "C.UTF-8")
    );
    assert_eq!(machine.users.keys().collect::<Vec<_>>(), ["carl", "dora"]);
    assert_eq!((machine.users["carl"].home.as_deref(), machine.users["dora"].groups.join(" ")), (None, "sudo".into()));
    assert!(machine.users.values().all(|user| user.ssh_authorized_keys.is_empty() && user.description.is_none()));
    assert_eq!((machine.source.debian().packages.join(" "), machine.boot.kernel_parameters.len()), ("sudo".into(), 0));
    assert!(machine.sysctl.is_empty() && machine.services.units.is_empty() && machine.network.interfaces.is_empty());
    let all: String = found.files.values().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
    for never in ["AAAAC3", "$6$", "\u{1b}", "me:secret", "hidden"] {
        assert!(!all.contains(never), "{never:?} is in what came out:\n{all}");
    }
    for (topic, words) in [
        ("hostname", "is not a host name"),
        ("accounts", "a name that a machine file does not allow"),
        ("accounts", "toor is another name of root"),
        ("accounts", "dora has the shell /opt/odd"),
        ("passwords", "too large for what it is"),
        ("SSH", "it is not UTF-8"),
        ("network", "x.yaml: it cannot be read"),
        ("disks", "/ lies on /dev/mapper/vg-root"),
    ] {
        says(&found, topic, words);
    }
}

#[test]
fn what_says_of_no_system_that_it_is_one_is_not_written_down() {
    for file in [("etc/hostname", "x\n"), ("etc/os-release", "# nothing\n")] {
        let tree = Tree::with(&[file]);
        let view = open(tree.0.path()).unwrap().unwrap();
        let refused = capture(&view, &Hardware::default()).unwrap_err();
        let words = refused.to_string();
        assert!(refused.is_refusal() && words.contains("is not a machine that Cairn has made"), "{words}");
    }
    // One of Cairn's own is somebody else's matter.
    let tree = Tree::with(&[("etc/os-release", "ID=debian\nNAME=x\n"), ("var/lib/cairn/boot.json", "{}")]);
    assert!(open(tree.0.path()).unwrap().is_none());
}
