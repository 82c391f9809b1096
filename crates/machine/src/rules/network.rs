//! The network: names, addresses, gateways.

mod firewall;
mod links;
mod names;
mod routes;

pub use names::{NameServer, name_server};

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Findings, short};
use crate::model::{DhcpOverrides, Interface, InterfaceMatch, Machine, Wifi};
use crate::pointer::child;

pub(super) fn check(machine: &Machine, f: &mut Findings) {
    let network = &machine.network;
    links::check(network, f);
    firewall::check(machine, f);
    let mut addresses: BTreeMap<IpAddr, &str> = BTreeMap::new();
    let mut matched: BTreeMap<String, &str> = BTreeMap::new();
    for (name, interface) in &network.interfaces {
        let at = child("/network/interfaces", name);
        interface_name(&at, name, interface.matches.is_some(), f);
        if let Some(matches) = &interface.matches {
            match_section(&child(&at, "match"), matches, f);
        }
        if let Some(other) = matched.insert(match_key(name, interface), name) {
            let help = "put the settings of one interface together";
            f.wrong_key(&at, format!("`{}` matches the same interface as `{}`", short(name), short(other)), help);
        }
        for (address, i) in interface_addresses(&at, interface, f) {
            if let Some(other) = addresses.insert(address, name) {
                let message = format!("the address {address} is given to `{}` already", short(other));
                f.wrong(child(child(&at, "addresses"), i), message, "give each interface its own");
            }
        }
        names::servers(&child(&at, "nameservers"), &interface.nameservers, network.dns_over_tls, f);
        names::domains(&child(&at, "search"), &interface.search, f);
        dhcp(&at, network.asks_dhcp(name, interface), interface, f);
        if name.starts_with("wlan") && interface.matches.is_none() && network.wifi.is_empty() {
            let message = format!("`{}` is a wireless interface, and joins no network", short(name));
            f.doubtful(&at, message, "name networks in `network.wifi`");
        }
        if interface.dhcp == Some(false) && interface.addresses.is_empty() && network.vlans(name).next().is_none() {
            let message = format!("`{}` has neither DHCP nor an address", short(name));
            f.doubtful(&at, message, "add `addresses`, or remove `dhcp: false`");
        }
    }
    for (name, wifi) in &network.wifi {
        wireless(&child("/network/wifi", name), name, wifi, f);
    }
    names::servers("/network/nameservers", &network.nameservers, network.dns_over_tls, f);
    names::domains("/network/search", &network.search, f);
}

/// Settings for answers that nobody asks for.
fn dhcp(at: &str, (asks4, asks6): (bool, bool), interface: &Interface, f: &mut Findings) {
    for (key, asks, overrides) in
        [("dhcp4_overrides", asks4, &interface.dhcp4_overrides), ("dhcp6_overrides", asks6, &interface.dhcp6_overrides)]
    {
        let Some(overrides) = overrides else { continue };
        let at = child(at, key);
        if !asks {
            f.wrong(&at, "this interface does not ask DHCP for such an address", "remove it, or write `dhcp: true`");
        }
        if key == "dhcp6_overrides" {
            let DhcpOverrides { use_routes, use_mtu, route_metric, client_identifier, .. } = overrides;
            let only_v4 = [
                ("use_routes", use_routes.is_some()),
                ("use_mtu", use_mtu.is_some()),
                ("route_metric", route_metric.is_some()),
                ("client_identifier", client_identifier.is_some()),
            ];
            for (key, _) in only_v4.into_iter().filter(|(_, given)| *given) {
                f.wrong(
                    child(&at, key),
                    format!("`{key}` is a setting for IPv4: DHCPv6 tells no such thing"),
                    "remove it",
                );
            }
        }
        if let Some(name) = &overrides.hostname {
            let well =
                (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b));
            if !well {
                f.wrong(child(&at, "hostname"), format!("`{}` is not a host name", short(name)), "");
            } else if overrides.send_hostname == Some(false) {
                f.wrong(child(&at, "hostname"), "the host name is not told", "remove it, or `send_hostname: false`");
            }
        }
    }
}

