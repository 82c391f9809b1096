//! Carrying out a plan. All that can fail without a change comes first; what is overwritten is kept in a receipt; the contents are
//! written without the pages by which they would be found, and the partition table comes last but what a BIOS starts.

use std::path::Path;

use anyhow::Context;
use cairn_boot::Installation;
use cairn_disk::partition_table::{self, beside::Beside};
use cairn_disk::{BlockTarget, Target, Withheld};
use cairn_layout::onto::{DiskThere, Onto, Origin};
use cairn_machine::model::{FileSystem, PartitionKind};
use cairn_process::{Refusal, Report, Tool, go_on, set_left, stay_in_memory};

use super::claim::{Claimed, claim};
use super::consent::Consent;
use super::firmware::Found;
use super::holders::{affected, partition_of, releases};
use super::ioctl::Told;
use super::log::Log;
use super::plan::Planned;
use super::receipt::{self, Event, Receipt};
use super::settle::settle;
use super::{firmware, ioctl, left, renew, shared, wipe};
use crate::disks::look;

/// Where an ext4 file system ends whose blocks, of 4096 bytes, have numbers of 32 bits.
const OF_32_BITS: u64 = 1 << 44;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Done {
    /// The disk's name of today.
    pub disk: String,
    /// Where the receipt is.
    pub receipt: std::path::PathBuf,
}

/// Carries out a plan that was just made. The contents of something go only with consent; `receipt` is where what is overwritten is
/// kept.
///
/// # Errors
/// Before the first write: refusals, and what looking meets. After it, as long as no contents were written, the disk is brought back to
/// what it was. After that an [`cairn_process::AfterWrite`], which says what is left.
pub fn apply(planned: Planned, consent: Option<&Consent>, receipt: &Path, report: &dyn Report) -> anyhow::Result<Done> {
    let Planned { plan, releases: taken_apart, machine, mut contents } = planned;
    match consent {
        Some(consent) => consent.check(&plan.disk)?,
        None if !plan.onto.loses() => {}
        None => {
            return Err(
                Refusal(format!("contents of {} would be lost, and nobody said that they may", plan.disk)).into()
            );
        }
    }
    contents.log("install-plan.json", &serde_json::to_string_pretty(&plan).context("writing the plan")?)?;
    tools(&plan.onto)?;
    taken_apart.iter().try_for_each(|release| release.check())?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);

    let log = Log::new(report);
    let report: &dyn Report = &log;
    set_left(Some(&format!("nothing was written to {}", plan.disk.name)));
    // The medium may be pulled out: what is left then must still be said.
    stay_in_memory();
    report.phase("claiming the disk", None);
    for release in &taken_apart {
        release.carry_out()?;
        report.note(&format!(
            "{} was taken apart; where the disk is left as it is, the next start puts it together again",
            release.shown
        ));
    }
    let devices = look(Path::new("/")).context("looking at the disks")?;
    let disk = plan.disk.find(&devices).map_err(Refusal)?;
    if let Some(left) = releases(&devices, disk, &plan.onto)?.first() {
        return Err(
            Refusal(format!("{} came back while it was taken apart: what puts it together?", left.shown)).into()
        );
    }
    let kept = |kind| {
        plan.onto.kept(kind).map(|number| {
            let device = partition_of(&devices, disk, number);
            device.with_context(|| format!("the kernel has no partition {number} on {}", disk.name))
        })
    };
    let (esp, root) = (kept(PartitionKind::Esp).transpose()?, kept(PartitionKind::Root).transpose()?);
    esp.map_or(Ok(()), shared::check)?;
    root.map_or(Ok(()), |root| renew::check(root, contents.root()))?;
    let claimed = claim(disk, &affected(&devices, disk, &plan.onto), &plan.disk, &plan.fingerprint)?;
    let variables = (!plan.elsewhere).then(firmware::variables);

    report.phase("keeping what is overwritten", None);
    let saved = Receipt {
        version: 1,
        disk: plan.disk.clone(),
        onto: plan.onto.clone(),
        pieces: saved_pieces(&plan.onto),
        sha256: String::new(),
        firmware: variables.as_ref().and_then(|it| it.as_ref().ok()).map(firmware::Variables::saved),
        added: machine.shared().map(shared::made).unwrap_or_default(),
    };
    go_on()?;
    let mut kept = receipt::save(receipt, saved, &claimed.target)?;
    go_on()?;
    let undo = format!("`cairn install --undo {}` brings back what was overwritten", receipt.display());

    if let Some(root) = root {
        renew::write(root, contents.root(), report)?;
    }

    set_left(Some(&format!("{} is cleared and has no system; {undo}", claimed.node.display())));
    let mut clear = || {
        report.phase("clearing what would be found", None);
        for pieces in wipe::steps(&plan.onto) {
            let zeros = |(at, len): &wipe::Piece| claimed.target.zeros(*at, *len);
            let zeros = pieces.iter().try_for_each(zeros).and_then(|()| claimed.target.sync());
            zeros.context("clearing the ends of partitions")?;
            go_on()?;
        }
        kept.note(&Event::Data)
    };
    if let Err(error) = clear() {
        return Err(back(error, receipt, &claimed));
    }
    set_left(Some(&left::unfinished(&plan.onto, &claimed.node)));
    // The machine keeps what was said until here: nothing is written into a file system once it is whole.
    contents.log("install.log", &log.text())?;
    let after = |error: anyhow::Error| left::after(error, cairn_process::left().unwrap_or_default());
    let table = || set_left(Some(&left::unchecked(&plan.onto, &claimed.node, receipt)));
    write(&contents, &plan.onto, &claimed.target, threads, &table, report).map_err(after)?;
    let hash = receipt::table(&claimed.target, plan.disk.sector_size);
    let rereads = announce(&plan.onto, claimed.target.file());
    let name = disk.name.clone();
    // Whoever waits for the disk looks at it now.
    drop(claimed);
    settle(report);
    if let Err(error) = rereads {
        report.note(&format!("the kernel keeps to the old partitions until it is restarted ({error})"));
    } else {
        finish(&plan.disk, &plan.onto, report).map_err(after)?;
    }
    if let Some(root) = root {
        renew::change_places(root, contents.root(), report).map_err(after)?;
    }
    if let (Some(shared), Some(esp)) = (machine.shared(), esp) {
        report.phase("updating the EFI system partition", None);
        shared::write(esp, shared, machine.store().root()).map_err(after)?;
    }
    kept.note(&Event::Done(hash.context("reading back what was written").map_err(after)?)).map_err(after)?;
    set_left(Some(&format!("the machine is on {name}, and whole")));

    let checked = &machine.newest().checked;
    let found = if machine.shared().is_some_and(|it| it.other_fallback) { Found::Others } else { Found::Ours };
    match variables.filter(|_| checked.machine.boot.nvram) {
        Some(Ok(variables)) => {
            variables.enter(&plan.onto, machine.program(), Installation::of_seed(checked.seed()), found, report);
        }
        Some(Err(why)) => firmware::without(&why, found, report),
        None => {}
    }
    Ok(Done { disk: name, receipt: receipt.to_path_buf() })
}

