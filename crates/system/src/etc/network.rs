//! The network, as files of systemd-networkd and systemd-resolved.

mod firewall;
mod netdev;
mod wifi;
mod wireguard;

use std::fmt::Write as _;

use cairn_machine::model::{
    ClientIdentifier, DhcpOverrides, DnsOverTls, Interface, Machine, Network, Route, RouteType,
};
use cairn_machine::{NameServer, name_server};

use super::accounts::Ids;
use super::enable_if_any;
use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::Units;

/// Puts a file for each interface, the servers for names, and starts networkd.
///
/// # Errors
/// When a name cannot be that of a file, or networkd's unit is broken; what only systemd-resolved can do, where it does not run.
pub fn apply(tree: &mut Tree, machine: &Machine, units: &Units, ids: &Ids) -> Result<(), SystemError> {
    let network = &machine.network;
    let says_nothing = network.interfaces.is_empty() && network.wifi.is_empty();
    // Two managers would both ask DHCP, and each take away what the other one sets.
    let other_manager = units.has("NetworkManager.service") && !is_disabled(machine, units, "NetworkManager.service");
    if network.interfaces.is_empty() && !other_manager {
        // Physical Ethernet only: a bridge or a container's interface has no Kind-less twin.
        let any = "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n";
        tree.file("systemd/network/80-ethernet.network", any)?;
        // Nobody knows which of the sockets has a cable: one that is online will do.
        let any = "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any\n";
        tree.file("systemd/system/systemd-networkd-wait-online.service.d/cairn.conf", any)?;
    }
    let nothing = Interface::default();
    let named = network.only_named();
    let all = network.interfaces.iter().map(|(name, interface)| (name.as_str(), interface));
    for (name, interface) in all.chain(named.iter().map(|name| (*name, &nothing))) {
        tree.file(&file_name(name, interface), network_file(name, interface, network))?;
        if let Some(text) = netdev::file(name, interface) {
            tree.file(&format!("systemd/network/20-{name}.netdev"), text)?;
        }
    }
    wireguard::apply(tree, network, ids)?;
    firewall::apply(tree, network, units)?;
    if !network.wifi.is_empty() {
        wifi::apply(tree, network)?;
    }
    if other_manager && !says_nothing {
        tree.file("NetworkManager/conf.d/cairn.conf", not_managed(network))?;
    }
    names(tree, machine, units)?;
    if !(other_manager && says_nothing) {
        enable_if_any(tree, units, "systemd-networkd.service")?;
    }
    Ok(())
}

/// Who is asked for names: systemd-resolved where it runs, and otherwise the C library by itself.
fn names(tree: &mut Tree, machine: &Machine, units: &Units) -> Result<(), SystemError> {
    let network = &machine.network;
    let tls = network.dns_over_tls != DnsOverTls::No;
    enable_if_any(tree, units, RESOLVED)?;
    if units.has(RESOLVED) && !is_disabled(machine, units, RESOLVED) {
        if !network.nameservers.is_empty() || !network.search.is_empty() || tls {
            let mut text = "[Resolve]\n".to_string();
            lines(&mut text, "DNS", &network.nameservers);
            lines(&mut text, "Domains", &network.search);
            if tls {
                let _ = writeln!(text, "DNSOverTLS={}", network.dns_over_tls.name());
            }
            tree.file("systemd/resolved.conf.d/cairn.conf", text)?;
        }
        return tree.link("resolv.conf", "../run/systemd/resolve/stub-resolv.conf");
    }
    let refused = |pointer: String, what: &str| {
        let help = "leave it out, or let systemd-resolved run".to_string();
        SystemError::refused_with(
            pointer,
            format!("{what} needs systemd-resolved, which does not run here"),
            Some(help),
        )
    };
    if tls {
        return Err(refused("/network/dns_over_tls".into(), "DNS over TLS"));
    }
    let mut text = String::new();
    for (i, server) in network.nameservers.iter().enumerate() {
        let pointer = format!("/network/nameservers/{i}");
        match name_server(server) {
            Some(NameServer { address, interface, port: None | Some(53), tls_name: None }) => {
                let scope = interface.map(|name| format!("%{name}")).unwrap_or_default();
                let _ = writeln!(text, "nameserver {address}{scope}");
            }
            _ => return Err(refused(pointer, "a name server with a port or a name for TLS")),
        }
    }
    if let Some(i) = network.search.iter().position(|domain| domain.starts_with('~')) {
        return Err(refused(format!("/network/search/{i}"), "a domain that is asked of these servers only"));
    }
    if !network.search.is_empty() {
        let _ = writeln!(text, "search {}", network.search.join(" "));
    }
    tree.file("resolv.conf", text)
}

const RESOLVED: &str = "systemd-resolved.service";

