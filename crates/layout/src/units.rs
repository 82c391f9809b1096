//! Distinct types for distinct numbers: a place on a disk, a length in sectors, the size of a sector.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Every partition begins and ends at a multiple of this many bytes: what all partitioning tools do, and a multiple of
/// every erase block and stripe worth aligning to.
pub const ALIGNMENT: u64 = 1 << 20;

/// The address of a sector, counted from the start of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lba(pub u64);

/// A count of sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sectors(pub u64);

/// The size of a disk's logical sectors. No other sizes exist in practice.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum SectorSize {
    /// 512 bytes: nearly all disks, and every virtual one unless told otherwise.
    #[default]
    B512,
    /// 4096 bytes: "4Kn" disks.
    B4096,
}

impl SectorSize {
    /// In bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            SectorSize::B512 => 512,
            SectorSize::B4096 => 4096,
        }
    }

    /// How many whole sectors fit into `bytes`.
    pub const fn count(self, bytes: u64) -> Sectors {
        Sectors(bytes / self.bytes())
    }
}

impl TryFrom<u32> for SectorSize {
    type Error = String;

    fn try_from(bytes: u32) -> Result<SectorSize, String> {
        match bytes {
            512 => Ok(SectorSize::B512),
            4096 => Ok(SectorSize::B4096),
            other => Err(format!("sectors of {other} bytes are not supported, only 512 and 4096")),
        }
    }
}

impl From<SectorSize> for u32 {
    fn from(size: SectorSize) -> u32 {
        match size {
            SectorSize::B512 => 512,
            SectorSize::B4096 => 4096,
        }
    }
}

impl Lba {
    /// The byte offset of this sector. Of one that no disk has, more than any disk has.
    pub const fn offset(self, sector: SectorSize) -> u64 {
        self.0.saturating_mul(sector.bytes())
    }
}

impl Sectors {
    /// The length in bytes. Of more than any disk has, more than any disk has.
    pub const fn bytes(self, sector: SectorSize) -> u64 {
        self.0.saturating_mul(sector.bytes())
    }
}

impl fmt::Display for Lba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(true, "", &self.0.to_string())
    }
}

impl fmt::Display for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad_integral(true, "", &self.0.to_string())
    }
}

/// A number of bytes for people: the largest unit of which there is at least one, with one decimal where it is not
/// whole (`260M`, `1.4G`, `512 bytes`). The decimal is rounded up, so that a size told as a need is enough.
pub fn human(bytes: u64) -> String {
    const UNITS: [(u32, char); 5] = [(50, 'P'), (40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
    for (shift, unit) in UNITS {
        if bytes >> shift == 0 {
            continue;
        }
        let tenths = (u128::from(bytes) * 10).div_ceil(1 << shift);
        return match (tenths / 10, tenths % 10) {
            (whole, 0) => format!("{whole}{unit}"),
            (whole, part) => format!("{whole}.{part}{unit}"),
        };
    }
    if bytes == 1 { "1 byte".to_string() } else { format!("{bytes} bytes") }
}

/// A need for people: whole MiB, rounded up, exact, so that it can be written into a machine file as it is (`1453M`, `2G`).
pub(crate) fn need(bytes: u64) -> String {
    let mib = bytes.div_ceil(1 << 20);
    if mib > 0 && mib.is_multiple_of(1024) { format!("{}G", mib / 1024) } else { format!("{mib}M") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_largest_unit() {
        assert_eq!((human(0).as_str(), human(1).as_str()), ("0 bytes", "1 byte"));
        assert_eq!(human(512), "512 bytes");
        assert_eq!((human(1023), human(1024), human(1025)), ("1023 bytes".into(), "1K".into(), "1.1K".into()));
        assert_eq!((human(1536 << 30), human(5 << 50)), ("1.5T".into(), "5P".into()));
        assert_eq!(human(260 << 20), "260M");
        assert_eq!(human((1 << 30) + 1), "1.1G");
        assert_eq!(human(u64::MAX), "16384P");
    }

    #[test]
    fn needs_are_told_in_whole_units() {
        assert_eq!(need((812 << 20) - 5), "812M");
        assert_eq!((need(0), need(3 << 30), need((3 << 30) + 1)), ("0M".into(), "3G".into(), "3073M".into()));
    }
}
