//! What is in a folder, or in a file, of an ext4 on a disk that is no machine of ours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use cairn_disk::{Budget, Metered, Region, Source, ext4};

use super::Files;
use super::image::{Ext4Files, is_ext4};

/// The names in a folder of the ext4 that begins here on a disk and has so many bytes; nothing where there is no such folder, or where it
/// cannot be read.
pub fn ext4_names(source: &dyn Source, place: (u64, u64), folder: &str) -> Option<Vec<String>> {
    with(source, place, |files| files.list(folder).ok()?)
}

/// The contents of a file of that ext4, of no more than `most` bytes.
pub fn ext4_file(source: &dyn Source, place: (u64, u64), path: &str, most: u64) -> Option<Vec<u8>> {
    with(source, place, |files| files.read(path, most).ok()?)
}

/// The reader is other people's, and made for sound file systems: when it gives up, nothing is there.
fn with<T>(
    source: &dyn Source,
    (offset, bytes): (u64, u64),
    ask: impl FnOnce(&Ext4Files<'_>) -> Option<T>,
) -> Option<T> {
    let look = || {
        let source = Metered::new(source, Arc::new(Budget::default()));
        let region = Region::new(&source, offset, bytes);
        if !is_ext4(region) {
            return None;
        }
        let reader = ext4::Reader::open(region).ok()?;
        let budget = source.budget().unwrap_or_default();
        ask(&Ext4Files::new(reader, Path::new("the file system"), budget))
    };
    catch_unwind(AssertUnwindSafe(look)).ok().flatten()
}