fn is_disabled(machine: &Machine, units: &Units, name: &str) -> bool {
    machine.services.disable.iter().any(|other| units.real_name(other) == units.real_name(name))
}

/// NetworkManager leaves alone what networkd has (NetworkManager.conf(5), `unmanaged-devices`).
fn not_managed(network: &Network) -> String {
    let mut devices = Vec::new();
    for (name, interface) in &network.interfaces {
        match &interface.matches {
            None => devices.push(format!("interface-name:{name}")),
            Some(found) => {
                devices.extend(found.mac_address.iter().map(|mac| format!("mac:{}", mac.replace('-', ":"))));
                devices.extend(found.name.iter().map(|name| format!("interface-name:{name}")));
                devices.extend(found.driver.iter().map(|driver| format!("driver:{driver}")));
            }
        }
    }
    devices.extend(network.only_named().into_iter().map(|name| format!("interface-name:{name}")));
    if !network.wifi.is_empty() {
        devices.push("type:wifi".into());
    }
    format!("[keyfile]\nunmanaged-devices={}\n", devices.join(";"))
}

/// networkd takes the first file that matches, in the order of their names.
fn file_name(name: &str, interface: &Interface) -> String {
    format!("systemd/network/{}0-{name}.network", 4 + interface.vagueness())
}

/// One interface as a systemd.network(5) file.
fn network_file(name: &str, interface: &Interface, network: &Network) -> String {
    let mut text = "[Match]\n".to_string();
    let found = interface.matches.clone().unwrap_or_default();
    if found.name.is_none() && found.mac_address.is_none() && found.driver.is_none() {
        let _ = writeln!(text, "Name={name}");
    }
    for (key, value) in [("Name", found.name), ("MACAddress", found.mac_address), ("Driver", found.driver)] {
        lines(&mut text, key, value.as_slice());
    }
    let (asks, master) = (network.asks_dhcp(name, interface), network.master(name));
    let vlans: Vec<&str> = network.vlans(name).collect();
    let dhcp = match asks {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    let _ = writeln!(text, "\n[Network]\nDHCP={dhcp}");
    // Only part of something else: it has no address by itself, and nobody waits for one.
    let is_part = master.is_some() || (!vlans.is_empty() && asks == (false, false) && !interface.wants_addresses());
    if is_part {
        text += "LinkLocalAddressing=no\n";
    }
    if let Some(accept) = interface.accept_ra.or(is_part.then_some(false)) {
        setting(&mut text, "IPv6AcceptRA", yes_or_no(accept));
    }
    if let Some((whole, of)) = master {
        setting(&mut text, if of.bridge.is_some() { "Bridge" } else { "Bond" }, whole);
        if of.bond.as_ref().and_then(|bond| bond.primary.as_deref()) == Some(name) {
            text += "PrimarySlave=yes\n";
        }
    }
    vlans.iter().for_each(|vlan| setting(&mut text, "VLAN", vlan));
    lines(&mut text, "Address", &interface.addresses);
    if !interface.gateway_on_link {
        lines(&mut text, "Gateway", &interface.gateways);
    }
    lines(&mut text, "DNS", &interface.nameservers);
    lines(&mut text, "Domains", &interface.search);
    for gateway in interface.gateways.iter().filter(|_| interface.gateway_on_link) {
        let _ = write!(text, "\n[Route]\nGateway={gateway}\nGatewayOnLink=yes\n");
    }
    interface.routes.iter().for_each(|route| text += &route_section(route));
    for (section, overrides) in [("DHCPv4", &interface.dhcp4_overrides), ("DHCPv6", &interface.dhcp6_overrides)] {
        if let Some(overrides) = overrides {
            let _ = write!(text, "\n[{section}]\n{}", overrides_section(overrides));
        }
    }
    if interface.mtu.is_some() || interface.optional || is_part {
        text += "\n[Link]\n";
        interface.mtu.iter().for_each(|mtu| setting(&mut text, "MTUBytes", mtu));
        if interface.optional || is_part {
            text += "RequiredForOnline=no\n";
        }
    }
    text
}

fn route_section(route: &Route) -> String {
    let mut text = "\n[Route]\n".to_string();
    if route.to != "default" {
        setting(&mut text, "Destination", &route.to);
    }
    route.via.iter().for_each(|via| setting(&mut text, "Gateway", via));
    if route.on_link {
        text += "GatewayOnLink=yes\n";
    }
    route.from.iter().for_each(|from| setting(&mut text, "PreferredSource", from));
    route.metric.iter().for_each(|metric| setting(&mut text, "Metric", metric));
    route.table.iter().for_each(|table| setting(&mut text, "Table", table));
    if route.kind != RouteType::Unicast {
        setting(&mut text, "Type", route.kind.name());
    }
    text
}

fn overrides_section(overrides: &DhcpOverrides) -> String {
    let mut text = String::new();
    for (key, value) in [
        ("UseDNS", overrides.use_dns),
        ("UseDomains", overrides.use_domains),
        ("UseNTP", overrides.use_ntp),
        ("UseHostname", overrides.use_hostname),
        ("UseRoutes", overrides.use_routes),
        ("UseMTU", overrides.use_mtu),
        ("SendHostname", overrides.send_hostname),
    ] {
        value.iter().for_each(|value| setting(&mut text, key, yes_or_no(*value)));
    }
    overrides.hostname.iter().for_each(|name| setting(&mut text, "Hostname", name));
    overrides.route_metric.iter().for_each(|metric| setting(&mut text, "RouteMetric", metric));
    if let Some(by) = overrides.client_identifier {
        setting(&mut text, "ClientIdentifier", if by == ClientIdentifier::Mac { "mac" } else { "duid" });
    }
    text
}

fn yes_or_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn setting(text: &mut String, key: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "{key}={value}");
}

