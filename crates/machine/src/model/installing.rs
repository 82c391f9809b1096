//! How a machine is installed when nobody is asked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the machine is installed without anybody being asked. What `cairn install` is told on its command line goes first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Install {
    /// The one disk that is meant, as for `cairn disks`: `/dev/disk/by-id/…`, `only`, or one or more of serial, wwn, id,
    /// model, transport and size with `=` and a value. A disk that it does not single out is a reason to stop.
    #[schemars(length(min = 1), example = &"serial=S5Y1NG0N")]
    pub disk: String,
    /// What the machine gets of the disk.
    #[serde(default)]
    pub into: InstallInto,
    /// Partitions of the machine, by type or mount point, that take the place of one that is there, by its number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("examples" = [{"root": 3}]))]
    pub replace: BTreeMap<String, u32>,
    /// Partitions of the machine that are there and are used as they are. An `esp` is shared with the systems that start from it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("examples" = [{"home": 5}]))]
    pub keep: BTreeMap<String, u32>,
    /// Partitions of somebody else that stay when all others go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [[4]]))]
    pub spare: Vec<u32>,
    /// What the disk calls itself (its serial number, or another name of its own): its contents may go. Without it
    /// only what loses nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"S5Y1NG0N")]
    pub erase: Option<String>,
    /// What happens when the machine is installed.
    #[serde(default)]
    pub then: Then,
}

/// What a machine gets of a disk that it is installed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstallInto {
    /// All of it; what is on it goes.
    #[default]
    Whole,
    /// Its free space, and what `replace` and `keep` name.
    Free,
    /// The places that it had before: what it boots from, its root and swap are made anew; its data stay.
    Again,
    /// As `again`, but the root's file system stays, and with it /home, /var and all that is in it; only the system in it
    /// is made anew.
    Renew,
}

/// What happens when a machine is installed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Nothing: the installing system goes on.
    #[default]
    Nothing,
    /// The computer is restarted.
    Reboot,
    /// The computer is switched off.
    PowerOff,
}

/// An install file, version 1: which machine is installed, and how, beside a machine file that does not say it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallFile {
    /// The version of this file's schema; 1.
    #[schemars(range(min = 1, max = 1), example = 1)]
    pub version: u32,
    /// The machine file: a path, relative to this file, or a URL.
    #[schemars(length(min = 1), example = &"machine.yaml")]
    pub machine: String,
    /// How it is installed.
    pub install: Install,
}
