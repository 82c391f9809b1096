//! What runs and what is configured: services, files under /etc, kernel settings, checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::size::Size;

/// What runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Services {
    /// Units of the packages to start at boot. `.service` may be left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["ssh"]]))]
    pub enable: Vec<String>,
    /// Units of the packages not to start (masked).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["fstrim.timer"]]))]
    pub disable: Vec<String>,
    /// Units of the machine's own, by unit name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub units: BTreeMap<String, Unit>,
    /// Additions to units of the packages, by unit name, as `systemctl edit` makes them (systemd.unit(5), drop-ins).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub drop_ins: BTreeMap<String, DropIn>,
    /// Commands that run at certain times, by names of one's own: a timer and a service of that name (systemd.timer(5)).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub timers: BTreeMap<String, Timer>,
}

/// An addition to a unit of the packages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropIn {
    /// Sections and settings. A list, such as `ExecStart=`, is emptied by a line without a value before it is given anew.
    #[schemars(extend("contentMediaType" = "text/plain"), example = &"[Service]\nRestart=always\n")]
    pub text: String,
}

/// A command that runs at certain times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// When: `daily`, `Mon 04:00`, `*-*-01 03:30` (systemd.time(7), calendar events), in the machine's time zone.
    #[schemars(example = &"*-*-* 03:30")]
    pub on_calendar: String,
    /// A shell command.
    #[schemars(extend("contentMediaType" = "text/x-shellscript"), example = &"tar -C /srv -czf /var/backups/srv.tar.gz .")]
    pub command: String,
    /// Who runs it. Default: root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"www-data")]
    pub user: Option<String>,
    /// Run it after the start where the machine was off at that time (`Persistent=`).
    #[serde(default = "yes")]
    pub persistent: bool,
    /// The most seconds that it may be late, by chance, so that many machines do not all begin at once (`RandomizedDelaySec=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 600)]
    pub randomized_delay: Option<u32>,
}

/// Memory on the disk and packed memory, besides partitions of the type `swap`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Swap {
    /// A file of this size, /var/swapfile, which the machine makes at its boot: the root, or a /var of its own, needs room for it (`free`
    /// in a disk's layout).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"2G")]
    pub file: Option<Size>,
    /// Memory that is packed instead of written to a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zram: Option<Zram>,
}

/// Packed memory, in NixOS's words (zramctl(8)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Zram {
    /// How much may be packed, before it is, in percent of the memory.
    #[schemars(range(min = 1, max = 400))]
    pub memory_percent: u32,
    /// How it is packed: what the kernel has.
    pub algorithm: ZramAlgorithm,
    /// Of several kinds of swap the one with the highest priority is used first; files and partitions are below 0.
    #[schemars(range(min = 0, max = 32767))]
    pub priority: u32,
}

impl Default for Zram {
    fn default() -> Self {
        Zram { memory_percent: 50, algorithm: ZramAlgorithm::default(), priority: 100 }
    }
}

/// How memory is packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ZramAlgorithm {
    /// The smallest.
    #[default]
    Zstd,
    /// The fastest.
    Lz4,
    /// Fast, and on every kernel.
    LzoRle,
}

impl ZramAlgorithm {
    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            ZramAlgorithm::Zstd => "zstd",
            ZramAlgorithm::Lz4 => "lz4",
            ZramAlgorithm::LzoRle => "lzo-rle",
        }
    }
}

/// A systemd unit of the machine's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// The unit file's text.
    #[schemars(extend("contentMediaType" = "text/plain"))]
    pub text: String,
    /// Start it at boot, by its `[Install]` section.
    #[serde(default = "yes")]
    pub enable: bool,
}

fn yes() -> bool {
    true
}

/// A file: exactly one of `text`, `source` and `link`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("oneOf" = [{"required": ["text"]}, {"required": ["source"]}, {"required": ["link"]}]))]
pub struct EtcFile {
    /// The contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("contentMediaType" = "text/plain"), example = &"Welcome.\n")]
    pub text: Option<String>,
    /// A file, relative to the machine file, with the contents.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"files/motd")]
    pub source: Option<String>,
    /// The target of a symbolic link.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"/run/motd")]
    pub link: Option<String>,
    /// The permissions in octal, such as "0640". Outside of /etc they are those of a file that is made. Default: readable by everybody, writable by nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^0?[0-7]{3}$"), example = &"0640")]
    pub mode: Option<String>,
    /// The owning user. Default: root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"root")]
    pub user: Option<String>,
    /// The owning group. Default: root.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"adm")]
    pub group: Option<String>,
}

/// The value of a kernel setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SysctlValue {
    /// A number.
    Number(i64),
    /// Text.
    Text(String),
}

/// Kernel modules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KernelModules {
    /// Loaded at boot.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["br_netfilter"]]))]
    pub load: Vec<String>,
    /// Never loaded by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["pcspkr"]]))]
    pub blacklist: Vec<String>,
    /// Present in the initrd, besides those that the hardware file names; loaded as the hardware asks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["virtio_scsi"]]))]
    pub initrd: Vec<String>,
}

/// A check of the machine's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Test {
    /// What is checked; shown in the result.
    #[schemars(example = &"the web server answers")]
    pub name: String,
    /// A shell command, run as root. Exit 0 passes.
    #[schemars(extend("contentMediaType" = "text/x-shellscript"), example = &"curl -fsS http://localhost/")]
    pub command: String,
    /// What its standard output must be, blanks at the ends aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("contentMediaType" = "text/plain"), example = &"ok")]
    pub expect: Option<String>,
}

impl Unit {
    /// Whether a unit file's text has an `[Install]` section, by which it can be started at boot.
    pub fn has_install_section(&self) -> bool {
        self.text.lines().any(|line| line.trim() == "[Install]")
    }
}

impl EtcFile {
    /// The permissions as a number; 0o644 when none are given (or they are malformed, which the check refuses).
    pub fn mode_bits(&self) -> u32 {
        self.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0o644)
    }
}

impl std::fmt::Display for SysctlValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SysctlValue::Number(number) => number.fmt(f),
            SysctlValue::Text(text) => text.fmt(f),
        }
    }
}

/// The full name of a unit: `.service` is added where the name has no kind.
/// `ssh` is `ssh.service`, and `apt-daily.timer` is itself.
pub fn unit_name(name: &str) -> String {
    const KINDS: [&str; 11] =
        ["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice", "scope", "device"];
    match name.rsplit_once('.') {
        Some((_, kind)) if KINDS.contains(&kind) => name.to_owned(),
        _ => format!("{name}.service"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_without_a_kind_is_a_service() {
        assert_eq!(unit_name("ssh"), "ssh.service");
        assert_eq!(unit_name("apt-daily.timer"), "apt-daily.timer");
        assert_eq!(unit_name("org.example.thing"), "org.example.thing.service");
    }
}
