//! What comes in, as an nftables table of its own.

use std::fmt::Write as _;

use cairn_machine::model::{Firewall, Network};

use super::super::enable_if_any;
use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::Units;

/// The package's unit loads this file.
const FILE: &str = "nftables.conf";
const OWN: &str = "nftables.d/machine.nft";

/// Puts the rules, and loads them at boot before any interface is set up.
///
/// # Errors
/// When the packages have no nftables.
pub(super) fn apply(tree: &mut Tree, network: &Network, units: &Units) -> Result<(), SystemError> {
    let Some(firewall) = &network.firewall else { return Ok(()) };
    if !units.has("nftables.service") {
        let help = "`cairn lock` asks for it; make the lock file anew".to_string();
        let message = "the packages have no nftables, which the firewall is made with";
        return Err(SystemError::refused_with("/network/firewall", message, Some(help)));
    }
    tree.file(FILE, rules(firewall))?;
    if let Some(ruleset) = &firewall.ruleset {
        tree.file(OWN, ruleset.as_bytes())?;
    }
    enable_if_any(tree, units, "nftables.service")
}

/// The whole file. Only our own table is replaced: containers and others have theirs.
fn rules(firewall: &Firewall) -> String {
    let mut text = String::from(
        "#!/usr/sbin/nft -f\n# Made by Cairn of the machine file.\n\n\
         table inet machine\ndelete table inet machine\n\n\
         table inet machine {\n\tchain input {\n\t\ttype filter hook input priority filter; policy drop;\n\n\
         \t\tct state { established, related } accept\n\t\tct state invalid drop\n\t\tiifname \"lo\" accept\n",
    );
    if !firewall.trusted_interfaces.is_empty() {
        let names: Vec<String> = firewall.trusted_interfaces.iter().map(|name| format!("\"{name}\"")).collect();
        // A set takes no names with a `*`.
        for name in names {
            let _ = writeln!(text, "\t\tiifname {name} accept");
        }
    }
    // Without these nobody has an address: neighbours and routers of IPv6, and answers of DHCP that come from anywhere.
    text += "\t\tmeta l4proto ipv6-icmp icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem, \
             nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query, mld-listener-report, \
             mld-listener-done, mld2-listener-report } accept\n\
             \t\tmeta l4proto icmp icmp type { destination-unreachable, time-exceeded, parameter-problem } accept\n\
             \t\tip6 saddr fe80::/10 udp dport 546 accept\n\t\tudp sport 67 udp dport 68 accept\n";
    if firewall.allow_ping {
        text += "\t\tmeta l4proto icmp icmp type echo-request accept\n\
                 \t\tmeta l4proto ipv6-icmp icmpv6 type echo-request accept\n";
    }
    for (protocol, ports) in [("tcp", &firewall.allowed_tcp_ports), ("udp", &firewall.allowed_udp_ports)] {
        for port in ports {
            let _ = writeln!(text, "\t\t{protocol} dport {port} accept");
        }
    }
    text += "\t}\n}\n";
    if firewall.ruleset.is_some() {
        let _ = write!(text, "\ninclude \"/etc/{OWN}\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether nft takes them, `networks.rs` in `qemu-tests` shows.
    #[test]
    fn what_is_allowed_is_in_the_rules() {
        let firewall = Firewall {
            allowed_tcp_ports: vec!["22".into(), "8000-8080".into()],
            allowed_udp_ports: vec!["51820".into()],
            trusted_interfaces: vec!["wg0".into(), "veth*".into()],
            ..Firewall::default()
        };
        let text = rules(&firewall);
        for line in
            ["tcp dport 22 accept", "tcp dport 8000-8080 accept", "udp dport 51820 accept", "iifname \"veth*\" accept"]
        {
            assert!(text.contains(line), "{text}");
        }
        assert!(!rules(&Firewall { allow_ping: false, ..firewall.clone() }).contains("echo-request"));
        assert!(
            rules(&Firewall { ruleset: Some(String::new()), ..firewall })
                .ends_with("include \"/etc/nftables.d/machine.nft\"\n")
        );
    }
}
