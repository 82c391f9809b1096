//! What no key of a machine file is about: data, programs of nobody's packages, timetables, and secrets, which are named and never copied.

use super::Carried;
use super::seen::Seen;

/// How many names a line has.
const IN_A_LINE: usize = 20;

/// Names it.
pub fn carry(seen: &Seen, to: &mut Carried) {
    to.left(
        "data",
        "what is in /home, /root, /srv and /var: a machine file says what a machine is, and not what is in it; copy it",
    );
    for folder in ["/opt", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib", "/srv"] {
        let names = seen.names.get(folder).map(Vec::as_slice).unwrap_or_default();
        if !names.is_empty() {
            to.left("programs", format!("{folder} has {}", list(names)));
        }
    }
    for (folder, what) in [("/snap", "snaps"), ("/var/lib/flatpak/app", "Flatpaks")] {
        if let Some(names) = seen.names.get(folder) {
            to.left("programs", format!("{what}: {}", list(names)));
        }
    }
    for (place, what) in [("/var/lib/docker", "Docker's"), ("/var/lib/containers", "Podman's")] {
        if seen.present.contains(place) {
            to.left("programs", format!("{what} images, containers and volumes, in {place}"));
        }
    }
    for folder in ["/var/spool/cron/crontabs", "/var/spool/cron"] {
        let names = seen.names.get(folder).map(Vec::as_slice).unwrap_or_default();
        for name in names.iter().filter(|name| *name != "crontabs").take(IN_A_LINE) {
            to.left("timetables", format!("{folder}/{name}: a timer of systemd says the same (`services.units`)"));
        }
    }
    let hosts = seen.text("/etc/hosts").unwrap_or_default().lines().map(str::trim);
    let own = &to.machine.hostname;
    let names = hosts
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter(|line| !["localhost", "ip6-", own.as_str()].iter().any(|word| line.contains(word)));
    let names = names.count();
    if names > 0 {
        to.left("hosts", format!("/etc/hosts has {names} lines of somebody's own: `files:` can hold them"));
    }
    sudo(seen, to);
    secrets(seen, to);
}

fn sudo(seen: &Seen, to: &mut Carried) {
    for (path, why) in seen.unread.iter().filter(|(path, _)| path.starts_with("/etc/sudoers")) {
        to.left("sudo", format!("{path}: {why}"));
    }
    for (path, text) in seen.texts_in("/etc/sudoers.d", "") {
        if path.ends_with("/README") || text.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
            continue;
        }
        if !to.has_package("sudo") || text.contains("/nix/store/") {
            to.left("sudo", format!("{path}: its rules"));
            continue;
        }
        let file = cairn_machine::model::EtcFile {
            text: Some(text.to_string()),
            mode: Some("0440".into()),
            ..cairn_machine::model::EtcFile::default()
        };
        to.machine.files.insert(path.to_string(), file);
    }
}

/// Places that hold secrets: each is told, and none is read.
fn secrets(seen: &Seen, to: &mut Carried) {
    for place in &seen.present {
        let what = match place.as_str() {
            key if key.starts_with("/etc/ssh/ssh_host_") => {
                "the machine draws a key of its own, and whoever knows this one is asked once"
            }
            key if key.contains("/.ssh/id_") => "somebody's private key",
            "/etc/wireguard" | "/etc/openvpn" => "the keys of a private network",
            "/etc/wpa_supplicant/wpa_supplicant.conf" | "/var/lib/iwd" => "the secrets of Wi-Fi networks",
            "/etc/letsencrypt" | "/etc/ssl/private" => "private keys of certificates",
            "/etc/krb5.keytab" => "the machine's key in its domain",
            _ => continue,
        };
        to.left("secrets", format!("{place} is not read: {what}"));
    }
}

fn list(names: &[String]) -> String {
    let some = names.iter().take(IN_A_LINE).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(IN_A_LINE) {
        Some(more) if more > 0 => format!("{some} and {more} more"),
        _ => some,
    }
}
