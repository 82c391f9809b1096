//! The network: addresses, gateways, name servers and search domains, as the kernel and systemd-resolved have them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cairn_machine::model::{Interface, Network};
use cairn_machine::name_server;
use serde::Deserialize;

use crate::verify::answer::{Answer, Parts};
use crate::verify::cards::{Device, owner};
use crate::verify::check::Check;
use crate::verify::expected::Expected;
use crate::verify::script::quote;

pub(super) fn ask(expected: &Expected) -> Option<String> {
    let network = expected.network.as_ref()?;
    // An interface that nobody waits for when the machine boots may still be at it.
    let mut ready: Vec<String> = network
        .interfaces
        .values()
        .flat_map(|interface| &interface.addresses)
        .map(|address| format!("ip -o addr show | grep -qF {}", quote(&format!(" {} ", plain(address)))))
        .collect();
    let leases = match network.interfaces.len() {
        0 => 1,
        _ => network.interfaces.iter().filter(|(name, i)| network.asks_dhcp(name, i).0).count(),
    };
    ready.push(format!("[ $(ip -4 -o addr show dynamic | wc -l) -ge {leases} ]"));
    Some(format!(
        "n=0; until {{ {}; }} || [ $n -ge 30 ]; do sleep 1; n=$((n+1)); done\n\
         echo '== addresses'; ip -j addr; echo\n\
         echo '== routes4'; ip -j -4 route show default; echo\n\
         echo '== routes6'; ip -j -6 route show default; echo\n\
         echo '== drivers'; for d in /sys/class/net/*; do echo \"${{d##*/}} $(readlink \"$d/device/driver\")\"; done\n\
         echo '== servers'; resolvectl dns\n\
         echo '== domains'; resolvectl domain\n\
         echo '== files'; cd /etc/systemd/network && grep -H = *.network",
        ready.join(" && ")
    ))
}

pub(super) fn judge(expected: &Expected, answer: &Answer) -> Vec<Check> {
    let Some(network) = &expected.network else { return Vec::new() };
    let parts = answer.parts();
    let links: Vec<Link> = list(&parts, "addresses");
    let mut checks = Vec::new();
    if network.interfaces.is_empty() {
        // Not the default route: QEMU's closed network names no router.
        checks.push(leased("network by DHCP".into(), &links.iter().collect::<Vec<_>>()));
    }
    for (name, interface) in &network.interfaces {
        let cards: Vec<&Link> =
            links.iter().filter(|link| owner(network, &link.device(&parts)) == Some(name)).collect();
        match Found::in_machine(interface, &cards, &parts).or_else(|| Found::in_file(name, &parts)) {
            Some(found) => checks.extend(found.checks(name, interface)),
            None => checks.push(Check::new(format!("interface {name}"), false, "there", "no card matches it")),
        }
        if network.asks_dhcp(name, interface).0 && !cards.is_empty() {
            checks.push(leased(format!("interface {name}: DHCP"), &cards));
        }
    }
    checks.extend(names(network, &parts));
    checks
}

/// Somebody has an address from DHCP.
fn leased(name: String, links: &[&Link]) -> Check {
    let lease = links.iter().find_map(|link| {
        let lease = link.addr_info.iter().find(|a| a.dynamic && a.family == "inet")?;
        Some(format!("{}/{} on {}", lease.local, lease.prefixlen, link.ifname))
    });
    Check::new(name, lease.is_some(), "an address", lease.unwrap_or("none".into()))
}

/// The name servers and search domains of the whole machine.
fn names(network: &Network, parts: &Parts<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut check = |name: &str, wanted: &[String], part: &str| {
        let found = of_link(parts.lines(part), "Global");
        let wanted = sorted(wanted.iter().map(String::as_str));
        if !wanted.is_empty() {
            checks.push(same(name.into(), &servers(&wanted), &servers(&found), ""));
        }
    };
    check("name servers", &network.nameservers, "servers");
    check("search domains", &network.search, "domains");
    checks
}

/// What an interface has, or is to have.
#[derive(Debug, Default)]
struct Found {
    addresses: BTreeSet<String>,
    gateways: BTreeSet<String>,
    servers: BTreeSet<String>,
    /// Where it was found, for people.
    place: String,
    /// The servers may also be DHCP's.
    more_servers: bool,
}

