//! What is in a folder of an ext4 on a disk that is no machine of ours.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use cairn_disk::{Budget, Metered, Region, Source, ext4};

use super::Files;
use super::image::{Ext4Files, is_ext4};

/// The names in a folder of the ext4 that begins here on a disk and has so many bytes; nothing where there is no such folder, or where it
/// cannot be read: the reader is other people's, and made for sound file systems.
pub fn ext4_names(source: &dyn Source, (offset, bytes): (u64, u64), folder: &str) -> Option<Vec<String>> {
    let look = || {
        let source = Metered::new(source, Arc::new(Budget::default()));
        let region = Region::new(&source, offset, bytes);
        if !is_ext4(region) {
            return None;
        }
        let reader = ext4::Reader::open(region).ok()?;
        let budget = source.budget().unwrap_or_default();
        Ext4Files::new(reader, Path::new(folder), budget).list(folder).ok()?
    };
    catch_unwind(AssertUnwindSafe(look)).ok().flatten()
}
