//! What of a GPT nobody but its own bytes says: which sectors partitions may have, how many there may be, whether it is sound.

use std::collections::BTreeMap;
use std::fs::File;

use cairn_disk::FileSource;
use cairn_disk::partition_table::beside::Beside;
use cairn_layout::SectorSize;
use cairn_root::Root;

use super::{Device, Kind};

/// A disk's table, as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// A GPT.
    Gpt {
        /// The first sector that partitions may have, and the last.
        usable: (u64, u64),
        /// How many partitions it has room for.
        entries: u32,
    },
    /// One that nobody should change: why.
    Damaged(String),
}

/// Reads those of this computer's disks that call theirs a GPT; nothing of disks that may not be opened, or are not here.
pub fn tables(root: &Root, devices: &[Device]) -> BTreeMap<String, Table> {
    let disks = devices.iter().filter(|one| root.is_host() && one.kind == Kind::Disk);
    let gpt = disks.filter(|one| one.contents.table.as_deref() == Some("gpt"));
    gpt.filter_map(|one| Some((one.name.clone(), table(one)?))).collect()
}

fn table(disk: &Device) -> Option<Table> {
    let source = File::open(format!("/dev/{}", disk.name)).and_then(FileSource::new).ok()?;
    let sector = SectorSize::try_from(u32::try_from(disk.sector_size).ok()?).ok()?;
    Some(match Beside::read(&source, sector) {
        Ok(Some(gpt)) => Table::Gpt { usable: (gpt.first_usable(), gpt.last_usable()), entries: gpt.entries() },
        Ok(None) => Table::Damaged(NEITHER.into()),
        Err(why) => Table::Damaged(why),
    })
}

/// What is said where both copies of a GPT are broken.
pub(crate) const NEITHER: &str = "neither of its copies is whole";
