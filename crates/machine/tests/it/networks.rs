//! Rules of the network: what they refuse, with place and words; and what they let pass.

use crate::common::{LEAST, check, problems};
use crate::rules::{accepted, refused, warnings};

/// A public key that nobody has.
const PEER: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

#[test]
fn networks() {
    let eth = |text: &str| format!("network: {{interfaces: {{eth0: {{{text}}}}}}}");
    let refused_on_eth = |cases: &[(&str, &str)]| {
        let cases: Vec<(String, &str)> = cases.iter().map(|(text, words)| (eth(text), *words)).collect();
        refused(&cases.iter().map(|(text, words)| (text.as_str(), *words)).collect::<Vec<_>>());
    };
    refused_on_eth(&[
        ("addresses: [192.0.2.10]", "no prefix length"),
        ("addresses: [192.0.2.10/33]", "from 1 to 32"),
        ("addresses: ['2001:db8::1/129']", "from 1 to 128"),
        ("addresses: [192.0.2.10/255.255.255.0]", "write `192.0.2.10/24`"),
        ("addresses: [192.0.2.10/255.0.255.0]", "wrong prefix length"),
        ("addresses: [192.0.2.256/24]", "not an address"),
        ("addresses: [192.0.2.0/24]", "the address of the network"),
        ("addresses: [192.0.2.255/24]", "broadcast"),
        ("addresses: [127.0.0.1/8]", "not an address that an interface can have"),
        ("addresses: [192.0.2.1/24, 192.0.2.1/25]", "given to `eth0` already"),
        ("addresses: [192.0.2.10/24], gateways: [192.0.3.1]", "in no network of this interface"),
        ("addresses: [192.0.2.10/24], gateways: [192.0.2.10]", "own address"),
        ("addresses: [192.0.2.10/24], gateways: [192.0.2.1/24]", "without prefix length"),
        ("nameservers: [dns.example.org]", "not an address"),
        ("match: {}", "`match` says nothing"),
        ("match: {mac_address: '52:54:00:12:34'}", "not a hardware address"),
        ("match: {mac_address: 'ff:ff:ff:ff:ff:ff'}", "no interface's own"),
        ("match: {name: 'en 0'}", "not a name or pattern"),
    ]);
    refused(&[
        ("network: {interfaces: {en*: {}}}", "is a pattern"),
        ("network: {interfaces: {lo: {}}}", "set up by the kernel"),
        ("network: {interfaces: {averylonginterface: {}}}", "at most 15"),
        ("network: {interfaces: {a/b: {}}}", "not the name of an interface"),
        (
            "network: {interfaces: {a: {addresses: [192.0.2.1/24]}, b: {addresses: [192.0.2.1/24]}}}",
            "given to `a` already",
        ),
        ("network: {interfaces: {a: {match: {name: b}}, b: {}}}", "the same interface"),
        ("network: {search: [-a b]}", "not a domain"),
        ("network: {nameservers: ['0.0.0.0']}", "not the address of a name server"),
    ]);
    accepted(&[
        &eth(
            "addresses: [192.0.2.0/31, 198.51.100.1/32, 'fe80::5/64', '2001:db8::1/64'], gateways: [192.0.2.1, 'fe80::1']",
        ),
        "network: {interfaces: {a-long-name-of-mine: {match: {name: 'en*', driver: virtio_net}}}, search: [example.org.]}",
        "network: {interfaces: {a: {match: {mac_address: 52-54-00-12-34-56}}, vlan.12: {}}}",
    ]);
}

