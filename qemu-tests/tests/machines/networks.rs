//! Networks as a machine file says them, on Debian's own kernel: systemd-networkd, nftables and systemd itself say that they have taken every word,
//! and the machine is asked for what came of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use qemu_tests::cairn::repository;
use qemu_tests::scenario::QEMU;
use qemu_tests::{Cairn, Guest, Scenario, Setup};

pub const SCENARIO: Scenario = Scenario {
    name: "networks, firewall, timers, swap and files of the machine's own are as declared",
    needs: QEMU,
    run,
};

/// The parts of bond and bridge are stand-ins that the kernel makes (dummy); the rest is as anybody would write it.
const MACHINE: &str = r#"
version: 1
hostname: networks
source: {debian: {packages: [sudo, wireguard-tools]}}
disks: {main: {layout: uefi, free: 512M}}
boot: {tries: 0}
users:
  cairn: {uid: 1000, groups: [sudo], hashed_password_file: hello.password}
kernel_modules: {load: [dummy]}
network:
  nameservers: ["192.0.2.53:5353#dns.example.org", "[2001:db8::53]:853"]
  dns_over_tls: opportunistic
  search: ["~corp.example"]
  interfaces:
    cable: {match: {name: "e*"}, dhcp4: true, dhcp4_overrides: {use_dns: false, route_metric: 300, client_identifier: mac}}
    bond0: {bond: {interfaces: [one, two], mode: active-backup, primary: two}, mtu: 1400}
    bond0.7:
      vlan: {id: 7, link: bond0}
      addresses: [198.51.100.10/32]
      gateways: [203.0.113.1]
      gateway_on_link: true
      routes: [{to: 10.9.0.0/16, via: 203.0.113.2, on_link: true, metric: 5}, {to: 10.0.0.0/8, type: unreachable}]
    br0: {bridge: {interfaces: [three], stp: true, forward_delay: 4}, addresses: [192.0.2.1/24], nameservers: [192.0.2.54], search: [~br.example]}
    wg0:
      addresses: [10.8.0.1/24]
      wireguard:
        listen_port: 51820
        peers: [{public_key: HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=, allowed_ips: [10.8.0.2/32, 10.20.0.0/16], endpoint: "192.0.2.9:51820", persistent_keepalive: 25}]
  firewall:
    allowed_tcp_ports: [22, 8000-8080]
    allowed_udp_ports: [51820]
    trusted_interfaces: [wg0, "veth*"]
    ruleset: |
      table ip own
      delete table ip own
      table ip own {
        chain a {
        }
      }
swap: {file: 64M, zram: {memory_percent: 20}}
files:
  /etc/systemd/network/10-one.netdev: {text: "[NetDev]\nName=one\nKind=dummy\n"}
  /etc/systemd/network/10-two.netdev: {text: "[NetDev]\nName=two\nKind=dummy\n"}
  /etc/systemd/network/10-three.netdev: {text: "[NetDev]\nName=three\nKind=dummy\n"}
  /srv/www/index.html: {text: "hello\n", mode: "0640", group: sudo}
tmpfiles: ["d /srv/uploads 0750 cairn cairn -"]
services:
  disable: [fstrim.timer]
  drop_ins: {dbus.service: {text: "[Service]\nNice=-1\n"}}
  timers:
    ticks: {on_calendar: "*-*-* *:*:00/20", command: "echo \"100% of $(id -un)\" >>/tmp/ticks", user: cairn}
"#;

/// What is asked, and a word of the answer.
const QUESTIONS: [(&str, &str); 17] = [
    ("networkctl --no-pager list", "wg0"),
    ("ip -d link show two", "master bond0"),
    ("ip -d link show bond0", "mode active-backup"),
    ("ip -d link show bond0", "mtu 1400"),
    ("ip -d link show bond0.7", "vlan protocol 802.1Q id 7"),
    ("ip route show", "default via 203.0.113.1 dev bond0.7 proto static onlink"),
    ("ip route show", "10.9.0.0/16 via 203.0.113.2 dev bond0.7 proto static metric 5 onlink"),
    ("ip route show", "unreachable 10.0.0.0/8"),
    ("ip route show", "metric 300"),
    ("ip -d link show three", "master br0"),
    ("wg show wg0", "10.20.0.0/16"),
    ("ip route get 10.20.0.1", "dev wg0"),
    ("nft list table inet machine; nft list table ip own", "tcp dport 8000-8080 accept"),
    ("resolvectl --no-pager dns; resolvectl --no-pager domain", "~br.example"),
    ("cat /proc/swaps", "/var/swapfile"),
    ("cat /proc/swaps", "/dev/zram0"),
    ("systemctl show -P Nice dbus.service", "-1"),
];

fn run(cairn: &Cairn) -> Result<()> {
    let folder = cairn.work.join("networks");
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(repository().join("examples/hello.password"), folder.join("hello.password"))?;
    let file = folder.join("networks.yaml");
    std::fs::write(&file, MACHINE)?;
    cairn.cmd(["build", "--format", "raw"]).arg(&file).arg("-o").arg(&folder).run()?.must(0)?;
    let mut guest = Guest::start(&Setup::new(&folder.join("networks.raw")))?;

    let patience = Duration::from_secs(300);
    guest.until("wg show wg0 | grep 'listening port: 51820'", "there is no tunnel", patience)?;
    guest.until("grep zram /proc/swaps", "there is no packed memory", patience)?;
    for (question, word) in QUESTIONS {
        // Links come up one after the other.
        let look = format!("({question}) | tr -s '[:space:]' ' ' | tee /dev/stderr | grep -qF -- '{word}'");
        guest.until(&look, &format!("`{question}` does not say `{word}`"), patience)?;
    }
    // A word that a program does not know is told in the journal and left out.
    let doubts = "journalctl --no-pager -b -u systemd-networkd -u systemd-resolved -u nftables -u cairn-wireguard \
                  | grep -iE 'unknown|invalid|ignoring|failed to parse|could not' || true";
    let said = guest.run(doubts)?;
    ensure!(said.trim().is_empty(), "not every word was taken:\n{said}");
    let failed = guest.run("systemctl --failed --no-legend --plain")?;
    ensure!(failed.trim().is_empty(), "{failed}");

    let key = guest.run("stat -c '%a %U %G' /var/lib/wireguard/wg0.key; wc -c </var/lib/wireguard/wg0.key")?;
    ensure!(key.split_whitespace().eq(["640", "root", "systemd-network", "45"]), "{key}");
    let files = guest.run("stat -c '%a %U %G' /srv/www/index.html /srv/uploads; cat /srv/www/index.html")?;
    ensure!(files.split_whitespace().eq(["640", "root", "sudo", "750", "cairn", "cairn", "hello"]), "{files}");
    guest.until("grep '^100% of cairn$' /tmp/ticks", "the timer does not tick", patience)?;
    let ranges = guest.run("cat /etc/subuid /etc/subgid; useradd eve; cat /etc/subuid")?;
    ensure!(
        ranges.split_whitespace().eq([
            "cairn:100000:65536",
            "cairn:100000:65536",
            "cairn:100000:65536",
            "eve:165536:65536"
        ]),
        "{ranges}"
    );
    guest.power_off()
}
