//! Facts about a computer's disks as they were when its hardware file was written: enough to make a disk that looks like it, elsewhere.
//! Words and numbers are those of blkid and sfdisk: what a partition table and a signature say of themselves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What starts a computer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FirmwareKind {
    /// A BIOS, or UEFI that pretends to be one.
    #[default]
    Bios,
    /// UEFI with 32 bits.
    Uefi32,
    /// UEFI.
    Uefi,
}

impl FirmwareKind {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            FirmwareKind::Bios => "bios",
            FirmwareKind::Uefi32 => "uefi32",
            FirmwareKind::Uefi => "uefi",
        }
    }
}

/// A disk: by what it is found, how it is reached, what is on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedDisk {
    /// The kernel's name of that day.
    #[schemars(length(min = 1), example = &"nvme0n1")]
    pub name: String,
    /// Its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"Samsung SSD 980 500GB")]
    pub model: Option<String>,
    /// Its serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"S5Y1NG0N")]
    pub serial: Option<String>,
    /// Its world wide name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"eui.0025385b01234567")]
    pub wwn: Option<String>,
    /// Its names in `/dev/disk/by-id`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["nvme-Samsung_SSD_980_500GB_S5Y1NG0N"]]))]
    pub by_id: Vec<String>,
    /// How it is reached: nvme, sata, usb, virtio, scsi, sas, mmc, sd, and others that `cairn disks` knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"nvme")]
    pub transport: Option<String>,
    /// The drivers on the way to it, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["nvme"]]))]
    pub drivers: Vec<String>,
    /// Its size in bytes.
    #[schemars(range(min = 1), example = 500107862016_u64)]
    pub bytes: u64,
    /// Bytes in a logical sector: the unit of its partition table.
    #[schemars(range(min = 512, max = 4096), example = 512)]
    pub sector_size: u32,
    /// Bytes that it writes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 4096)]
    pub physical_sector_size: Option<u32>,
    /// Whether it turns.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rotational: bool,
    /// Whether its medium can be taken out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub removable: bool,
    /// Whether it cannot be written to.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Where something on it was mounted; `swap` where memory was swapped to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["/"]]))]
    pub used: Vec<String>,
    /// Nobody could look into it, so there may be anything.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unknown: bool,
    /// Its partition table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<RecordedTable>,
    /// What is on it besides a table: a file system without partitions, a part of an array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<RecordedSignature>,
    /// Its partitions, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<RecordedPartition>,
}

/// A partition table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedTable {
    /// Its kind, as blkid names it.
    #[schemars(length(min = 1), example = &"gpt")]
    pub kind: String,
    /// The disk's GUID, or the signature of its MBR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"0b7c2f7e-2d9c-4ad3-8a0f-52ff1b2b8e7d")]
    pub id: Option<String>,
    /// The first sector that partitions may have, in a GPT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 34)]
    pub first_lba: Option<u64>,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = 976773134_u64)]
    pub last_lba: Option<u64>,
    /// How many partitions a GPT has room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 4096), example = 128)]
    pub entries: Option<u32>,
    /// Why nobody should change it, where it is not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"partitions 1 and 2 overlap")]
    pub damaged: Option<String>,
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedPartition {
    /// Its number.
    #[schemars(range(min = 1), example = 1)]
    pub number: u32,
    /// Its first sector.
    #[schemars(example = 2048)]
    pub start: u64,
    /// Its length in sectors.
    #[schemars(range(min = 1), example = 1048576)]
    pub size: u64,
    /// Its type: a GUID, or the number of an MBR (`0x83`).
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"c12a7328-f81f-11d2-ba4b-00a0c93ec93b")]
    pub type_id: Option<String>,
    /// Its own identifier, as `PARTUUID` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"7c0ba8f3-5a0a-4a8f-9d3a-1f6b4f5a2f10")]
    pub uuid: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"EFI system partition")]
    pub name: Option<String>,
    /// Its attributes in a GPT, or `0x80` where an MBR starts from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^0x[0-9a-f]{1,16}$"), example = &"0x8000000000000001")]
    pub flags: Option<String>,
    /// Nobody could look into it, so there may be anything.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unknown: bool,
    /// What is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<RecordedSignature>,
}

/// What something says of itself in a place that is known for it: a file system, a part of an array.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedSignature {
    /// What it is, as blkid names it.
    #[serde(rename = "type")]
    #[schemars(length(min = 1), example = &"ext4")]
    pub kind: String,
    /// What such a thing is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"filesystem")]
    pub usage: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"home")]
    pub label: Option<String>,
    /// Its identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"5a3f6b9e-7d7b-4c0e-8a59-0d7b6b2a0c11")]
    pub uuid: Option<String>,
    /// The identifier of the volume group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"Zvlifi-Ep3t-e0Ng-U42h-o0ye-KHu1-nl7Ns4")]
    pub group: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"1.0")]
    pub version: Option<String>,
}

impl RecordedTable {
    /// The disk's GUID.
    pub fn guid(&self) -> Option<Uuid> {
        Uuid::try_parse(self.id.as_deref()?).ok()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}