/// IEEE 802.11 gives a name 32 bytes.
fn wireless(at: &str, name: &str, wifi: &Wifi, f: &mut Findings) {
    if name.is_empty() || name.len() > 32 {
        let message =
            format!("the name of a wireless network has 1 to 32 bytes, and `{}` has {}", short(name), name.len());
        f.wrong_key(at, message, "write it as the access point tells it");
    } else if name.chars().any(char::is_control) {
        f.wrong_key(at, format!("`{}` has a control character", short(name)), "write it as the access point tells it");
    }
    match &wifi.passphrase_file {
        Some(path) if path.is_empty() => {
            f.wrong(child(at, "passphrase_file"), "the path is empty", "name a file, or remove the line");
        }
        Some(_) => {}
        None => f.doubtful(
            at,
            format!("anybody may join `{}`, and read and change what is sent over it", short(name)),
            "with a passphrase: write it into a file, and name that file as `passphrase_file`",
        ),
    }
}

/// Why a file has no passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// It is not one line.
    #[error("the file does not hold one line, the passphrase of the wireless network")]
    NotALine,
    /// What WPA does not allow (IEEE 802.11-2020, J.4.1).
    #[error(
        "a passphrase has 8 to 63 characters: Latin letters, digits, blanks and punctuation; or it is a key of 64 hexadecimal digits"
    )]
    NotOne,
}

/// The passphrase in a `passphrase_file`, without the line break at its end, or the key that somebody has made of one.
///
/// # Errors
/// When it is not one line with a passphrase.
pub fn wifi_passphrase(bytes: &[u8]) -> Result<&str, PassphraseError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PassphraseError::NotOne)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() || text.contains(['\n', '\r']) {
        return Err(PassphraseError::NotALine);
    }
    let is_key = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_phrase = (8..=63).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if is_key || is_phrase { Ok(text) } else { Err(PassphraseError::NotOne) }
}

fn interface_name(at: &str, name: &str, has_match: bool, f: &mut Findings) {
    if name.contains(['*', '?', '[']) {
        let help = "choose a plain name and write the pattern below it: `match: {name: \"en*\"}`";
        return f.wrong_key(at, format!("`{}` is a pattern, not the name of an interface", short(name)), help);
    }
    if name == "lo" {
        return f.wrong_key(at, "`lo` is set up by the kernel", "remove it");
    }
    let well = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.bytes().all(|b| b.is_ascii_digit());
    if !well {
        let help = "letters, digits, `_`, `.` and `-`, such as eth0 or enp3s0";
        f.wrong_key(at, format!("`{}` is not the name of an interface", short(name)), help);
    } else if name.len() > 15 && !has_match {
        let help = "the kernel allows 15; to match by something else, add `match`";
        f.wrong_key(
            at,
            format!("`{}` has {} characters; names of interfaces have at most 15", short(name), name.len()),
            help,
        );
    }
}

fn match_section(at: &str, matches: &InterfaceMatch, f: &mut Findings) {
    if *matches == InterfaceMatch::default() {
        f.wrong(at, "`match` says nothing", "add `name`, `mac_address` or `driver`, or remove it");
    }
    if let Some(name) = &matches.name {
        let well = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-*?[]!".contains(&b));
        if !well {
            f.wrong(child(at, "name"), format!("`{}` is not a name or pattern", short(name)), "write for example en*");
        }
    }
    if let Some(mac) = &matches.mac_address {
        let at = child(at, "mac_address");
        match mac_address(mac) {
            None => {
                let help = "six pairs of hexadecimal digits, such as 52:54:00:12:34:56";
                f.wrong(at, format!("`{}` is not a hardware address", short(mac)), help);
            }
            Some(bytes) if bytes[0] & 1 == 1 || bytes == [0; 6] => {
                f.wrong(at, format!("`{mac}` is no interface's own address"), "`ip link` shows it");
            }
            Some(_) => {}
        }
    }
    if let Some(driver) = &matches.driver {
        let well = !driver.is_empty() && driver.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-*?".contains(&b));
        if !well {
            f.wrong(
                child(at, "driver"),
                format!("`{}` is not a driver", short(driver)),
                "write for example virtio_net",
            );
        }
    }
}

