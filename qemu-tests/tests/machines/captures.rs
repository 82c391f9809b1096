//! A Debian that Cairn has not made is written down as a machine file, and what comes out is locked, built and started: the same name, people,
//! packages, services and settings.

use std::fs;

use anyhow::{Context, Result, ensure};
use qemu_tests::scenario::UML;
use qemu_tests::{Cairn, Cmd, Guest, Scenario, Setup};

pub const SCENARIO: Scenario = Scenario {
    name: "another Debian is captured, and what comes out builds and boots as what it was",
    needs: UML,
    run,
};

/// What somebody does with a machine in a year.
const SETTLE: &str = r#"
set -e
echo elsewhere >"$1/etc/hostname"
ln -sf /usr/share/zoneinfo/Europe/Berlin "$1/etc/localtime"
chroot "$1" useradd -m -u 1234 -s /bin/bash -c 'Some Body' -G sudo cairn
echo cairn:cairn | chroot "$1" chpasswd
mkdir -p "$1/home/cairn/.ssh"
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDwYJgVdFx0xHnWSbZPXNJqWVxE3gJ6bq2zKo0m3tq5d me@laptop' >"$1/home/cairn/.ssh/authorized_keys"
echo 'net.ipv4.ip_forward=1' >"$1/etc/sysctl.d/mine.conf"
echo 'PermitRootLogin no' >"$1/etc/ssh/sshd_config.d/mine.conf"
printf '[Unit]\nDescription=mine\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n' >"$1/etc/systemd/system/mine.service"
chroot "$1" systemctl enable mine.service ssh.service
chroot "$1" systemctl mask cron.service
printf 'auto lo\niface lo inet loopback\nallow-hotplug enp0s9\niface enp0s9 inet static\n address 192.0.2.9/24\n gateway 192.0.2.1\n' >"$1/etc/network/interfaces"
echo 'UUID=11111111-2222-4333-8444-555555555555 / ext4 defaults 0 1' >"$1/etc/fstab"
"#;

fn run(cairn: &Cairn) -> Result<()> {
    let folder = tempfile::tempdir_in(&cairn.work)?;
    let at = |name: &str| folder.path().join(name);
    fs::write(at("settle"), SETTLE)?;
    let packages = "systemd-sysv,udev,sudo,login,passwd,openssh-server,cron,nano,ifupdown,tzdata,less";
    Cmd::new("mmdebstrap")
        .args(["--quiet", "--variant=essential", "--include", packages])
        .arg(format!("--customize-hook=sh {} \"$1\"", at("settle").display()))
        .arg("trixie")
        .arg(at("tree"))
        .deadline(std::time::Duration::from_mins(10))
        .ok()?;

    let done = cairn.cmd(["capture", "--root"]).arg(at("tree")).arg("-o").arg(at("files")).run()?;
    done.must(0)?;
    println!("{done}");
    done.says("secrets: ")?.says("ssh_host_")?;
    let file = at("files/machine.yaml");
    let text = fs::read_to_string(&file)?;
    println!("{text}");
    for line in ["hostname: elsewhere\n", "timezone: Europe/Berlin\n", "uid: 1234\n", "- nano\n"] {
        ensure!(text.contains(line), "no line {line}");
    }
    cairn.cmd(["check"]).arg(&file).ok()?;
    // Twice is what was there twice.
    cairn.cmd(["capture", "--root"]).arg(at("tree")).arg("-o").arg(at("again")).ok()?;
    ensure!(fs::read_to_string(at("again/machine.yaml"))? == text, "the second time another machine file came out");

    cairn.cmd(["lock"]).arg(&file).ok()?;
    let images = cairn.cmd(["build", "--format", "raw", "-o"]).arg(folder.path()).arg(&file);
    let images = images.deadline(std::time::Duration::from_mins(12)).ok()?;
    let image = images.lines().next().context("no image")?;

    let mut guest = Guest::start(&Setup::uml(image.as_ref()))?;
    for (question, answer) in [
        ("hostname", "elsewhere"),
        ("id -u cairn; id -Gn cairn; getent passwd cairn | cut -d: -f5", "1234 cairn sudo Some Body"),
        ("cut -d' ' -f3 ~cairn/.ssh/authorized_keys /etc/ssh/authorized_keys.d/cairn 2>/dev/null", "me@laptop"),
        ("readlink /etc/localtime | sed 's/.*zoneinfo.//'", "Europe/Berlin"),
        ("sysctl -n net.ipv4.ip_forward", "1"),
        ("sshd -T | grep -i '^permitrootlogin'", "permitrootlogin no"),
        ("systemctl is-enabled ssh.service mine.service cron.service", "enabled enabled masked"),
        ("systemctl is-active mine.service", "active"),
        ("command -v nano less", "/usr/bin/nano /usr/bin/less"),
        ("grep -h Address= /etc/systemd/network/*", "Address=192.0.2.9/24"),
    ] {
        // What is masked is no failure here.
        let (_, said) = guest.ask(question)?;
        let said: Vec<&str> = said.split_whitespace().collect();
        ensure!(said.join(" ") == answer, "{question}: {said:?}");
    }
    guest.power_off()
}