#[test]
fn interfaces_that_the_machine_makes() {
    let net = |text: &str| format!("network: {{interfaces: {{{text}}}}}");
    let peer = |text: &str| {
        net(&format!("wg0: {{addresses: [192.0.2.1/24], wireguard: {{peers: [{{public_key: {PEER}, {text}}}]}}}}"))
    };
    let cases = [
        (net("a: {vlan: {id: 4095, link: eth0}}"), "from 1 to 4094"),
        (net("a: {vlan: {id: 5, link: eth0}}, b: {vlan: {id: 5, link: eth0}}"), "the VLAN 5 of `eth0` already"),
        (net("a: {vlan: {id: 5, link: a}}"), "made of itself"),
        (net("a: {vlan: {id: 5, link: eth0}, bridge: {}}"), "several kinds of interface"),
        (net("a: {match: {name: eth0}, bridge: {}}"), "not there before the machine makes it"),
        (net("a: {bridge: {interfaces: [eth0]}}, b: {bond: {interfaces: [eth0]}}"), "is in `a` already"),
        (net("a: {bridge: {interfaces: [eth0, eth0]}}"), "listed twice"),
        (net("a: {bridge: {interfaces: ['eth 0']}}"), "not the name of an interface"),
        (net("a: {bridge: {interfaces: [eth0]}}, eth0: {addresses: [192.0.2.1/24]}"), "move `addresses` to `a`"),
        (net("a: {bridge: {interfaces: [eth0]}}, eth0: {dhcp4: true}"), "move `dhcp` to `a`"),
        (net("a: {bond: {interfaces: [eth0], primary: eth0}}"), "means nothing with the mode balance-rr"),
        (net("a: {bond: {interfaces: [eth0], mode: active-backup, primary: eth1}}"), "not in this bond"),
        (net("a: {bond: {interfaces: [eth0], mode: lacp}}"), "802.3ad"),
        (net("a: {bond: {mii_monitor_interval: 0}}"), "from 1 to 60000"),
        (net("a: {wireguard: {private_key_file: wg.key, peers: []}}"), "no place for a key"),
        (net("a: {wireguard: {private_key_file: /etc/wg.key}}"), "no place for a key"),
        (net("a: {wireguard: {private_key_file: /var/lib/../x}}"), "no place for a key"),
        (net(&format!("a: {{wireguard: {{private_key_file: {PEER}}}}}")), "this is a key"),
        (net("a: {wireguard: {peers: [{public_key: secret}]}}"), "not a public key of WireGuard"),
        (peer("endpoint: vpn.example.org"), "not a host with a port"),
        (peer("endpoint: '2001:db8::1:51820'"), "not a host with a port"),
        (peer("allowed_ips: [192.0.2.1/24]"), "write `192.0.2.0/24`"),
        (peer("allowed_ips: ['::/0'], endpoint: 'vpn.example.org:1'"), "its own packets too"),
        (net("a: {wireguard: {}}, b: {bridge: {interfaces: [a]}}"), "cannot be in `b`"),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(text, words)| (text.as_str(), *words)).collect();
    refused(&cases);
    accepted(&[
        &net(
            "uplink: {match: {name: 'en*'}, dhcp: false}, office: {vlan: {id: 100, link: uplink}}, br0: {bridge: {interfaces: [office, eth1], stp: true}}",
        ),
        &net(
            "bond0: {bond: {interfaces: [eth0, eth1], mode: 802.3ad, lacp_rate: fast, transmit_hash_policy: layer3+4}, mtu: 9000}, \
              bond0.7: {vlan: {id: 7, link: bond0}}",
        ),
        &peer(
            "allowed_ips: [198.51.100.0/24, '2001:db8::/32'], endpoint: '[2001:db8::1]:51820', persistent_keepalive: 25",
        ),
    ]);
    let circle = problems(&format!("{LEAST}{}\n", net("a: {bridge: {interfaces: [b]}}, b: {vlan: {id: 1, link: a}}")));
    assert_eq!(circle.matches("is made of itself, through others").count(), 2, "{circle}");
    for (fragment, words) in [
        (net("eth6.100: {}"), "`vlan: {id: 100, link: eth6}`"),
        (net("br0: {}"), "nothing makes the interface `br0`"),
        (net("wg1: {addresses: [192.0.2.1/24]}"), "nothing makes"),
        (net("wlan0: {}"), "joins no network"),
        (net("a: {wireguard: {}}"), "no peers"),
    ] {
        assert!(warnings(&fragment).contains(words), "{fragment}: {}", warnings(&fragment));
    }
}

