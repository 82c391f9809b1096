//! NetworkManager: nm-settings-keyfile(5).

use cairn_machine::model::{Interface, InterfaceMatch};

use super::networkd::settle;
use super::{NETWORK, sections};
use crate::foreign::Carried;

/// Carries a connection over, if it is one of a wire.
pub fn carry(path: &str, text: &str, to: &mut Carried) {
    let all = sections(text);
    let get = |section: &str, key: &str| {
        let mut of_it = all.iter().filter(|(name, _)| *name == section).flat_map(|(_, keys)| keys);
        of_it.find(|(one, _)| *one == key).map(|(_, value)| *value).filter(|value| !value.is_empty())
    };
    let kind = get("connection", "type").unwrap_or("something");
    if !matches!(kind, "ethernet" | "802-3-ethernet") {
        let secret = ["psk", "password", "wep-key0", "private-key"]
            .iter()
            .any(|key| all.iter().any(|(_, keys)| keys.iter().any(|(one, _)| one == key)));
        let with = if secret { ", with its secret" } else { "" };
        return to.left(NETWORK, format!("{path}: a connection of the kind {kind}{with}"));
    }
    let matches = InterfaceMatch {
        name: get("connection", "interface-name").map(str::to_string),
        mac_address: get("ethernet", "mac-address").map(str::to_string),
        driver: None,
    };
    let mut interface = Interface::default();
    let mut asks = false;
    for family in ["ipv4", "ipv6"] {
        asks |= matches!(get(family, "method"), Some("auto" | "dhcp"));
        for (_, keys) in all.iter().filter(|(name, _)| *name == family) {
            for (key, value) in keys {
                if let Some(number) =
                    key.strip_prefix("address").filter(|number| number.bytes().all(|b| b.is_ascii_digit()))
                {
                    let mut parts = value.split([',', ';']).map(str::trim);
                    interface.addresses.extend(parts.next().filter(|one| !one.is_empty()).map(str::to_string));
                    let _ = number;
                    interface.gateways.extend(parts.next().filter(|one| !one.is_empty()).map(str::to_string));
                } else if key.starts_with("route") && key.bytes().any(|b| b.is_ascii_digit()) {
                    to.left(NETWORK, format!("{path}: a route to {}", value.split(',').next().unwrap_or_default()));
                }
            }
        }
        interface.gateways.extend(get(family, "gateway").map(str::to_string));
        let list = |value: &str| {
            value.split(';').map(str::trim).filter(|one| !one.is_empty()).map(str::to_string).collect::<Vec<_>>()
        };
        interface.nameservers.extend(get(family, "dns").map(list).unwrap_or_default());
        to.machine.network.search.extend(get(family, "dns-search").map(list).unwrap_or_default());
    }
    interface.gateways.dedup();
    if matches == InterfaceMatch::default() {
        // For every wire, as a machine has it by itself.
        if asks && interface.addresses.is_empty() {
            return;
        }
        return to.left(NETWORK, format!("{path}: it is for any interface"));
    }
    interface.dhcp = Some(asks);
    settle(path, matches, interface, to);
}
