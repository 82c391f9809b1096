//! Reading FAT, for those who ask what is in an image. Never writes.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use fatfs::{FatType, FileSystem, FsOptions};

use super::clock;
use crate::budget::{Budget, Spent};
use crate::error::DiskError;
use crate::source::{Cursor, Region, Source};

/// What a FAT volume says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatInfo {
    /// 12, 16 or 32.
    pub bits: u8,
    /// Its volume id.
    pub volume_id: u32,
    /// Its label.
    pub label: String,
    /// The size of a cluster in bytes.
    pub cluster: u64,
    /// The bytes in all clusters.
    pub bytes: u64,
    /// The bytes in free clusters.
    pub free: u64,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FatEntry {
    /// The name.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// A file's length in bytes.
    pub len: u64,
}

/// An open FAT volume.
pub struct Reader<'a> {
    volume: FileSystem<Cursor<'a>>,
    budget: Arc<Budget>,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("volume_id", &self.volume.volume_id()).finish_non_exhaustive()
    }
}

/// Opens the volume in a region.
///
/// # Errors
/// [`DiskError::BadFileSystem`] when it is none, or damaged; [`DiskError::Endless`] when nothing is left to spend; as all
/// that read from it.
pub fn open(region: Region<'_>) -> Result<Reader<'_>, DiskError> {
    let cursor = region.cursor();
    let budget = cursor.budget();
    let told = |error| told(&budget, error);
    plausible(region).map_err(told)??;
    let options = FsOptions::new().update_accessed_date(false).time_provider(clock::stopped_at(0));
    let volume = FileSystem::new(cursor, options).map_err(told)?;
    Ok(Reader { volume, budget })
}

impl<'a> Reader<'a> {
    /// The account on which it draws.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// See [`open`].
    pub fn info(&self) -> Result<FatInfo, DiskError> {
        let told = |error| told(&self.budget, error);
        let stats = self.volume.stats().map_err(told)?;
        let cluster = u64::from(stats.cluster_size());
        let bits = match self.volume.fat_type() {
            FatType::Fat12 => 12,
            FatType::Fat16 => 16,
            FatType::Fat32 => 32,
        };
        let label = self.volume.read_volume_label_from_root_dir().map_err(told)?.unwrap_or_default();
        Ok(FatInfo {
            bits,
            volume_id: self.volume.volume_id(),
            label,
            cluster,
            bytes: u64::from(stats.total_clusters()) * cluster,
            free: u64::from(stats.free_clusters()) * cluster,
        })
    }

    /// What is in a directory (`""` for the root), sorted by name; `None` when there is no such directory.
    ///
    /// # Errors
    /// See [`open`].
    pub fn list(&self, path: &str) -> Result<Option<Vec<FatEntry>>, DiskError> {
        let root = self.volume.root_dir();
        let directory = match path {
            "" => root,
            path => match root.open_dir(path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(told(&self.budget, error)),
            },
        };
        let mut entries = Vec::new();
        for entry in directory.iter() {
            let entry = entry.map_err(|error| told(&self.budget, error))?;
            self.budget.entry().map_err(endless)?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            if name.is_empty() || name.contains(['/', '\0']) {
                return Err(wrong("a folder has a name that is none".into()));
            }
            entries.push(FatEntry { name, is_dir: entry.is_dir(), len: entry.len() });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    /// A file's contents; `None` when there is no such file.
    ///
    /// # Errors
    /// See [`open`]; [`DiskError::TooLarge`] for a file of more than `most` bytes.
    pub fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let mut bytes = Vec::new();
        Ok(self.copy(path, most, &mut bytes)?.map(|()| bytes))
    }

    /// A file to read, as long as there is something left to spend.
    ///
    /// # Errors
    /// What `fatfs` says; [`io::ErrorKind::NotFound`].
    pub fn file(&self, path: &str) -> io::Result<impl Read + use<'_, 'a>> {
        self.volume.root_dir().open_file(path)
    }

    /// The same, written piece by piece, of a file that is not to be in memory.
    ///
    /// # Errors
    /// See [`Reader::read`]; [`DiskError::Write`].
    pub fn copy(&self, path: &str, most: u64, to: &mut dyn Write) -> Result<Option<()>, DiskError> {
        let mut file = match self.volume.root_dir().open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(told(&self.budget, error)),
        };
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        loop {
            let count = file.read(&mut buffer).map_err(|error| told(&self.budget, error))?;
            if count == 0 {
                return Ok(Some(()));
            }
            if at + count as u64 > most {
                return Err(DiskError::TooLarge { path: path.to_string(), bytes: at + count as u64 });
            }
            let failed = |error| DiskError::write(&format!("the copy of {path}"), at, error);
            to.write_all(&buffer[..count]).map_err(failed)?;
            at += count as u64;
        }
    }
}

/// Looks at what the crate calculates with before it does so itself.
fn plausible(region: Region<'_>) -> io::Result<Result<(), DiskError>> {
    let mut boot = [0; 512];
    region.read_at(0, &mut boot)?;
    let n = |at: usize, len: usize| boot[at..at + len].iter().rev().fold(0_u64, |n, b| (n << 8) | u64::from(*b));
    let either = |small: u64, large: u64| if small != 0 { small } else { large };
    let (sector, cluster, reserved, fats) = (n(11, 2), n(13, 1), n(14, 2), n(16, 1));
    let fat32 = n(22, 2) == 0;
    let (total, fat) = (either(n(19, 2), n(32, 4)), either(n(22, 2), n(36, 4)));
    let data = reserved + fats * fat + (n(17, 2) * 32).div_ceil(sector.max(1));
    let clusters = total.saturating_sub(data) / cluster.max(1);
    let sound = matches!(sector, 512 | 1024 | 2048 | 4096)
        && cluster.is_power_of_two()
        && (1..=2).contains(&fats)
        && reserved > 0
        && total * sector <= region.len()
        && data < total
        // Each cluster has its entry, and the root is one of them.
        && (!fat32 || ((clusters + 2) * 4 <= fat * sector && (2..clusters + 2).contains(&n(44, 4))));
    Ok(if sound { Ok(()) } else { Err(wrong("its boot sector has impossible numbers".into())) })
}

fn wrong(why: String) -> DiskError {
    DiskError::BadFileSystem { what: "FAT", why }
}

fn endless(why: Spent) -> DiskError {
    DiskError::Endless { what: "FAT", why }
}

/// An error of the crate's; that nothing is left to spend comes out of it as well.
fn told(budget: &Budget, error: io::Error) -> DiskError {
    budget.spent().map_or_else(|| wrong(error.to_string()), endless)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of which only the first sector is anything.
    #[derive(Debug)]
    struct Boot([u8; 512], u64);

    impl Source for Boot {
        fn len(&self) -> u64 {
            self.1
        }

        fn read_at(&self, _offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            buffer.copy_from_slice(&self.0[..buffer.len()]);
            Ok(())
        }
    }

    /// The fields of a boot sector as the specification has them.
    #[derive(Debug, Clone, Copy)]
    struct Fields {
        sector: u16,
        cluster: u8,
        reserved: u16,
        fats: u8,
        roots: u16,
        total16: u16,
        fat16: u16,
        total32: u32,
        fat32: u32,
        root: u32,
    }

    /// A floppy disk of 1440 KiB.
    const FAT12: Fields = Fields {
        sector: 512,
        cluster: 1,
        reserved: 1,
        fats: 2,
        roots: 224,
        total16: 2880,
        fat16: 9,
        total32: 0,
        fat32: 0,
        root: 0,
    };

    /// 126 clusters and the two that there never are fill one sector of FAT.
    const FAT32: Fields = Fields {
        sector: 512,
        cluster: 8,
        reserved: 32,
        fats: 2,
        roots: 0,
        total16: 0,
        fat16: 0,
        total32: 32 + 2 + 126 * 8,
        fat32: 1,
        root: 2,
    };

    fn sound_in(fields: Fields, len: u64) -> bool {
        let mut boot = [0; 512];
        let f = fields;
        for (at, bytes) in [
            (11, &f.sector.to_le_bytes()[..]),
            (13, &[f.cluster]),
            (14, &f.reserved.to_le_bytes()),
            (16, &[f.fats]),
            (17, &f.roots.to_le_bytes()),
            (19, &f.total16.to_le_bytes()),
            (22, &f.fat16.to_le_bytes()),
            (32, &f.total32.to_le_bytes()),
            (36, &f.fat32.to_le_bytes()),
            (44, &f.root.to_le_bytes()),
        ] {
            boot[at..at + bytes.len()].copy_from_slice(bytes);
        }
        plausible(Region::new(&Boot(boot, len), 0, len)).unwrap().is_ok()
    }

    fn sound(fields: Fields) -> bool {
        sound_in(fields, 1 << 30)
    }

    #[test]
    fn what_volumes_have_is_let_through_up_to_its_end() {
        assert!(sound(FAT12) && sound(FAT32));
        assert!(sound_in(FAT12, 2880 * 512) && !sound_in(FAT12, 2880 * 512 - 1));
        assert!(sound_in(FAT32, 1042 * 512) && !sound_in(FAT32, 1042 * 512 - 1));
        for sector in [512, 1024, 2048, 4096] {
            assert!(sound(Fields { sector, ..FAT12 }), "{sector}");
        }
        for cluster in [1, 2, 4, 128] {
            assert!(sound(Fields { cluster, ..FAT12 }), "{cluster}");
        }
        assert!(sound(Fields { fats: 1, ..FAT12 }));
        // What is in front of the data: one sector, 2 times 9, and 224 entries of 32 bytes.
        assert!(sound(Fields { total16: 34, ..FAT12 }) && !sound(Fields { total16: 33, ..FAT12 }));
        assert!(
            sound(Fields { roots: 225, total16: 35, ..FAT12 }) && !sound(Fields { roots: 225, total16: 34, ..FAT12 })
        );
        // A number in 16 bits comes before the one in 32.
        assert!(
            sound(Fields { total16: 0, total32: 2880, ..FAT12 })
                && !sound(Fields { total16: 33, total32: 2880, ..FAT12 })
        );
    }

    #[test]
    fn each_number_alone_can_be_impossible() {
        for (what, fields) in [
            ("sector", Fields { sector: 0, ..FAT12 }),
            ("sector", Fields { sector: 513, ..FAT12 }),
            ("sector", Fields { sector: 256, ..FAT12 }),
            ("sector", Fields { sector: 8192, ..FAT12 }),
            ("cluster", Fields { cluster: 0, ..FAT12 }),
            ("cluster", Fields { cluster: 3, ..FAT12 }),
            ("fats", Fields { fats: 0, ..FAT12 }),
            ("fats", Fields { fats: 3, ..FAT12 }),
            ("reserved", Fields { reserved: 0, ..FAT12 }),
            ("total", Fields { total16: 0, ..FAT12 }),
            ("sector", Fields { sector: 513, ..FAT32 }),
            ("cluster", Fields { cluster: 3, ..FAT32 }),
            ("fats", Fields { fats: 3, fat32: 9, ..FAT32 }),
            ("reserved", Fields { reserved: 0, ..FAT32 }),
            ("total", Fields { total32: 34, ..FAT32 }),
        ] {
            assert!(!sound(fields), "{what}: {fields:?}");
        }
        // A cluster more than the FAT has entries.
        assert!(!sound(Fields { total32: FAT32.total32 + 8, ..FAT32 }));
        assert!(sound(Fields { total32: FAT32.total32 + 7, ..FAT32 }));
        for (root, is) in [(0, false), (1, false), (2, true), (127, true), (128, false)] {
            assert_eq!(sound(Fields { root, ..FAT32 }), is, "{root}");
        }
    }
}
