//! Which system is in a partition, by what it says of itself there. File systems other than ext4 and NTFS are not looked into.

use std::collections::BTreeMap;

use cairn_disk::{Region, Source, ntfs};
use cairn_layout::onto::{DiskThere, PartitionThere};
use cairn_observe::view::{ext4_file, ext4_names};
use cairn_process::text::one_line;

/// os-release(5), and no such file is longer.
const RELEASES: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];
const LONGEST: u64 = 64 << 10;
/// As much of a name as a line has room for.
const SHOWN: usize = 40;
/// What every machine of Cairn's keeps its state in.
const OURS: &str = "/var/lib/cairn";

/// The systems on a disk, by the numbers of their partitions.
pub fn systems(there: &DiskThere, disk: &dyn Source) -> BTreeMap<u32, String> {
    let found = |one: &PartitionThere| {
        let place = (one.first.offset(there.sector), one.sectors.bytes(there.sector));
        Some((one.number, system(one.format.as_deref()?, place, disk)?))
    };
    there.partitions.iter().filter_map(found).collect()
}

fn system(format: &str, place: (u64, u64), disk: &dyn Source) -> Option<String> {
    match format {
        "ntfs" => ntfs::state(&Region::new(disk, place.0, place.1))?.windows.then(|| "Windows".into()),
        "ext4" if ext4_names(disk, place, OURS).is_some_and(|names| !names.is_empty()) => {
            Some("a machine of Cairn's".into())
        }
        "ext4" => RELEASES.into_iter().find_map(|path| pretty(&ext4_file(disk, place, path, LONGEST)?)),
        _ => None,
    }
}

/// `PRETTY_NAME="Debian GNU/Linux 13 (trixie)"`
fn pretty(release: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(release);
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?.trim_matches(['"', '\'']);
    let name: String = one_line(name).chars().take(SHOWN).collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_that_is_not_long() {
        assert_eq!(pretty(b"NAME=x\nPRETTY_NAME=\"Debian 13\"\n").as_deref(), Some("Debian 13"));
        assert_eq!(pretty(b"PRETTY_NAME='a\x1b[2J'\n").as_deref(), Some("a\\x1b[2J"));
        assert_eq!(pretty(format!("PRETTY_NAME={}", "x".repeat(5000)).as_bytes()).map(|name| name.len()), Some(SHOWN));
        assert_eq!((pretty(b"PRETTY_NAME=\n"), pretty(b"\xff\xfe")), (None, None));
    }
}
