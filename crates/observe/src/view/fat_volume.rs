//! A FAT volume on a disk that is no machine of ours: whatever is in it, it is read or it is an error.

use std::fmt;
use std::io::{self, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use cairn_boot::{Kind, ReadVolume, Space};
use cairn_disk::{Budget, DiskError, Metered, Region, Source, fat};

use super::fat_files::FatFiles;
use super::image::is_fat;

/// Longer files nobody asks for.
const MOST: u64 = 64 << 20;

/// A FAT volume that is read, without mounting it.
pub struct FatVolume<'a> {
    source: Metered<&'a dyn Source>,
    offset: u64,
    bytes: u64,
    name: String,
}

impl fmt::Debug for FatVolume<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FatVolume").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> FatVolume<'a> {
    /// The one that begins here on a disk and has so many bytes; `name` is for messages.
    pub fn new(source: &'a dyn Source, offset: u64, bytes: u64, name: &str) -> FatVolume<'a> {
        FatVolume { source: Metered::new(source, Arc::new(Budget::default())), offset, bytes, name: name.to_string() }
    }

    /// The reader of the file system is other people's, and made for sound ones: when one gives up, that is an error like any other.
    fn with<T>(&self, ask: impl FnOnce(&FatFiles<'_>) -> io::Result<T>) -> io::Result<T> {
        let look = || {
            let region = Region::new(&self.source, self.offset, self.bytes);
            if !is_fat(region) {
                return Err(io::Error::other(format!("{} holds no FAT file system", self.name)));
            }
            let reader = fat::open(region).map_err(|error: DiskError| io::Error::other(error))?;
            let budget = self.source.budget().unwrap_or_default();
            ask(&FatFiles::new(reader, Path::new(&self.name), budget))
        };
        let gave_up = |_| Err(io::Error::other(format!("the file system of {} is damaged", self.name)));
        catch_unwind(AssertUnwindSafe(look)).unwrap_or_else(gave_up)
    }
}

impl ReadVolume for FatVolume<'_> {
    fn list(&self, directory: &str) -> io::Result<Vec<(String, Kind)>> {
        self.with(|files| ReadVolume::list(files, directory))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + '_>> {
        let bytes = self.with(|files| {
            let mut bytes = Vec::new();
            ReadVolume::open(files, path)?.take(MOST).read_to_end(&mut bytes)?;
            Ok(bytes)
        })?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn space(&self) -> io::Result<Space> {
        self.with(|files| files.space())
    }
}
