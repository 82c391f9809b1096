//! What runs: services that are started at boot, units of the system's own, what is masked.

use std::collections::BTreeSet;

use cairn_machine::model::Unit;

use super::seen::Seen;
use super::{Carried, Kind, System};

const UNITS: &str = "/etc/systemd/system";

/// What a machine starts by itself, or has something else for.
const BY_ITSELF: [&str; 45] = [
    "NetworkManager-dispatcher.service",
    "NetworkManager-wait-online.service",
    "NetworkManager.service",
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "autovt@.service",
    "console-setup.service",
    "dbus.service",
    "dbus-org.freedesktop.network1.service",
    "dbus-org.freedesktop.nm-dispatcher.service",
    "dbus-org.freedesktop.resolve1.service",
    "dbus-org.freedesktop.timesync1.service",
    "default.target",
    "display-manager.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "grub-common.service",
    "grub-initrd-fallback.service",
    "initrd-cleanup.service",
    "keyboard-setup.service",
    "local-fs.target",
    "machines.target",
    "man-db.timer",
    "motd-news.timer",
    "netplan-ovs-cleanup.service",
    "networking.service",
    "remote-cryptsetup.target",
    "remote-fs.target",
    "remote-veritysetup.target",
    "secureboot-db.service",
    "sshd-keygen.service",
    "sudo.service",
    "systemd-boot-update.service",
    "systemd-networkd-wait-online.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-network-generator.service",
    "systemd-pstore.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "systemd-sysext.service",
    "ua-reboot-cmds.service",
];

/// Units of others' packages, with Debian's unit and the package that has it.
const CALLED: [(&str, &str, &str); 22] = [
    ("apache2.service", "apache2.service", "apache2"),
    ("avahi-daemon.service", "avahi-daemon.service", "avahi-daemon"),
    ("caddy.service", "caddy.service", "caddy"),
    ("chronyd.service", "chrony.service", "chrony"),
    ("crond.service", "cron.service", "cron"),
    ("cronie.service", "cron.service", "cron"),
    ("dnsmasq.service", "dnsmasq.service", "dnsmasq"),
    ("docker.service", "docker.service", "docker.io"),
    ("fail2ban.service", "fail2ban.service", "fail2ban"),
    ("firewalld.service", "firewalld.service", "firewalld"),
    ("haproxy.service", "haproxy.service", "haproxy"),
    ("httpd.service", "apache2.service", "apache2"),
    ("libvirtd.service", "libvirtd.service", "libvirt-daemon-system"),
    ("mariadb.service", "mariadb.service", "mariadb-server"),
    ("nftables.service", "nftables.service", "nftables"),
    ("nginx.service", "nginx.service", "nginx"),
    ("postfix.service", "postfix.service", "postfix"),
    ("postgresql.service", "postgresql.service", "postgresql"),
    ("prometheus.service", "prometheus.service", "prometheus"),
    ("redis.service", "redis-server.service", "redis-server"),
    ("sshd.service", "ssh.service", "openssh-server"),
    ("unbound.service", "unbound.service", "unbound"),
];

/// Words in a unit that may be somebody's secret.
const SECRETS: [&str; 7] = ["password", "passwd", "secret", "token", "api_key", "apikey", "privatekey"];

/// Carries it over.
pub fn carry(seen: &Seen, system: &System, to: &mut Carried) {
    let (started, masked) = (started(seen), masked(seen));
    let own = own(seen, system, &started, to);
    // What is masked is not started, whatever else is there.
    let starts = |unit: &&String| !own.contains(*unit) && !masked.contains(unit.as_str()) && !is_by_itself(unit);
    for unit in started.iter().filter(starts) {
        match package_of(unit, seen, system) {
            Some((unit, package)) if to.has_package(package) => enable(unit, to),
            Some((_, package)) => {
                to.left(
                    "services",
                    format!("{unit} is started: its package, {package}, is not among those that were asked for"),
                );
            }
            None => {
                to.left("services", format!("{unit} is started: no package of the machine file is known to have it"))
            }
        }
    }
    for unit in masked {
        match package_of(unit, seen, system) {
            Some((unit, package)) if to.has_package(package) => to.machine.services.disable.push(unit.to_string()),
            _ if is_by_itself(unit) => {}
            _ => to.left("services", format!("{unit} is masked")),
        }
    }
}

