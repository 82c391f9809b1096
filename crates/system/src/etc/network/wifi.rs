//! Wireless networks: which there are is the system's, their passphrases are the machine's own state.

use std::fmt::Write as _;

use cairn_machine::model::{Network, wifi_secret};

use crate::error::SystemError;
use crate::tree::Tree;

/// Wireless networks: wpa_supplicant for each card, as udev finds it. Which networks there are is the system's; their passphrases are the
/// machine's own state, and both come together, in memory, when a card is there.
pub(super) fn apply(tree: &mut Tree, network: &Network) -> Result<(), SystemError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_machine::model::Wifi;

    #[test]
    fn a_wireless_network_is_in_the_system_and_its_passphrase_is_not() {
        let mut network = Network::default();
        network.wifi.insert("Büro".into(), Wifi { passphrase_file: Some("secret".into()), hidden: true });
        network.wifi.insert("open".into(), Wifi::default());
        let mut tree = Tree::default();
        apply(&mut tree, &network).unwrap();
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
}
