//! What a computer has of networks, and how a wireless one is joined. Pure, but for the look into the tree.

use cairn_machine::model::wifi_secret;
use cairn_root::Root;

/// The longest of the kernel's lists that is read.
const MOST: u64 = 1 << 20;

/// A wireless network that was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Its name (SSID).
    pub name: String,
    /// Its strength in dBm, for the order in a list.
    pub signal: i32,
    /// Whether anybody may join.
    pub open: bool,
}

/// What a computer has of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenNetwork {
    /// Interfaces with a socket, those with a cable first.
    pub wired: Vec<String>,
    /// Interfaces with a radio.
    pub radios: Vec<String>,
    /// Whether one of those with a socket leads somewhere.
    pub online: bool,
    /// The wireless networks that were heard, the strongest first.
    pub heard: Vec<Heard>,
}

impl SeenNetwork {
    /// Looks into a tree's `/sys` and `/proc`.
    pub fn of(root: &Root) -> SeenNetwork {
        let text = |path: &str| root.read_text(path, MOST).ok().flatten().unwrap_or_default();
        let there = |path: &str| root.metadata(path).ok().flatten().is_some();
        let mut names = root.names("sys/class/net").ok().flatten().unwrap_or_default();
        names.sort();
        let mut seen = SeenNetwork::default();
        let mut without = Vec::new();
        for name in names.into_iter().filter_map(|name| name.into_string().ok()) {
            let folder = format!("sys/class/net/{name}");
            if there(&format!("{folder}/phy80211")) {
                seen.radios.push(name);
            } else if text(&format!("{folder}/type")).trim() == "1" && there(&format!("{folder}/device")) {
                let cable = text(&format!("{folder}/carrier")).trim() == "1";
                if cable { &mut seen.wired } else { &mut without }.push(name);
            }
        }
        seen.wired.extend(without);
        let route = text("proc/net/route") + &routes_of_ipv6(&text("proc/net/ipv6_route"));
        seen.online = default_routes(&route).any(|name| seen.wired.iter().any(|wired| wired == name));
        seen
    }
}

/// The interfaces of default routes in `/proc/net/route`.
fn default_routes(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, to) = (words.next()?, words.next()?);
        (to == "00000000").then_some(name)
    })
}

/// Those of `/proc/net/ipv6_route`, in the other's form: `lo` has one that refuses everything.
fn routes_of_ipv6(text: &str) -> String {
    let name = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let default = words.first()?.bytes().all(|b| b == b'0') && *words.get(1)? == "00";
        Some(format!("{} 00000000\n", words.last().filter(|name| default && **name != "lo")?))
    };
    text.lines().filter_map(name).collect()
}

/// What `iw dev NAME scan` says: the networks that a person can join with a passphrase, or without one, each once.
pub fn heard(text: &str) -> Vec<Heard> {
    let mut all: Vec<Heard> = Vec::new();
    let blocks = text.split("\nBSS ").map(|block| block.strip_prefix("BSS ").unwrap_or(block));
    for block in blocks {
        let value = |key: &str| block.lines().find_map(|line| line.trim_start().strip_prefix(key)).map(str::trim);
        let Some(name) = value("SSID:").and_then(unescaped).filter(|name| !name.is_empty()) else { continue };
        let protected = ["RSN:", "WPA:"].iter().any(|key| value(key).is_some());
        let private = value("capability:").is_some_and(|words| words.split_whitespace().any(|word| word == "Privacy"));
        let suites: Vec<&str> =
            block.lines().filter_map(|line| line.trim().strip_prefix("* Authentication suites:")).collect();
        let by_passphrase = suites.iter().any(|suites| suites.contains("PSK") || suites.contains("SAE"));
        // Of WEP nobody should be offered any, and with 802.1X a passphrase is not all.
        if private && !protected || protected && !suites.is_empty() && !by_passphrase {
            continue;
        }
        let signal = value("signal:").and_then(|words| words.split(['.', ' ']).next()?.parse().ok()).unwrap_or(-100);
        let one = Heard { name, signal, open: !protected };
        match all.iter_mut().find(|other| other.name == one.name) {
            Some(other) if other.signal >= signal => {}
            Some(other) => *other = one,
            None => all.push(one),
        }
    }
    all.sort_by(|a, b| b.signal.cmp(&a.signal).then_with(|| a.name.cmp(&b.name)));
    all
}

/// A name as `iw` prints it: what is not printable ASCII stands as `\xNN`, and a blank at an end too.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let hex = match rest {
            [b'\\', b'x', a, b, ..] => {
                std::str::from_utf8(&[*a, *b]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
            }
            _ => None,
        };
        bytes.push(hex.unwrap_or(*first));
        rest = if hex.is_some() { &rest[4..] } else { others };
    }
    String::from_utf8(bytes).ok().filter(|name| !name.chars().any(char::is_control))
}

/// What wpa_supplicant.conf(5) says of one network; without a passphrase anybody may join. It is a secret.
pub fn joining(name: &str, passphrase: Option<&str>) -> String {
    let how = match passphrase {
        None => "\tkey_mgmt=NONE\n".to_string(),
        Some(passphrase) => {
            let psk = if passphrase.len() == 64 { passphrase.into() } else { format!("\"{passphrase}\"") };
            format!("\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk={psk}\n")
        }
    };
    let ssid = wifi_secret(name);
    format!("ctrl_interface=DIR=/run/wpa_supplicant\nnetwork={{\n\tssid={ssid}\n\tscan_ssid=1\n{how}}}\n")
}

/// How far joining is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joining {
    /// It is joined, and there is an address.
    Done(String),
    /// It is joined, and nobody has given an address yet.
    NoAddress,
    /// It is not joined; why, as far as that is known.
    Not(&'static str),
}

