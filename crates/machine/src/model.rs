//! The machine file as a value: what `machine.yaml` says, after defaults, before anything is planned.
//!
//! The structs here are the single table behind the JSON Schema (`cairn schema`), the structural check with its
//! file:line:column messages, and the typed value that the rest of Cairn works with.

mod accounts;
mod boot;
mod disks;
mod hardware;
mod installing;
mod links;
mod network;
mod recorded;
mod region;
mod services;
mod source;

pub use accounts::{Group, User};
pub use boot::{
    Boot, BootCheck, BootEntry, BootFile, ConsoleMode, KeysOf, Loader, Menu, Parity, SecureBoot, SecureBootKeys,
    SerialPort, SignedBy,
};
pub use disks::{Disk, FileSystem, Firmware, NamedLayout, Partition, PartitionKind, TableKind};
pub use hardware::Hardware;
pub use installing::{Install, InstallFile, InstallInto, Then};
pub use links::{Bond, BondMode, Bridge, HashPolicy, LacpRate, Vlan, WIREGUARD_KEYS, WireGuard, WireGuardPeer};
pub use network::{
    ClientIdentifier, DhcpOverrides, DnsOverTls, Firewall, Interface, InterfaceMatch, Network, Route, RouteType, Wifi,
    wifi_secret,
};
pub use recorded::{FirmwareKind, RecordedDisk, RecordedPartition, RecordedSignature, RecordedTable};
pub use region::{Keyboard, Locale};
pub use services::{
    DropIn, EtcFile, KernelModules, Services, Swap, SysctlValue, Test, Timer, Unit, Zram, ZramAlgorithm, unit_name,
};
pub use source::{DebianSource, Source};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A whole machine file, version 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The version of this file's schema; 1.
    #[schemars(range(min = 1, max = 1), example = 1)]
    pub version: u32,
    /// The host name: one or more RFC 1123 labels, in small letters.
    #[schemars(length(max = 64), regex(pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"), example = &"hello")]
    pub hostname: String,
    /// The machine's architecture, as systemd names it.
    #[serde(default)]
    pub architecture: Architecture,
    /// Every identifier on the disk is derived from this UUID. Default: derived from the host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"8a1e4f0c-2b4b-4e3b-9d6a-5f1f5c0c9b11")]
    pub seed: Option<Uuid>,
    /// A hardware file to include, relative to this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"hardware.yaml")]
    pub hardware: Option<String>,
    /// Where the packages come from.
    pub source: Source,
    /// The disks by name. An image is made of the one disk that holds the root file system.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
    pub disks: BTreeMap<String, Disk>,
    /// The boot loader, its menu, and the kernel's command line.
    #[serde(default)]
    pub boot: Boot,
    /// The language of messages and formats.
    #[serde(default)]
    pub locale: Locale,
    /// The time zone, by its name in the tz database.
    #[serde(default = "default_timezone")]
    #[schemars(example = &"Europe/Berlin")]
    pub timezone: String,
    /// The keyboard of the text consoles.
    #[serde(default)]
    pub keyboard: Keyboard,
    /// Network interfaces, in the manner of systemd-networkd.
    #[serde(default)]
    pub network: Network,
    /// User accounts by login name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z_][a-z0-9_-]{0,31}$"}))]
    pub users: BTreeMap<String, User>,
    /// Groups of the machine's own, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": "^[a-z_][a-z0-9_-]{0,31}$"}))]
    pub groups: BTreeMap<String, Group>,
    /// What runs.
    #[serde(default)]
    pub services: Services,
    /// Files by absolute path. Those under /etc are the generation's: another generation has its own. Those below /srv, /opt, /var,
    /// /usr/local and /root are the machine's: one is made at a boot where nothing is, and from then on nobody but the machine changes it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": "^/(etc|srv|opt|var|usr/local|root)/"}))]
    pub files: BTreeMap<String, EtcFile>,
    /// Lines of tmpfiles.d(5): folders, links and other things that are made, cleaned up or removed at a boot, in places that are the
    /// machine's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["d /srv/www 0755 www-data www-data -"]]))]
    pub tmpfiles: Vec<String>,
    /// Where memory goes that is not used for a while.
    #[serde(default, skip_serializing_if = "is_default")]
    pub swap: Swap,
    /// Kernel settings, as in sysctl.d.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctl: BTreeMap<String, SysctlValue>,
    /// Kernel modules.
    #[serde(default)]
    pub kernel_modules: KernelModules,
    /// How the machine is installed without anybody being asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<Install>,
    /// Commands that `cairn verify` runs as root on the booted machine; each must exit 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<Test>,
}

fn is_default(swap: &Swap) -> bool {
    *swap == Swap::default()
}

fn default_timezone() -> String {
    "UTC".into()
}

impl Machine {
    /// The disk with the root file system and the boot partitions, and its name. A machine file that was checked has exactly
    /// this one.
    pub fn root_disk(&self) -> Option<(&str, &Disk)> {
        self.disks.iter().next().map(|(name, disk)| (name.as_str(), disk))
    }

    /// What firmware the machine boots under: what its disk and its boot loader allow.
    pub fn firmware(&self) -> Firmware {
        self.root_disk().map(|(_, disk)| disk.firmware(self.boot.loader)).unwrap_or_default()
    }
}

/// An instruction set, named as systemd's `ConditionArchitecture=` names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Architecture {
    /// 64-bit PC; Debian's `amd64`.
    #[default]
    #[serde(rename = "x86-64")]
    X86_64,
}

impl Architecture {
    /// The architecture in Debian's words.
    pub fn debian(self) -> &'static str {
        match self {
            Architecture::X86_64 => "amd64",
        }
    }
}
