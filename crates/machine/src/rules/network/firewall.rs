//! What comes in.

use super::super::{Findings, repeated, short};
use crate::model::{Firewall, Machine};
use crate::pointer::child;

const AT: &str = "/network/firewall";

pub(super) fn check(machine: &Machine, f: &mut Findings) {
    let Some(firewall) = &machine.network.firewall else { return };
    for (key, ports) in
        [("allowed_tcp_ports", &firewall.allowed_tcp_ports), ("allowed_udp_ports", &firewall.allowed_udp_ports)]
    {
        let at = child(AT, key);
        for (i, text) in ports.iter().enumerate() {
            if port_range(text).is_none() {
                let help = "write a number from 1 to 65535, or two such as 8000-8080";
                f.wrong(child(&at, i), format!("`{}` is not a port", short(text)), help);
            }
        }
        for i in repeated(ports) {
            f.doubtful(child(&at, i), format!("`{}` is listed twice", short(&ports[i])), "remove one");
        }
    }
    for (i, name) in firewall.trusted_interfaces.iter().enumerate() {
        let well = (1..=15).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-*".contains(&b))
            && !name.trim_end_matches('*').contains('*');
        if !well {
            let help = "write its name on the machine, such as wg0, or the beginning of it and `*`";
            f.wrong(child(child(AT, "trusted_interfaces"), i), format!("`{}` is not an interface", short(name)), help);
        }
    }
    let packages = &machine.source.debian().packages;
    if let Some(other) = packages.iter().find(|name| matches!(name.as_str(), "ufw" | "firewalld" | "shorewall")) {
        let message = format!("`{other}` among the packages has rules of its own beside these");
        f.doubtful(AT, message, "take one of the two");
    }
    locked_out(machine, firewall, f);
}

/// Who logs in by SSH only would be shut out by the machine's own file.
fn locked_out(machine: &Machine, firewall: &Firewall, f: &mut Findings) {
    let has_server = machine.source.debian().packages.iter().any(|name| name == "openssh-server");
    let lets_in = firewall
        .allowed_tcp_ports
        .iter()
        .filter_map(|text| port_range(text))
        .any(|(first, last)| first <= 22 && 22 <= last);
    if has_server && !lets_in && firewall.trusted_interfaces.is_empty() && firewall.ruleset.is_none() {
        let help = "add 22 (or the port that it has) to `allowed_tcp_ports`";
        f.doubtful(AT, "there is an SSH server, and nobody from outside reaches it", help);
    }
}

/// The first and last port of `22` or `8000-8080`.
fn port_range(text: &str) -> Option<(u16, u16)> {
    let port = |text: &str| {
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0');
        text.parse::<u16>().ok().filter(|_| plain)
    };
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((first, last)) => Some((port(first)?, port(last)?)).filter(|(first, last)| first < last),
    }
}
