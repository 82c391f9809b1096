//! Network interfaces, in whichever of the ways of Linux they are written down. Wi-Fi and its secrets stay where they are: a machine file has
//! no place for them.

mod ifupdown;
mod keyfile;
mod netplan;
mod networkd;

use std::net::IpAddr;

use cairn_machine::model::Interface;

use super::Carried;
use super::seen::Seen;

/// The topic in the list.
const NETWORK: &str = "network";

/// Carries them over.
pub fn carry(seen: &Seen, to: &mut Carried) {
    for folder in ["/etc/systemd/network", "/run/systemd/network"] {
        for (path, text) in seen.texts_in(folder, ".network") {
            // What netplan and others make there while the system runs, they make of what is read below.
            if folder.starts_with("/run") && path.contains("netplan") {
                continue;
            }
            networkd::carry(path, text, to);
        }
        for (path, _) in seen.texts_in(folder, ".netdev") {
            to.left(NETWORK, format!("{path}: a bridge, VLAN or the like"));
        }
    }
    for (path, text) in seen.texts_in("/etc/NetworkManager/system-connections", "") {
        keyfile::carry(path, text, to);
    }
    for (path, text) in seen.texts_in("/etc/netplan", ".yaml") {
        netplan::carry(path, text, to);
    }
    let interfaces = seen.text("/etc/network/interfaces").map(|text| ("/etc/network/interfaces", text));
    for (path, text) in interfaces.into_iter().chain(seen.texts_in("/etc/network/interfaces.d", "")) {
        ifupdown::carry(path, text, to);
    }
    for (path, text) in seen.texts_in("/etc/sysconfig/network-scripts", "") {
        if path.contains("/ifcfg-") && !text.contains("DEVICE=lo") {
            to.left(NETWORK, format!("{path}: Red Hat's old form is not read"));
        }
    }
    unread(seen, to);
    name_servers(seen, to);
}

fn unread(seen: &Seen, to: &mut Carried) {
    let folders = ["/etc/NetworkManager/system-connections", "/etc/netplan", "/etc/systemd/network", "/etc/network"];
    let of_it = |path: &str| folders.iter().any(|folder| path.starts_with(folder));
    for (path, why) in seen.unread.iter().filter(|(path, _)| of_it(path)) {
        to.left(NETWORK, format!("{path}: {why}"));
    }
}

/// Of a machine with fixed addresses, the name servers of resolv.conf where nobody else says any; a link there is a program's.
fn name_servers(seen: &Seen, to: &mut Carried) {
    let network = &mut to.machine.network;
    let fixed = network.interfaces.values().any(|one| !one.asks_dhcp() && one.nameservers.is_empty());
    if !fixed || !network.nameservers.is_empty() || seen.links.contains_key("/etc/resolv.conf") {
        return;
    }
    for line in seen.text("/etc/resolv.conf").unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("nameserver") => {
                let server = words.next().and_then(|text| text.parse::<IpAddr>().ok());
                network.nameservers.extend(server.filter(|ip| !ip.is_loopback()).map(|ip| ip.to_string()));
            }
            Some("search" | "domain") => network.search.extend(words.map(str::to_string)),
            _ => {}
        }
    }
}

/// More than any computer has.
const MOST: usize = 256;

/// Puts an interface into the machine file; one that is there already keeps what it has.
fn put(path: &str, name: &str, mut interface: Interface, to: &mut Carried) {
    for list in
        [&mut interface.addresses, &mut interface.gateways, &mut interface.nameservers, &mut to.machine.network.search]
    {
        list.truncate(MOST);
    }
    let interfaces = &mut to.machine.network.interfaces;
    if interfaces.len() == MOST {
        return to.left(NETWORK, format!("{path}: there are more than {MOST} interfaces"));
    }
    if interfaces.contains_key(name) {
        return to.left(NETWORK, format!("{path}: {name} is set up in another place, too, which counts"));
    }
    interfaces.insert(name.into(), interface);
}

/// A name for what is matched by something else than its name.
fn plain_name(text: &str) -> String {
    let name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(30).collect();
    let name = name.trim_matches('-');
    if name.is_empty() || name.bytes().all(|b| b.is_ascii_digit()) {
        format!("interface{name}")
    } else {
        name.to_string()
    }
}

/// Where everything goes for which there is no other way.
fn is_default(destination: &str) -> bool {
    matches!(destination, "default" | "0.0.0.0/0" | "::/0" | "0.0.0.0")
}

/// Sections of a file with `[Section]` and `Key=value`, in order.
fn sections(text: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let mut all: Vec<(&str, Vec<(&str, &str)>)> = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            all.push((name, Vec::new()));
        } else if let (Some((key, value)), Some((_, keys))) = (line.split_once('='), all.last_mut()) {
            keys.push((key.trim(), value.trim()));
        }
    }
    all
}

fn yes(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "yes" | "true" | "on" | "1" | "both" | "ipv4" | "ipv6")
}
