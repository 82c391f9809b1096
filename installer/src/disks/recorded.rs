//! Disks in a hardware file: what is recorded of those that there are, and what was recorded as disks that can be chosen from. Pure.
//!
//! What lies upon disks (arrays, volumes, what is unlocked) is not recorded, but whether anything of it was in use.

use std::collections::BTreeMap;

use cairn_machine::model::{RecordedDisk, RecordedPartition, RecordedSignature, RecordedTable};
use cairn_process::text::one_line;

use super::table::Table;
use super::{Contents, Device, Identity, Kind, Partition, Signature, Stack, Use};

/// The sizes of sectors that Linux and partition tables know.
const SECTORS: [u64; 2] = [512, 4096];
/// What stands for memory that is swapped to a disk, among the places where it is mounted.
const SWAP: &str = "swap";
/// All ways to a disk that there are (`sysfs.rs`).
const TRANSPORTS: [&str; 15] = [
    "nvme", "nvme-of", "sata", "usb", "virtio", "scsi", "sas", "mmc", "sd", "iscsi", "fc", "xen", "hyper-v",
    "firewire", "ccw",
];

/// Records the disks among these. `drivers` gives the drivers on the way to one, by its name.
pub fn record(
    devices: &[Device],
    tables: &BTreeMap<String, Table>,
    drivers: &dyn Fn(&str) -> Vec<String>,
) -> Vec<RecordedDisk> {
    let disks =
        devices.iter().filter(|one| one.kind == Kind::Disk && one.bytes > 0 && SECTORS.contains(&one.sector_size));
    disks.map(|disk| of_disk(devices, disk, tables.get(&disk.name), drivers(&disk.name))).collect()
}

fn of_disk(devices: &[Device], disk: &Device, table: Option<&Table>, drivers: Vec<String>) -> RecordedDisk {
    let identity = &disk.identity;
    let sector = disk.sector_size.max(1);
    let mut used: Vec<String> = Stack(devices).whole(disk).into_iter().flat_map(|one| &one.uses).map(word).collect();
    used.sort();
    used.dedup();
    let of_table = |kind: &String| RecordedTable {
        kind: plain(kind),
        id: text(disk.contents.table_id.as_ref()),
        ..match table {
            Some(Table::Gpt { usable: (first, last), entries }) => RecordedTable {
                first_lba: Some(*first),
                last_lba: Some(*last),
                entries: Some(*entries),
                ..RecordedTable::default()
            },
            Some(Table::Damaged(why)) => RecordedTable { damaged: Some(plain(why)), ..RecordedTable::default() },
            None => RecordedTable::default(),
        }
    };
    let partition = |one: &Device| {
        let partition = one.partition.as_ref().filter(|it| it.disk == disk.name)?;
        Some(RecordedPartition {
            number: partition.number,
            start: partition.offset / sector,
            size: one.bytes / sector,
            type_id: text(partition.type_id.as_ref()),
            uuid: text(partition.id.as_ref()),
            name: text(partition.label.as_ref()),
            flags: text(partition.flags.as_ref()).filter(|flags| flags.starts_with("0x")),
            unknown: !one.contents.known,
            signature: one.contents.signature.as_ref().map(signature),
        })
    };
    // An extended partition is two sectors long for the kernel, whatever its table says.
    let mut partitions: Vec<RecordedPartition> = devices.iter().filter_map(partition).collect();
    partitions.retain(|one| one.size > 0);
    partitions.sort_by_key(|one| one.number);
    RecordedDisk {
        name: plain(&disk.name),
        model: text(identity.model.as_ref()),
        serial: text(identity.serial.as_ref()),
        wwn: text(identity.wwn.as_ref()),
        by_id: identity.by_id.iter().map(|name| plain(name)).collect(),
        transport: disk.transport.map(str::to_string),
        drivers: drivers.iter().map(|name| plain(name)).collect(),
        bytes: disk.bytes,
        sector_size: u32::try_from(disk.sector_size).unwrap_or(512),
        physical_sector_size: u32::try_from(disk.physical_sector_size).ok().filter(|size| *size > 0),
        rotational: disk.rotational,
        removable: disk.removable,
        read_only: disk.read_only,
        used,
        unknown: !disk.contents.known,
        table: disk.contents.table.as_ref().map(of_table),
        signature: disk.contents.signature.as_ref().map(signature),
        partitions,
    }
}

