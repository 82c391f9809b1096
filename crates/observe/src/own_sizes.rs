//! What each generation holds alone: the bytes on the disk that would be free without it.
//!
//! Below a folder the store's own account is taken, which knows files that have several names. In an image, and where there
//! are no records of ours, it is worked out from the listings, or from the sizes in Nix's database.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use cairn_root::Root;
use cairn_store::{EntryKind, Listing, StorePath, own_sizes_of};

use crate::links::Link;
use crate::view::{Closures, Files, Kind, ViewError};

/// The largest listing: of some hundred thousand files.
const MOST: u64 = 64 << 20;

/// A block of the file systems that Cairn makes.
const BLOCK: u64 = 4096;

/// A symbolic link up to this long is in its inode.
const SHORT_LINK: usize = 59;

/// The bytes by the number of the generation; nothing for those whose systems are gone. `root`: the folder that these files
/// are below.
pub fn own_sizes(
    files: &dyn Files,
    root: Option<&Root>,
    closures: &mut Closures<'_>,
    links: &[Link],
) -> Result<BTreeMap<u64, u64>, ViewError> {
    let mut there = Vec::new();
    for link in links {
        if files.kind(&link.system)?.is_some() {
            there.push(link);
        }
    }
    if let Some(root) = root
        && files.kind("/nix/var/cairn/info")? == Some(Kind::Folder)
        && let Some(sizes) = by_the_store(root, &there)
    {
        return Ok(sizes);
    }
    let mut all: Vec<(u64, BTreeSet<Rc<str>>)> = Vec::new();
    for link in there {
        if let Some(closure) = closures.of(&link.system)? {
            all.push((link.number, closure));
        }
    }
    let mut users: BTreeMap<&Rc<str>, usize> = BTreeMap::new();
    for path in all.iter().flat_map(|(_, closure)| closure) {
        *users.entry(path).or_default() += 1;
    }
    let mut sizes = BTreeMap::new();
    for (number, closure) in &all {
        let mut sum = 0_u64;
        for path in closure.iter().filter(|path| users[path] == 1) {
            let size = match on_disk(files, path)? {
                Some(bytes) => bytes,
                None => closures.size([path])?,
            };
            // What somebody has written down may be any number.
            sum = size.saturating_add(sum);
        }
        sizes.insert(*number, sum);
    }
    Ok(sizes)
}

/// `None` when the store cannot say.
fn by_the_store(root: &Root, links: &[&Link]) -> Option<BTreeMap<u64, u64>> {
    let systems: Vec<StorePath> =
        links.iter().map(|link| StorePath::from_absolute(&link.system).ok()).collect::<Option<_>>()?;
    let sizes = own_sizes_of(root, &systems).ok()?;
    Some(links.iter().zip(sizes).map(|(link, own)| (link.number, own.bytes)).collect())
}

/// The blocks of a path, by what the store has written down about it.
fn on_disk(files: &dyn Files, path: &str) -> Result<Option<u64>, ViewError> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let bytes = match files.read(&format!("/nix/var/cairn/listing/{name}"), MOST) {
        // Its path has a size without it, too.
        Ok(None) | Err(ViewError::TooLarge { .. }) => return Ok(None),
        Ok(Some(bytes)) => bytes,
        Err(error) => return Err(error),
    };
    let Some(listing) = std::str::from_utf8(&bytes).ok().and_then(Listing::of_text) else { return Ok(None) };
    let blocks = |entry: &EntryKind| match entry {
        EntryKind::Directory => 1,
        EntryKind::File { size, .. } => size.div_ceil(BLOCK),
        EntryKind::Symlink { target } => u64::from(target.len() > SHORT_LINK),
    };
    let mut sum = 0_u64;
    for entry in listing {
        let Some(entry) = entry else { return Ok(None) };
        sum = sum.saturating_add(blocks(&entry.kind).saturating_mul(BLOCK));
    }
    Ok(Some(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk on which every file is as large as this.
    #[derive(Debug)]
    struct All(u64);

    impl Files for All {
        fn kind(&self, _: &str) -> Result<Option<Kind>, ViewError> {
            Ok(Some(Kind::File))
        }
        fn link(&self, _: &str) -> Result<Option<String>, ViewError> {
            Ok(None)
        }
        fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError> {
            match self.0 > most {
                true => Err(ViewError::TooLarge { path: path.into(), bytes: self.0 }),
                false => Ok(Some(vec![b'x'; usize::try_from(self.0).unwrap()])),
            }
        }
        fn list(&self, _: &str) -> Result<Option<Vec<String>>, ViewError> {
            Ok(None)
        }
        fn modified(&self, _: &str) -> Result<Option<i64>, ViewError> {
            Ok(None)
        }
        fn shown(&self, path: &str) -> std::path::PathBuf {
            path.into()
        }
        fn budget(&self) -> std::sync::Arc<cairn_disk::Budget> {
            cairn_disk::Budget::shared()
        }
    }

    #[test]
    fn a_listing_that_cannot_be_read_leaves_the_size_to_others() {
        for size in [9, MOST + 1] {
            assert_eq!(on_disk(&All(size), "/nix/store/x").unwrap(), None, "{size}");
        }
    }
}
