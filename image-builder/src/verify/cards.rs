//! Network cards for the interfaces of a machine file: which ones the machine is given so that it can show what it does
//! with them, and which interface a card belongs to. Pure.

use cairn_machine::model::{Interface, Network};

/// A network card to be given to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    /// Its hardware address.
    pub mac: String,
    /// What the machine must call it, where its own name would not do.
    pub name: Option<String>,
}

/// A card as the machine has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Device {
    /// Its names, the first one first.
    pub names: Vec<String>,
    /// Its hardware address.
    pub mac: String,
    /// Its kernel module.
    pub driver: String,
}

/// How a virtio card is called at QEMU's usual place.
const USUAL: &str = "enp0s2";

/// A card for every interface that the machine does not make itself, and for what those are made of; none where one of QEMU's own
/// will do.
pub(super) fn cards(network: &Network) -> Vec<Card> {
    let given = |interface: &Interface| Some(plain(interface.matches.as_ref()?.mac_address.as_deref()?));
    let taken: Vec<String> = network.interfaces.values().filter_map(given).collect();
    let mut free = (0x56..=0xff).map(|n| format!("52:54:00:12:34:{n:02x}")).filter(|mac| !taken.contains(mac));
    let nothing = Interface::default();
    let declared = network.interfaces.iter().map(|(name, interface)| (name.as_str(), interface));
    declared
        .filter(|(_, interface)| interface.kind().is_none())
        .chain(network.only_named().into_iter().map(|name| (name, &nothing)))
        .filter_map(|(name, interface)| {
            let pattern = match &interface.matches {
                None => Some(name),
                Some(found) => found.name.as_deref(),
            };
            let name = pattern.filter(|p| !glob(p, USUAL)).map(|p| p.replace(['*', '?'], "0"));
            let name = name.filter(|n| n.len() <= 15 && !n.contains(['[', '!']));
            Some(Card { mac: given(interface).or_else(|| free.next())?, name })
        })
        .collect()
}

/// The interface that a card belongs to: the first that matches.
pub(super) fn owner<'a>(network: &'a Network, device: &Device) -> Option<&'a str> {
    network.in_order().into_iter().find(|(name, interface)| matches(name, interface, device)).map(|(name, _)| name)
}

/// Whether a card is what an interface means, in the way of systemd.network(5).
fn matches(name: &str, interface: &Interface, device: &Device) -> bool {
    let named = |pattern: &str| device.names.iter().any(|n| glob(pattern, n));
    let Some(found) = &interface.matches else { return named(name) };
    let says_nothing = found.name.is_none() && found.mac_address.is_none() && found.driver.is_none();
    (!says_nothing || named(name))
        && found.name.as_deref().is_none_or(named)
        && found.mac_address.as_deref().is_none_or(|mac| plain(mac) == plain(&device.mac))
        && found.driver.as_deref().is_none_or(|driver| glob(driver, &device.driver))
}

/// A hardware address in one form.
fn plain(mac: &str) -> String {
    mac.to_ascii_lowercase().replace('-', ":")
}

/// Shell patterns; `!` before one turns it round.
fn glob(pattern: &str, text: &str) -> bool {
    match pattern.strip_prefix('!') {
        Some(pattern) => !fits(pattern.as_bytes(), text.as_bytes()),
        None => fits(pattern.as_bytes(), text.as_bytes()),
    }
}

fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => fits(rest, text) || text.split_first().is_some_and(|(_, t)| fits(pattern, t)),
        (Some((b'?', rest)), Some((_, text))) => fits(rest, text),
        (Some((b'[', rest)), Some((c, text))) => match rest.iter().skip(1).position(|b| *b == b']') {
            Some(end) => one_of(&rest[..=end], *c) && fits(&rest[end + 2..], text),
            None => false,
        },
        (Some((p, rest)), Some((c, text))) => p == c && fits(rest, text),
        _ => false,
    }
}

/// Whether a set such as `a-z0` or `!0-9` has a byte.
fn one_of(set: &[u8], c: u8) -> bool {
    let (not, mut set) = match set.split_first() {
        Some((b'!' | b'^', rest)) => (true, rest),
        _ => (false, set),
    };
    let mut found = false;
    while let Some((first, rest)) = set.split_first() {
        (found, set) = match rest {
            [b'-', last, rest @ ..] => (found || (*first..=*last).contains(&c), rest),
            rest => (found || *first == c, rest),
        };
    }
    found != not
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_machine::model::InterfaceMatch;

    fn interface(name: Option<&str>, mac: Option<&str>) -> Interface {
        let found = InterfaceMatch {
            name: name.map(Into::into),
            mac_address: mac.map(Into::into),
            ..InterfaceMatch::default()
        };
        Interface { matches: Some(found), ..Interface::default() }
    }

    fn network() -> Network {
        let interfaces = [
            ("any".into(), interface(Some("en*"), None)),
            ("eno1".into(), Interface::default()),
            ("office".into(), interface(Some("eth*"), None)),
            ("uplink".into(), interface(None, Some("52-54-00-12-34-56"))),
        ];
        Network { interfaces: interfaces.into(), ..Network::default() }
    }

    #[test]
    fn every_interface_gets_a_card_that_it_matches() {
        let cards = cards(&network());
        let told: Vec<(&str, Option<&str>)> = cards.iter().map(|c| (c.mac.as_str(), c.name.as_deref())).collect();
        assert_eq!(
            told,
            [
                ("52:54:00:12:34:57", None),
                ("52:54:00:12:34:58", Some("eno1")),
                ("52:54:00:12:34:59", Some("eth0")),
                ("52:54:00:12:34:56", None),
            ]
        );
        for (card, name) in cards.iter().zip(["any", "eno1", "office", "uplink"]) {
            let called = card.name.clone().unwrap_or(USUAL.into());
            let device = Device { names: vec![called], mac: card.mac.clone(), driver: "virtio_net".into() };
            assert_eq!(owner(&network(), &device), Some(name));
        }
    }

    #[test]
    fn what_the_machine_makes_gets_no_card_and_its_parts_do() {
        let text = r#"{"interfaces":{"bond0":{"bond":{"interfaces":["eno1","eno2"]}},"bond0.7":{"vlan":{"id":7,"link":"bond0"}},"eno1":{}}}"#;
        let cards = cards(&serde_json::from_str(text).unwrap());
        let names: Vec<Option<&str>> = cards.iter().map(|card| card.name.as_deref()).collect();
        assert_eq!(names, [Some("eno1"), Some("eno2")]);
    }

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, text) in [("en*", "enp0s2"), ("e?0", "en0"), ("*", ""), ("en[op]*", "eno1"), ("en[!0-9]", "ena")]
        {
            assert!(glob(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("en*", "eth0"), ("e?0", "e0"), ("en[op]*", "ens1"), ("en[", "en["), ("!en*", "en0")] {
            assert!(!glob(pattern, text), "{pattern} {text}");
        }
    }
}
