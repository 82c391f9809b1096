//! Puts `.` and `..` where the specification wants them.
//!
//! `fatfs` 0.3 gives even these two a long name, so a directory begins with the long name of `.`; the specification, and
//! fsck.fat, want `.` in the first slot and `..` in the second. They are moved, and the two slots that become free are
//! marked as deleted: the next name to be written takes them.
//!
//! And the `..` of a directory in the root gets the cluster number 0, which stands for the root even where the root has a
//! number; `fatfs` gives it that number, and fsck.fat does not let it pass.

use std::io;

use super::device::Device;

const SLOT: u64 = 32;
const LONG_NAME: u8 = 0x0f;
const DIRECTORY: u8 = 0x10;
const DELETED: u8 = 0xe5;

/// Where things are on the volume.
struct Volume {
    cluster: u64,
    fat: u64,
    data: u64,
    /// The root's first cluster; 0 where it has a region of its own.
    root: u32,
    /// That region of FAT16: where it begins, and how long it is.
    region: Option<(u64, u64)>,
}

/// Mends every directory but the root, which has no dots.
pub(super) fn mend(device: &mut Device<'_>) -> io::Result<()> {
    let boot: [u8; 48] = device.get(0)?;
    let number = |at: usize, len: usize| boot[at..at + len].iter().rev().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    let (sector, reserved) = (number(11, 2), number(14, 2));
    // What FAT32 says behind, FAT16 says here.
    let old = number(22, 2);
    let tables = sector * (reserved + number(16, 1) * if old > 0 { old } else { number(36, 4) });
    let region = (old > 0).then(|| (tables, number(17, 2) * SLOT));
    let volume = Volume {
        cluster: sector * number(13, 1),
        fat: sector * reserved,
        data: tables + region.map_or(0, |(_, len)| len.next_multiple_of(sector)),
        root: if old > 0 { 0 } else { u32::try_from(number(44, 4)).unwrap_or_default() },
        region,
    };
    let mut waiting = vec![volume.root];
    if let Some((at, len)) = volume.region {
        waiting.clear();
        let (folders, _) = folders(device, at, len)?;
        for inner in folders {
            volume.mend_one(device, inner, true)?;
            waiting.push(inner);
        }
    }
    while let Some(directory) = waiting.pop() {
        for inner in volume.directories(device, directory)? {
            volume.mend_one(device, inner, directory == volume.root)?;
            waiting.push(inner);
        }
    }
    Ok(())
}

impl Volume {
    fn place(&self, cluster: u32) -> u64 {
        self.data + (u64::from(cluster) - 2) * self.cluster
    }

    fn mend_one(&self, device: &mut Device<'_>, directory: u32, in_root: bool) -> io::Result<()> {
        let at = self.place(directory);
        let slots: [u8; 4 * SLOT as usize] = device.get(at)?;
        let [long_dot, dot, long_dots, dots] = [0, 1, 2, 3].map(|n| &slots[n * 32..n * 32 + 32]);
        let as_made = long_dot[11] == LONG_NAME && long_dots[11] == LONG_NAME;
        if as_made && dot.starts_with(b".          ") && dots.starts_with(b"..         ") {
            let mut deleted = [0; SLOT as usize];
            deleted[0] = DELETED;
            let mut mended = [dot, dots, &deleted, &deleted].concat();
            if in_root {
                mended[32 + 20..32 + 22].fill(0);
                mended[32 + 26..32 + 28].fill(0);
            }
            device.put(at, &mended)?;
        }
        Ok(())
    }

    /// The first clusters of the directories in a directory.
    fn directories(&self, device: &mut Device<'_>, directory: u32) -> io::Result<Vec<u32>> {
        let mut found = Vec::new();
        let mut cluster = directory;
        loop {
            let (here, end) = folders(device, self.place(cluster), self.cluster)?;
            found.extend(here);
            if end {
                return Ok(found);
            }
            let last;
            (cluster, last) = if self.region.is_some() {
                let next: [u8; 2] = device.get(self.fat + u64::from(cluster) * 2)?;
                (u16::from_le_bytes(next).into(), 0xfff8)
            } else {
                let next: [u8; 4] = device.get(self.fat + u64::from(cluster) * 4)?;
                (u32::from_le_bytes(next) & 0x0fff_ffff, 0x0fff_fff8)
            };
            if cluster >= last {
                return Ok(found);
            }
        }
    }
}