/// Of what `wpa_cli status` says, and of the service's log.
pub fn joined(status: &str, log: &str) -> Joining {
    let value = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    if value("wpa_state") == Some("COMPLETED") {
        return value("ip_address").map_or(Joining::NoAddress, |address| Joining::Done(address.to_string()));
    }
    let says = |word: &str| log.contains(word);
    Joining::Not(if says("WRONG_KEY") || says("pre-shared key may be incorrect") || says("CTRL-EVENT-AUTH-REJECT") {
        "the passphrase is not the one of this network"
    } else if says("CTRL-EVENT-ASSOC-REJECT") {
        "the access point refuses: it may have enough guests, or want another kind of key"
    } else if says("CTRL-EVENT-NETWORK-NOT-FOUND") || value("wpa_state") == Some("SCANNING") {
        "it is not heard: look at its name, or go nearer"
    } else if status.is_empty() {
        "wpa_supplicant does not run: `journalctl -u 'medium-wifi@*'` says why"
    } else {
        "the access point does not answer"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As iw 5.19 and 6.9 print it, shortened.
    const SCAN: &str = "\
BSS 02:00:00:00:00:00(on wlan0)
\tcapability: ESS Privacy ShortSlotTime (0x0411)
\tsignal: -70.00 dBm
\tSSID: home
\tRSN:\t * Version: 1
\t\t * Group cipher: CCMP
\t\t * Authentication suites: PSK SAE
BSS 02:00:00:00:00:01(on wlan0) -- associated
\tcapability: ESS Privacy (0x0411)
\tsignal: -30.00 dBm
\tSSID: home
\tRSN:\t * Version: 1
\t\t * Authentication suites: PSK
BSS 02:00:00:00:00:02(on wlan0)
\tcapability: ESS (0x0401)
\tsignal: -50.00 dBm
\tSSID: B\\xc3\\xbcro \\x20
BSS 02:00:00:00:00:03(on wlan0)
\tcapability: ESS Privacy (0x0411)
\tSSID: old
BSS 02:00:00:00:00:04(on wlan0)
\tcapability: ESS Privacy (0x0411)
\tSSID: office
\tRSN:\t * Version: 1
\t\t * Authentication suites: IEEE 802.1X
BSS 02:00:00:00:00:05(on wlan0)
\tSSID: 
BSS 02:00:00:00:00:06(on wlan0)
\tSSID: \\x1b[31m
";

    #[test]
    fn what_is_heard_is_what_can_be_joined() {
        let one = |name: &str, signal, open| Heard { name: name.into(), signal, open };
        assert_eq!(heard(SCAN), [one("home", -30, false), one("Büro  ", -50, true)]);
        assert_eq!((heard(""), heard("command failed: Network is down (-100)\n")), (vec![], vec![]));
    }

    #[test]
    fn a_computer_has_sockets_and_radios() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (name, carrier) in [("enp1s0", "0\n"), ("enp2s0", "1\n")] {
            put(&format!("sys/class/net/{name}/type"), "1\n");
            put(&format!("sys/class/net/{name}/device/x"), "");
            put(&format!("sys/class/net/{name}/carrier"), carrier);
        }
        put("sys/class/net/lo/type", "772\n");
        put("sys/class/net/br0/type", "1\n");
        put("sys/class/net/wlp3s0/type", "1\n");
        put("sys/class/net/wlp3s0/device/x", "");
        put("sys/class/net/wlp3s0/phy80211/index", "0\n");
        put("proc/net/route", "Iface\tDestination\tGateway\nwlp3s0\t00000000\t0100000A\n");
        let root = Root::open(folder.path()).unwrap();
        let seen = SeenNetwork::of(&root);
        assert_eq!((seen.wired.join(" ").as_str(), seen.radios.join(" ").as_str()), ("enp2s0 enp1s0", "wlp3s0"));
        assert!(!seen.online, "the way leads through the air");
        let zeros = "0".repeat(32);
        put(
            "proc/net/ipv6_route",
            &format!(
                "{zeros} 00 {zeros} 00 {zeros} ffffffff 1 0 200200 lo\n{zeros} 00 {zeros} 00 fe80 0400 1 0 3 enp2s0\n"
            ),
        );
        assert!(SeenNetwork::of(&root).online);
    }

    #[test]
    fn why_a_network_is_not_joined_is_said() {
        let of = |status: &str, log: &str| joined(status, log);
        assert_eq!(of("wpa_state=COMPLETED\nip_address=10.0.0.7\n", "WRONG_KEY"), Joining::Done("10.0.0.7".into()));
        assert_eq!(of("wpa_state=COMPLETED\n", ""), Joining::NoAddress);
        for (status, log, words) in [
            ("wpa_state=SCANNING", "CTRL-EVENT-SSID-TEMP-DISABLED id=0 reason=WRONG_KEY", "passphrase"),
            ("wpa_state=SCANNING", "", "not heard"),
            ("wpa_state=ASSOCIATING", "CTRL-EVENT-ASSOC-REJECT", "refuses"),
            ("", "", "does not run"),
            ("wpa_state=4WAY_HANDSHAKE", "", "does not answer"),
        ] {
            let Joining::Not(why) = of(status, log) else { panic!("{status}") };
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn a_name_and_a_passphrase_give_no_orders() {
        let text = joining("a\"\n}", Some("quoted \" word"));
        assert!(text.contains("\tssid=61220a7d\n") && text.contains("\tpsk=\"quoted \" word\"\n"), "{text}");
        assert!(joining("x", None).contains("key_mgmt=NONE"));
    }
}
