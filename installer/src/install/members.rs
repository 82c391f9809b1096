//! Parts of something that lies on other disks too, put together or not: an array, a pool, a file system over several disks, a RAID of the
//! firmware's, Windows' dynamic disks. Without one of its parts it may be lost, so no part of it is touched.

use cairn_process::Refusal;

use crate::disks::{Device, Kind, type_words};

/// What the types of Windows' dynamic disks are called.
const DYNAMIC: &str = "Windows dynamic disk";

/// Refuses parts of a disk that belong to something with parts elsewhere.
///
/// # Errors
/// A refusal that names both.
pub fn check(devices: &[Device], disk: &Device, affected: &[&Device]) -> Result<(), Refusal> {
    let is_ours = |one: &Device| {
        one.name == disk.name || affected.iter().any(|part| part.name == one.name) || is_partition_of(one, disk)
    };
    let others: Vec<&Device> = devices.iter().filter(|one| has_own_bytes(one) && !is_ours(one)).collect();
    for part in affected {
        if let Some(other) = others.iter().find(|other| belong_together(part, other)) {
            let what = part.contents.signature.as_ref().map_or(DYNAMIC, |it| it.kind.as_str());
            return Err(Refusal(format!(
                "{} ({what}) is a part of something that has another part on {}: nothing of it is touched. Take it apart yourself \
                 first, or choose another disk",
                part.name, other.name
            )));
        }
    }
    Ok(())
}

fn is_partition_of(one: &Device, disk: &Device) -> bool {
    one.partition.as_ref().is_some_and(|partition| partition.disk == disk.name)
}

/// What is read through another device would be met twice; but what is in an array or unlocked is there only.
fn has_own_bytes(device: &Device) -> bool {
    matches!(device.kind, Kind::Disk | Kind::Partition | Kind::Multipath | Kind::Crypt | Kind::Raid)
}

fn belong_together(part: &Device, other: &Device) -> bool {
    if is_dynamic(part) && is_dynamic(other) {
        return true;
    }
    let (Some(own), Some(theirs)) = (&part.contents.signature, &other.contents.signature) else { return false };
    if own.kind != theirs.kind {
        return false;
    }
    match own.kind.as_str() {
        // Each physical volume has an identifier of its own.
        "LVM2_member" => own.group.is_some() && own.group == theirs.group,
        // A container of the firmware's: which disks it has, only the firmware's tool knows.
        kind if kind.ends_with("_raid_member") && kind != "linux_raid_member" => true,
        "linux_raid_member" | "zfs_member" | "btrfs" | "bcachefs" | "stratis" => {
            own.uuid.is_some() && own.uuid == theirs.uuid
        }
        _ => false,
    }
}

fn is_dynamic(device: &Device) -> bool {
    let of = device.partition.as_ref().and_then(|partition| partition.type_id.as_deref());
    of.and_then(type_words) == Some(DYNAMIC)
}
