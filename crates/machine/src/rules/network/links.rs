//! Interfaces that the machine makes itself, and how they hang together.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::{Findings, is_safe_in_a_path, repeated, short};
use crate::model::{Bond, BondMode, Interface, Network, WireGuard, WireGuardPeer};
use crate::pointer::child;

pub(super) fn check(network: &Network, f: &mut Findings) {
    let mut masters: BTreeMap<&str, &str> = BTreeMap::new();
    let mut vlans: BTreeMap<(&str, u32), &str> = BTreeMap::new();
    let mut ports: BTreeMap<u32, &str> = BTreeMap::new();
    for (name, interface) in &network.interfaces {
        let at = child("/network/interfaces", name);
        one_kind(&at, name, interface, f);
        let at_members = child(child(&at, interface.kind().unwrap_or_default()), "interfaces");
        for (i, member) in interface.members().iter().enumerate() {
            let at = child(&at_members, i);
            named(&at, member, f);
            if let Some(other) = masters.insert(member, name).filter(|other| *other != name.as_str()) {
                let message = format!("`{}` is in `{}` already", short(member), short(other));
                f.wrong(at, message, "an interface is in one bridge or bond");
            } else if let Some(part) = network.interfaces.get(member) {
                member_of(&child("/network/interfaces", member), (member, part), name, f);
            }
        }
        for i in repeated(interface.members()) {
            f.wrong(
                child(&at_members, i),
                format!("`{}` is listed twice", short(&interface.members()[i])),
                "remove one",
            );
        }
        if let Some(vlan) = &interface.vlan {
            let at = child(&at, "vlan");
            named(&child(&at, "link"), &vlan.link, f);
            if let Some(other) = vlans.insert((&vlan.link, vlan.id), name) {
                let message = format!("`{}` is the VLAN {} of `{}` already", short(other), vlan.id, short(&vlan.link));
                f.wrong(child(&at, "id"), message, "give each its own number");
            }
            if network.interfaces.get(&vlan.link).is_some_and(|link| link.wireguard.is_some()) {
                f.wrong(child(&at, "link"), "a WireGuard tunnel carries no VLANs", "");
            }
        }
        if let Some(bond) = &interface.bond {
            of_a_bond(&child(&at, "bond"), bond, f);
        }
        if let Some(tunnel) = &interface.wireguard {
            let at = child(&at, "wireguard");
            wireguard(&at, tunnel, f);
            if let Some(port) = tunnel.listen_port
                && let Some(other) = ports.insert(port, name)
            {
                f.wrong(child(&at, "listen_port"), format!("`{}` listens on {port} already", short(other)), "");
            }
        }
        if in_itself(network, name) {
            let message = format!("`{}` is made of itself, through others", short(name));
            f.wrong_key(&at, message, "follow `interfaces` and `link` from here, and break the circle");
        }
    }
}

/// What an interface is; and what it would have to be, by its name.
fn one_kind(at: &str, name: &str, interface: &Interface, f: &mut Findings) {
    let kinds =
        [interface.vlan.is_some(), interface.bridge.is_some(), interface.bond.is_some(), interface.wireguard.is_some()];
    match kinds.iter().filter(|is| **is).count() {
        0 => {}
        1 => {
            if interface.matches.is_some() {
                let help = "remove `match`: the name is the one that it gets";
                f.wrong(
                    child(at, "match"),
                    format!("`{}` is not there before the machine makes it", short(name)),
                    help,
                );
            }
            return;
        }
        _ => {
            let help = "give each an interface of its own, and name it in `link` or `interfaces` of the other";
            return f.wrong(at, format!("`{}` is several kinds of interface at once", short(name)), help);
        }
    }
    if interface.matches.is_some() {
        return;
    }
    // Nothing of that name comes by itself.
    let numbered =
        |stem: &str| name.strip_prefix(stem).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    let help = if let Some((link, id)) = name.rsplit_once('.').filter(|(_, id)| id.parse::<u32>().is_ok()) {
        format!("for a VLAN, add `vlan: {{id: {}, link: {}}}`", short(id), short(link))
    } else if numbered("br") {
        "for a bridge, add `bridge: {interfaces: [...]}`".to_owned()
    } else if numbered("bond") {
        "for a bond, add `bond: {interfaces: [...]}`".to_owned()
    } else if numbered("wg") {
        "for a tunnel, add `wireguard: {peers: [...]}`".to_owned()
    } else {
        return;
    };
    f.doubtful(at, format!("nothing makes the interface `{}`", short(name)), help);
}

/// The name of an interface that another one is made of.
fn named(at: &str, name: &str, f: &mut Findings) {
    let well = (1..=15).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !well {
        let help = "write the name that it has in this file or on the machine, such as eth0";
        f.wrong(at, format!("`{}` is not the name of an interface", short(name)), help);
    }
}

/// What is in a bridge or bond has no addresses of its own: the whole has them.
fn member_of(at: &str, (name, part): (&str, &Interface), whole: &str, f: &mut Findings) {
    if part.wireguard.is_some() {
        return f.wrong_key(
            at,
            format!("a WireGuard tunnel cannot be in `{}`", short(whole)),
            "it carries no Ethernet",
        );
    }
    let asks = [part.dhcp, part.dhcp4, part.dhcp6].contains(&Some(true));
    let has = [
        ("addresses", !part.addresses.is_empty()),
        ("gateways", !part.gateways.is_empty()),
        ("routes", !part.routes.is_empty()),
        ("dhcp", asks),
    ];
    if let Some((key, _)) = has.into_iter().find(|(_, has)| *has) {
        let message = format!("`{}` is in `{}`, and has no {key} of its own", short(name), short(whole));
        f.wrong_key(at, message, format!("move `{key}` to `{}`", short(whole)));
    }
}

