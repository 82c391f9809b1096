//! A disk as a plan sees it: its table from its own bytes, and in words what is in its partitions.

use std::collections::BTreeSet;

use cairn_disk::Source;
use cairn_disk::partition_table::beside::{Beside, Entry};
use cairn_layout::onto::{DiskThere, PartitionThere, TableThere};
use cairn_layout::{Lba, SectorSize};
use cairn_process::Refusal;
use uuid::Uuid;

use crate::disks::{Device, Kind, NEITHER, Stack, type_words};

/// Describes a disk that is open.
///
/// # Errors
/// A refusal, where it is none that anybody here can write to.
pub fn seen(devices: &[Device], disk: &Device, source: &dyn Source) -> Result<DiskThere, Refusal> {
    let there = describe(devices, disk, read(source, disk.sector_size));
    there.map_err(|why| Refusal(format!("{} cannot be installed on: {why}", disk.name)))
}

/// A GPT, as it is on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpt {
    /// The disk's GUID.
    pub id: Uuid,
    /// The first sector that partitions may have, and the last.
    pub usable: (u64, u64),
    /// How many partitions it has room for.
    pub entries: u32,
    /// Its partitions, by number.
    pub partitions: Vec<(u32, Entry)>,
}

/// Reads the GPT of a disk; `None` where there is none that is whole.
///
/// # Errors
/// Why one that is there is not sound.
pub fn read(disk: &dyn Source, sector_size: u64) -> Result<Option<Gpt>, String> {
    let sector = u32::try_from(sector_size).map_err(|e| e.to_string()).and_then(SectorSize::try_from)?;
    let of = |table: Beside| Gpt {
        id: table.id(),
        usable: (table.first_usable(), table.last_usable()),
        entries: table.entries(),
        partitions: table.partitions().collect(),
    };
    Ok(Beside::read(disk, sector)?.map(of))
}

/// Describes a disk, of which this was read.
///
/// # Errors
/// In words, what makes it a disk that nobody here can write to.
pub fn describe(devices: &[Device], disk: &Device, read: Result<Option<Gpt>, String>) -> Result<DiskThere, String> {
    let sector = u32::try_from(disk.sector_size).map_err(|e| e.to_string()).and_then(SectorSize::try_from)?;
    let of_disk = |one: &&Device| one.partition.as_ref().is_some_and(|p| p.disk == disk.name);
    let known: Vec<&Device> = devices.iter().filter(of_disk).collect();
    let (table, partitions) = match read {
        Ok(Some(table)) => gpt(devices, &known, &table, sector),
        Ok(None) => {
            let table = match disk.contents.table.as_deref() {
                None => TableThere::None,
                Some("gpt") => TableThere::Broken(NEITHER.into()),
                Some("dos") => TableThere::Other("an MBR".into()),
                Some(other) => TableThere::Other(format!("a partition table of the kind {other}")),
            };
            (table, of_kernel(devices, &known, sector))
        }
        Err(why) => (TableThere::Broken(why), of_kernel(devices, &known, sector)),
    };
    let whole = match &disk.contents.signature {
        Some(it) => Some(it.label.as_ref().map_or(it.kind.clone(), |label| format!("{} \"{label}\"", it.kind))),
        None if !disk.contents.known => Some("contents that nobody could read".into()),
        None => None,
    };
    Ok(DiskThere { bytes: disk.bytes, sector, table, whole, partitions })
}

fn gpt(devices: &[Device], known: &[&Device], table: &Gpt, sector: SectorSize) -> (TableThere, Vec<PartitionThere>) {
    let of_number = |number: u32| known.iter().find(|one| one.partition.as_ref().is_some_and(|p| p.number == number));
    let mut partitions: Vec<PartitionThere> = Vec::new();
    let mut places = BTreeSet::new();
    for (number, entry) in &table.partitions {
        let number = *number;
        let sectors = cairn_layout::Sectors(entry.last - entry.first + 1);
        let first = Lba(entry.first);
        places.insert((number, first.offset(sector), sectors.bytes(sector)));
        let device = of_number(number);
        partitions.push(PartitionThere {
            number,
            first,
            sectors,
            id: Some(entry.id),
            type_guid: Some(entry.kind),
            format: device.and_then(|one| format(one)),
            what: what(devices, device.copied(), &entry.kind.to_string(), &entry.name),
        });
    }
    let of_kernel: BTreeSet<(u32, u64, u64)> =
        known.iter().filter_map(|one| one.partition.as_ref().map(|p| (p.number, p.offset, one.bytes))).collect();
    if of_kernel != places {
        let why = "the kernel knows other partitions than the table has: restart the computer, or run `partprobe`";
        return (TableThere::Broken(why.into()), partitions);
    }
    let (first, last) = (Lba(table.usable.0), Lba(table.usable.1));
    (TableThere::Gpt { id: table.id, first, last, entries: table.entries }, partitions)
}

/// The partitions as the kernel has found them, where nobody changes the table.
fn of_kernel(devices: &[Device], known: &[&Device], sector: SectorSize) -> Vec<PartitionThere> {
    let there = |one: &&Device| {
        let partition = one.partition.as_ref()?;
        Some(PartitionThere {
            number: partition.number,
            first: Lba(partition.offset / sector.bytes()),
            sectors: sector.count(one.bytes),
            id: partition.id.as_deref().and_then(|id| Uuid::try_parse(id).ok()),
            type_guid: partition.type_id.as_deref().and_then(|id| Uuid::try_parse(id).ok()),
            format: format(one),
            what: what(
                devices,
                Some(one),
                partition.type_id.as_deref().unwrap_or(""),
                partition.label.as_deref().unwrap_or(""),
            ),
        })
    };
    let mut all: Vec<PartitionThere> = known.iter().filter_map(there).collect();
    all.sort_by_key(|one| one.number);
    all
}

fn format(device: &Device) -> Option<String> {
    device.contents.signature.as_ref().map(|it| it.kind.clone())
}

/// `Windows data "Basic data partition", BitLocker`; `LVM, LVM2_member with vg0-root, vg0-home`.
fn what(devices: &[Device], device: Option<&Device>, type_id: &str, label: &str) -> String {
    let mut text = type_words(type_id).unwrap_or(if type_id.is_empty() { "partition" } else { type_id }).to_string();
    if !label.is_empty() {
        text = format!("{text} \"{label}\"");
    }
    let Some(device) = device else { return text };
    match &device.contents.signature {
        Some(it) => {
            let label = it.label.as_ref().map(|label| format!(" \"{label}\"")).unwrap_or_default();
            text = format!("{text}, {}{label}", it.kind);
        }
        None if !device.contents.known => text = format!("{text}, contents unknown"),
        None => {}
    }
    let upon: Vec<String> = Stack(devices)
        .whole(device)
        .into_iter()
        .skip(1)
        .filter(|one| one.kind != Kind::Partition)
        .map(|one| one.identity.name.clone().unwrap_or_else(|| one.name.clone()))
        .collect();
    if upon.is_empty() { text } else { format!("{text} with {}", upon.join(", ")) }
}