impl Found {
    /// On the interface's card; of several the one that has most of what is wanted. `None` without a card.
    fn in_machine(interface: &Interface, cards: &[&Link], parts: &Parts<'_>) -> Option<Found> {
        let found = cards.iter().map(|card| {
            // What an administrator gives has no end; what routers and DHCP give has.
            let given = |a: &&Address| a.scope == "global" && !a.dynamic && !a.temporary;
            let addresses = card.addr_info.iter().filter(given).map(|a| format!("{}/{}", a.local, a.prefixlen));
            let routes = ["routes4", "routes6"].into_iter().flat_map(|part| list::<Route>(parts, part));
            let gateways = routes.filter(|r| r.dev == card.ifname && r.protocol == "static");
            Found {
                addresses: addresses.map(|a| plain(&a)).collect(),
                gateways: gateways.map(|r| plain(&r.gateway)).collect(),
                servers: of_link(parts.lines("servers"), &format!("({})", card.ifname)),
                place: format!(" on {}", card.ifname),
                more_servers: interface.asks_dhcp(),
            }
        });
        found.max_by_key(|f| interface.addresses.iter().filter(|a| f.addresses.contains(&plain(a))).count())
    }

    /// In the interface's file: not every card can be given to a virtual machine.
    fn in_file(name: &str, parts: &Parts<'_>) -> Option<Found> {
        let end = format!("0-{name}.network");
        let lines = parts.lines("files").iter().filter_map(|line| line.split_once(':'));
        let lines: Vec<&str> = lines.filter(|(file, _)| file.ends_with(&end)).map(|(_, line)| line).collect();
        let values = |key: &str| {
            lines.iter().filter_map(|l| l.strip_prefix(key)?.strip_prefix('=')).map(plain).collect::<BTreeSet<_>>()
        };
        (!lines.is_empty()).then(|| Found {
            addresses: values("Address"),
            gateways: values("Gateway"),
            servers: values("DNS"),
            place: " in its file; this machine has no card that matches it".into(),
            more_servers: false,
        })
    }

    fn checks(&self, name: &str, interface: &Interface) -> Vec<Check> {
        let mut checks = Vec::new();
        let mut check = |what: &str, wanted: &[String], found: &BTreeSet<String>| {
            let wanted = sorted(wanted.iter().map(String::as_str));
            if !wanted.is_empty() {
                checks.push(same(format!("interface {name}: {what}"), &wanted, found, &self.place));
            }
        };
        check("addresses", &interface.addresses, &self.addresses);
        // Routers of other routes are among them.
        let gateways = match interface.routes.is_empty() {
            true => self.gateways.clone(),
            false => {
                self.gateways.intersection(&sorted(interface.gateways.iter().map(String::as_str))).cloned().collect()
            }
        };
        check("gateways", &interface.gateways, &gateways);
        let wanted = servers(&sorted(interface.nameservers.iter().map(String::as_str)));
        let found = servers(&self.servers);
        let shown = match self.more_servers {
            true => found.intersection(&wanted).cloned().collect(),
            false => found,
        };
        if !wanted.is_empty() {
            checks.push(same(format!("interface {name}: name servers"), &wanted, &shown, &self.place));
        }
        checks
    }
}

fn same(name: String, wanted: &BTreeSet<String>, found: &BTreeSet<String>, place: &str) -> Check {
    let told = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
    let shown = if found.is_empty() { "none".into() } else { told(found) };
    Check::new(name, wanted == found, told(wanted), format!("{shown}{place}"))
}

fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    words.filter(|word| *word != "~.").map(plain).collect()
}

/// What `resolvectl` says of a link or of all: `Link 2 (ens3): 192.0.2.53`, `Global: example.org`.
fn of_link(lines: &[&str], link: &str) -> BTreeSet<String> {
    let line = lines.iter().find_map(|line| {
        let (head, rest) = line.split_once(':')?;
        head.trim().ends_with(link).then_some(rest)
    });
    sorted(line.unwrap_or_default().split_whitespace().filter(|word| *word != "~."))
}

fn servers(words: &BTreeSet<String>) -> BTreeSet<String> {
    words.iter().map(|word| server(word)).collect()
}

