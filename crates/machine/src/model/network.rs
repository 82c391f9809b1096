//! Network interfaces, in the manner of systemd-networkd.

use std::collections::BTreeMap;

use super::links::{Bond, Bridge, Vlan, WireGuard};
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
    /// Name servers besides those that DHCP tells: an address, and behind it `:` and a port, `%` and an interface, `#` and the name that
    /// its certificate has (`DNS=` in resolved.conf(5)).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.53", "9.9.9.9#dns.quad9.net"]]))]
    pub nameservers: Vec<String>,
    /// Domains to search; with `~` in front, domains that are asked of these name servers only, and `~.` for all (`Domains=`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["example.org", "~corp.example"]]))]
    pub search: Vec<String>,
    /// Whether name servers are asked over TLS: always, where they can, or never (`DNSOverTLS=` in resolved.conf(5)).
    #[serde(skip_serializing_if = "DnsOverTls::is_default")]
    pub dns_over_tls: DnsOverTls,
    /// What comes in. Without it everything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Firewall>,
}

/// Whether name servers are asked over TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsOverTls {
    /// Never.
    #[default]
    No,
    /// Where the server can, and nobody keeps it from it.
    Opportunistic,
    /// Always; a name is not resolved otherwise.
    Yes,
}

impl DnsOverTls {
    fn is_default(&self) -> bool {
        *self == DnsOverTls::No
    }

    /// resolved's word.
    pub fn name(self) -> &'static str {
        match self {
            DnsOverTls::No => "no",
            DnsOverTls::Opportunistic => "opportunistic",
            DnsOverTls::Yes => "yes",
        }
    }
}

/// One network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Interface {
    /// Which interface this is, where its name does not tell.
    #[serde(rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<InterfaceMatch>,
    /// Ask DHCP (v4 and v6). Default: true without `addresses`, else false; and false for what is in a bridge or a bond, only carries
    /// VLANs, or is WireGuard.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub dhcp: Option<bool>,
    /// Ask DHCP for an IPv4 address. Default: as `dhcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub dhcp4: Option<bool>,
    /// Ask DHCP for an IPv6 address. Default: as `dhcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = false)]
    pub dhcp6: Option<bool>,
    /// What of DHCP's answers for IPv4 is used, and what it is told (`[DHCPv4]` in systemd.network(5)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp4_overrides: Option<DhcpOverrides>,
    /// The same for IPv6 (`[DHCPv6]`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp6_overrides: Option<DhcpOverrides>,
    /// Take addresses and routes that routers announce for IPv6 (`IPv6AcceptRA=`). Default: systemd-networkd's: yes, unless the machine
    /// is a router itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = false)]
    pub accept_ra: Option<bool>,
    /// Static addresses with prefix length.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.10/24", "2001:db8::10/64"]]))]
    pub addresses: Vec<String>,
    /// The default gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.1"]]))]
    pub gateways: Vec<String>,
    /// The gateways are reached by this interface though they are in none of its networks, as a hoster wants it that gives a single
    /// address (`GatewayOnLink=` in systemd.network(5)).
    pub gateway_on_link: bool,
    /// Routes besides those of addresses and gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// Name servers on this interface, in the form of `network.nameservers`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.53"]]))]
    pub nameservers: Vec<String>,
    /// Domains to search by the name servers of this interface; with `~` in front, domains that are asked of these only (`Domains=` in
    /// systemd.network(5)).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["~corp.example"]]))]
    pub search: Vec<String>,
    /// The largest packet in bytes (`MTUBytes=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 68, max = 65535), example = 9000)]
    pub mtu: Option<u32>,
    /// The machine makes it: a VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// The machine makes it: a bridge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
    /// The machine makes it: a bond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<Bond>,
    /// The machine makes it: a WireGuard tunnel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wireguard: Option<WireGuard>,
    /// Do not wait for this interface when the machine boots.
    pub optional: bool,
}

/// What is used of an answer of DHCP, in netplan's words. What is left out is as systemd-networkd has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DhcpOverrides {
    /// Use the name servers (`UseDNS=`; default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = false)]
    pub use_dns: Option<bool>,
    /// Use the domains to search: true, or not (`UseDomains=`; default: false).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub use_domains: Option<bool>,
    /// Use the time servers (`UseNTP=`; default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = false)]
    pub use_ntp: Option<bool>,
    /// Take the host name (`UseHostname=`; Default: true, but the machine file's goes first).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = false)]
    pub use_hostname: Option<bool>,
    /// Use the routes; IPv4 only (`UseRoutes=`; default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = false)]
    pub use_routes: Option<bool>,
    /// Use the size of packets; IPv4 only (`UseMTU=`; default: false).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub use_mtu: Option<bool>,
    /// Tell the host name (`SendHostname=`; default: true).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = false)]
    pub send_hostname: Option<bool>,
    /// The host name to tell instead of the machine's (`Hostname=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"web")]
    pub hostname: Option<String>,
    /// The metric of the routes: of several to one place the lowest is taken; IPv4 only (`RouteMetric=`; default: 1024).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 100)]
    pub route_metric: Option<u32>,
    /// By what the server knows this interface: `mac`, its hardware address, or `duid`, the machine's identifier; IPv4 only
    /// (`ClientIdentifier=`; default: duid).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_identifier: Option<ClientIdentifier>,
}

/// By what a DHCP server knows an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClientIdentifier {
    /// Its hardware address.
    Mac,
    /// The machine's identifier, and a number of the interface.
    Duid,
}