fn lines(text: &mut String, key: &str, values: &[String]) {
    for value in values {
        let _ = writeln!(text, "{key}={value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UnitFile;
    use cairn_machine::model::InterfaceMatch;

    #[test]
    fn an_interface_without_addresses_asks_dhcp() {
        let text = network_file("lan", &Interface::default(), &Network::default());
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
            network_file("lan", &interface, &Network::default()),
            "[Match]\nMACAddress=52:54:00:00:00:01\n\n[Network]\nDHCP=no\nAddress=192.0.2.2/24\n\
             Address=2001:db8::2/64\nGateway=192.0.2.1\nDNS=192.0.2.53\n\n[Link]\nRequiredForOnline=no\n"
        );
    }

    fn network(interfaces: &str) -> Network {
        serde_json::from_str(&format!(r#"{{"interfaces":{{{interfaces}}}}}"#)).unwrap()
    }

    fn file_of(network: &Network, name: &str) -> String {
        network_file(name, network.interfaces.get(name).unwrap_or(&Interface::default()), network)
    }

    #[test]
    fn a_single_address_reaches_its_gateway_by_the_link() {
        let network = network(
            r#""eth0":{"addresses":["192.0.2.10/32"],"gateways":["198.51.100.1"],"gateway_on_link":true,"mtu":1400,
                "search":["~corp.example"],"accept_ra":false,
                "routes":[{"to":"default","via":"198.51.100.2","on_link":true,"metric":5,"table":7,"from":"192.0.2.10"},
                          {"to":"203.0.113.0/24","type":"blackhole"}]}"#,
        );
        assert_eq!(
            file_of(&network, "eth0"),
            "[Match]\nName=eth0\n\n[Network]\nDHCP=no\nIPv6AcceptRA=no\nAddress=192.0.2.10/32\nDomains=~corp.example\n\n\
             [Route]\nGateway=198.51.100.1\nGatewayOnLink=yes\n\n\
             [Route]\nGateway=198.51.100.2\nGatewayOnLink=yes\nPreferredSource=192.0.2.10\nMetric=5\nTable=7\n\n\
             [Route]\nDestination=203.0.113.0/24\nType=blackhole\n\n[Link]\nMTUBytes=1400\n"
        );
    }

    #[test]
    fn what_is_part_of_another_has_no_address_and_is_not_waited_for() {
        let network = network(
            r#""bond0":{"bond":{"interfaces":["eth0","eth1"],"mode":"active-backup","primary":"eth1"}},
               "bond0.7":{"vlan":{"id":7,"link":"bond0"},"dhcp4":true,"dhcp6":false,"dhcp4_overrides":{"use_dns":false,"client_identifier":"mac"}},
               "br0":{"bridge":{"interfaces":["eth2"]}}"#,
        );
        let part = "LinkLocalAddressing=no\nIPv6AcceptRA=no\n";
        assert_eq!(
            file_of(&network, "eth1"),
            format!(
                "[Match]\nName=eth1\n\n[Network]\nDHCP=no\n{part}Bond=bond0\nPrimarySlave=yes\n\n[Link]\nRequiredForOnline=no\n"
            )
        );
        assert!(file_of(&network, "eth2").contains("Bridge=br0\n"));
        assert!(file_of(&network, "bond0").contains(&format!("DHCP=no\n{part}VLAN=bond0.7\n")));
        assert!(file_of(&network, "br0").contains("DHCP=yes\n") && !file_of(&network, "br0").contains("[Link]"));
        assert!(file_of(&network, "bond0.7").ends_with("DHCP=ipv4\n\n[DHCPv4]\nUseDNS=no\nClientIdentifier=mac\n"));
        assert_eq!(network.only_named().into_iter().collect::<Vec<_>>(), ["eth0", "eth1", "eth2"]);
        let bond = netdev::file("bond0", &network.interfaces["bond0"]).unwrap();
        assert_eq!(bond, "[NetDev]\nName=bond0\nKind=bond\n\n[Bond]\nMode=active-backup\nMIIMonitorSec=100ms\n");
    }

    #[test]
    fn a_tunnel_names_its_key_and_does_not_have_it() {
        let network = network(
            r#""wg0":{"addresses":["192.0.2.1/24"],"wireguard":{"listen_port":51820,
                "peers":[{"public_key":"PUBLIC","allowed_ips":["198.51.100.0/24"],"endpoint":"a:1","persistent_keepalive":25}]}}"#,
        );
        assert_eq!(
            netdev::file("wg0", &network.interfaces["wg0"]).unwrap(),
            "[NetDev]\nName=wg0\nKind=wireguard\n\n[WireGuard]\nPrivateKeyFile=/var/lib/wireguard/wg0.key\nListenPort=51820\n\
             RouteTable=main\n\n[WireGuardPeer]\nPublicKey=PUBLIC\nAllowedIPs=198.51.100.0/24\nEndpoint=a:1\nPersistentKeepalive=25\n"
        );
        assert!(file_of(&network, "wg0").contains("DHCP=no\n"));
        let mut tree = Tree::default();
        wireguard::apply(
            &mut tree,
            &network,
            &Ids { groups: [("systemd-network".into(), 998)].into(), ..Ids::default() },
        )
        .unwrap();
        assert!(
            tree.text("systemd/system/cairn-wireguard.service")
                .unwrap()
                .contains("ConditionFileNotEmpty=|!/var/lib/wireguard/wg0.key\n")
        );
    }

    fn applied(machine: &str, there: &[&str]) -> Result<Tree, SystemError> {
        let text = format!(r#"{{"version":1,"hostname":"h","source":{{"debian":{{}}}},"disks":{{}},{machine}}}"#);
        let file =
            || UnitFile::File { folder: "/usr/lib/systemd/system", text: "[Install]\nWantedBy=a.target\n".into() };
        let units = Units::of(
            there.iter().map(|name| (name.to_string(), file())).collect::<std::collections::BTreeMap<_, _>>(),
        );
        let mut tree = Tree::default();
        apply(&mut tree, &serde_json::from_str(&text).unwrap(), &units, &Ids::default()).map(|()| tree)
    }

    #[test]
    fn network_manager_has_what_the_file_does_not_speak_of() {
        let both = ["NetworkManager.service", "systemd-networkd.service"];
        let tree = applied(r#""network":{}"#, &both).unwrap();
        assert!(tree.iter().all(|(path, _)| !path.contains("networkd") && !path.contains("80-ethernet")), "{tree:?}");
        let tree =
            applied(r#""network":{"interfaces":{"eth0":{},"a":{"match":{"mac_address":"52-54-00-00-00-01"}}}}"#, &both)
                .unwrap();
        let conf = tree.text("NetworkManager/conf.d/cairn.conf").unwrap();
        assert_eq!(conf, "[keyfile]\nunmanaged-devices=mac:52:54:00:00:00:01;interface-name:eth0\n");
        let disabled = r#""network":{},"services":{"disable":["NetworkManager"]}"#;
        assert!(applied(disabled, &both).unwrap().get("systemd/network/80-ethernet.network").is_some());
    }

    #[test]
    fn without_resolved_there_are_plain_servers_and_the_rest_is_refused() {
        let resolved = ["systemd-resolved.service"];
        let disabled = r#","services":{"disable":["systemd-resolved"]}"#;
        let plain = r#""network":{"nameservers":["192.0.2.53","fe80::1%eth0"],"search":["example.org"]}"#;
        let tree = applied(&format!("{plain}{disabled}"), &resolved).unwrap();
        assert_eq!(
            tree.text("resolv.conf").unwrap(),
            "nameserver 192.0.2.53\nnameserver fe80::1%eth0\nsearch example.org\n"
        );
        assert!(applied(plain, &resolved).unwrap().text("resolv.conf").is_none(), "a link");
        for (network, pointer) in [
            (r#"{"nameservers":["192.0.2.53","192.0.2.53:5353"]}"#, "/network/nameservers/1"),
            (r#"{"nameservers":["9.9.9.9#a.example"]}"#, "/network/nameservers/0"),
            (r#"{"search":["a.example","~."]}"#, "/network/search/1"),
            (r#"{"dns_over_tls":"yes"}"#, "/network/dns_over_tls"),
        ] {
            let error = applied(&format!(r#""network":{network}{disabled}"#), &resolved).unwrap_err();
            assert_eq!(error.pointer(), Some(pointer));
            let text = applied(&format!(r#""network":{network}"#), &resolved).unwrap();
            assert!(text.text("systemd/resolved.conf.d/cairn.conf").is_some());
        }
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