fn mac_address(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut pairs = text.split([':', '-']);
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

/// What an interface is recognised by, for comparing.
fn match_key(name: &str, interface: &Interface) -> String {
    match &interface.matches {
        None => format!("name {name}"),
        Some(InterfaceMatch { mac_address: Some(mac), .. }) => {
            format!("mac {}", mac.to_ascii_lowercase().replace('-', ":"))
        }
        Some(InterfaceMatch { name: Some(pattern), driver: None, .. }) => format!("name {pattern}"),
        Some(other) => format!("{name} {other:?}"),
    }
}

/// Checks addresses and gateways; gives the good addresses with their index.
fn interface_addresses(at: &str, interface: &Interface, f: &mut Findings) -> Vec<(IpAddr, usize)> {
    let mut good = Vec::new();
    let (mut own, mut networks) = (BTreeSet::new(), Networks::default());
    for (i, text) in interface.addresses.iter().enumerate() {
        match address(text) {
            Ok((ip, prefix)) => {
                good.push((ip, i));
                own.insert(ip);
                networks.add(ip, prefix);
            }
            Err((message, help)) => f.wrong(child(child(at, "addresses"), i), message, help),
        }
    }
    let all_good = good.len() == interface.addresses.len();
    for (i, text) in interface.gateways.iter().enumerate() {
        let at = child(child(at, "gateways"), i);
        let Ok(gateway) = text.parse::<IpAddr>() else {
            let help = "write an address without prefix length, such as 192.0.2.1";
            f.wrong(at, format!("`{}` is not an address", short(text)), help);
            continue;
        };
        let link_local = matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
        if own.contains(&gateway) {
            f.wrong(at, format!("the gateway {gateway} is this interface's own address"), "");
        } else if !interface.gateway_on_link && all_good && !link_local && !networks.have(gateway) {
            let help = "give the interface an address in the gateway's network; look at the prefix length. If the gateway is reached \
                        by this interface all the same, write `gateway_on_link: true`";
            f.wrong(at, format!("the gateway {gateway} is in no network of this interface"), help);
        }
    }
    if interface.gateway_on_link && interface.gateways.is_empty() {
        f.wrong(child(at, "gateway_on_link"), "there are no gateways that it could be said of", "add `gateways`");
    }
    // DHCP gives others.
    let own = (all_good && interface.dhcp != Some(true) && interface.dhcp4 != Some(true) && !good.is_empty())
        .then_some(&networks);
    routes::check(at, interface, own, f);
    good
}

/// An address with prefix length that an interface can have.
fn address(text: &str) -> Result<(IpAddr, u8), (String, String)> {
    const HELP: &str = "write an address with its prefix length, such as 192.0.2.10/24 or 2001:db8::10/64";
    let wrong = |what: &str, help: &str| Err((format!("`{}` {what}", short(text)), help.to_owned()));
    let Some((ip, prefix)) = text.split_once('/') else {
        return match text.parse::<IpAddr>() {
            Ok(_) => wrong("has no prefix length", "add it, such as /24 for 255.255.255.0 or /64 for IPv6"),
            Err(_) => wrong("is not an address with prefix length", HELP),
        };
    };
    let Ok(ip) = ip.parse::<IpAddr>() else { return wrong("is not an address with prefix length", HELP) };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    if let Some(length) = prefix.parse::<Ipv4Addr>().ok().and_then(mask_length).filter(|_| ip.is_ipv4()) {
        let message = format!("`{}` has a netmask in the place of a prefix length", short(text));
        return Err((message, format!("write `{ip}/{length}`")));
    }
    let Some(prefix) = prefix.parse::<u8>().ok().filter(|p| digits && (1..=most).contains(p)) else {
        return wrong(
            "has a wrong prefix length",
            if most == 32 { "it is from 1 to 32" } else { "it is from 1 to 128" },
        );
    };
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        return wrong("is not an address that an interface can have", HELP);
    }
    if let IpAddr::V4(v4) = ip
        && prefix < 31
    {
        let host = u32::from(v4) & (u32::MAX >> prefix);
        if host == 0 || host == u32::MAX >> prefix {
            let what = if host == 0 {
                "is the address of the network, not of a machine in it"
            } else {
                "is the broadcast address of its network"
            };
            return wrong(what, "give the machine's own address");
        }
    }
    Ok((ip, prefix))
}

