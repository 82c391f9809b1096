//! The ISO 9660 file system (ECMA-119) in the medium's first MiB: little more than what a firmware's El Torito boot and a boot loader that looks
//! for its menu need. What is on the medium is in its partitions.

use super::{ESP, SECTOR};

/// Where the volume's descriptors begin, in sectors of 2048 bytes.
const DESCRIPTORS: u64 = 16;
const CATALOG: u64 = 19;
const ROOT: u64 = 20;
/// The table of folders, once for each order of bytes.
const PATH_TABLES: [u64; 2] = [21, 22];
/// The folders `BOOT` and `BOOT/GRUB`, then the files of the latter, a sector each.
const FOLDERS: [u64; 2] = [23, 24];
const FILES: u64 = 25;
/// So many files have room.
pub(super) const MOST_FILES: usize = 4;
/// Where the core image for a BIOS begins.
pub(super) const CORE: u64 = 32;

/// What is said in the descriptors.
#[derive(Debug)]
pub(super) struct Volume<'a> {
    /// At most 32 capital letters, digits and `_`.
    pub label: &'a str,
    /// Seconds since 1970.
    pub epoch: i64,
    /// The medium's length in bytes.
    pub bytes: u64,
    /// Files in `/boot/grub`, each of one sector at most: their names (8.3, in capitals), and their contents.
    pub files: &'a [(String, Vec<u8>)],
}

impl Volume<'_> {
    /// The bytes from the first descriptor on.
    pub(super) fn bytes(&self) -> (u64, Vec<u8>) {
        let sectors =
            [self.primary(), boot_record(), terminator(), catalog(), self.root(), self.paths(false), self.paths(true)];
        let mut bytes = sectors.concat();
        bytes.extend(self.folder((FOLDERS[0], ROOT), &[("GRUB".into(), FOLDERS[1], SECTOR, true)]));
        let files: Vec<_> = (FILES..)
            .zip(self.files)
            .map(|(at, (name, contents))| (format!("{name};1"), at, contents.len() as u64, false))
            .collect();
        bytes.extend(self.folder((FOLDERS[1], FOLDERS[0]), &files));
        for (_, contents) in self.files {
            bytes.extend(padded(contents.clone()));
        }
        (DESCRIPTORS * SECTOR, bytes)
    }

    fn primary(&self) -> Vec<u8> {
        let mut sector = descriptor(1);
        sector[8..40].fill(b' ');
        text(&mut sector[40..72], self.label);
        both32(&mut sector[80..88], u32::try_from(self.bytes / SECTOR).unwrap_or(u32::MAX));
        both16(&mut sector[120..124], 1);
        both16(&mut sector[124..128], 1);
        both16(&mut sector[128..132], 2048);
        both32(&mut sector[132..140], PATH_TABLE_LENGTH);
        sector[140..144].copy_from_slice(&(PATH_TABLES[0] as u32).to_le_bytes());
        sector[148..152].copy_from_slice(&(PATH_TABLES[1] as u32).to_be_bytes());
        sector[156..190].copy_from_slice(&record(b"\0", ROOT, SECTOR, true, self.epoch));
        for (from, to) in [(190, 318), (318, 446), (446, 574), (574, 702), (702, 739), (739, 776), (776, 813)] {
            sector[from..to].fill(b' ');
        }
        let time = long_time(self.epoch);
        for at in [813, 830] {
            sector[at..at + 17].copy_from_slice(&time);
        }
        // It never expires, and is effective from when it was made.
        sector[847..863].fill(b'0');
        sector[864..881].copy_from_slice(&time);
        sector[881] = 1;
        sector
    }

    fn root(&self) -> Vec<u8> {
        self.folder((ROOT, ROOT), &[("BOOT".into(), FOLDERS[0], SECTOR, true)])
    }

    /// A folder: itself, the one that it is in, what is in it.
    fn folder(&self, (own, parent): (u64, u64), entries: &[(String, u64, u64, bool)]) -> Vec<u8> {
        let mut bytes = record(b"\0", own, SECTOR, true, self.epoch);
        bytes.extend(record(b"\x01", parent, SECTOR, true, self.epoch));
        for (name, at, len, is_folder) in entries {
            bytes.extend(record(name.as_bytes(), *at, *len, *is_folder, self.epoch));
        }
        padded(bytes)
    }

    /// The table of folders: number of the one above, and name.
    fn paths(&self, big: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (name, at, above) in [(&b"\0"[..], ROOT, 1_u16), (b"BOOT", FOLDERS[0], 1), (b"GRUB", FOLDERS[1], 2)] {
            bytes.extend([name.len() as u8, 0]);
            let at = at as u32;
            bytes.extend(if big { at.to_be_bytes() } else { at.to_le_bytes() });
            bytes.extend(if big { above.to_be_bytes() } else { above.to_le_bytes() });
            bytes.extend(name);
            bytes.resize(bytes.len().next_multiple_of(2), 0);
        }
        padded(bytes)
    }
}

