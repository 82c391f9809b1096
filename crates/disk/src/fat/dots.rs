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
    root: u32,
}

/// Mends every directory but the root, which has no dots.
pub(super) fn mend(device: &mut Device<'_>) -> io::Result<()> {
    let boot: [u8; 48] = device.get(0)?;
    let number = |at: usize, len: usize| boot[at..at + len].iter().rev().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    let (sector, reserved) = (number(11, 2), number(14, 2));
    let volume = Volume {
        cluster: sector * number(13, 1),
        fat: sector * reserved,
        data: sector * (reserved + number(16, 1) * number(36, 4)),
        root: u32::try_from(number(44, 4)).unwrap_or_default(),
    };
    let mut waiting = vec![volume.root];
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
            for slot in 0..self.cluster / SLOT {
                let entry: [u8; SLOT as usize] = device.get(self.place(cluster) + slot * SLOT)?;
                match entry[0] {
                    0 => return Ok(found),
                    b'.' | DELETED => continue,
                    _ => {}
                }
                if entry[11] != LONG_NAME && entry[11] & DIRECTORY != 0 {
                    found.push(u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]]));
                }
            }
            let next: [u8; 4] = device.get(self.fat + u64::from(cluster) * 4)?;
            cluster = u32::from_le_bytes(next) & 0x0fff_ffff;
            if cluster >= 0x0fff_fff8 {
                return Ok(found);
            }
        }
    }
}
