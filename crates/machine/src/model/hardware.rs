//! The hardware file: facts about one piece of hardware.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Architecture, FirmwareKind, RecordedDisk};
use crate::size::Size;

/// A hardware file, version 1: facts about one piece of hardware.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// The version of this file's schema; 1.
    #[schemars(range(min = 1, max = 1), example = 1)]
    pub version: u32,
    /// The architecture that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// What starts the computer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<FirmwareKind>,
    /// Whether the firmware started only what is signed. `cairn run` makes a computer like this; nothing else reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = true)]
    pub secure_boot: Option<bool>,
    /// The major version of the TPM that was there: 1 or 2. For `cairn run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2), example = 2)]
    pub tpm: Option<u32>,
    /// How much memory the kernel had, rounded up. For `cairn run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"16G")]
    pub memory: Option<Size>,
    /// How many processors the kernel had. For `cairn run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535), example = 8)]
    pub processors: Option<u32>,
    /// The seed of this installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Uuid>,
    /// GUIDs of partitions that were there before the machine and are used as they are, by their type (`home`) or by
    /// where they are mounted (`/srv`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("examples" = [{"home": "0b7c2f7e-2d9c-4ad3-8a0f-52ff1b2b8e7d"}]))]
    pub partitions: BTreeMap<String, Uuid>,
    /// Modules that the initrd needs to reach the root disk. Without any, a generic set is used.
    #[serde(default)]
    #[schemars(extend("examples" = [["nvme"]]))]
    pub initrd_modules: Vec<String>,
    /// Modules to load at boot.
    #[serde(default)]
    #[schemars(extend("examples" = [["kvm_intel"]]))]
    pub kernel_modules: Vec<String>,
    /// Kernel parameters that this hardware needs.
    #[serde(default)]
    #[schemars(extend("examples" = [["intel_iommu=on"]]))]
    pub kernel_parameters: Vec<String>,
    /// The disks as they were when this file was written: `cairn rehearse --hardware` makes a twin of one, `cairn run` all of them. Nothing else reads them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<RecordedDisk>,
}
