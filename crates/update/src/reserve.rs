//! Room that is kept on the root file system for a collection: on a disk that is full to its last block nothing could be
//! written down, and so nothing could go.

use cairn_root::Root;
use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::fstatvfs;

/// What the record, the database's journal and the records of paths may take.
const BYTES: u64 = 4 << 20;

/// The file, and the name that it has until it is whole.
const FILE: &str = "reserve";
const NEW: &str = "reserve.new";

/// Sets the room aside. Where there is none for it, there is none.
pub fn keep(root: &Root) {
    let Ok(own) = root.own(crate::OWN) else { return };
    if own.metadata(FILE).is_ok_and(|meta| meta.is_some_and(|meta| meta.is_file() && meta.len() == BYTES)) {
        return;
    }
    let room = || -> std::io::Result<()> {
        own.remove_file(NEW)?;
        let file = own.create_new(NEW, 0o644)?;
        posix_fallocate(&file, 0, i64::try_from(BYTES).unwrap_or_default())?;
        own.rename(NEW, FILE)
    };
    if room().is_err() {
        let _ = own.remove_file(NEW);
    }
}

/// Gives the room to whoever needs it now, on a disk that has no other.
pub fn give(root: &Root) {
    let free = fstatvfs(root).map(|stat| stat.blocks_available() * stat.fragment_size());
    if free.is_ok_and(|free| free < BYTES)
        && let Ok(own) = root.own(crate::OWN)
    {
        let _ = own.remove_file(FILE);
    }
}
