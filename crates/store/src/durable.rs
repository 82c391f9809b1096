//! Making sure that something is on the disk, and not only on its way there.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::StoreError;

/// Waits until the names in a folder are on the disk.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(StoreError::io("syncing", dir))
}

/// Waits until everything on the file system of `path` is on the disk.
pub(crate) fn sync_file_system(path: &Path) -> Result<(), StoreError> {
    let file = File::open(path).map_err(StoreError::io("opening", path))?;
    nix::unistd::syncfs(&file).map_err(StoreError::errno("syncing the file system of", path))
}

/// Writes a small file, mode 0644: whatever happens, it is there completely or as it was before; and it is on the disk when
/// this returns.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let writing = || StoreError::io("writing", path);
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = File::create(&new).map_err(writing())?;
    file.write_all(bytes).map_err(writing())?;
    file.set_permissions(fs::Permissions::from_mode(0o644)).map_err(writing())?;
    file.sync_all().map_err(writing())?;
    fs::rename(&new, path).map_err(writing())?;
    path.parent().map_or(Ok(()), sync_dir)
}
