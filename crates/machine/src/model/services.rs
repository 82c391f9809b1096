//! What runs and what is configured: services, files under /etc, kernel settings, checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// A file under /etc: exactly one of `text`, `source` and `link`.
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
    /// The permissions in octal, such as "0640". Default: readable by everybody, writable by nobody.
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