#[test]
fn routes_dhcp_and_names() {
    let eth = |text: &str| format!("network: {{interfaces: {{eth0: {{{text}}}}}}}");
    let own = |text: &str| eth(&format!("addresses: [192.0.2.10/24], {text}"));
    let cases = [
        (own("gateways: [198.51.100.1]"), "write `gateway_on_link: true`"),
        (own("gateway_on_link: true"), "no gateways"),
        (own("routes: [{to: 198.51.100.1/24, via: 192.0.2.1}]"), "write `198.51.100.0/24`"),
        (own("routes: [{to: 198.51.100.0, via: 192.0.2.1}]"), "has no prefix length"),
        (own("routes: [{to: 198.51.100.0/24, via: 203.0.113.1}]"), "`on_link: true`"),
        (own("routes: [{to: '2001:db8::/64', via: 192.0.2.1}]"), "different families"),
        (own("routes: [{to: default}]"), "without a router"),
        (own("routes: [{to: 198.51.100.0/24, on_link: true}]"), "no router that it could be said of"),
        (own("routes: [{to: 198.51.100.0/24, via: 192.0.2.1, type: blackhole}]"), "leads to no router"),
        (own("routes: [{to: 198.51.100.0/24, via: router}]"), "not an address"),
        (own("dhcp4_overrides: {use_dns: false}"), "does not ask DHCP"),
        (eth("dhcp6_overrides: {route_metric: 5}"), "a setting for IPv4"),
        (eth("dhcp4_overrides: {hostname: x, send_hostname: false}"), "is not told"),
        (eth("nameservers: [fe80::1]"), "on every link"),
        (eth("nameservers: ['192.0.2.53#a b']"), "not an address of a name server"),
        (eth("search: ['~a b']"), "not a domain"),
        ("network: {dns_over_tls: true}".into(), "no, opportunistic, yes"),
        ("network: {search: ['~~.']}".into(), "not a domain"),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(text, words)| (text.as_str(), *words)).collect();
    refused(&cases);
    accepted(&[
        &eth("addresses: [192.0.2.10/32], gateways: [198.51.100.1], gateway_on_link: true"),
        &own(
            "routes: [{to: default, via: 192.0.2.1, metric: 5, table: 100, from: 192.0.2.10}, {to: 203.0.113.0/24, type: unreachable}]",
        ),
        &own(
            "dhcp4: true, gateways: [192.0.2.1], dhcp4_overrides: {use_dns: false, route_metric: 5, client_identifier: mac}",
        ),
        "network: {nameservers: ['9.9.9.9#dns.quad9.net', 'fe80::1%eth0', '[2001:db8::1]:5353'], search: [example.org, '~.', ~corp.example], dns_over_tls: opportunistic}",
    ]);
    assert!(warnings("network: {nameservers: ['9.9.9.9#dns.quad9.net']}").contains("by which no server is asked"));
}

#[test]
fn firewalls() {
    let wall = |text: &str| format!("network: {{firewall: {{{text}}}}}");
    let cases = [
        (wall("allowed_tcp_ports: [0]"), "not a port"),
        (wall("allowed_tcp_ports: [65536]"), "not a port"),
        (wall("allowed_tcp_ports: [ssh]"), "not a port"),
        (wall("allowed_udp_ports: [90-80]"), "not a port"),
        (wall("allowed_udp_ports: ['22; drop']"), "not a port"),
        (wall("trusted_interfaces: ['a\"b']"), "not an interface"),
        (format!("{}\nfiles: {{/etc/nftables.conf: {{text: x}}}}", wall("allow_ping: false")), "network.firewall"),
    ];
    for (text, words) in &cases {
        let found = problems(&format!("{LEAST}{text}\n"));
        assert!(found.contains(words) && found.lines().count() == 1, "{text}: {found}");
    }
    accepted(&[&wall(
        "allowed_tcp_ports: [22, 8000-8080], trusted_interfaces: [wg0, 'veth*'], ruleset: \"table ip x {}\\n\"",
    )]);
    let ssh = LEAST.replace("{debian: {}}", "{debian: {packages: [openssh-server]}}");
    let told = check(&format!("{ssh}{}\n", wall("allowed_tcp_ports: [80]"))).unwrap().warnings;
    assert!(told.iter().any(|w| w.message.contains("nobody from outside reaches it")), "{told:?}");
    let told = check(&format!("{ssh}{}\n", wall("allowed_tcp_ports: [20-30]"))).unwrap().warnings;
    assert!(!told.iter().any(|w| w.message.contains("nobody from outside reaches it")), "{told:?}");
}
