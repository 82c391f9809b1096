//! The network, as files of systemd-networkd and systemd-resolved.

use std::fmt::Write as _;

use cairn_machine::model::{Interface, Machine, Network, wifi_secret};

use super::enable_if_any;
use crate::error::SystemError;
use crate::tree::Tree;
use crate::units::Units;

/// Puts a file for each interface, the servers for names, and starts networkd.
///
/// # Errors
/// When a name cannot be that of a file, or networkd's unit is broken.
pub fn apply(tree: &mut Tree, machine: &Machine, units: &Units) -> Result<(), SystemError> {
    let network = &machine.network;
    if network.interfaces.is_empty() {
        // Physical Ethernet only: a bridge or a container's interface has no Kind-less twin.
        let any = "[Match]\nType=ether\nKind=!*\n\n[Network]\nDHCP=yes\n";
        tree.file("systemd/network/80-ethernet.network", any)?;
        // Nobody knows which of the sockets has a cable: one that is online will do.
        let any = "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd-networkd-wait-online --any\n";
        tree.file("systemd/system/systemd-networkd-wait-online.service.d/cairn.conf", any)?;
    }
    for (name, interface) in &network.interfaces {
        tree.file(&file_name(name, interface), network_file(name, interface))?;
    }
    if !network.wifi.is_empty() {
        wireless(tree, network)?;
    }
    if !network.nameservers.is_empty() || !network.search.is_empty() {
        let mut text = "[Resolve]\n".to_string();
        lines(&mut text, "DNS", &network.nameservers);
        lines(&mut text, "Domains", &network.search);
        tree.file("systemd/resolved.conf.d/cairn.conf", text)?;
    }

    for unit in ["systemd-networkd.service", "systemd-resolved.service"] {
        enable_if_any(tree, units, unit)?;
    }
    if units.has("systemd-resolved.service") {
        tree.link("resolv.conf", "../run/systemd/resolve/stub-resolv.conf")?;
    } else {
        let mut text = String::new();
        for server in &network.nameservers {
            let _ = writeln!(text, "nameserver {server}");
        }
        if !network.search.is_empty() {
            let _ = writeln!(text, "search {}", network.search.join(" "));
        }
        tree.file("resolv.conf", text)?;
    }
    Ok(())
}

/// Wireless networks: wpa_supplicant for each card, as udev finds it. Which networks there are is the system's; their passphrases are the
/// machine's own state, and both come together, in memory, when a card is there.
fn wireless(tree: &mut Tree, network: &Network) -> Result<(), SystemError> {
    tree.file("systemd/network/81-wireless.network", WIRELESS)?;
    tree.file("systemd/system/cairn-wifi@.service", WIFI_UNIT)?;
    tree.file("udev/rules.d/85-cairn-wifi.rules", WIFI_RULE)?;
    tree.file("wpa_supplicant/cairn.awk", WIFI_AWK)?;
    let mut text =
        "# Made by Cairn of the machine file: name, look for it by its name, how it is joined.\n".to_string();
    text += "ctrl_interface=DIR=/run/wpa_supplicant\n";
    for (name, wifi) in &network.wifi {
        let how = if wifi.passphrase_file.is_some() { "psk" } else { "open" };
        let _ = writeln!(text, "#network {} {} {how}", wifi_secret(name), u8::from(wifi.hidden));
    }
    tree.file("wpa_supplicant/cairn.conf", text)
}

/// A card that no interface of the machine file is about. A wire goes first where there are both.
const WIRELESS: &str = "\
[Match]
Type=wlan

[Network]
DHCP=yes
IgnoreCarrierLoss=3s

[DHCPv4]
RouteMetric=600

[IPv6AcceptRA]
RouteMetric=600
";

const WIFI_RULE: &str = "\
SUBSYSTEM==\"net\", ENV{DEVTYPE}==\"wlan\", TAG+=\"systemd\", ENV{SYSTEMD_WANTS}+=\"cairn-wifi@$name.service\"
";

const WIFI_UNIT: &str = "\
[Unit]
Description=Wi-Fi on %I
BindsTo=sys-subsystem-net-devices-%i.device
After=sys-subsystem-net-devices-%i.device
Wants=network.target
Before=network.target

[Service]
RuntimeDirectory=cairn-wifi/%i
RuntimeDirectoryMode=0700
UMask=0077
ExecStartPre=/bin/sh -c 'exec awk -f /etc/wpa_supplicant/cairn.awk /etc/wpa_supplicant/cairn.conf >/run/cairn-wifi/%i/conf'
ExecStart=/usr/sbin/wpa_supplicant -c /run/cairn-wifi/%i/conf -i %I
Restart=on-failure
RestartSec=5
";