/// All that is overwritten before the contents are: what is cleared, and both ends of the disk, where the table is.
fn saved_pieces(onto: &Onto) -> Vec<wipe::Piece> {
    let mut pieces = wipe::pieces(onto);
    let (end, bytes) = (wipe::END.min(onto.there.bytes), onto.there.bytes);
    pieces.extend([(0, end), (bytes - end, end)]);
    wipe::merged(pieces, bytes)
}

/// Both ends of a disk and of each of its partitions: all by which it is known.
pub fn ends_of_all(there: &DiskThere) -> Vec<wipe::Piece> {
    let sector = there.sector;
    let all = there.partitions.iter().map(|one| (one.first.offset(sector), one.sectors.bytes(sector)));
    let ends = |(at, len): (u64, u64)| {
        let end = wipe::END.min(len);
        [(at, end), (at + len - end, end)]
    };
    wipe::merged(all.chain([(0, there.bytes)]).flat_map(ends).collect(), there.bytes)
}

/// What makes file systems as large as their partitions, where the machine does not do it itself.
fn to_grow(onto: &Onto) -> impl Iterator<Item = &cairn_layout::PlannedPartition> {
    let is_ext4 = |one: &&cairn_layout::PlannedPartition| one.fs().is_some_and(|fs| fs.format == FileSystem::Ext4);
    onto.plan.partitions.iter().filter(is_ext4).filter(|one| !one.grow)
}

fn resize(node: &str, bytes: u64) -> Vec<Tool> {
    let resize = || Tool::new("resize2fs", "e2fsprogs", "make the new file systems as large as their partitions");
    let mut tools = vec![Tool::new("e2fsck", "e2fsprogs", "check the new file systems").args(["-f", "-p", node])];
    if bytes > OF_32_BITS {
        tools.push(resize().args(["-b", node]));
    }
    tools.push(resize().arg(node));
    tools
}

fn tools(onto: &Onto) -> anyhow::Result<()> {
    if to_grow(onto).next().is_some() {
        resize("", 0).iter().try_for_each(|tool| tool.check().map(drop))?;
    }
    Ok(())
}

