//! Interfaces that the machine makes itself: VLANs, bridges, bonds, WireGuard (systemd.netdev(5)).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A VLAN (802.1Q) on another interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vlan {
    /// Its number, 1 to 4094 (`Id=` in systemd.netdev(5)).
    #[schemars(range(min = 1, max = 4094), example = 100)]
    pub id: u32,
    /// The interface that carries it, by its name here or on the machine.
    #[schemars(example = &"eth0")]
    pub link: String,
}

/// A bridge: a switch between interfaces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bridge {
    /// The interfaces in it, by their names here or on the machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["eth0", "eth1"]]))]
    pub interfaces: Vec<String>,
    /// The spanning tree protocol (`STP=` in systemd.netdev(5)).
    pub stp: bool,
    /// Seconds in each of the states listening and learning; of a meaning with `stp` (`ForwardDelaySec=`). Default: the kernel's, 15.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 30), example = 4)]
    pub forward_delay: Option<u32>,
}

/// A bond: several interfaces as one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bond {
    /// The interfaces in it, by their names here or on the machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["eth0", "eth1"]]))]
    pub interfaces: Vec<String>,
    /// How they are one (`Mode=` in systemd.netdev(5)).
    pub mode: BondMode,
    /// With `active-backup`, `balance-tlb` and `balance-alb`: the interface that is used as long as it works (`PrimarySlave=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"eth0")]
    pub primary: Option<String>,
    /// Milliseconds between two looks at whether a cable leads anywhere (`MIIMonitorSec=`).
    #[schemars(range(min = 1, max = 60000))]
    pub mii_monitor_interval: u32,
    /// With `802.3ad`: how often the other side is asked to speak: every 30 seconds or every second (`LACPTransmitRate=`). Default: the
    /// kernel's, slow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacp_rate: Option<LacpRate>,
    /// With `802.3ad`, `balance-xor` and `balance-tlb`: what chooses the interface for a packet (`TransmitHashPolicy=`). Default: the
    /// kernel's, layer2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmit_hash_policy: Option<HashPolicy>,
    /// With `802.3ad`: how many interfaces have to work before the bond does (`MinLinks=`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = 1)]
    pub min_links: Option<u32>,
}

impl Default for Bond {
    fn default() -> Self {
        Bond {
            interfaces: Vec::new(),
            mode: BondMode::default(),
            primary: None,
            // The kernel's own is never: a bond would not see that a cable was pulled.
            mii_monitor_interval: 100,
            lacp_rate: None,
            transmit_hash_policy: None,
            min_links: None,
        }
    }
}

/// How several interfaces are one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BondMode {
    /// One packet on each in turn.
    #[default]
    #[serde(rename = "balance-rr")]
    BalanceRr,
    /// One works, the others wait.
    #[serde(rename = "active-backup")]
    ActiveBackup,
    /// By what is in the packet.
    #[serde(rename = "balance-xor")]
    BalanceXor,
    /// Everything on each.
    #[serde(rename = "broadcast")]
    Broadcast,
    /// As agreed with the switch (LACP).
    #[serde(rename = "802.3ad")]
    Lacp,
    /// What is sent, by load.
    #[serde(rename = "balance-tlb")]
    BalanceTlb,
    /// What is sent and received, by load.
    #[serde(rename = "balance-alb")]
    BalanceAlb,
}

impl BondMode {
    /// The kernel's name, which is the machine file's.
    pub fn name(self) -> &'static str {
        match self {
            BondMode::BalanceRr => "balance-rr",
            BondMode::ActiveBackup => "active-backup",
            BondMode::BalanceXor => "balance-xor",
            BondMode::Broadcast => "broadcast",
            BondMode::Lacp => "802.3ad",
            BondMode::BalanceTlb => "balance-tlb",
            BondMode::BalanceAlb => "balance-alb",
        }
    }
}

/// How often LACP speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LacpRate {
    /// Every 30 seconds.
    Slow,
    /// Every second.
    Fast,
}

impl LacpRate {
    /// systemd's word.
    pub fn name(self) -> &'static str {
        match self {
            LacpRate::Slow => "slow",
            LacpRate::Fast => "fast",
        }
    }
}

/// By which addresses an interface is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HashPolicy {
    /// Hardware addresses.
    #[serde(rename = "layer2")]
    Layer2,
    /// Hardware and IP addresses.
    #[serde(rename = "layer2+3")]
    Layer23,
    /// IP addresses and ports.
    #[serde(rename = "layer3+4")]
    Layer34,
}

impl HashPolicy {
    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            HashPolicy::Layer2 => "layer2",
            HashPolicy::Layer23 => "layer2+3",
            HashPolicy::Layer34 => "layer3+4",
        }
    }
}

/// A WireGuard interface. Its private key is a file of the machine, never in the store; where there is none, the machine draws one at its
/// boot, and `wg show NAME public-key` (package wireguard-tools) tells the public one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WireGuard {
    /// The file on the machine with the private key, in base64 (`PrivateKeyFile=` in systemd.netdev(5)); below /var. Default:
    /// /var/lib/wireguard/NAME.key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/var/"), example = &"/var/lib/wireguard/wg0.key")]
    pub private_key_file: Option<String>,
    /// The UDP port to listen on (`ListenPort=`). Default: one that is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535), example = 51820)]
    pub listen_port: Option<u32>,
    /// Whether what peers may send from is routed to them, as `wg-quick` does it (`RouteTable=main`).
    pub route_allowed_ips: bool,
    /// Whom it talks to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<WireGuardPeer>,
}

/// The other end of a WireGuard tunnel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WireGuardPeer {
    /// Its public key, in base64.
    #[schemars(example = &"HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=")]
    pub public_key: String,
    /// Addresses, with prefix length, that it may send from and that are sent to it (`AllowedIPs=`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["192.0.2.0/24", "2001:db8::/64"]]))]
    pub allowed_ips: Vec<String>,
    /// Where it is reached: a host name or an address, `:` and the port. Without it, it has to speak first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"vpn.example.org:51820")]
    pub endpoint: Option<String>,
    /// Seconds after which something is sent, so that a router on the way does not forget the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535), example = 25)]
    pub persistent_keepalive: Option<u32>,
    /// A file on the machine, below /var, with a key that both ends know (`PresharedKeyFile=`). The machine does not draw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^/var/"), example = &"/var/lib/wireguard/wg0.psk")]
    pub preshared_key_file: Option<String>,
}

/// Where private keys are, unless the machine file says otherwise.
pub const WIREGUARD_KEYS: &str = "/var/lib/wireguard";

impl Default for WireGuard {
    fn default() -> Self {
        WireGuard { private_key_file: None, listen_port: None, route_allowed_ips: true, peers: Vec::new() }
    }
}

impl WireGuard {
    /// The file with the private key of the interface of this name.
    pub fn key_file(&self, name: &str) -> String {
        self.private_key_file.clone().unwrap_or_else(|| format!("{WIREGUARD_KEYS}/{name}.key"))
    }
}
