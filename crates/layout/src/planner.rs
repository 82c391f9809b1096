//! From a disk as the machine file has it to the plan.

use std::collections::BTreeMap;

use cairn_machine::model::{Disk, Partition, PartitionKind, TableKind};
use cairn_machine::size::Size;
use uuid::Uuid;

use crate::error::PlanError;
use crate::format_rules::{FormatRules, Grows, allowed};
use crate::ids::{self, PartitionIds};
use crate::kinds;
use crate::plan::{DiskPlan, PlannedPartition};
use crate::share::{self, Claim};
use crate::units::{ALIGNMENT, Lba, SectorSize, Sectors, human, need};

/// The least bytes that the contents of each partition need, file system and all (`cairn_disk::fat::needed`,
/// `cairn_disk::ext4::needed`). Room to leave free is in it already ([`free_to_leave`]). What is not named needs nothing
/// but an empty file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The EFI system partition.
    pub esp: u64,
    /// The extended boot loader partition.
    pub xbootldr: u64,
    /// The root file system.
    pub root: u64,
    /// /home.
    pub home: u64,
    /// Data partitions, by mount point.
    pub data: BTreeMap<String, u64>,
}

/// How much room the root's need is to include: `free`, unless the machine file or a real disk gives the size.
pub fn free_to_leave(disk: &Disk, size: Option<Size>) -> Size {
    let given = size.or(disk.size).is_some()
        || disk.partitions.iter().any(|p| p.kind == PartitionKind::Root && p.size.is_some());
    if given { Size::default() } else { disk.free }
}

/// Lays out a disk with sectors of 512 bytes: every image, and most real disks.
///
/// `seed` is the disk's own ([`ids::disk_seed`]). `size` is the size of a real disk; without it the machine file's holds,
/// and without that the disk is as large as its partitions need.
///
/// # Errors
/// [`PlanError`]: what is wrong, where in the disk's part of the machine file, and what would be enough.
pub fn plan(disk: &Disk, seed: Uuid, needs: &Needs, size: Option<Size>) -> Result<DiskPlan, PlanError> {
    plan_with_sectors(disk, seed, needs, size, SectorSize::B512)
}

/// Lays out a disk; see [`plan`].
///
/// # Errors
/// See [`plan`].
pub fn plan_with_sectors(
    disk: &Disk,
    seed: Uuid,
    needs: &Needs,
    size: Option<Size>,
    sector: SectorSize,
) -> Result<DiskPlan, PlanError> {
    let table = disk.table();
    let (ids, claims) = claims(disk, seed, needs, sector)?;
    let given = size.or(disk.size);
    let total = match given {
        Some(given) => given.bytes() / sector.bytes() * sector.bytes(),
        None => whole(&claims, table)?,
    };
    let reached = reached(total, table, if size.is_some() { None } else { Some(disk.size.is_some()) })?;
    let tail = tail(table, sector);
    let sizes =
        share::divide(span(reached, tail, given.is_some(), size.is_some(), whole(&claims, table)?, &claims)?, &claims);

    let mut next = 1;
    let planned = ids.into_iter().zip(&sizes).enumerate().map(|(i, (ids, units))| {
        let first = next;
        next += units;
        let number = u32::try_from(i + 1).unwrap_or(u32::MAX);
        let place = (Lba(sector.count(first * ALIGNMENT).0), sector.count(units * ALIGNMENT));
        planned(ids, number, place, disk.grows(i))
    });
    let partitions = planned.collect();
    Ok(DiskPlan {
        table,
        disk_guid: ids::disk_guid(seed),
        sector_size: sector,
        sectors: sector.count(total),
        partitions,
    })
}

/// What each partition of a disk is and asks for, in their order; everything that can be wrong with them wherever they come to lie.
pub(crate) fn claims(
    disk: &Disk,
    seed: Uuid,
    needs: &Needs,
    sector: SectorSize,
) -> Result<(Vec<PartitionIds>, Vec<Claim>), PlanError> {
    let partitions = ids::partitions(disk)?;
    let table = disk.table();
    check_table(disk, table, sector)?;
    let ids = ids::identifiers(disk, seed)?;
    let named = disk.layout.is_some();
    let claims = partitions.iter().zip(&ids).enumerate().map(|(i, (partition, ids))| {
        check(partition, ids, i, partitions.len())?;
        check_in_table(partition, ids, i, table)?;
        claim(partition, ids, i, needs, named)
    });
    let claims = claims.collect::<Result<Vec<_>, _>>()?;
    Ok((ids, claims))
}

