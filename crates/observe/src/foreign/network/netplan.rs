//! netplan: its YAML.

use cairn_machine::model::{Interface, InterfaceMatch};
use cairn_machine::{SourceFile, values};
use serde_json::Value;

use super::networkd::settle;
use super::{NETWORK, is_default};
use crate::foreign::Carried;

/// Keys of an interface that are carried over, or say nothing else.
const KNOWN: [&str; 13] = [
    "match",
    "set-name",
    "dhcp4",
    "dhcp6",
    "addresses",
    "gateway4",
    "gateway6",
    "routes",
    "nameservers",
    "optional",
    "accept-ra",
    "critical",
    "renderer",
];

/// Carries wired interfaces over.
pub fn carry(path: &str, text: &str, to: &mut Carried) {
    let file = match values(&SourceFile::new(path, text)) {
        Ok(file) => file,
        Err(problems) => {
            // Only where: the file may have a secret in it.
            let at = problems.iter().next().map_or(1, |one| one.line);
            return to.left(NETWORK, format!("{path}: it cannot be read, at line {at}"));
        }
    };
    let Some(network) = file.get("network").and_then(Value::as_object) else { return };
    for (key, value) in network {
        match (key.as_str(), value.as_object()) {
            ("version" | "renderer", _) => {}
            ("ethernets", Some(all)) => all.iter().for_each(|(name, one)| interface(path, name, one, to)),
            ("wifis", Some(all)) => {
                all.keys().for_each(|name| to.left(NETWORK, format!("{path}: {name} is Wi-Fi, with its secret")));
            }
            _ => to.left(NETWORK, format!("{path}: `{key}`")),
        }
    }
}

fn interface(path: &str, name: &str, value: &Value, to: &mut Carried) {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let list = |value: Option<&Value>| -> Vec<String> {
        value.and_then(Value::as_array).map(|all| all.iter().filter_map(text).collect()).unwrap_or_default()
    };
    let yes = |key: &str| match value.get(key) {
        Some(Value::Bool(yes)) => Some(*yes),
        Some(Value::String(word)) => Some(super::yes(word)),
        _ => None,
    };
    let mut interface = Interface::default();
    let asks = [yes("dhcp4"), yes("dhcp6")];
    interface.dhcp = Some(asks.contains(&Some(true)));
    interface.addresses = list(value.get("addresses"));
    if interface.addresses.len() < value.get("addresses").and_then(Value::as_array).map_or(0, Vec::len) {
        to.left(NETWORK, format!("{path}: an address of {name} with options"));
    }
    interface.gateways = ["gateway4", "gateway6"].iter().filter_map(|key| text(value.get(key)?)).collect();
    for route in value.get("routes").and_then(Value::as_array).into_iter().flatten() {
        let (destination, via) = (route.get("to").and_then(&text), route.get("via").and_then(&text));
        match (destination, via) {
            (Some(destination), Some(via)) if is_default(&destination) => interface.gateways.push(via),
            (destination, _) => {
                to.left(NETWORK, format!("{path}: a route of {name} to {}", destination.unwrap_or_default()));
            }
        }
    }
    let servers = value.get("nameservers");
    interface.nameservers = list(servers.and_then(|servers| servers.get("addresses")));
    to.machine.network.search.extend(list(servers.and_then(|servers| servers.get("search"))));
    interface.optional = yes("optional") == Some(true);
    let found = value.get("match");
    let of_match = |key: &str| found.and_then(|found| text(found.get(key)?));
    let mut matches =
        InterfaceMatch { name: of_match("name"), mac_address: of_match("macaddress"), driver: of_match("driver") };
    if matches == InterfaceMatch::default() {
        matches.name = Some(name.to_string());
    }
    for key in value.as_object().into_iter().flat_map(|all| all.keys()).filter(|key| !KNOWN.contains(&key.as_str())) {
        to.left(NETWORK, format!("{path}: `{key}` of {name}"));
    }
    settle(path, matches, interface, to);
}
