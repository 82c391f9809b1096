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

impl Reader<'_> {
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