/// A partition under its number, in its place.
pub(crate) fn planned(ids: PartitionIds, number: u32, place: (Lba, Sectors), grow: bool) -> PlannedPartition {
    PlannedPartition {
        number,
        kind: ids.kind,
        type_guid: kinds::type_guid(ids.kind, ids.mount_point.as_deref()),
        guid: ids.guid,
        label: ids.label,
        first_lba: place.0,
        sectors: place.1,
        grow,
        volume: ids.volume,
        mount_point: ids.mount_point,
    }
}

/// How far an MBR reaches: 32 bits for the number of a sector.
const MBR_REACH: u64 = 512 << 32;

/// The size of a disk that is just large enough: the partitions, one unit in front for the partition table and, for a
/// GPT, one behind for its copy.
fn whole(claims: &[Claim], table: TableKind) -> Result<u64, PlanError> {
    let around = match table {
        TableKind::Gpt => 2_u64,
        TableKind::Mbr => 1,
    };
    let units = claims.iter().try_fold(around, |sum, claim| sum.checked_add(claim.min)).ok_or(PlanError::TooLarge)?;
    let bytes = units.checked_mul(ALIGNMENT).ok_or(PlanError::TooLarge)?;
    if i64::try_from(bytes).is_err() { Err(PlanError::TooLarge) } else { Ok(bytes) }
}

/// What must stay free behind the last partition: a GPT's copy has 128 entries of 128 bytes and the header's sector.
fn tail(table: TableKind, sector: SectorSize) -> u64 {
    match table {
        TableKind::Gpt => 128 * 128 + sector.bytes(),
        TableKind::Mbr => 0,
    }
}

/// How much of a disk its table reaches. A real disk may be larger; one that is made to a size is a mistake then.
/// `made`: the disk is not a real one, and whether the machine file gives its size.
fn reached(total: u64, table: TableKind, made: Option<bool>) -> Result<u64, PlanError> {
    match (table, made) {
        (TableKind::Mbr, Some(given)) if total > MBR_REACH => {
            let pointer = if given { "/size" } else { "" };
            Err(PlanError::BeyondMbr { pointer: pointer.into(), size: human(total) })
        }
        (TableKind::Mbr, _) => Ok(total.min(MBR_REACH)),
        (TableKind::Gpt, _) => Ok(total),
    }
}

/// How many units of a disk the partitions may take.
fn span(total: u64, tail: u64, given: bool, real: bool, needed: u64, claims: &[Claim]) -> Result<u64, PlanError> {
    let units = total.saturating_sub(tail) / ALIGNMENT;
    let least = claims.iter().fold(0, |sum: u64, claim| sum.saturating_add(claim.min));
    if given && units.saturating_sub(1) < least {
        let pointer = if real { "" } else { "/size" };
        return Err(PlanError::DiskTooSmall { pointer: pointer.into(), size: human(total), needed: need(needed) });
    }
    Ok(units.saturating_sub(1))
}

/// What is wrong with the partition table as a whole.
fn check_table(disk: &Disk, table: TableKind, sector: SectorSize) -> Result<(), PlanError> {
    if let Some(layout) = disk.layout.filter(|layout| layout.table() != table) {
        return Err(PlanError::LayoutTable { layout: layout.name(), table: layout.table().name() });
    }
    let most = match table {
        TableKind::Gpt => 128,
        TableKind::Mbr => 4,
    };
    let count = disk.all_partitions().len();
    if count > most {
        return Err(PlanError::TooManyPartitions { count, most });
    }
    let for_bios = table == TableKind::Mbr || disk.has(PartitionKind::BiosBoot);
    if sector == SectorSize::B4096 && for_bios && !disk.has(PartitionKind::Esp) {
        return Err(PlanError::BiosSectors { sector: sector.bytes() });
    }
    Ok(())
}

/// What is wrong with a partition among the others, or in its kind of table.
fn check_in_table(partition: &Partition, ids: &PartitionIds, index: usize, table: TableKind) -> Result<(), PlanError> {
    let what = partition.kind.name().to_string();
    if partition.kind == PartitionKind::Esp && ids.mount_point.is_none() {
        return Err(PlanError::MirrorWithoutMountPoint { pointer: format!("/partitions/{index}") });
    }
    if table == TableKind::Mbr && partition.grow == Some(true) && partition.kind != PartitionKind::Root {
        return Err(PlanError::GrowMbr { what, pointer: format!("/partitions/{index}/grow") });
    }
    Ok(())
}