/// A route, in netplan's words (`[Route]` in systemd.network(5)).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Where it leads: a network with its prefix length, or `default` (`Destination=`).
    #[schemars(example = &"198.51.100.0/24")]
    pub to: String,
    /// The router (`Gateway=`). Without it, what is meant is on this interface itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"192.0.2.254")]
    pub via: Option<String>,
    /// The router is reached by this interface though it is in none of its networks (`GatewayOnLink=`).
    #[serde(default)]
    pub on_link: bool,
    /// The address to send from (`PreferredSource=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"192.0.2.10")]
    pub from: Option<String>,
    /// Of several routes to one place the lowest metric is taken (`Metric=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 100)]
    pub metric: Option<u32>,
    /// The number of the routing table (`Table=`). Default: the main one, 254.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), example = 100)]
    pub table: Option<u32>,
    /// What becomes of a packet that takes it (`Type=`).
    #[serde(default, rename = "type", skip_serializing_if = "RouteType::is_default")]
    pub kind: RouteType,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RouteType {
    /// It is sent on.
    #[default]
    Unicast,
    /// It is thrown away.
    Blackhole,
    /// The sender hears that there is no way.
    Unreachable,
    /// The sender hears that it is forbidden.
    Prohibit,
}

impl RouteType {
    fn is_default(&self) -> bool {
        *self == RouteType::Unicast
    }

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            RouteType::Unicast => "unicast",
            RouteType::Blackhole => "blackhole",
            RouteType::Unreachable => "unreachable",
            RouteType::Prohibit => "prohibit",
        }
    }
}

/// Which connections from outside are taken; what was asked for from here is answered in any case. An nftables table of its own, for IPv4
/// and IPv6.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Firewall {
    /// TCP ports: a number, or two with `-` between them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["22", "443", "8000-8080"]]))]
    pub allowed_tcp_ports: Vec<String>,
    /// UDP ports, in the same form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["51820"]]))]
    pub allowed_udp_ports: Vec<String>,
    /// Interfaces on which everything is taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["wg0"]]))]
    pub trusted_interfaces: Vec<String>,
    /// Answer pings.
    pub allow_ping: bool,
    /// Rules of one's own: the whole of an nftables file, nft(8), loaded after the table that follows from the other keys. Tables have names
    /// of their own there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("contentMediaType" = "text/plain"))]
    pub ruleset: Option<String>,
}

impl Default for Firewall {
    fn default() -> Self {
        Firewall {
            allowed_tcp_ports: Vec::new(),
            allowed_udp_ports: Vec::new(),
            trusted_interfaces: Vec::new(),
            allow_ping: true,
            ruleset: None,
        }
    }
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
    /// The bridge or bond that an interface is in, by the names of the machine file.
    pub fn master(&self, name: &str) -> Option<(&str, &Interface)> {
        let has = |(_, other): &(&String, &Interface)| other.members().iter().any(|member| member == name);
        self.interfaces.iter().find(has).map(|(name, other)| (name.as_str(), other))
    }

    /// Whether an interface asks DHCP for an address of IPv4, and for one of IPv6.
    pub fn asks_dhcp(&self, name: &str, interface: &Interface) -> (bool, bool) {
        let only_carries = !interface.wants_addresses() && self.vlans(name).next().is_some();
        let usual = match interface.dhcp {
            Some(asks) => asks,
            None => interface.asks_dhcp() && !only_carries && self.master(name).is_none(),
        };
        (interface.dhcp4.unwrap_or(usual), interface.dhcp6.unwrap_or(usual))
    }

    /// The VLANs that an interface carries.
    pub fn vlans(&self, name: &str) -> impl Iterator<Item = &str> {
        let on_it = move |(_, other): &(&String, &Interface)| other.vlan.as_ref().is_some_and(|vlan| vlan.link == name);
        self.interfaces.iter().filter(on_it).map(|(name, _)| name.as_str())
    }

    /// Interfaces that are only named as members and links of others.
    pub fn only_named(&self) -> std::collections::BTreeSet<&str> {
        let links = self.interfaces.values().filter_map(|other| other.vlan.as_ref()).map(|vlan| &vlan.link);
        let members = self.interfaces.values().flat_map(|other| other.members());
        links.chain(members).map(String::as_str).filter(|name| !self.interfaces.contains_key(*name)).collect()
    }

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

    /// Whether the machine makes it, and systemd's word for what it is.
    pub fn kind(&self) -> Option<&'static str> {
        let kinds = [
            ("vlan", self.vlan.is_some()),
            ("bridge", self.bridge.is_some()),
            ("bond", self.bond.is_some()),
            ("wireguard", self.wireguard.is_some()),
        ];
        kinds.into_iter().find(|(_, is)| *is).map(|(kind, _)| kind)
    }

    /// The interfaces that are in it, if it is a bridge or a bond.
    pub fn members(&self) -> &[String] {
        let bridge = self.bridge.as_ref().map(|bridge| &*bridge.interfaces);
        bridge.or(self.bond.as_ref().map(|bond| &*bond.interfaces)).unwrap_or_default()
    }

    /// Whether it asks DHCP, as far as it says so itself ([`Network::asks_dhcp`] knows what it is part of).
    pub fn asks_dhcp(&self) -> bool {
        self.dhcp.unwrap_or(self.addresses.is_empty() && self.wireguard.is_none())
    }

    /// Whether it says of itself that it has addresses.
    pub fn wants_addresses(&self) -> bool {
        let asks = [self.dhcp, self.dhcp4, self.dhcp6].contains(&Some(true));
        asks || !self.addresses.is_empty()
    }
}