/// A network with its prefix length, as routes and tunnels name it.
fn network_of(text: &str) -> Result<(IpAddr, u8), (String, String)> {
    let wrong = |what: &str, help: String| Err((format!("`{}` {what}", short(text)), help));
    let help = || "write a network with its prefix length, such as 192.0.2.0/24 or 2001:db8::/64".to_owned();
    let Some((ip, prefix)) = text.split_once('/') else { return wrong("has no prefix length", help()) };
    let Ok(ip) = ip.parse::<IpAddr>() else { return wrong("is not a network", help()) };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    let Some(prefix) = prefix.parse::<u8>().ok().filter(|p| digits && *p <= most) else {
        return wrong("has a wrong prefix length", format!("it is from 0 to {most}"));
    };
    let first = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(network(ip, prefix) >> 96).unwrap_or(0))),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(network(ip, prefix))),
    };
    if first != ip {
        return wrong("is an address in a network, not the network", format!("write `{first}/{prefix}`"));
    }
    Ok((ip, prefix))
}

/// The length of the prefix that a netmask has, if it is one.
fn mask_length(mask: Ipv4Addr) -> Option<u32> {
    let bits = u32::from(mask);
    (bits != 0 && bits.leading_ones() + bits.trailing_zeros() == 32).then(|| bits.leading_ones())
}

/// The networks of an interface, by the length of their prefix.
#[derive(Default)]
struct Networks(BTreeMap<(bool, u8), BTreeSet<u128>>);

impl Networks {
    fn add(&mut self, ip: IpAddr, prefix: u8) {
        self.0.entry((ip.is_ipv4(), prefix)).or_default().insert(network(ip, prefix));
    }

    fn have(&self, ip: IpAddr) -> bool {
        let has = |((v4, prefix), networks): (&(bool, u8), &BTreeSet<u128>)| {
            *v4 == ip.is_ipv4() && networks.contains(&network(ip, *prefix))
        };
        self.0.iter().any(has)
    }
}

/// The first bits of an address.
fn network(ip: IpAddr, prefix: u8) -> u128 {
    let bits = match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => u128::from(ip),
    };
    bits & u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_what_wpa_takes() {
        for (file, passphrase) in [
            (&b"correct horse\n"[..], "correct horse"),
            (b" with blanks \r\n", " with blanks "),
            (b"8letters", "8letters"),
            (&[b'a'; 64], "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        ] {
            assert_eq!(wifi_passphrase(file), Ok(passphrase));
        }
        for (file, why) in [
            (&b""[..], PassphraseError::NotALine),
            (b"\n", PassphraseError::NotALine),
            (b"one line\nand two", PassphraseError::NotALine),
            (b"7letter", PassphraseError::NotOne),
            ("pässword".as_bytes(), PassphraseError::NotOne),
            (&[b'x'; 64], PassphraseError::NotOne),
            (b"tab\tin it here", PassphraseError::NotOne),
            (&[0xff; 9], PassphraseError::NotOne),
        ] {
            assert_eq!(wifi_passphrase(file), Err(why), "{file:?}");
        }
    }
}