/// A name server without its port, which resolvectl leaves out where it takes it for the usual one.
fn server(word: &str) -> String {
    match name_server(word) {
        Some(server) => {
            let name = server.tls_name.map(|name| format!("#{}", name.to_ascii_lowercase())).unwrap_or_default();
            format!("{}{name}", server.address)
        }
        None => plain(word),
    }
}

/// Addresses in the form that everybody prints, with their prefix lengths; other words in small letters, without the
/// dot that domains may end with.
fn plain(word: &str) -> String {
    let (address, prefix) = word.split_once('/').unwrap_or((word, ""));
    match address.parse::<IpAddr>() {
        Ok(ip) if prefix.is_empty() => ip.to_string(),
        Ok(ip) => format!("{ip}/{prefix}"),
        Err(_) => word.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// A list in JSON; nothing where the program said something else.
fn list<T: for<'de> Deserialize<'de>>(parts: &Parts<'_>, name: &str) -> Vec<T> {
    serde_json::from_str(&parts.lines(name).concat()).unwrap_or_default()
}

/// A link as `ip -j addr` tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Link {
    ifname: String,
    altnames: Vec<String>,
    address: String,
    addr_info: Vec<Address>,
}

impl Link {
    fn device(&self, parts: &Parts<'_>) -> Device {
        let drivers = parts.lines("drivers").iter().filter_map(|line| line.split_once(' '));
        let driver: BTreeMap<&str, &str> =
            drivers.map(|(n, path)| (n, path.rsplit('/').next().unwrap_or(""))).collect();
        Device {
            names: std::iter::once(&self.ifname).chain(&self.altnames).cloned().collect(),
            mac: self.address.clone(),
            driver: driver.get(self.ifname.as_str()).unwrap_or(&"").to_string(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    family: String,
    local: String,
    prefixlen: u8,
    scope: String,
    dynamic: bool,
    temporary: bool,
}

/// A route as `ip -j route` tells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Route {
    gateway: String,
    dev: String,
    protocol: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_machine::model::InterfaceMatch;

    fn expected() -> Expected {
        let uplink = Interface {
            matches: Some(InterfaceMatch {
                mac_address: Some("52:54:00:12:34:56".into()),
                ..InterfaceMatch::default()
            }),
            addresses: vec!["192.0.2.10/24".into(), "2001:DB8:0::10/64".into()],
            gateways: vec!["192.0.2.1".into(), "2001:db8::1".into()],
            nameservers: vec!["192.0.2.53".into()],
            ..Interface::default()
        };
        let any = InterfaceMatch { name: Some("en*".into()), ..InterfaceMatch::default() };
        let any = Interface { matches: Some(any), ..Interface::default() };
        let network = Network {
            interfaces: [("uplink".into(), uplink), ("management".into(), any)].into(),
            nameservers: vec!["9.9.9.9".into()],
            search: vec!["example.org".into()],
            ..Network::default()
        };
        Expected { network: Some(network), ..Expected::default() }
    }

    const OUT: &str = r#"== addresses
[{"ifname":"lo","address":"00:00:00:00:00:00","addr_info":[]},
{"ifname":"ens3","altnames":["enp0s3"],"address":"52:54:00:12:34:57","addr_info":[
{"family":"inet","local":"10.0.2.15","prefixlen":24,"scope":"global","dynamic":true}]},
{"ifname":"ens4","address":"52:54:00:12:34:56","addr_info":[
{"family":"inet","local":"192.0.2.10","prefixlen":24,"scope":"global"},
{"family":"inet6","local":"2001:db8::10","prefixlen":64,"scope":"global"},
{"family":"inet6","local":"fec0::1","prefixlen":64,"scope":"site","dynamic":true},
{"family":"inet6","local":"fe80::1","prefixlen":64,"scope":"link"}]}]
== routes4
[{"dst":"default","gateway":"10.0.2.2","dev":"ens3","protocol":"dhcp"},
{"dst":"default","gateway":"192.0.2.1","dev":"ens4","protocol":"static","flags":[]}]
== routes6
[{"dst":"default","gateway":"2001:db8::1","dev":"ens4","protocol":"static"},
{"dst":"default","gateway":"fe80::2","dev":"ens4","protocol":"ra"}]
== drivers
ens3 ../../../../bus/virtio/drivers/virtio_net
== servers
Global: 9.9.9.9
Link 2 (ens3): 10.0.2.3
Link 3 (ens4): 192.0.2.53
== domains
Global: example.org
Link 2 (ens3):
== files
40-uplink.network:Address=192.0.2.10/24
40-uplink.network:Address=2001:db8::10/64
40-uplink.network:Gateway=192.0.2.1
40-uplink.network:Gateway=2001:db8::1
40-uplink.network:DNS=192.0.2.53
"#;

    fn failing(out: &str) -> Vec<(String, String)> {
        let checks = judge(&expected(), &Answer { out: out.into(), ..Answer::default() });
        assert!(checks.len() >= 4, "{checks:?}");
        checks.into_iter().filter(|c| !c.ok).map(|c| (c.name, c.found)).collect()
    }

    fn one(name: &str, found: &str) -> Vec<(String, String)> {
        vec![(name.into(), found.into())]
    }

    #[test]
    fn a_network_as_declared_passes() {
        assert_eq!(failing(OUT), []);
    }

    #[test]
    fn servers_are_compared_without_their_ports_and_with_their_names() {
        for (one, other) in [
            ("[2001:db8::53]:853", "2001:DB8::53"),
            ("9.9.9.9:53#DNS.example", "9.9.9.9#dns.example"),
            ("example.org", "Example.org."),
        ] {
            assert_eq!(server(one), server(other));
        }
        assert_ne!(server("9.9.9.9#a.example"), server("9.9.9.9"));
    }

    #[test]
    fn what_differs_fails_by_its_name() {
        let found = failing(&OUT.replace(r#""local":"192.0.2.10""#, r#""local":"192.0.2.11""#));
        assert_eq!(found, one("interface uplink: addresses", "192.0.2.11/24 2001:db8::10/64 on ens4"));
        let found = failing(&OUT.replace(r#""192.0.2.10","prefixlen":24"#, r#""192.0.2.10","prefixlen":25"#));
        assert_eq!(found[0].0, "interface uplink: addresses");
        let found = failing(&OUT.replace(r#""gateway":"192.0.2.1""#, r#""gateway":"192.0.2.2""#));
        assert_eq!(found, one("interface uplink: gateways", "192.0.2.2 2001:db8::1 on ens4"));
        let found = failing(&OUT.replace("(ens4): 192.0.2.53", "(ens4):"));
        assert_eq!(found, one("interface uplink: name servers", "none on ens4"));
        assert_eq!(failing(&OUT.replace("Global: 9.9.9.9", "Global: 1.1.1.1")), one("name servers", "1.1.1.1"));
        assert_eq!(failing(&OUT.replace("Global: example", "Global: a")), one("search domains", "a.org"));
        let found = failing(&OUT.replace(r#","dynamic":true"#, ""));
        assert_eq!(found[0], ("interface management: DHCP".into(), "none".into()));
    }

    #[test]
    fn an_address_on_the_wrong_card_does_not_count() {
        let found = failing(&OUT.replace("34:56", "34:99"));
        // No card with this address: the file says it, and the card that has it belongs to the pattern.
        assert_eq!(found, []);
        let swapped = OUT.replace("34:57", "34:xx").replace("34:56", "34:57").replace("34:xx", "34:56");
        assert!(failing(&swapped).iter().any(|(name, _)| name == "interface uplink: addresses"));
    }

    #[test]
    fn without_a_card_the_file_tells() {
        let out = OUT.replace("34:56", "34:99").replace("Address=192.0.2.10/24", "Address=192.0.2.12/24");
        let (name, found) = &failing(&out)[0];
        assert_eq!(name, "interface uplink: addresses");
        assert!(found.contains("192.0.2.12/24") && found.ends_with("no card that matches it"), "{found}");
        let gone = OUT.replace("34:56", "34:99").replace("40-uplink", "40-other");
        assert_eq!(failing(&gone), one("interface uplink", "no card matches it"));
    }

    #[test]
    fn without_interfaces_somebody_has_a_lease() {
        let expected = Expected { network: Some(Network::default()), ..Expected::default() };
        let judged = |out: &str| judge(&expected, &Answer { out: out.into(), ..Answer::default() });
        assert_eq!(judged(OUT)[0].found, "10.0.2.15/24 on ens3");
        assert!(!judged("== addresses\nip: no such program\n")[0].ok);
    }
}
