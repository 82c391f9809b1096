//! ifupdown: interfaces(5).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use cairn_machine::model::Interface;

use super::{NETWORK, put};
use crate::foreign::Carried;

/// Carries interfaces over; both families of one come together.
pub fn carry(path: &str, text: &str, to: &mut Carried) {
    let mut found: BTreeMap<&str, Interface> = BTreeMap::new();
    let (mut hot, mut auto): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let mut stanza: Option<&str> = None;
    let mut address: Option<String> = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once(char::is_whitespace).map_or((line, ""), |(key, value)| (key, value.trim()));
        if matches!(key, "auto" | "iface" | "mapping" | "source" | "source-directory" | "no-auto-down")
            || key.starts_with("allow-")
        {
            close(&mut found, stanza.take(), address.take());
        }
        match key {
            "auto" => auto.extend(value.split_ascii_whitespace()),
            "allow-hotplug" => hot.extend(value.split_ascii_whitespace()),
            "iface" => {
                let words: Vec<&str> = value.split_ascii_whitespace().collect();
                let [name, _family, method, ..] = words[..] else { continue };
                match method {
                    "loopback" => {}
                    "dhcp" | "auto" => {
                        let one = found.entry(name).or_default();
                        one.dhcp = Some(true);
                        stanza = Some(name);
                    }
                    "static" => {
                        found.entry(name).or_default();
                        stanza = Some(name);
                    }
                    "manual" if hot.contains(&name) || auto.contains(&name) => {
                        to.left(NETWORK, format!("{path}: {name} is set up by hand"));
                    }
                    _ => {}
                }
            }
            "address" => address = Some(value.to_string()),
            "netmask" => {
                if let Some(address) = address.as_mut().filter(|address| !address.contains('/')) {
                    *address = format!("{address}/{}", prefix(value).unwrap_or_else(|| value.to_string()));
                }
            }
            "gateway" => {
                if let Some(one) = stanza.and_then(|name| found.get_mut(name)) {
                    one.gateways.push(value.to_string());
                }
            }
            "dns-nameservers" | "dns-nameserver" => {
                if let Some(one) = stanza.and_then(|name| found.get_mut(name)) {
                    one.nameservers.extend(value.split_ascii_whitespace().map(str::to_string));
                }
            }
            "dns-search" | "dns-domain" => {
                to.machine.network.search.extend(value.split_ascii_whitespace().map(str::to_string));
            }
            // Of the network that the address is in; or how a secret is called.
            "network" | "broadcast" | "mapping" | "source" | "source-directory" | "no-auto-down" => {}
            _ if key.starts_with("wpa-") || key.starts_with("wireless-") => {
                if let Some(name) = stanza.take() {
                    found.remove(name);
                    to.left(NETWORK, format!("{path}: {name} is Wi-Fi, with its secret"));
                }
            }
            _ if stanza.is_some() => to.left(NETWORK, format!("{path}: `{key}` of {}", stanza.unwrap_or_default())),
            _ => {}
        }
    }
    close(&mut found, stanza, address);
    for (name, mut interface) in found {
        if interface.addresses.is_empty() && interface.dhcp != Some(true) {
            to.left(NETWORK, format!("{path}: {name} has neither DHCP nor an address"));
            continue;
        }
        if !interface.addresses.is_empty() && interface.dhcp.is_none() {
            interface.dhcp = Some(false);
        }
        interface.optional = hot.contains(&name) && !auto.contains(&name);
        put(path, name, interface, to);
    }
}

fn close<'t>(found: &mut BTreeMap<&'t str, Interface>, stanza: Option<&'t str>, address: Option<String>) {
    if let (Some(one), Some(address)) = (stanza.and_then(|name| found.get_mut(name)), address) {
        one.addresses.push(address);
    }
}

/// The length of a prefix, of a mask or as it is.
fn prefix(mask: &str) -> Option<String> {
    if mask.bytes().all(|b| b.is_ascii_digit()) {
        return Some(mask.to_string());
    }
    let bits = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    (bits.leading_ones() + bits.trailing_zeros() == 32).then(|| bits.leading_ones().to_string())
}
