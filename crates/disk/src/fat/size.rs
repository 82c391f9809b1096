//! How large a FAT volume must be to hold its files.

use std::collections::{BTreeMap, BTreeSet};

use cairn_layout::LEAST_FAT;

use super::{FatFile, cluster_size};

/// What is in front of the first FAT, at most: eight sectors of 4096 bytes.
const RESERVED: u64 = 8 * 4096;

/// The least size in bytes of a FAT volume that holds these files: clusters rounded up, directories, both FATs. A
/// multiple of 1 MiB, and never below what makes it FAT32.
pub fn needed(files: &[FatFile]) -> u64 {
    const MIB: u64 = 1 << 20;
    // Larger clusters waste more, and then the volume is larger: a second look settles it.
    let mut volume = LEAST_FAT;
    loop {
        let cluster = cluster_size(volume);
        let clusters = clusters(files, cluster);
        // Each cluster has four bytes in both FATs.
        let fits = |clusters: u64| {
            let fats = clusters.checked_add(2)?.checked_mul(4)?.checked_next_multiple_of(4096)?.checked_mul(2)?;
            let data = clusters.checked_mul(cluster)?;
            RESERVED.checked_add(fats)?.checked_add(data)?.checked_next_multiple_of(MIB)
        };
        // More than can be counted is more than any disk has.
        let Some(needed) = fits(clusters) else { return u64::MAX };
        let needed = needed.max(LEAST_FAT);
        if needed <= volume {
            return volume;
        }
        volume = needed;
    }
}

/// The clusters that files and directories take.
pub(super) fn clusters(files: &[FatFile], cluster: u64) -> u64 {
    // Entries by directory; the root has the volume's label, the others have "." and "..", in four slots at first.
    let mut directories: BTreeMap<&str, u64> = BTreeMap::from([("", 1)]);
    let mut seen = BTreeSet::new();
    let mut data = 0_u64;
    for file in files {
        data = data.saturating_add(file.len.div_ceil(cluster));
        let ends = file.path.match_indices('/').map(|(at, _)| at).chain([file.path.len()]);
        for end in ends {
            let path = &file.path[..end];
            if !seen.insert(path.to_ascii_lowercase()) {
                continue;
            }
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            // A long name takes a slot for each 13 units, and the short one that always goes with it.
            let slots = name.encode_utf16().count().div_ceil(13) as u64 + 1;
            *directories.entry(parent).or_insert(4) += slots;
            if end < file.path.len() {
                directories.entry(path).or_insert(4);
            }
        }
    }
    // A directory ends with an empty slot.
    let of_names: u64 = directories.values().map(|slots| ((slots + 1) * 32).div_ceil(cluster)).sum();
    data.saturating_add(of_names)
}