/// Units that nothing can start.
fn masked(seen: &Seen) -> BTreeSet<&str> {
    let nothing = seen.links.iter().filter(|(_, to)| *to == "/dev/null").map(|(path, _)| path);
    nothing.filter_map(|path| path.strip_prefix(UNITS)?.strip_prefix('/')).filter(|unit| !unit.contains('/')).collect()
}

/// The names of links by which units are started.
fn started(seen: &Seen) -> BTreeSet<String> {
    let folder = format!("{UNITS}/");
    let unit = |(path, target): (&String, &String)| {
        let (of, unit) = path.strip_prefix(&folder)?.split_once('/')?;
        let is = (of.ends_with(".wants") || of.ends_with(".requires")) && !unit.contains('/') && target != "/dev/null";
        is.then(|| unit.to_string())
    };
    seen.links.iter().filter_map(unit).collect()
}

fn is_by_itself(unit: &str) -> bool {
    BY_ITSELF.contains(&unit)
        || unit.ends_with(".mount")
        || unit.ends_with(".swap")
        || unit.starts_with("snap")
        || unit.starts_with("cloud-")
        || unit.starts_with("getty@")
        || unit.starts_with("serial-getty@")
}

/// Debian's name of a unit, and the package that has it.
fn package_of<'s>(unit: &'s str, seen: &'s Seen, system: &System) -> Option<(&'s str, &'s str)> {
    if matches!(system.kind, Kind::Debian | Kind::LikeDebian) {
        let template =
            unit.split_once('@').map(|(name, rest)| format!("{name}@{}", &rest[rest.rfind('.').unwrap_or(0)..]));
        let package = seen.unit_of.get(unit).or_else(|| seen.unit_of.get(&template?))?;
        return Some((unit, package.as_str()));
    }
    CALLED.iter().find(|(name, _, _)| *name == unit).map(|(_, unit, package)| (*unit, *package))
}

fn enable(unit: &str, to: &mut Carried) {
    let name = unit.strip_suffix(".service").unwrap_or(unit).to_string();
    if !to.machine.services.enable.contains(&name) {
        to.machine.services.enable.push(name);
    }
}

/// Units that somebody has written: files in /etc, where they are no settings for one of a package's.
fn own(seen: &Seen, system: &System, started: &BTreeSet<String>, to: &mut Carried) -> BTreeSet<String> {
    let mut own = BTreeSet::new();
    // What NixOS has there is all made from its own files.
    if system.kind == Kind::NixOs {
        return own;
    }
    let texts: Vec<(&str, &str)> = seen.texts_in(UNITS, "").collect();
    for (path, text) in texts {
        let Some(unit) = path.strip_prefix(&format!("{UNITS}/")) else { continue };
        // A link is another name of a package's unit.
        if seen.links.contains_key(path) || is_by_itself(unit) && seen.links.contains_key(path) {
            continue;
        }
        if !unit.contains('.') || seen.unit_of.contains_key(unit) {
            to.left("services", format!("{path} stands in front of a package's unit"));
            continue;
        }
        own.insert(unit.to_string());
        if holds_a_secret(text) {
            to.left(
                "services",
                format!(
                    "{path} is left out: it looks as if it had a secret in it, and everybody can read a machine file"
                ),
            );
            continue;
        }
        let enable = started.contains(unit);
        to.machine.services.units.insert(unit.to_string(), Unit { text: text.to_string(), enable });
        for program in programs(text) {
            to.left("services", format!("{unit} runs {program}, which no package has"));
        }
    }
    for path in seen.texts.keys() {
        let inside = path.strip_prefix(&format!("{UNITS}/")).and_then(|rest| rest.split_once('/'));
        if let Some((unit, file)) = inside.filter(|(folder, _)| folder.ends_with(".d")) {
            to.left("services", format!("{UNITS}/{unit}/{file} changes a unit: `files:` can hold it"));
        }
    }
    own
}

fn holds_a_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.lines().map(str::trim).any(|line| {
        !line.starts_with(['#', ';']) && line.contains('=') && SECRETS.iter().any(|word| line.contains(word))
    })
}

/// Programs of a unit that are where packages put none.
fn programs(text: &str) -> impl Iterator<Item = &str> {
    let lines =
        text.lines().filter_map(|line| line.trim().strip_prefix("Exec")?.split_once('=')).map(|(_, command)| command);
    let program = lines.filter_map(|command| {
        command.trim_start_matches(['-', '@', ':', '+', '!', '|']).split_ascii_whitespace().next()
    });
    program.filter(|path| {
        ["/usr/local/", "/opt/", "/home/", "/srv/", "/root/"].iter().any(|place| path.starts_with(place))
    })
}
