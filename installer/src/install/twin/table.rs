//! A partition table as it was recorded.

use anyhow::anyhow;
use cairn_disk::partition_table::beside::{Beside, Entry};
use cairn_disk::{BlockTarget, Target};
use cairn_layout::SectorSize;
use cairn_machine::model::{RecordedDisk, RecordedPartition, RecordedTable};
use uuid::{Uuid, uuid};

/// Where an MBR has its signature, its entries, and the word at its end.
const SIGNATURE: usize = 440;
const ENTRIES: usize = 446;
const END: usize = 510;
/// How many entries a GPT has that nobody looked into.
const USUAL: u32 = 128;
/// What stands for a type that is not recorded: Linux' own.
const LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
const LINUX_MBR: u8 = 0x83;

/// Writes it; what cannot be written is told.
pub fn write(disk: &RecordedDisk, twin: &BlockTarget, notes: &mut Vec<String>) -> anyhow::Result<()> {
    let Some(table) = &disk.table else { return Ok(()) };
    match (table.kind.as_str(), &table.damaged) {
        ("gpt", None) => gpt(disk, table, twin, notes),
        ("dos", None) => mbr(disk, table, twin, notes),
        (kind, Some(why)) => {
            notes.push(format!("the disk's partition table ({kind}) is damaged ({why}): the twin has none"));
            Ok(())
        }
        (kind, None) => {
            notes.push(format!("a partition table of the kind {kind} cannot be made here: the twin has none"));
            Ok(())
        }
    }
}

fn gpt(disk: &RecordedDisk, table: &RecordedTable, twin: &BlockTarget, notes: &mut Vec<String>) -> anyhow::Result<()> {
    let sector = SectorSize::try_from(disk.sector_size).map_err(|why| anyhow!(why))?;
    let entries = table.entries.unwrap_or(USUAL);
    let sectors = (u64::from(entries) * 128).div_ceil(sector.bytes());
    let usual = (2 + sectors, (disk.bytes / sector.bytes()).saturating_sub(sectors + 2));
    let usable = (table.first_lba.unwrap_or(usual.0), table.last_lba.unwrap_or(usual.1));
    let made = |of: &str| Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{} {of}", disk.name).as_bytes());
    let id = table.guid().unwrap_or_else(|| {
        notes.push("the disk's GUID is not recorded: the twin has another one".into());
        made("disk")
    });
    let mut gpt = Beside::empty(disk.bytes, sector, id, usable, entries).map_err(|why| anyhow!(why))?;
    for one in &disk.partitions {
        let (kind, id) = (guid(one.type_id.as_deref()), guid(one.uuid.as_deref()));
        if kind.is_none() || id.is_none() {
            notes
                .push(format!("partition {}: its type or GUID is not recorded: it has others on the twin", one.number));
        }
        let entry = Entry {
            kind: kind.unwrap_or(LINUX),
            id: id.unwrap_or_else(|| made(&one.number.to_string())),
            first: one.start,
            last: end_of(one).saturating_sub(1),
            attributes: number(one.flags.as_deref()).unwrap_or(0),
            name: one.name.clone().unwrap_or_default(),
        };
        gpt.put(one.number, &entry)?;
    }
    for (at, bytes) in gpt.writes().concat() {
        twin.write_at(at, &bytes)?;
    }
    Ok(())
}

fn guid(text: Option<&str>) -> Option<Uuid> {
    Uuid::try_parse(text?).ok()
}

fn number(text: Option<&str>) -> Option<u64> {
    u64::from_str_radix(text?.strip_prefix("0x")?, 16).ok()
}

/// An MBR; what lies in an extended partition is a chain of more of them, each before its own.
fn mbr(disk: &RecordedDisk, table: &RecordedTable, twin: &BlockTarget, notes: &mut Vec<String>) -> anyhow::Result<()> {
    let mut mbr = vec![0; disk.sector_size as usize];
    let id = table.id.as_deref().and_then(|id| u32::from_str_radix(id, 16).ok());
    mbr[SIGNATURE..SIGNATURE + 4].copy_from_slice(&id.unwrap_or(0).to_le_bytes());
    let mut logical: Vec<&RecordedPartition> = disk.partitions.iter().filter(|one| one.number > 4).collect();
    logical.sort_by_key(|one| one.start);
    let mut extended = None;
    for one in disk.partitions.iter().filter(|one| one.number <= 4) {
        let mut one = one.clone();
        if matches!(kind(&one), 0x05 | 0x0F | 0x85) {
            // The kernel tells two sectors of it; it reaches to the end of the last that lies in it.
            let end = logical.iter().map(|one| end_of(one)).max().unwrap_or(0);
            one.size = one.size.max(end.saturating_sub(one.start));
            extended = Some(one.start);
        }
        entry(&mut mbr, (one.number as usize).saturating_sub(1), kind(&one), &one, 0);
    }
    mbr[END..].fill(0);
    mbr[END..END + 2].copy_from_slice(&[0x55, 0xAA]);
    twin.write_at(0, &mbr)?;
    let Some(extended) = extended else {
        if !logical.is_empty() {
            notes.push("the extended partition is not recorded: what was in it is not in the twin's table".into());
        }
        return Ok(());
    };
    // Each link of the chain lies behind the partition before it.
    let mut at = extended;
    for (index, one) in logical.iter().enumerate() {
        let mut link = vec![0; disk.sector_size as usize];
        entry(&mut link, 0, kind(one), one, at);
        let end = end_of(one);
        if let Some(next) = logical.get(index + 1) {
            let chain = RecordedPartition { start: end, size: end_of(next).saturating_sub(end), ..(*next).clone() };
            entry(&mut link, 1, 0x05, &RecordedPartition { flags: None, ..chain }, extended);
        }
        link[END..END + 2].copy_from_slice(&[0x55, 0xAA]);
        if at >= one.start {
            notes.push(format!("partition {}: there is no room before it for its entry in the table", one.number));
            return Ok(());
        }
        twin.write_at(at.saturating_mul(u64::from(disk.sector_size)), &link)?;
        at = end;
    }
    Ok(())
}

/// The sector behind its last.
fn end_of(one: &RecordedPartition) -> u64 {
    one.start.saturating_add(one.size)
}

fn kind(one: &RecordedPartition) -> u8 {
    number(one.type_id.as_deref()).and_then(|number| u8::try_from(number).ok()).unwrap_or(LINUX_MBR)
}

/// An entry, in sectors from `base` on. Cylinders and heads are those of a place that is beyond them.
fn entry(table: &mut [u8], index: usize, kind: u8, one: &RecordedPartition, base: u64) {
    let at = ENTRIES + 16 * index;
    let active = if number(one.flags.as_deref()) == Some(0x80) { 0x80 } else { 0 };
    let (start, size) = (clamped(one.start.saturating_sub(base)), clamped(one.size));
    let place = &mut table[at..at + 16];
    place[..8].copy_from_slice(&[active, 0xFE, 0xFF, 0xFF, kind, 0xFE, 0xFF, 0xFF]);
    place[8..12].copy_from_slice(&start.to_le_bytes());
    place[12..].copy_from_slice(&size.to_le_bytes());
}

fn clamped(sectors: u64) -> u32 {
    u32::try_from(sectors).unwrap_or(u32::MAX)
}
