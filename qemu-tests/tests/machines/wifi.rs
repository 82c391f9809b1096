//! A wireless network, on Debian's own kernel with radios that are simulated (mac80211_hwsim) and an access point that is not Cairn's
//! (hostapd): the machine joins it by itself, and whoever is asked by the installer hears it, mistypes its passphrase, and joins it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use qemu_tests::cairn::repository;
use qemu_tests::machine::Disk;
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Scenario, Setup, workbench};

pub const SCENARIO: Scenario = Scenario {
    name: "a wireless network is joined: by the machine at its start, and by the installer when it is asked for",
    needs: QEMU,
    run,
};

/// A name and a passphrase with all that could be taken for something else.
const NAME: &str = "Büro \"1\" #x";
const PASSPHRASE: &str = "a \"b\" $c 'd' #e";

const MACHINE: &str = r#"
version: 1
hostname: wireless
source:
  debian:
    kernel: linux-image-amd64
    packages: [sudo, iw, hostapd, dnsmasq-base]
disks: {main: {layout: uefi, free: 256M}}
boot: {tries: 0}
users:
  cairn: {uid: 1000, groups: [sudo], hashed_password_file: hello.password}
network:
  wifi:
    "Büro \"1\" #x": {passphrase_file: office.passphrase}
    elsewhere: {passphrase_file: other.passphrase, hidden: true}
services: {disable: [hostapd, fstrim.timer]}
"#;

/// Two radios; the second one is an access point's, in a place of its own, with a DHCP server.
const ACCESS_POINT: &str = r#"set -e
modprobe mac80211_hwsim radios=2
udevadm settle
ip netns add ap
iw phy "$(cat /sys/class/net/wlan1/phy80211/name)" set netns name ap
cat >/run/ap.conf <<'END'
interface=wlan1
driver=nl80211
hw_mode=g
channel=1
ssid2=SSID
utf8_ssid=1
wpa=2
wpa_key_mgmt=WPA-PSK SAE
rsn_pairwise=CCMP
ieee80211w=1
wpa_passphrase=PASSPHRASE
END
ip -n ap link set lo up
ip netns exec ap hostapd -B /run/ap.conf
ip -n ap addr add 192.0.2.1/24 dev wlan1
ip netns exec ap dnsmasq --port=0 --interface=wlan1 --bind-interfaces --dhcp-range=192.0.2.10,192.0.2.20,1h --dhcp-leasefile=/run/leases
"#;

fn run(cairn: &Cairn) -> Result<()> {
    let folder = cairn.work.join("wireless");
    std::fs::create_dir_all(&folder)?;
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
    std::fs::copy(repository().join("examples/hello.password"), folder.join("hello.password"))?;
    write("wireless.yaml", MACHINE)?;
    write("office.passphrase", &format!("{PASSPHRASE}\n"))?;
    write("other.passphrase", "of another network\n")?;
    let file = folder.join("wireless.yaml");
    cairn.cmd(["build", "--format", "raw"]).arg(&file).arg("-o").arg(&folder).run()?.must(0)?;
    let target = folder.join("target");
    workbench::disk(&target, 4 << 30)?;
    let setup = Setup::new(&folder.join("wireless.raw")).with(Disk::new(&target).serial("target"));
    let mut guest = Guest::start(&setup)?;

    let ssid: String = NAME.bytes().map(|byte| format!("{byte:02x}")).collect();
    let secret = format!("/var/lib/cairn/wifi/{ssid}");
    let modes = guest.run(&format!("stat -c '%a %U' /var/lib/cairn/wifi {secret}"))?;
    ensure!(modes.split_whitespace().eq(["700", "root", "600", "root"]), "the passphrase is open: {modes}");
    let found = guest
        .run("grep -rlF 'b\" $c' /etc /run/current-system/ $(readlink -f /nix/var/nix/profiles/system) || true")?;
    ensure!(found.trim().is_empty(), "the passphrase is in the system: {found}");

    // What is typed into a terminal is best in one line.
    let script = ACCESS_POINT.replace("SSID", &ssid).replace("PASSPHRASE", PASSPHRASE);
    for line in script.lines() {
        guest.run(&format!("printf '%s\\n' '{}' >>/run/ap.sh", line.replace('\'', r"'\''")))?;
    }
    guest.run("bash /run/ap.sh")?;
    let patience = Duration::from_secs(300);
    guest
        .until("ip -4 address show wlan0 | grep 'inet 192.0.2.1'", "the machine has no address", patience)
        .with_context(|| {
            format!(
                "{:?}",
                guest.ask("systemctl status 'cairn-wifi@*'; wpa_cli -i wlan0 status; journalctl -u 'cairn-wifi@*'")
            )
        })?;
    let status = guest.run("wpa_cli -i wlan0 status")?;
    ensure!(status.contains("wpa_state=COMPLETED") && status.contains("key_mgmt=SAE"), "{status}");
    guest.run("ip route get 192.0.2.1; bash -c 'exec 3<>/dev/tcp/192.0.2.1/7' 2>&1 | grep 'Connection refused'")?;

    asked(&mut guest)?;
    guest.power_off()
}

/// The installer, as the medium has it.
fn asked(guest: &mut Guest) -> Result<()> {
    let live = std::fs::read_to_string(repository().join("image-builder/src/medium/live.yaml"))?;
    let (_, unit) = live.split_once("    medium-wifi@.service:\n").context("the medium has no such unit")?;
    let unit = unit.split_once("text: |\n").context("it has no text")?.1;
    let unit = unit.lines().take_while(|line| line.is_empty() || line.starts_with("        "));
    guest.run("systemctl stop cairn-wifi@wlan0; mkdir -p /run/cairn/medium /run/systemd/system")?;
    for line in unit {
        guest.run(&format!("printf '%s\\n' '{}' >>/run/systemd/system/medium-wifi@.service", line.trim()))?;
    }
    guest.run("systemctl daemon-reload; ip address flush dev wlan0")?;
    // While a cable leads somewhere nobody is asked: it is pulled out.
    let asks = "XDG_CACHE_HOME=/var/cache HOME=/root script -qec 'cairn install --plain' /dev/null </dev/null";
    let said = guest.ask(asks)?.1;
    ensure!(said.contains("1 of 10  The language"), "with a cable it asks more:\n{said}");
    guest.run("for card in /sys/class/net/e*; do ip link set \"${card##*/}\" down; done")?;
    let machine = &mut guest.machine;
    let patience = Duration::from_secs(300);
    machine.type_line("XDG_CACHE_HOME=/var/cache HOME=/root cairn install --plain; echo it-'ended' with $?")?;
    for (question, answer) in [
        ("1 of 11  The language", ""),
        ("2 of 11  The keyboard", ""),
        ("3 of 11  The time zone", "utc"),
        ("Wi-Fi: Büro \"1\" #x (", "büro"),
        ("5 of 12  The passphrase", "short"),
        ("has 8 to 63 characters", "not the right one"),
        ("cannot be used now: the passphrase is not the one of this network", ""),
        ("5 of 12  The passphrase", PASSPHRASE),
        ("Joined. The address is 192.0.2.1", "\u{3}yes"),
    ] {
        machine.wait_for(question, patience)?;
        machine.wait_for("> ", patience)?;
        machine.type_line(answer)?;
    }
    machine.wait_for("stopped: nothing was written", patience)?;
    machine.wait_for("it-ended with 3", patience)?;
    let conf = guest.run("stat -c %a /run/cairn/medium/wifi.conf")?;
    ensure!(conf.trim() == "600", "{conf}");
    Ok(())
}
