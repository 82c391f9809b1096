//! systemd-networkd: systemd.network(5).

use cairn_machine::model::{Interface, InterfaceMatch};

use super::{NETWORK, is_default, plain_name, put, sections, yes};
use crate::foreign::Carried;

/// What has a key, or changes nothing that anybody would miss.
const KNOWN: [(&str, &[&str]); 5] = [
    ("Match", &["Name", "MACAddress", "PermanentMACAddress", "Driver", "Type"]),
    (
        "Network",
        &["DHCP", "Address", "Gateway", "DNS", "Domains", "IPv6AcceptRA", "LinkLocalAddressing", "Description"],
    ),
    ("Address", &["Address"]),
    ("Route", &["Gateway", "Destination"]),
    ("Link", &["RequiredForOnline"]),
];

/// Carries an interface over.
pub fn carry(path: &str, text: &str, to: &mut Carried) {
    let (mut interface, mut matches) = (Interface::default(), InterfaceMatch::default());
    let mut wireless = false;
    for (section, keys) in sections(text) {
        let get = |key: &str| keys.iter().rfind(|(one, _)| *one == key).map(|(_, value)| *value);
        for (key, value) in &keys {
            match (section, *key) {
                ("Match", "Name") => matches.name = value.split_ascii_whitespace().next().map(str::to_string),
                ("Match", "MACAddress" | "PermanentMACAddress") => matches.mac_address = Some((*value).to_string()),
                ("Match", "Driver") => matches.driver = Some((*value).to_string()),
                ("Match", "Type") => wireless = *value == "wlan",
                ("Network", "DHCP") => interface.dhcp = Some(yes(value)),
                ("Network" | "Address", "Address") => interface.addresses.push((*value).to_string()),
                ("Network", "Gateway") => interface.gateways.push((*value).to_string()),
                ("Network", "DNS") => interface.nameservers.extend(value.split_ascii_whitespace().map(str::to_string)),
                ("Network", "Domains") => {
                    let domains = value.split_ascii_whitespace().filter(|one| !one.starts_with('~'));
                    to.machine.network.search.extend(domains.map(str::to_string));
                }
                ("Link", "RequiredForOnline") => interface.optional = *value == "no",
                _ => {}
            }
            if !KNOWN.iter().any(|(name, known)| *name == section && known.contains(key)) {
                to.left(NETWORK, format!("{path}: {key}= in [{section}]"));
            }
        }
        if section == "Route" {
            match (get("Gateway"), get("Destination")) {
                (Some(gateway), destination) if destination.is_none_or(is_default) => {
                    interface.gateways.push(gateway.to_string())
                }
                (_, destination) => {
                    to.left(NETWORK, format!("{path}: a route to {}", destination.unwrap_or("somewhere")))
                }
            }
        }
    }
    if wireless || matches == InterfaceMatch::default() {
        return to.left(NETWORK, format!("{path}: it is for no interface that a machine file can name"));
    }
    settle(path, matches, interface, to);
}

/// Under the interface's own name where it is matched by that alone.
pub fn settle(path: &str, matches: InterfaceMatch, mut interface: Interface, to: &mut Carried) {
    let own = |name: &String| !name.contains(['*', '?', '[', '!']);
    let (name, by_name) = match &matches {
        InterfaceMatch { name: Some(name), mac_address: None, driver: None } if own(name) => (name.clone(), true),
        InterfaceMatch { name: Some(name), .. } => (plain_name(name), false),
        InterfaceMatch { mac_address: Some(mac), .. } => (plain_name(mac), false),
        InterfaceMatch { driver, .. } => (plain_name(driver.as_deref().unwrap_or_default()), false),
    };
    if !by_name {
        interface.matches = Some(matches);
    }
    put(path, &name, interface, to);
}