fn word(used: &Use) -> String {
    match used {
        Use::Mounted(at) => plain(&at.display().to_string()),
        Use::Swap => SWAP.into(),
    }
}

fn signature(found: &Signature) -> RecordedSignature {
    RecordedSignature {
        kind: plain(&found.kind),
        usage: Some(plain(&found.usage)),
        label: text(found.label.as_ref()),
        uuid: text(found.uuid.as_ref()),
        group: text(found.group.as_ref()),
        version: text(found.version.as_ref()),
    }
}

/// What a disk says of itself may be anything; a file has one line for it.
fn plain(text: &str) -> String {
    one_line(text).into_owned()
}

fn text(found: Option<&String>) -> Option<String> {
    found.map(|text| plain(text)).filter(|text| !text.is_empty())
}

/// The disks that were recorded, with their partitions, as they would be seen on that computer.
pub fn devices_of(disks: &[RecordedDisk]) -> Vec<Device> {
    disks.iter().flat_map(|disk| std::iter::once(device_of(disk)).chain(partitions_of(disk))).collect()
}

fn device_of(disk: &RecordedDisk) -> Device {
    let used = |text: &String| if text == SWAP { Use::Swap } else { Use::Mounted(text.into()) };
    Device {
        name: disk.name.clone(),
        number: String::new(),
        kind: Kind::Disk,
        bytes: disk.bytes,
        sector_size: u64::from(disk.sector_size),
        physical_sector_size: u64::from(disk.physical_sector_size.unwrap_or(disk.sector_size)),
        read_only: disk.read_only,
        removable: disk.removable,
        rotational: disk.rotational,
        transport: TRANSPORTS.into_iter().find(|one| Some(*one) == disk.transport.as_deref()),
        identity: Identity {
            model: disk.model.clone(),
            serial: disk.serial.clone(),
            wwn: disk.wwn.clone(),
            by_id: disk.by_id.clone(),
            name: None,
        },
        partition: None,
        contents: Contents {
            known: !disk.unknown,
            table: disk.table.as_ref().map(|table| table.kind.clone()),
            table_id: disk.table.as_ref().and_then(|table| table.id.clone()),
            signature: disk.signature.as_ref().map(found),
        },
        held_by: Vec::new(),
        lies_on: Vec::new(),
        uses: disk.used.iter().map(used).collect(),
    }
}

fn partitions_of(disk: &RecordedDisk) -> impl Iterator<Item = Device> {
    let between = if disk.name.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    let sector = u64::from(disk.sector_size);
    let whole = device_of(disk);
    disk.partitions.iter().map(move |one| Device {
        name: format!("{}{between}{}", disk.name, one.number),
        kind: Kind::Partition,
        bytes: one.size.saturating_mul(sector),
        transport: None,
        identity: Identity::default(),
        partition: Some(Partition {
            disk: disk.name.clone(),
            number: one.number,
            offset: one.start.saturating_mul(sector),
            type_id: one.type_id.clone(),
            id: one.uuid.clone(),
            label: one.name.clone(),
            flags: one.flags.clone(),
        }),
        contents: Contents {
            known: !one.unknown,
            table: None,
            table_id: None,
            signature: one.signature.as_ref().map(found),
        },
        uses: Vec::new(),
        ..whole.clone()
    })
}

fn found(signature: &RecordedSignature) -> Signature {
    Signature {
        kind: signature.kind.clone(),
        usage: signature.usage.clone().unwrap_or_else(|| "other".into()),
        label: signature.label.clone(),
        uuid: signature.uuid.clone(),
        group: signature.group.clone(),
        version: signature.version.clone(),
    }
}
