//! Reading FAT, for those who ask what is in an image. Never writes.

use std::fmt;
use std::io::{self, Read};

use fatfs::{FatType, FileSystem, FsOptions};

use super::clock;
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
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("volume_id", &self.volume.volume_id()).finish_non_exhaustive()
    }
}

/// Opens the volume in a region.
///
/// # Errors
/// [`DiskError::BadFileSystem`] when it is none, or damaged.
pub fn open(region: Region<'_>) -> Result<Reader<'_>, DiskError> {
    plausible(region)?;
    let options = FsOptions::new().update_accessed_date(false).time_provider(clock::stopped_at(0));
    Ok(Reader { volume: FileSystem::new(region.cursor(), options).map_err(bad)? })
}

impl Reader<'_> {
    /// What it says of itself.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`].
    pub fn info(&self) -> Result<FatInfo, DiskError> {
        let stats = self.volume.stats().map_err(bad)?;
        let cluster = u64::from(stats.cluster_size());
        let bits = match self.volume.fat_type() {
            FatType::Fat12 => 12,
            FatType::Fat16 => 16,
            FatType::Fat32 => 32,
        };
        let label = self.volume.read_volume_label_from_root_dir().map_err(bad)?.unwrap_or_default();
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
    /// [`DiskError::BadFileSystem`].
    pub fn list(&self, path: &str) -> Result<Option<Vec<FatEntry>>, DiskError> {
        /// More than any boot partition has; a damaged directory can be without end.
        const MOST: usize = 65536;
        let root = self.volume.root_dir();
        let directory = match path {
            "" => root,
            path => match root.open_dir(path) {
                Ok(directory) => directory,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(bad(error)),
            },
        };
        let mut entries = Vec::new();
        for entry in directory.iter().take(MOST) {
            let entry = entry.map_err(bad)?;
            let name = entry.file_name();
            if name != "." && name != ".." {
                entries.push(FatEntry { name, is_dir: entry.is_dir(), len: entry.len() });
            }
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    /// A file's contents, at most `most` bytes of them; `None` when there is no such file.
    ///
    /// # Errors
    /// [`DiskError::BadFileSystem`].
    pub fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, DiskError> {
        let file = match self.volume.root_dir().open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(bad(error)),
        };
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).map_err(bad)?;
        Ok(Some(bytes))
    }
}

/// Looks at what the crate calculates with before it does so itself.
fn plausible(region: Region<'_>) -> Result<(), DiskError> {
    let mut boot = [0; 512];
    region.read_at(0, &mut boot).map_err(bad)?;
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
    let why = "its boot sector has impossible numbers".to_string();
    if sound { Ok(()) } else { Err(DiskError::BadFileSystem { what: "FAT", why }) }
}

fn bad(error: io::Error) -> DiskError {
    DiskError::BadFileSystem { what: "FAT", why: error.to_string() }
}