fn of_a_bond(at: &str, bond: &Bond, f: &mut Findings) {
    let only_with = |modes: &[BondMode]| modes.contains(&bond.mode);
    use BondMode::{ActiveBackup, BalanceAlb, BalanceTlb, BalanceXor, Lacp};
    let settings = [
        ("primary", bond.primary.is_some(), only_with(&[ActiveBackup, BalanceTlb, BalanceAlb])),
        ("lacp_rate", bond.lacp_rate.is_some(), only_with(&[Lacp])),
        ("transmit_hash_policy", bond.transmit_hash_policy.is_some(), only_with(&[Lacp, BalanceXor, BalanceTlb])),
        ("min_links", bond.min_links.is_some(), only_with(&[Lacp])),
    ];
    for (key, given, fits) in settings {
        if given && !fits {
            let message = format!("`{key}` means nothing with the mode {}", bond.mode.name());
            f.wrong(child(at, key), message, "remove it, or choose another `mode`");
        }
    }
    if let Some(primary) = bond.primary.as_ref().filter(|primary| !bond.interfaces.contains(primary)) {
        let help = "name one of `interfaces`";
        f.wrong(child(at, "primary"), format!("`{}` is not in this bond", short(primary)), help);
    }
}

fn wireguard(at: &str, tunnel: &WireGuard, f: &mut Findings) {
    key_file(&child(at, "private_key_file"), tunnel.private_key_file.as_deref(), f);
    for (i, peer) in tunnel.peers.iter().enumerate() {
        wireguard_peer(&child(child(at, "peers"), i), peer, tunnel, f);
    }
    for i in repeated(tunnel.peers.iter().map(|peer| &peer.public_key)) {
        let at = child(child(child(at, "peers"), i), "public_key");
        f.wrong(at, "another peer has this key", "put what is said of one peer together");
    }
    if tunnel.peers.is_empty() {
        f.doubtful(at, "this tunnel has no peers, so it leads nowhere", "add `peers`");
    }
}

fn wireguard_peer(at: &str, peer: &WireGuardPeer, tunnel: &WireGuard, f: &mut Findings) {
    if STANDARD.decode(&peer.public_key).ok().is_none_or(|key| key.len() != 32) {
        let help =
            "copy what `wg pubkey` or `wg show NAME public-key` prints there: 44 characters, with `=` at the end";
        f.wrong(child(at, "public_key"), "this is not a public key of WireGuard", help);
    }
    key_file(&child(at, "preshared_key_file"), peer.preshared_key_file.as_deref(), f);
    for (i, text) in peer.allowed_ips.iter().enumerate() {
        let at = child(child(at, "allowed_ips"), i);
        match super::network_of(text) {
            Err((message, help)) => f.wrong(at, message, help),
            // The tunnel's own packets would be sent into the tunnel.
            Ok((_, 0)) if tunnel.route_allowed_ips && peer.endpoint.is_some() => {
                let help =
                    "write `route_allowed_ips: false` beside `peers`, and say `routes`; or name smaller networks";
                f.wrong(
                    at,
                    format!("with {} everything goes through the tunnel, its own packets too", short(text)),
                    help,
                );
            }
            Ok(_) => {}
        }
    }
    if let Some(endpoint) = &peer.endpoint {
        let well = endpoint.rsplit_once(':').is_some_and(|(host, port)| {
            let is_v6 = host
                .strip_prefix('[')
                .and_then(|h| h.strip_suffix(']'))
                .is_some_and(|h| h.parse::<std::net::Ipv6Addr>().is_ok());
            let is_name = !host.is_empty()
                && host.len() <= 253
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
            (is_v6 || is_name)
                && port.bytes().all(|b| b.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if !well {
            let help = "write for example vpn.example.org:51820, 192.0.2.1:51820 or \"[2001:db8::1]:51820\"";
            f.wrong(child(at, "endpoint"), format!("`{}` is not a host with a port", short(endpoint)), help);
        }
    }
}

/// A secret lies on the machine, where no generation puts it and no store has it.
fn key_file(at: &str, path: Option<&str>, f: &mut Findings) {
    let Some(path) = path else { return };
    if STANDARD.decode(path.trim()).is_ok_and(|key| key.len() == 32) {
        let help =
            "put it into a file on the machine, and name that file here; if this file was shared, draw another key";
        return f.wrong(at, "this is a key, and would be readable by all", help);
    }
    let well = path.starts_with("/var/")
        && path.len() <= 1024
        && path.bytes().all(is_safe_in_a_path)
        && path.split('/').skip(1).all(|part| !matches!(part, "" | "." | ".."));
    if !well {
        let help = "write an absolute path below /var, such as /var/lib/wireguard/wg0.key";
        f.wrong(at, format!("`{}` is no place for a key", short(path)), help);
    }
}

/// Whether an interface is made of interfaces that are made of it.
fn in_itself(network: &Network, name: &str) -> bool {
    let (mut waiting, mut seen) = (vec![name], std::collections::BTreeSet::new());
    while let Some(next) = waiting.pop() {
        let Some(interface) = network.interfaces.get(next) else { continue };
        let parts = interface.members().iter().chain(interface.vlan.as_ref().map(|vlan| &vlan.link));
        for part in parts {
            if part == name {
                return true;
            }
            if seen.insert(part) {
                waiting.push(part);
            }
        }
    }
    false
}
