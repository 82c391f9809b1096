//! Interfaces that networkd makes, as systemd.netdev(5) files.

use std::fmt::Write as _;

use cairn_machine::model::{Bond, BondMode, Bridge, Interface, WireGuard};

use super::{setting, yes_or_no};

/// The file of an interface that the machine makes.
pub(super) fn file(name: &str, interface: &Interface) -> Option<String> {
    let mut text = format!("[NetDev]\nName={name}\nKind={}\n", interface.kind()?);
    if let Some(vlan) = &interface.vlan {
        let _ = write!(text, "\n[VLAN]\nId={}\n", vlan.id);
    }
    interface.bridge.iter().for_each(|it| bridge(&mut text, it));
    interface.bond.iter().for_each(|it| bond(&mut text, it));
    interface.wireguard.iter().for_each(|it| wireguard(&mut text, name, it));
    Some(text)
}

fn bridge(text: &mut String, bridge: &Bridge) {
    text.push_str("\n[Bridge]\n");
    setting(text, "STP", yes_or_no(bridge.stp));
    bridge.forward_delay.iter().for_each(|seconds| setting(text, "ForwardDelaySec", seconds));
}

fn bond(text: &mut String, bond: &Bond) {
    text.push_str("\n[Bond]\n");
    setting(text, "Mode", bond.mode.name());
    setting(text, "MIIMonitorSec", format_args!("{}ms", bond.mii_monitor_interval));
    bond.lacp_rate.iter().for_each(|rate| setting(text, "LACPTransmitRate", rate.name()));
    bond.transmit_hash_policy.iter().for_each(|policy| setting(text, "TransmitHashPolicy", policy.name()));
    bond.min_links.iter().filter(|_| bond.mode == BondMode::Lacp).for_each(|links| setting(text, "MinLinks", links));
}

/// The private key is named, never written: the store is everybody's to read.
fn wireguard(text: &mut String, name: &str, tunnel: &WireGuard) {
    text.push_str("\n[WireGuard]\n");
    setting(text, "PrivateKeyFile", tunnel.key_file(name));
    tunnel.listen_port.iter().for_each(|port| setting(text, "ListenPort", port));
    if tunnel.route_allowed_ips {
        text.push_str("RouteTable=main\n");
    }
    for peer in &tunnel.peers {
        text.push_str("\n[WireGuardPeer]\n");
        setting(text, "PublicKey", &peer.public_key);
        peer.preshared_key_file.iter().for_each(|file| setting(text, "PresharedKeyFile", file));
        peer.allowed_ips.iter().for_each(|network| setting(text, "AllowedIPs", network));
        peer.endpoint.iter().for_each(|endpoint| setting(text, "Endpoint", endpoint));
        peer.persistent_keepalive.iter().for_each(|seconds| setting(text, "PersistentKeepalive", seconds));
    }
}
