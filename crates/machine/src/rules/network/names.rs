//! Name servers and domains, as resolved.conf(5) has them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::{Findings, short};
use crate::model::DnsOverTls;
use crate::pointer::child;

/// A name server: an address, and what may stand behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer<'a> {
    /// Where it is.
    pub address: IpAddr,
    /// By which interface, for an address that every interface has (`%eth0`).
    pub interface: Option<&'a str>,
    /// Its port, if it is not the usual one.
    pub port: Option<u16>,
    /// The name that its certificate has (`#dns.example.org`).
    pub tls_name: Option<&'a str>,
}

/// Reads `192.0.2.53`, `[2001:db8::53]:853%eth0#dns.example.org` and what is between them.
pub fn name_server(text: &str) -> Option<NameServer<'_>> {
    let (rest, tls_name) = match text.split_once('#') {
        Some((rest, name)) => (rest, Some(name).filter(|name| is_domain(name))),
        None => (text, None),
    };
    let (rest, interface) = match rest.split_once('%') {
        Some((rest, name)) => (rest, Some(name).filter(|name| is_interface(name))),
        None => (rest, None),
    };
    let (address, port) = if let Some(rest) = rest.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        (IpAddr::V6(address.parse().ok()?), port.strip_prefix(':').or((!port.is_empty()).then_some("")))
    } else if let Ok(address) = rest.parse::<IpAddr>() {
        (address, None)
    } else {
        let (address, port) = rest.split_once(':')?;
        (IpAddr::V4(address.parse().ok()?), Some(port))
    };
    let port = match port {
        None => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok().filter(|port| *port != 0)?),
        Some(_) => return None,
    };
    let is_whole = (interface.is_some() == text.contains('%')) && (tls_name.is_some() == text.contains('#'));
    is_whole.then_some(NameServer { address, interface, port, tls_name })
}

fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    name.len() <= 253 && name.strip_suffix('.').unwrap_or(name).split('.').all(label)
}

pub(super) fn servers(at: &str, servers: &[String], tls: DnsOverTls, f: &mut Findings) {
    for (i, text) in servers.iter().enumerate() {
        let at = child(at, i);
        let Some(server) = name_server(text) else {
            let help = "write for example 192.0.2.53, [2001:db8::53]:53, fe80::1%eth0, or 9.9.9.9#dns.quad9.net";
            f.wrong(at, format!("`{}` is not an address of a name server", short(text)), help);
            continue;
        };
        let ip = server.address;
        if ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            f.wrong(at, format!("{ip} is not the address of a name server"), "");
        } else if matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) && server.interface.is_none() {
            let help = format!("write `{ip}%NAME` with the interface that it is on");
            f.wrong(at, format!("{ip} is on every link, and nothing says on which"), help);
        } else if server.tls_name.is_some() && tls == DnsOverTls::No {
            let help = "add `dns_over_tls: yes` or `opportunistic` to `network`";
            f.doubtful(at, "the name behind `#` is for TLS, by which no server is asked", help);
        }
    }
}

pub(super) fn domains(at: &str, domains: &[String], f: &mut Findings) {
    for (i, domain) in domains.iter().enumerate() {
        let name = domain.strip_prefix('~').unwrap_or(domain);
        if !(domain == "~." || is_domain(name)) {
            let help = "write for example example.org, or ~example.org to ask for it here only";
            f.wrong(child(at, i), format!("`{}` is not a domain", short(domain)), help);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_resolved_reads_them() {
        let read = |text| name_server(text).map(|s| (s.address.to_string(), s.port, s.interface, s.tls_name));
        for (text, address, port, interface, name) in [
            ("192.0.2.53", "192.0.2.53", None, None, None),
            ("192.0.2.53:853", "192.0.2.53", Some(853), None, None),
            ("2001:db8::53", "2001:db8::53", None, None, None),
            ("[2001:db8::53]", "2001:db8::53", None, None, None),
            (
                "[2001:db8::53]:853%eth0#dns.example.org",
                "2001:db8::53",
                Some(853),
                Some("eth0"),
                Some("dns.example.org"),
            ),
            ("fe80::1%eth0.100", "fe80::1", None, Some("eth0.100"), None),
            ("9.9.9.9#dns.quad9.net", "9.9.9.9", None, None, Some("dns.quad9.net")),
        ] {
            assert_eq!(read(text), Some((address.to_string(), port, interface, name)), "{text}");
        }
        for text in [
            "",
            "dns.example.org",
            "192.0.2.53:",
            "192.0.2.53:0",
            "192.0.2.53:+1",
            "192.0.2.53:65536",
            "[2001:db8::53",
            "[::1]x",
            "[::1]:",
            "[192.0.2.1]:53",
            "fe80::1%",
            "9.9.9.9#",
            "9.9.9.9#a b",
            "9.9.9.9#a#b",
            "1%a%b",
            "192.0.2.53/24",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
