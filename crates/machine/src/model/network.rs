//! Network interfaces, in the manner of systemd-networkd.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Interfaces by name; the name is what is matched unless `match` says otherwise. Where several match, a hardware
    /// address goes before a name, a name before a pattern. Without any, every Ethernet interface asks DHCP.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub interfaces: BTreeMap<String, Interface>,
    /// Wireless networks by their names (SSIDs): the machine joins whichever it finds, by any card, and asks DHCP there unless an
    /// interface says otherwise.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub wifi: BTreeMap<String, Wifi>,
    /// Name servers besides those that DHCP tells.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.53"]]))]
    pub nameservers: Vec<String>,
    /// Domains to search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["example.org"]]))]
    pub search: Vec<String>,
}

/// One network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Interface {
    /// Which interface this is, where its name does not tell.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<InterfaceMatch>,
    /// Ask DHCP (v4 and v6). Default: true without `addresses`, else false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub dhcp: Option<bool>,
    /// Static addresses with prefix length.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.10/24", "2001:db8::10/64"]]))]
    pub addresses: Vec<String>,
    /// The default gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.1"]]))]
    pub gateways: Vec<String>,
    /// Name servers on this interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.53"]]))]
    pub nameservers: Vec<String>,
    /// Do not wait for this interface when the machine boots.
    pub optional: bool,
}

/// A wireless network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wifi {
    /// A file, relative to this one, with one line: the passphrase (WPA2 and WPA3 personal). It is put into the machine's own state,
    /// never into the store. Without it the network is one that anybody may join.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"home.passphrase")]
    pub passphrase_file: Option<String>,
    /// Look for it by its name: it does not tell it by itself.
    pub hidden: bool,
}

/// How an interface is recognised, in the words of systemd.network's `[Match]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InterfaceMatch {
    /// A name or glob, such as `en*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"en*")]
    pub name: Option<String>,
    /// A hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"52:54:00:12:34:56")]
    pub mac_address: Option<String>,
    /// A driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"virtio_net")]
    pub driver: Option<String>,
}

impl Network {
    /// The interfaces with their names, in the order in which they are tried: a card belongs to the first that matches
    /// it. A hardware address is tried before a name, a name before a pattern or a driver.
    pub fn in_order(&self) -> Vec<(&str, &Interface)> {
        let mut interfaces: Vec<_> = self.interfaces.iter().map(|(name, found)| (name.as_str(), found)).collect();
        interfaces.sort_by_key(|(_, interface)| interface.vagueness());
        interfaces
    }
}

/// The name of the file, below the machine's own state, that has the passphrase of a wireless network: its name in hexadecimal
/// digits, as wpa_supplicant.conf(5) takes it.
pub fn wifi_secret(ssid: &str) -> String {
    ssid.bytes().map(|byte| format!("{byte:02x}")).collect()
}

impl Interface {
    /// How little `match` says: 0 for a hardware address, 1 for a plain name, 2 for a pattern or a driver.
    pub fn vagueness(&self) -> u8 {
        let plain = |name: &String| !name.contains(['*', '?', '[', '!']);
        match &self.matches {
            Some(InterfaceMatch { mac_address: Some(_), .. }) => 0,
            Some(found) if *found != InterfaceMatch::default() => {
                if found.name.as_ref().is_some_and(plain) {
                    1
                } else {
                    2
                }
            }
            _ => 1,
        }
    }

    /// Whether it asks DHCP.
    pub fn asks_dhcp(&self) -> bool {
        self.dhcp.unwrap_or(self.addresses.is_empty())
    }
}