/// The first clusters of the directories in a piece of a directory, and whether it ends there.
fn folders(device: &mut Device<'_>, at: u64, len: u64) -> io::Result<(Vec<u32>, bool)> {
    let mut found = Vec::new();
    for slot in 0..len / SLOT {
        let entry: [u8; SLOT as usize] = device.get(at + slot * SLOT)?;
        match entry[0] {
            0 => return Ok((found, true)),
            b'.' | DELETED => continue,
            _ => {}
        }
        if entry[11] != LONG_NAME && entry[11] & DIRECTORY != 0 {
            found.push(u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]]));
        }
    }
    Ok((found, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::MemoryTarget;

    fn slot(name: &str, attributes: u8, cluster: u32) -> [u8; 32] {
        let mut slot = [0; 32];
        slot[..11].copy_from_slice(format!("{name:11}").as_bytes());
        slot[11] = attributes;
        let [a, b, c, d] = cluster.to_le_bytes();
        (slot[20], slot[21], slot[26], slot[27]) = (c, d, a, b);
        slot
    }

    /// The dots as `fatfs` makes them.
    fn made(own: u32, parent: u32) -> Vec<[u8; 32]> {
        let long = |name| slot(name, LONG_NAME, 0);
        vec![long("a."), slot(".", DIRECTORY, own), long("b.."), slot("..", DIRECTORY, parent)]
    }

    /// And as they are to be.
    fn mended(own: u32, parent: u32) -> Vec<[u8; 32]> {
        let mut deleted = [0; 32];
        deleted[0] = DELETED;
        vec![slot(".", DIRECTORY, own), slot("..", DIRECTORY, parent), deleted, deleted]
    }

    fn get(device: &mut Device<'_>, at: u64) -> Vec<[u8; 32]> {
        (0..4).map(|n| device.get(at + n * SLOT).unwrap()).collect()
    }

    #[test]
    fn only_what_fatfs_has_made_is_mended() {
        let target = MemoryTarget::new(8192, 0);
        let mut device = Device::existing(&target, 0, 8192);
        let volume = Volume { cluster: 512, fat: 512, data: 1024, root: 2, region: None };
        let mut mend = |slots: &[[u8; 32]], in_root| {
            device.put(1024 + 512, &slots.concat()).unwrap();
            volume.mend_one(&mut device, 3, in_root).unwrap();
            get(&mut device, 1024 + 512)
        };
        let (own, parent) = (0x1234_0003, 0x5678_0009);
        assert_eq!(mend(&made(own, parent), false), mended(own, parent));
        assert_eq!(mend(&made(own, parent), true), mended(own, 0));
        for n in 0..4 {
            let mut other = made(own, parent);
            other[n] = slot("OTHER", 0x20, 7);
            assert_eq!(mend(&other, false), other, "{n}");
        }
        assert_eq!(mend(&mended(own, parent), true), mended(own, parent));
    }

    #[test]
    fn folders_are_found_up_to_the_end_and_in_all_clusters() {
        let target = MemoryTarget::new(16_384, 0);
        let mut device = Device::existing(&target, 0, 16_384);
        let volume = Volume { cluster: 512, fat: 512, data: 1024, root: 2, region: None };
        let mut put = |cluster: u64, slots: &[[u8; 32]], next: u32| {
            device.put(1024 + (cluster - 2) * 512, &slots.concat()).unwrap();
            device.put(512 + cluster * 4, &next.to_le_bytes()).unwrap();
        };
        let mut gone = slot("GONE", DIRECTORY, 90);
        gone[0] = DELETED;
        let mut first = vec![slot(".", DIRECTORY, 91), slot("..", DIRECTORY, 92), gone, slot("LONG", LONG_NAME, 93)];
        first.extend([slot("FILE", 0x20, 94), slot("A", DIRECTORY, 0x0001_0005), slot("B", DIRECTORY | 0x22, 6)]);
        first.resize(16, slot("FILE", 0x20, 95));
        // The upper four bits of a number in the FAT are nobody's.
        put(2, &first, 0xf000_0005);
        put(3, &[slot("OTHER", DIRECTORY, 97); 16], 0x0fff_ffff);
        put(5, &[slot("C", DIRECTORY, 9), [0; 32], slot("STALE", DIRECTORY, 96)], 3);
        for (cluster, last) in [(6, 0x0fff_fff8), (7, 0x0fff_ffff)] {
            put(cluster, &[slot("D", DIRECTORY, 8); 16], last);
        }
        let mut found = |cluster| volume.directories(&mut device, cluster).unwrap();
        assert_eq!(found(2), [0x0001_0005, 6, 9]);
        assert_eq!((found(6), found(7)), (vec![8; 16], vec![8; 16]));
    }

    #[test]
    fn all_folders_of_a_volume_are_mended() {
        let target = MemoryTarget::new(32_768, 0);
        let mut device = Device::existing(&target, 0, 32_768);
        // Sectors of 512 bytes, two in a cluster, three in front of two FATs of five; the root is cluster 3.
        for (at, bytes) in
            [(11, &[0, 2][..]), (13, &[2]), (14, &[3, 0]), (16, &[2]), (36, &[5, 0, 0, 0]), (44, &[3, 0, 0, 0])]
        {
            device.put(at, bytes).unwrap();
        }
        let place = |cluster: u64| 512 * (3 + 2 * 5) + (cluster - 2) * 1024;
        device.put(place(3), &slot("A", DIRECTORY, 4)).unwrap();
        // More than one sector of names, and a folder behind them.
        let mut inner = made(4, 3);
        inner.resize(20, slot("FILE", 0x20, 99));
        inner.push(slot("B", DIRECTORY, 6));
        device.put(place(4), &inner.concat()).unwrap();
        device.put(place(6), &made(6, 4).concat()).unwrap();
        mend(&mut device).unwrap();
        assert_eq!(get(&mut device, place(4)), mended(4, 0));
        assert_eq!(get(&mut device, place(6)), mended(6, 4));
        assert_eq!(device.get::<32>(place(3)).unwrap(), slot("A", DIRECTORY, 4));
    }
}