/// Of the three folders: 10 bytes for the root, 12 for each of the others.
const PATH_TABLE_LENGTH: u32 = 10 + 12 + 12;

fn descriptor(kind: u8) -> Vec<u8> {
    let mut sector = vec![0; SECTOR as usize];
    sector[0] = kind;
    sector[1..7].copy_from_slice(b"CD001\x01");
    sector
}

/// El Torito's (specification 1.0, figure 7): where the catalog is.
fn boot_record() -> Vec<u8> {
    let mut sector = descriptor(0);
    sector[7..30].copy_from_slice(b"EL TORITO SPECIFICATION");
    sector[0x47..0x4b].copy_from_slice(&(CATALOG as u32).to_le_bytes());
    sector
}

fn terminator() -> Vec<u8> {
    descriptor(255)
}

/// What is booted: by a BIOS GRUB's core image, by UEFI the EFI system partition. The length 0 of the latter means all there is: 16 bits
/// could not say it.
fn catalog() -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes[0] = 1;
    bytes[30..32].copy_from_slice(&[0x55, 0xaa]);
    let sum = bytes.chunks_exact(2).fold(0_u16, |sum, pair| sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]])));
    bytes[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    let entry = |sectors: u16, at: u64| {
        let mut entry = vec![0; 32];
        entry[0] = 0x88;
        entry[6..8].copy_from_slice(&sectors.to_le_bytes());
        entry[8..12].copy_from_slice(&(at as u32).to_le_bytes());
        entry
    };
    bytes.extend(entry(4, CORE));
    let mut header = vec![0; 32];
    // The last section: one entry for EFI.
    header[..4].copy_from_slice(&[0x91, 0xef, 1, 0]);
    bytes.extend(header);
    bytes.extend(entry(0, ESP / SECTOR));
    padded(bytes)
}

/// A record of a folder (ECMA-119, 9.1).
fn record(name: &[u8], at: u64, len: u64, is_folder: bool, epoch: i64) -> Vec<u8> {
    let length = (33 + name.len()).next_multiple_of(2);
    let mut bytes = vec![0; length];
    bytes[0] = length as u8;
    both32(&mut bytes[2..10], at as u32);
    both32(&mut bytes[10..18], len as u32);
    bytes[18..25].copy_from_slice(&short_time(epoch));
    bytes[25] = if is_folder { 2 } else { 0 };
    both16(&mut bytes[28..32], 1);
    bytes[32] = name.len() as u8;
    bytes[33..33 + name.len()].copy_from_slice(name);
    bytes
}

/// Year, month, day, hour, minute, second, in UTC.
fn civil(epoch: i64) -> [i64; 6] {
    let (days, second) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
    // Days from 0000-03-01 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    [year, month, of_year - (153 * shifted + 2) / 5 + 1, second / 3600, second / 60 % 60, second % 60]
}

fn short_time(epoch: i64) -> [u8; 7] {
    let [year, month, day, hour, minute, second] = civil(epoch);
    [(year - 1900).clamp(0, 255), month, day, hour, minute, second, 0].map(|number| number as u8)
}

fn long_time(epoch: i64) -> [u8; 17] {
    let [year, month, day, hour, minute, second] = civil(epoch);
    let text = format!("{:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00\0", year.clamp(1, 9999));
    std::array::from_fn(|at| text.as_bytes()[at])
}

fn text(place: &mut [u8], text: &str) {
    place.fill(b' ');
    let text = &text.as_bytes()[..text.len().min(place.len())];
    place[..text.len()].copy_from_slice(text);
}

fn both32(place: &mut [u8], number: u32) {
    place[..4].copy_from_slice(&number.to_le_bytes());
    place[4..8].copy_from_slice(&number.to_be_bytes());
}

fn both16(place: &mut [u8], number: u16) {
    place[..2].copy_from_slice(&number.to_le_bytes());
    place[2..4].copy_from_slice(&number.to_be_bytes());
}

fn padded(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(SECTOR as usize), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        // date -u -d @N
        assert_eq!(civil(0), [1970, 1, 1, 0, 0, 0]);
        assert_eq!(civil(951_782_400), [2000, 2, 29, 0, 0, 0]);
        assert_eq!(civil(1_764_577_574), [2025, 12, 1, 8, 26, 14]);
        assert_eq!(&long_time(1_764_577_574), b"2025120108261400\0");
        assert_eq!(short_time(1_764_577_574), [125, 12, 1, 8, 26, 14, 0]);
    }

    #[test]
    fn the_catalog_sums_up_to_nothing() {
        let sum = catalog()[..32]
            .chunks_exact(2)
            .fold(0_u16, |sum, pair| sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]])));
        assert_eq!(sum, 0);
    }
}