/// WPA2 and WPA3: an access point that has both is joined by the better one.
const WIFI_AWK: &str = r##"# The networks of cairn.conf, with their passphrases, as wpa_supplicant.conf(5) has them.
$1 == "#network" {
    file = "/var/lib/cairn/wifi/" $2
    how = ""
    if ($4 == "open") how = "\tkey_mgmt=NONE\n"
    else if ((getline line < file) > 0) how = "\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\t" line "\n"
    close(file)
    if (how == "") print "there is no passphrase in " file > "/dev/stderr"
    else print "network={\n\tssid=" $2 "\n\tscan_ssid=" $3 "\n" how "}"
    next
}
{ print }
"##;

/// networkd takes the first file that matches, in the order of their names.
fn file_name(name: &str, interface: &Interface) -> String {
    format!("systemd/network/{}0-{name}.network", 4 + interface.vagueness())
}

/// One interface as a systemd.network(5) file.
fn network_file(name: &str, interface: &Interface) -> String {
    let mut text = "[Match]\n".to_string();
    let found = interface.matches.clone().unwrap_or_default();
    if found.name.is_none() && found.mac_address.is_none() && found.driver.is_none() {
        let _ = writeln!(text, "Name={name}");
    }
    for (key, value) in [("Name", found.name), ("MACAddress", found.mac_address), ("Driver", found.driver)] {
        lines(&mut text, key, value.as_slice());
    }
    let _ = writeln!(text, "\n[Network]\nDHCP={}", if interface.asks_dhcp() { "yes" } else { "no" });
    lines(&mut text, "Address", &interface.addresses);
    lines(&mut text, "Gateway", &interface.gateways);
    lines(&mut text, "DNS", &interface.nameservers);
    if interface.optional {
        text.push_str("\n[Link]\nRequiredForOnline=no\n");
    }
    text
}

fn lines(text: &mut String, key: &str, values: &[String]) {
    for value in values {
        let _ = writeln!(text, "{key}={value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_machine::model::{InterfaceMatch, Wifi};

    #[test]
    fn an_interface_without_addresses_asks_dhcp() {
        let text = network_file("lan", &Interface::default());
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
            network_file("lan", &interface),
            "[Match]\nMACAddress=52:54:00:00:00:01\n\n[Network]\nDHCP=no\nAddress=192.0.2.2/24\n\
             Address=2001:db8::2/64\nGateway=192.0.2.1\nDNS=192.0.2.53\n\n[Link]\nRequiredForOnline=no\n"
        );
    }

    #[test]
    fn a_wireless_network_is_in_the_system_and_its_passphrase_is_not() {
        let mut network = Network::default();
        network.wifi.insert("Büro".into(), Wifi { passphrase_file: Some("secret".into()), hidden: true });
        network.wifi.insert("open".into(), Wifi::default());
        let mut tree = Tree::default();
        wireless(&mut tree, &network).unwrap();
        let conf = tree.text("wpa_supplicant/cairn.conf").unwrap();
        assert!(conf.ends_with("#network 42c3bc726f 1 psk\n#network 6f70656e 0 open\n"), "{conf}");
        // As the unit does it.
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let awk = tree.text("wpa_supplicant/cairn.awk").unwrap().replace("/var/lib/cairn/wifi/", &at(""));
        for (name, text) in [("awk", awk), ("conf", conf), ("42c3bc726f", "psk=\"a \"b\" c d\"\n".into())] {
            std::fs::write(at(name), text).unwrap();
        }
        let run = cairn_process::Tool::new("awk", "mawk", "test").args(["-f", &at("awk"), &at("conf")]);
        let said = String::from_utf8(run.output().unwrap()).unwrap();
        assert!(
            said.contains("network={\n\tssid=42c3bc726f\n\tscan_ssid=1\n\tkey_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n\tieee80211w=1\n\tpsk=\"a \"b\" c d\"\n}\n"),
            "{said}"
        );
        assert!(said.ends_with("network={\n\tssid=6f70656e\n\tscan_ssid=0\n\tkey_mgmt=NONE\n}\n"), "{said}");
        std::fs::remove_file(at("42c3bc726f")).unwrap();
        let run = cairn_process::Tool::new("awk", "mawk", "test").args(["-f", &at("awk"), &at("conf")]);
        assert!(
            !String::from_utf8(run.output().unwrap()).unwrap().contains("42c3bc726f"),
            "one that has no passphrase is left out"
        );
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
