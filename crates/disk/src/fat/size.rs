//! How large a FAT volume must be to hold its files.

use std::collections::{BTreeMap, BTreeSet};

use cairn_layout::LEAST_FAT;

use super::{FatFile, cluster_size};

/// What is in front of the first FAT, at most: eight sectors of 4096 bytes.
const RESERVED: u64 = 8 * 4096;

/// The least size in bytes of a FAT volume that holds these files: clusters rounded up, directories, both FATs. A
/// multiple of 1 MiB, and never below what makes it FAT32.
pub fn needed(files: &[FatFile]) -> u64 {
    // Larger clusters waste more, and then the volume is larger: a second look settles it.
    let mut volume = LEAST_FAT;
    loop {
        let needed = needed_with(files, cluster_size(volume)).max(LEAST_FAT);
        if needed <= volume {
            return volume;
        }
        volume = needed;
    }
}

/// The same for FAT16, without the least that makes it that.
pub fn needed_small(files: &[FatFile]) -> u64 {
    needed_with(files, cluster_size(0))
}

fn needed_with(files: &[FatFile], cluster: u64) -> u64 {
    // Each cluster has four bytes in both FATs.
    let fits = |clusters: u64| {
        let fats = clusters.checked_add(2)?.checked_mul(4)?.checked_next_multiple_of(4096)?.checked_mul(2)?;
        let data = clusters.checked_mul(cluster)?;
        RESERVED.checked_add(fats)?.checked_add(data)?.checked_next_multiple_of(1 << 20)
    };
    // More than can be counted is more than any disk has.
    fits(clusters(files, cluster)).unwrap_or(u64::MAX)
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
        }
    }
    // A directory ends with an empty slot.
    let of_names: u64 = directories.values().map(|slots| ((slots + 1) * 32).div_ceil(cluster)).sum();
    data.saturating_add(of_names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Content;

    fn file(path: &str, len: u64) -> FatFile {
        FatFile { path: path.into(), len, content: Content::Bytes(Vec::new()) }
    }

    /// With a cluster for each slot of a directory, which shows every one that is counted.
    #[test]
    fn each_name_has_its_slots() {
        let of =
            |files: &[(&str, u64)]| clusters(&files.iter().map(|(path, len)| file(path, *len)).collect::<Vec<_>>(), 32);
        // The label, and the end.
        assert_eq!(of(&[]), 2);
        assert_eq!(of(&[("abc", 0)]), 4);
        assert_eq!((of(&[("thirteen-char", 0)]), of(&[("fourteen-chars", 0)])), (4, 5));
        assert_eq!((of(&[("a", 32)]), of(&[("a", 33)])), (5, 6));
        // A directory has a name, four slots of its own, and an end.
        assert_eq!(of(&[("d/a", 0)]), 4 + 7);
        assert_eq!(of(&[("d/a", 0), ("d/b", 0)]), 4 + 9);
        assert_eq!(of(&[("d/e/a", 0)]), 4 + 7 + 7);
        let one = clusters(&[file("a", 4096), file("b", 4097)], 4096);
        assert_eq!(one, 4, "and mostly they all fit into one cluster");
    }

    #[test]
    fn a_volume_is_as_large_as_it_must_be() {
        let of = |len| needed(&[file("a", len)]);
        assert_eq!((needed(&[]), of(1), of(200 << 20)), (LEAST_FAT, LEAST_FAT, LEAST_FAT));
        // 400 MiB, both FATs of 102402 entries, what is in front of them, the root: rounded up.
        assert_eq!(of(400 << 20), 401 << 20);
        // Above 8 GiB clusters are larger, and the FATs of the small ones leave more room than is needed.
        assert_eq!(of((8 << 30) + 1), (8 << 30) + (17 << 20));
        assert_eq!(of(u64::MAX), u64::MAX);
    }
}