/// What is wrong with a partition whatever its size.
fn check(partition: &Partition, ids: &PartitionIds, index: usize, count: usize) -> Result<(), PlanError> {
    let what = partition.kind.name().to_string();
    let at = |key: &str| format!("/partitions/{index}/{key}");
    let wrong =
        |format, instead: String| Err(PlanError::Format { what: what.clone(), pointer: at("format"), format, instead });
    let allowed = allowed(partition.kind);
    match partition.format {
        Some(_) if allowed.is_empty() => return wrong("formatted", "no `format`: it holds no file system".into()),
        Some(format) if !allowed.contains(&format) => {
            let names: Vec<&str> = allowed.iter().map(|format| FormatRules::of(*format).name).collect();
            return wrong(FormatRules::of(format).name, names.join(" or "));
        }
        _ => {}
    }
    if partition.kind == PartitionKind::Data && partition.mount_point.is_none() {
        return Err(PlanError::DataWithoutMountPoint { pointer: format!("/partitions/{index}") });
    }
    if partition.grow == Some(true) {
        if index + 1 != count {
            return Err(PlanError::GrowNotLast { what, pointer: at("grow"), last: count });
        }
        if ids.fs().is_none_or(|fs| FormatRules::of(fs.format).grows == Grows::Never) {
            return Err(PlanError::GrowFormat { what, pointer: at("grow") });
        }
    }
    if partition.size.is_some() {
        let others = [
            ("size_min", partition.size_min.is_some()),
            ("size_max", partition.size_max.is_some()),
            ("weight", partition.weight.is_some()),
        ];
        if let Some((other, _)) = others.into_iter().find(|(_, given)| *given) {
            return Err(PlanError::SizeAndShare { what, other, pointer: at(other) });
        }
    }
    if partition.kind == PartitionKind::Swap && partition.size.or(partition.size_min).is_none() {
        return Err(PlanError::SwapWithoutSize { pointer: format!("/partitions/{index}") });
    }
    Ok(())
}

/// What a partition asks for.
fn claim(
    partition: &Partition,
    ids: &PartitionIds,
    index: usize,
    needs: &Needs,
    named: bool,
) -> Result<Claim, PlanError> {
    let what = partition.kind.name().to_string();
    let at = |key: &str| format!("/partitions/{index}/{key}");
    let contents = match partition.kind {
        PartitionKind::Esp => needs.esp,
        PartitionKind::Xbootldr => needs.xbootldr,
        PartitionKind::Root => needs.root,
        PartitionKind::Home => needs.home,
        PartitionKind::Data => ids.mount_point.as_ref().and_then(|at| needs.data.get(at)).copied().unwrap_or_default(),
        PartitionKind::Swap | PartitionKind::BiosBoot => 0,
    };
    let format = ids.fs().map(|fs| fs.format);
    let empty = kinds::least(format);

    let enough = |size: Size, key: &str| {
        let size = size.bytes();
        if size < contents {
            let needed = need(contents.max(empty));
            return Err(PlanError::PartitionTooSmall {
                what: what.clone(),
                pointer: at(key),
                size: human(size),
                needed,
            });
        }
        if size < empty {
            let format = format.map_or("a boot loader", |format| FormatRules::of(format).shown);
            let needed = need(empty);
            return Err(PlanError::BelowFormat {
                what: what.clone(),
                pointer: at(key),
                size: human(size),
                format,
                needed,
            });
        }
        // Up, never down: less than was asked for would surprise more.
        Ok(size.div_ceil(ALIGNMENT))
    };

    if let Some(size) = partition.size {
        let units = enough(size, "size")?;
        return Ok(Claim { min: units, max: units, weight: 0 });
    }
    let least = contents.max(empty).div_ceil(ALIGNMENT);
    let min = partition.size_min.map_or(0, |size| size.bytes().div_ceil(ALIGNMENT)).max(least);
    let max = match partition.size_max {
        Some(size) => enough(size, "size_max")?,
        None => u64::MAX,
    };
    if max < min {
        let needed = need(min.saturating_mul(ALIGNMENT));
        return Err(PlanError::Bounds { what, pointer: at("size_max"), needed });
    }
    // In a named layout only the root takes what is left.
    let default =
        if named && partition.kind != PartitionKind::Root { 0 } else { kinds::default_weight(partition.kind) };
    Ok(Claim { min, max, weight: partition.weight.unwrap_or(default) })
}
