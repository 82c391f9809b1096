//! The same installation onto a twin of the disk: a sparse file of its size, with its table and what else is known by both ends of its
//! partitions. Nothing of the disk itself is written.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, ensure};
use cairn_disk::{BlockTarget, Source, Target};
use cairn_layout::onto::{DiskThere, Fate};
use cairn_make::Prepared;
use cairn_process::Report;
use serde::Serialize;

use super::apply::{ends_of_all, write};
use super::plan::Planned;
use super::{receipt, wipe};

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tick {
    /// What.
    pub name: String,
    /// What was found.
    pub found: String,
}

/// Makes the twin of a disk in a new file; of one that is not here, an empty disk.
///
/// # Errors
/// What reading the one and writing the other meet.
pub fn twin(file: File, name: &Path, there: &DiskThere, of: Option<&dyn Source>) -> anyhow::Result<BlockTarget> {
    let twin = empty(file, name, there.bytes)?;
    if let Some(disk) = of {
        for (at, len) in ends_of_all(there) {
            let mut bytes = vec![0; usize::try_from(len).context("an end of a partition")?];
            disk.read_at(at, &mut bytes).context("reading the disk")?;
            // What is zero is a hole already.
            if bytes.iter().any(|byte| *byte != 0) {
                twin.write_at(at, &bytes).context("writing the twin")?;
            }
        }
    }
    Ok(twin)
}

/// A file of this size in which nothing is.
pub(super) fn empty(file: File, name: &Path, bytes: u64) -> anyhow::Result<BlockTarget> {
    let large = || format!("making {} as large as the disk ({})", name.display(), cairn_layout::human(bytes));
    file.set_len(bytes).with_context(large)?;
    BlockTarget::new(file, name.display().to_string()).context("measuring the twin")
}

/// Carries out a plan on a twin, as it would be on the disk, up to what only a kernel can do there; says what was looked at, and gives
/// the machine, for who boots it.
///
/// # Errors
/// What an installation would meet.
pub fn carry_out(planned: Planned, twin: &BlockTarget, report: &dyn Report) -> anyhow::Result<(Prepared, Vec<Tick>)> {
    let Planned { plan, machine, mut contents, .. } = planned;
    let onto = &plan.onto;
    contents.log("install-plan.json", &serde_json::to_string_pretty(&plan).context("writing the plan")?)?;
    let stays = |number: u32| matches!(onto.fate(number), Fate::Untouched | Fate::Kept(_));
    let mut others = Vec::new();
    for one in onto.there.partitions.iter().filter(|one| stays(one.number)) {
        let (at, len) = (one.first.offset(onto.there.sector), one.sectors.bytes(onto.there.sector));
        let end = wipe::END.min(len);
        others.push((one.number, [(at, end), (at + len - end, end)]));
    }
    let before: Vec<_> = others.iter().map(|(_, ends)| receipt::read(twin, ends)).collect::<Result<_, _>>()?;
    report.phase("clearing what would be found", None);
    wipe::pieces(onto).iter().try_for_each(|(at, len)| twin.zeros(*at, *len)).context("clearing the twin")?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    write(&contents, onto, twin, threads, &|| (), report)?;
    let mut ticks =
        vec![Tick { name: "installation".into(), found: format!("{} partitions", onto.plan.partitions.len()) }];
    for ((number, ends), before) in others.iter().zip(before) {
        ensure!(receipt::read(twin, ends)? == before, "partition {number}, which stays, was written to");
        ticks.push(Tick { name: format!("partition {number} stays"), found: "both of its ends as before".into() });
    }
    Ok((machine, ticks))
}
