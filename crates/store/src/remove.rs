//! Removing a tree whose folders may be read-only, as an ordinary user may have to.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Removes `path` and everything below it, whatever it is; fine if it is not there.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    match remove(path) {
        // Names in a read-only folder cannot be removed; root does not come here.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            open_folders(path)?;
            remove(path)
        }
        other => other,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) => Err(e),
    };
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn open_folders(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        open_folders(&entry?.path())?;
    }
    Ok(())
}
