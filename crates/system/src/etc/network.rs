//! The network, as files of systemd-networkd and systemd-resolved.

use std::fmt::Write as _;

use cairn_machine::model::{Interface, Machine};

use super::enable_if_any;
use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::Units;

/// Puts a file for each interface, the servers for names, and starts networkd.
///
/// # Errors
/// When a name cannot be that of a file, or networkd's unit is broken.
pub fn apply(tree: &mut Tree, machine: &Machine, units: &Units) -> Result<(), SystemError> {
    let network = &machine.network;
    if network.interfaces.is_empty() {
        // Physical Ethernet only: a bridge or a container's interface has no Kind-less twin.
        let any = "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n";
        tree.file("systemd/network/80-ethernet.network", any)?;
        // Nobody knows which of the sockets has a cable: one that is online will do.
        let any = "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any\n";
        tree.file("systemd/system/systemd-networkd-wait-online.service.d/cairn.conf", any)?;
    }
    for (name, interface) in &network.interfaces {
        tree.file(&file_name(name, interface), network_file(name, interface))?;
    }
    if !network.nameservers.is_empty() || !network.search.is_empty() {
        let mut text = "[Resolve]\n".to_string();
        lines(&mut text, "DNS", &network.nameservers);
        lines(&mut text, "Domains", &network.search);
        tree.file("systemd/resolved.conf.d/cairn.conf", text)?;
    }

    for unit in ["systemd-networkd.service", "systemd-resolved.service"] {
        enable_if_any(tree, units, unit)?;
    }
    if units.has("systemd-resolved.service") {
        tree.link("resolv.conf", "../run/systemd/resolve/stub-resolv.conf")?;
    } else {
        let mut text = String::new();
        for server in &network.nameservers {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !network.search.is_empty() {
            let _ = writeln!(text, "search {}", network.search.join(" "));
        }
        tree.file("resolv.conf", text)?;
    }
    Ok(())
}

/// networkd takes the first file that matches, in the order of their names.
fn file_name(name: &str, interface: &Interface) -> String {
    format!("systemd/network/{}0-{name}.network", 4 + interface.vagueness())
}

/// One interface as a systemd.network(5) file.
fn network_file(name: &str, interface: &Interface) -> String {
    let mut text = "[Match]\n".to_string();
    let found = interface.matches.clone().unwrap_or_default();
    if found.name.is_none() && found.mac_address.is_none() && found.driver.is_none() {
        let _ = writeln!(text, "Name={name}");
    }
    for (key, value) in [("Name", found.name), ("MACAddress", found.mac_address), ("Driver", found.driver)] {
        lines(&mut text, key, value.as_slice());
    }
    let _ = writeln!(text, "\n[Network]\nDHCP={}", if interface.asks_dhcp() { "yes" } else { "no" });
    lines(&mut text, "Address", &interface.addresses);
    lines(&mut text, "Gateway", &interface.gateways);
    lines(&mut text, "DNS", &interface.nameservers);
    if interface.optional {
        text.push_str("\n[Link]\nRequiredForOnline=no\n");
    }
    text
}

fn lines(text: &mut String, key: &str, values: &[String]) {
    for value in values {
        let _ = writeln!(text, "{key}={value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_machine::model::InterfaceMatch;

    #[test]
    fn an_interface_without_addresses_asks_dhcp() {
        let text = network_file("lan", &Interface::default());
        assert_eq!(text, "[Match]\nName=lan\n\n[Network]\nDHCP=yes\n");
    }

    #[test]
    fn a_static_interface_is_matched_as_the_file_says() {
        let interface = Interface {
            matches: Some(InterfaceMatch {
                mac_address: Some("52:54:00:00:00:01".into()),
                ..InterfaceMatch::default()
            }),
            addresses: vec!["192.0.2.2/24".into(), "2001:db8::2/64".into()],
            gateways: vec!["192.0.2.1".into()],
            nameservers: vec!["192.0.2.53".into()],
            optional: true,
            ..Interface::default()
        };
        assert_eq!(
            network_file("lan", &interface),
            "[Match]\nMACAddress=52:54:00:00:00:01\n\n[Network]\nDHCP=no\nAddress=192.0.2.2/24\n\
             Address=2001:db8::2/64\nGateway=192.0.2.1\nDNS=192.0.2.53\n\n[Link]\nRequiredForOnline=no\n"
        );
    }
    #[test]
    fn what_says_more_is_tried_first() {
        let matched = |name: Option<&str>, mac: Option<&str>| Interface {
            matches: Some(InterfaceMatch {
                name: name.map(Into::into),
                mac_address: mac.map(Into::into),
                ..InterfaceMatch::default()
            }),
            ..Interface::default()
        };
        let name = |interface: &Interface| file_name("a", interface);
        assert_eq!(name(&matched(Some("en*"), Some("52:54:00:00:00:01"))), "systemd/network/40-a.network");
        assert_eq!(name(&Interface::default()), "systemd/network/50-a.network");
        assert_eq!(name(&matched(Some("eth0"), None)), "systemd/network/50-a.network");
        assert_eq!(name(&matched(Some("en*"), None)), "systemd/network/60-a.network");
    }
}
