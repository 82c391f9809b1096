//! Room that is kept on the root file system for a collection: on a disk that is full to its last block nothing could be
//! written down, and so nothing could go.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

/// What the record, the database's journal and the records of paths may take.
const BYTES: u64 = 4 << 20;

fn file(root: &Path) -> PathBuf {
    root.join("var/lib/cairn/reserve")
}

/// Sets the room aside. Where there is none for it, there is none.
pub fn keep(root: &Path) {
    let (path, new) = (file(root), file(root).with_extension("new"));
    if path.metadata().is_ok_and(|meta| meta.len() == BYTES) {
        return;
    }
    let room = || -> std::io::Result<()> {
        let file = File::create(&new)?;
        posix_fallocate(&file, 0, i64::try_from(BYTES).unwrap_or_default())?;
        fs::rename(&new, &path)
    };
    if room().is_err() {
        let _ = fs::remove_file(&new);
    }
}

/// Gives the room to whoever needs it now, on a disk that has no other.
pub fn give(root: &Path) {
    let free = statvfs(root).map(|stat| stat.blocks_available() * stat.fragment_size());
    if free.is_ok_and(|free| free < BYTES) {
        let _ = fs::remove_file(file(root));
    }
}
