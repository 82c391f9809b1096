//! Which volume group a physical volume of LVM belongs to, read from its own label and metadata (`lib/format_text/layout.h` of LVM2):
//! blkid does not say it, and a group of which nothing is active shows it nowhere else.

use cairn_disk::Source;

const SECTOR: u64 = 512;
/// The label is in one of so many first sectors.
const LABELS: u64 = 4;
const LABEL: &[u8] = b"LABELONE";
const TYPE: &[u8] = b"LVM2 001";
const AREA: &[u8] = b" LVM2 x[5A%r0N*>";
/// As many areas as any tool makes.
const MOST_AREAS: u64 = 16;
/// The group's name and identifier stand at the beginning of its metadata.
const HEAD: usize = 4096;

/// The identifier of the group; `None` where there is none, or it cannot be made out.
pub fn group(volume: &dyn Source) -> Option<String> {
    let label = (0..LABELS).map(|sector| sector * SECTOR).find_map(|at| {
        let sector: [u8; 512] = bytes(volume, at)?;
        (sector.starts_with(LABEL) && &sector[24..32] == TYPE).then(|| (at, u32_at(&sector, 20)))
    });
    let (at, offset) = label?;
    // Identifier and size of the volume, then two lists of places, each with an empty one at its end: data, metadata.
    let mut place = at.checked_add(u64::from(offset))?.checked_add(40)?;
    let mut lists = 0;
    for _ in 0..2 * MOST_AREAS {
        let entry: [u8; 16] = bytes(volume, place)?;
        place = place.checked_add(16)?;
        let (begin, size) = (u64_at(&entry, 0), u64_at(&entry, 8));
        match (begin, lists) {
            (0, 0) => lists = 1,
            (0, _) => return None,
            (_, 0) => {}
            (begin, _) => return of_area(volume, begin, size),
        }
    }
    None
}

/// The identifier that the newest metadata of an area begin with: `NAME {`, then `id = "…"`.
fn of_area(volume: &dyn Source, begin: u64, size: u64) -> Option<String> {
    let header: [u8; 512] = bytes(volume, begin)?;
    if &header[4..20] != AREA {
        return None;
    }
    let offset = Some(u64_at(&header, 40)).filter(|offset| *offset > 0 && *offset < size)?;
    let at = begin.checked_add(offset)?;
    let mut head = vec![0; HEAD.min(usize::try_from(volume.len().checked_sub(at)?).ok()?)];
    volume.read_at(at, &mut head).ok()?;
    let text = String::from_utf8_lossy(&head);
    let id = text.lines().find_map(|line| line.trim().strip_prefix("id = \"")?.split('"').next());
    id.filter(|id| !id.is_empty() && id.len() <= 64).map(str::to_string)
}

fn bytes<const N: usize>(volume: &dyn Source, at: u64) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    volume.read_at(at, &mut bytes).ok()?;
    Some(bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|n| bytes[at + n]))
}

#[cfg(test)]
mod tests {
    use cairn_disk::{MemoryTarget, Target};

    use super::*;

    /// A volume as pvcreate and vgcreate leave it: label in the second sector, metadata from 4096 on, the text behind the header.
    fn volume(text: &str) -> MemoryTarget {
        let disk = MemoryTarget::new(2 << 20, 0);
        let put = |at: u64, bytes: &[u8]| disk.write_at(at, bytes).unwrap();
        put(512, LABEL);
        put(512 + 20, &32_u32.to_le_bytes());
        put(512 + 24, TYPE);
        let mut lists: Vec<u8> = Vec::new();
        for number in [1_u64 << 20, 0, 0, 0, 4096, 1 << 20, 0, 0] {
            lists.extend(number.to_le_bytes());
        }
        put(512 + 32 + 40, &lists);
        put(4096 + 4, AREA);
        put(4096 + 40, &512_u64.to_le_bytes());
        put(4096 + 512, text.as_bytes());
        disk
    }

    #[test]
    fn a_volume_says_its_group() {
        let disk = volume("vg0 {\nid = \"aBcD-12\"\nseqno = 3\nphysical_volumes {\npv0 {\nid = \"other\"\n");
        assert_eq!(group(&disk).as_deref(), Some("aBcD-12"));
    }

    #[test]
    fn what_is_damaged_says_nothing() {
        assert_eq!(group(&MemoryTarget::new(100, 0)), None);
        assert_eq!(group(&MemoryTarget::new(1 << 20, 0x4c)), None);
        for (at, bytes) in [
            (512, &b"X"[..]),
            (512 + 20, &u32::MAX.to_le_bytes()),
            (512 + 72, &[0; 16]),
            (512 + 104, &u64::MAX.to_le_bytes()),
            (4096 + 4, b"x"),
            (4096 + 40, &u64::MAX.to_le_bytes()),
            (4096 + 512, &[0; 40]),
        ] {
            let disk = volume("vg0 {\nid = \"a\"\n");
            disk.write_at(at, bytes).unwrap();
            assert_eq!(group(&disk), None, "{at}");
        }
    }
}