/// Brings the disk back to what it was, after a failure before any contents were written.
fn back(error: anyhow::Error, receipt: &Path, claimed: &Claimed) -> anyhow::Error {
    match super::undo::restore(receipt, &claimed.target) {
        Ok(()) => {
            let left = format!("{} is as it was before", claimed.node.display());
            set_left(Some(&left));
            left::Broken::new(error, anyhow::Error::msg(left)).into()
        }
        Err(second) => {
            let left = format!(
                "{} is cleared, and bringing it back failed ({second:#}); what was overwritten is in {}",
                claimed.node.display(),
                receipt.display()
            );
            left::after(error, left)
        }
    }
}

/// Writes all that a plan says: contents, table, what a BIOS starts.
pub fn write(
    contents: &cairn_make::NewDisk,
    onto: &Onto,
    disk: &BlockTarget,
    threads: usize,
    table_begins: &dyn Fn(),
    report: &dyn Report,
) -> anyhow::Result<()> {
    let made = onto.plan.partitions.iter().zip(&onto.origins).filter(|(_, origin)| !matches!(origin, Origin::Keeps(_)));
    let heads: Vec<u64> =
        made.filter(|(one, _)| one.volume.is_some()).map(|(one, _)| onto.plan.offset_of(one)).collect();
    let withheld = Withheld::new(disk, &heads).context("reading the disk")?;
    contents.write_file_systems(&withheld, threads, report)?;
    go_on()?;
    report.phase("waiting for the disk", None);
    withheld.release().context("writing to the disk")?;
    go_on()?;
    report.phase("writing the partition table", None);
    table_begins();
    if onto.new_table {
        partition_table::write(&onto.plan, disk)?;
        disk.sync().context("writing the partition table")?;
    } else {
        let table = Beside::read(disk, onto.there.sector).map_err(anyhow::Error::msg)?;
        let mut table = table.context("the partition table is gone")?;
        table.follow(onto)?;
        for group in table.writes() {
            group
                .iter()
                .try_for_each(|(at, bytes)| disk.write_at(*at, bytes))
                .context("writing the partition table")?;
            disk.sync().context("writing the partition table")?;
        }
    }
    contents.write_boot_code(disk)?;
    disk.sync().context("writing to the disk")
}

/// Tells the kernel of the new partitions: of a new table all, else each by itself, so that those that are in use stay as they are.
fn announce(onto: &Onto, disk: &std::fs::File) -> std::io::Result<()> {
    if onto.new_table {
        ioctl::reread(disk)?;
    } else {
        onto.removed.iter().try_for_each(|number| ioctl::tell(disk, Told::Removed(*number)))?;
    }
    for (one, origin) in onto.plan.partitions.iter().zip(&onto.origins) {
        if *origin == Origin::New {
            let told = ioctl::tell(disk, Told::Added(one.number, onto.plan.offset_of(one), onto.plan.bytes_of(one)));
            // After rereading a kernel that can read such tables knows it; not every one is built to.
            let knows = |error: &std::io::Error| onto.new_table && error.raw_os_error() == Some(nix::libc::EBUSY);
            told.or_else(|error| if knows(&error) { Ok(()) } else { Err(error) })?;
        }
    }
    Ok(())
}

/// Makes file systems as large as their partitions, and looks whether each partition holds what it should and nothing besides.
fn finish(identity: &super::DiskIdentity, onto: &Onto, report: &dyn Report) -> anyhow::Result<()> {
    let devices = look(Path::new("/")).context("looking at the disks")?;
    let disk = identity.find(&devices).map_err(anyhow::Error::msg)?;
    for one in to_grow(onto) {
        let device = partition_of(&devices, disk, one.number);
        let device = device.with_context(|| format!("the kernel has no partition {} on {}", one.number, disk.name))?;
        report.phase(&format!("making {} as large as its partition", one.label), None);
        resize(&format!("/dev/{}", device.name), device.bytes).into_iter().try_for_each(Tool::run)?;
    }
    report.phase("checking what is on the disk", None);
    let devices = look(Path::new("/")).context("looking at the disks")?;
    for one in &onto.plan.partitions {
        let Some(fs) = one.fs() else { continue };
        let device = partition_of(&devices, disk, one.number);
        let device = device.with_context(|| format!("the kernel has no partition {} on {}", one.number, disk.name))?;
        let found = device.contents.signature.as_ref();
        let format = cairn_layout::FormatRules::of(fs.format).name;
        let is_it = found.is_some_and(|it| it.kind == format && it.uuid.as_deref() == Some(&fs.uuid.to_string()));
        if !is_it {
            let found = found.map_or("nothing", |it| it.kind.as_str());
            anyhow::bail!("{} should hold {format} {}, and blkid finds {found}", device.name, fs.uuid);
        }
    }
    Ok(())
}
