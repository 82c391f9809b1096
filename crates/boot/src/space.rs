//! How much room new files take on a FAT volume, with whole clusters, directories included. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// A directory entry.
const SLOT: u64 = 32;

/// The bytes in clusters that these new files (path, length) take at most; `exists` knows the directories that are there.
///
/// How full a directory is cannot be seen from outside (deleted entries may or may not be used again), so one that gets
/// names is taken to be full.
pub fn needed<'a>(files: impl IntoIterator<Item = (&'a str, u64)>, cluster: u64, exists: &dyn Fn(&str) -> bool) -> u64 {
    // New slots by directory. A new directory has "." and "..", and ends with an empty slot.
    let mut directories: BTreeMap<&str, u64> = BTreeMap::new();
    let mut made = BTreeSet::new();
    let mut clusters = 0_u64;
    for (path, len) in files {
        // The lengths are a record's word; a sum that does not fit is more than there is.
        clusters = clusters.saturating_add(len.div_ceil(cluster));
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let (parent, name) = path[..end].rsplit_once('/').unwrap_or(("", &path[..end]));
            let is_new = end == path.len() || (!exists(&path[..end]) && made.insert(path[..end].to_lowercase()));
            if is_new {
                // A long name takes a slot for each 13 units, and the short one that always goes with it.
                *directories.entry(parent).or_default() += name.encode_utf16().count().div_ceil(13) as u64 + 1;
                if end < path.len() {
                    *directories.entry(&path[..end]).or_default() += 3;
                }
            }
        }
    }
    let of_names: u64 = directories.values().map(|slots| (slots * SLOT).div_ceil(cluster)).sum();
    clusters.saturating_add(of_names).saturating_mul(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_take_whole_clusters_and_directories_grow() {
        let nothing = |_: &str| false;
        assert_eq!(needed([], 4096, &nothing), 0);
        // One for the file, one for the root.
        assert_eq!(needed([("a", 1)], 4096, &nothing), 2 * 4096);
        assert_eq!(needed([("a", 4096), ("b", 4097)], 4096, &nothing), 4 * 4096);
        assert_eq!(needed([("a/b", 1), ("a/c", 1)], 4096, &nothing), 4 * 4096);
        assert_eq!(needed([("a/b", 1)], 4096, &|path| path == "a"), 2 * 4096);
        assert_eq!(needed([("empty", 0)], 4096, &nothing), 4096);
        // Three names of two slots each above, and in each folder its own three and its file's two.
        let folders = [("a/f", 0), ("b/f", 0), ("c/f", 0)];
        assert_eq!(needed(folders, 64, &nothing), ((3 * 2 * SLOT).div_ceil(64) + 3 * (5 * SLOT).div_ceil(64)) * 64);
        // 65 names of three slots each and the directory's own three are more than 6 KiB.
        let names: Vec<String> = (0..65).map(|n| format!("x/a-name-of-15-{n:02}")).collect();
        assert_eq!(needed(names.iter().map(|n| (n.as_str(), 0)), 4096, &nothing), 3 * 4096);
        // Twice as many would fit into one less, were it not for the short names.
        let names: Vec<String> = (0..130).map(|n| format!("x/a-name-of-16-{n:03}")).collect();
        assert_eq!(needed(names.iter().map(|n| (n.as_str(), 0)), 4096, &nothing), 5 * 4096);
    }
}
