//! What is in a device: a partition table, or a file system or a part of something.

use serde::Serialize;

use super::Device;
use super::facts::{Facts, decoded};

/// Both at once is odd, and happens: a medium of an installer has a table beside its file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Contents {
    /// Somebody has looked. Where nobody could, there may be anything.
    pub known: bool,
    /// The kind of its partition table, as blkid names it: `gpt`, `dos`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The identifier in that table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_id: Option<String>,
    /// What else is in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// What something says of itself in a place that is known for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Signature {
    /// What it is, as blkid names it: `ext4`, `crypto_LUKS`, `LVM2_member`; `ambiguous` where two contradict each other.
    #[serde(rename = "type")]
    pub kind: String,
    /// What such a thing is for: `filesystem`, `raid` (a part of an array, a pool or a volume group), `crypto`, `other`.
    pub usage: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The identifier of the volume group that it belongs to, where it is a physical volume and somebody could look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Contents {
    /// Whether somebody has looked, and nothing that is known is in it.
    pub fn is_empty(&self) -> bool {
        self.known && self.table.is_none() && self.signature.is_none()
    }
}

/// Says what is in a device, and what the table says of it.
pub fn complete(device: &mut Device, facts: &Facts) {
    let of = |key: &str| facts.get(key);
    let text = |plain: &str| of(&format!("{plain}_ENC")).map(|text| decoded(&text)).or_else(|| of(plain));
    device.contents = Contents {
        known: facts.looked,
        table: of("ID_PART_TABLE_TYPE").filter(|_| device.partition.is_none()),
        table_id: of("ID_PART_TABLE_UUID").filter(|_| device.partition.is_none()),
        signature: of("ID_FS_TYPE").map(|kind| Signature {
            kind,
            usage: of("ID_FS_USAGE").unwrap_or_else(|| "other".into()),
            label: text("ID_FS_LABEL"),
            uuid: text("ID_FS_UUID"),
            group: None,
            version: of("ID_FS_VERSION"),
        }),
    };
    if let Some(partition) = &mut device.partition {
        partition.type_id = of("ID_PART_ENTRY_TYPE");
        partition.id = of("ID_PART_ENTRY_UUID");
        partition.label = of("ID_PART_ENTRY_NAME").map(|name| decoded(&name));
        partition.flags = of("ID_PART_ENTRY_FLAGS");
    }
}
