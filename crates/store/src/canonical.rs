//! Giving a tree the only shape that a store path has: files 0444 or 0555, folders 0555, every time stamp 1 second
//! after 1970, no extended attributes; and finding on the way what is in it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;

use crate::StoreError;

/// How deep Nix lets folders be nested.
pub(crate) const MAX_DEPTH: usize = 63;

/// Attributes that the system puts on every file, and that cannot be taken off; Nix leaves the same ones alone.
const SYSTEM_ATTRIBUTES: [&str; 3] = ["security.selinux", "security.csm", "system.nfs4_acl"];

/// What was found at a place in the tree.
#[derive(Debug)]
pub(crate) struct Found {
    /// Below the top; empty for the top itself.
    pub(crate) path: String,
    pub(crate) kind: FoundKind,
}

#[derive(Debug)]
pub(crate) enum FoundKind {
    Directory,
    File { executable: bool },
    Symlink { target: String },
}

/// Makes the tree canonical and lists it in the order of a NAR.
///
/// A folder at the top keeps its owner's write bit: without it an ordinary user could not rename it
/// into its place. [`seal`] takes it away afterwards.
pub(crate) fn canonicalise(top: &Path) -> Result<Vec<Found>, StoreError> {
    let mut walk = Walk { root: nix::unistd::geteuid().is_root(), top: 0o755, found: Vec::new() };
    walk.visit(top, String::new(), 0)?;
    Ok(walk.found)
}

/// The same for a tree that is in its place already, and very likely canonical: then nothing is changed.
pub(crate) fn canonicalise_in_place(top: &Path) -> Result<Vec<Found>, StoreError> {
    let mut walk = Walk { root: nix::unistd::geteuid().is_root(), top: 0o555, found: Vec::new() };
    walk.visit(top, String::new(), 0)?;
    Ok(walk.found)
}

/// The last step for a tree that is in its place: the top gets its final mode and time.
pub(crate) fn seal(top: &Path) -> Result<(), StoreError> {
    let meta = fs::symlink_metadata(top).map_err(StoreError::io("reading", top))?;
    if meta.is_dir() {
        fs::set_permissions(top, fs::Permissions::from_mode(0o555))
            .map_err(StoreError::io("changing the mode of", top))?;
    }
    set_time(top, &meta)
}

struct Walk {
    root: bool,
    /// The mode of a folder at the top.
    top: u32,
    found: Vec<Found>,
}

impl Walk {
    fn visit(&mut self, real: &Path, path: String, depth: usize) -> Result<(), StoreError> {
        let meta = fs::symlink_metadata(real).map_err(StoreError::io("reading", real))?;
        let kind = meta.file_type();
        if self.root && (meta.uid(), meta.gid()) != (0, 0) {
            std::os::unix::fs::lchown(real, Some(0), Some(0)).map_err(StoreError::io("changing the owner of", real))?;
        }
        let mut mode = meta.mode() & 0o7777;
        if kind.is_symlink() {
            remove_attributes(real, None)?;
            let target = fs::read_link(real).map_err(StoreError::io("reading", real))?;
            let target = utf8(target.as_os_str(), "its target", real)?.to_string();
            self.found.push(Found { path, kind: FoundKind::Symlink { target } });
        } else if kind.is_file() {
            remove_attributes(real, Some(&mut mode))?;
            let executable = meta.mode() & 0o100 != 0;
            set_mode(real, mode, if executable { 0o555 } else { 0o444 })?;
            self.found.push(Found { path, kind: FoundKind::File { executable } });
        } else if kind.is_dir() {
            if depth > MAX_DEPTH {
                let why = format!("folders are nested deeper than {MAX_DEPTH}, which Nix refuses");
                return Err(StoreError::Unsupported { path: real.to_path_buf(), why });
            }
            remove_attributes(real, Some(&mut mode))?;
            if mode & 0o500 != 0o500 {
                set_mode(real, mode, 0o755)?;
                mode = 0o755;
            }
            let names = sorted_names(real)?;
            self.found.push(Found { path: path.clone(), kind: FoundKind::Directory });
            for name in names {
                let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                self.visit(&real.join(&name), below, depth + 1)?;
            }
            set_mode(real, mode, if depth == 0 { self.top } else { 0o555 })?;
        } else {
            let what = match kind {
                k if k.is_fifo() => "a named pipe",
                k if k.is_socket() => "a socket",
                _ => "a device",
            };
            let why = format!("it is {what}, and a store path holds only files, folders and symbolic links");
            return Err(StoreError::Unsupported { path: real.to_path_buf(), why });
        }
        set_time(real, &meta)
    }
}

/// The names in a folder, sorted by their bytes.
pub(crate) fn sorted_names(dir: &Path) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("reading", dir))? {
        let entry = entry.map_err(StoreError::io("reading", dir))?;
        names.push(utf8(&entry.file_name(), "its name", &entry.path())?.to_string());
    }
    names.sort_unstable();
    Ok(names)
}

fn utf8<'a>(text: &'a OsStr, which: &str, path: &Path) -> Result<&'a str, StoreError> {
    text.to_str().ok_or_else(|| StoreError::Unsupported {
        path: path.to_path_buf(),
        why: format!("{which} is not UTF-8 (\"{}\"); rename it, or leave it out", text.as_bytes().escape_ascii()),
    })
}

fn set_mode(path: &Path, current: u32, mode: u32) -> Result<(), StoreError> {
    if current == mode {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(StoreError::io("changing the mode of", path))
}

pub(crate) fn set_time(path: &Path, meta: &fs::Metadata) -> Result<(), StoreError> {
    if (meta.mtime(), meta.mtime_nsec()) == (1, 0) {
        return Ok(());
    }
    let (atime, mtime) = (TimeSpec::UTIME_OMIT, TimeSpec::new(1, 0));
    utimensat(AT_FDCWD, path, &atime, &mtime, UtimensatFlags::NoFollowSymlink)
        .map_err(StoreError::errno("setting the time of", path))
}

/// Takes the extended attributes off. An owner needs write permission for that, so the mode may change on the way;
/// a symbolic link has none.
fn remove_attributes(path: &Path, mode: Option<&mut u32>) -> Result<(), StoreError> {
    let names = removable(xattr::list(path)).map_err(StoreError::io("reading the attributes of", path))?;
    if let (Some(mode), Some(_)) = (mode, names.first()) {
        // A value that no mode has: removing an access control list changes the mode as well, so it is set anew.
        *mode = u32::MAX;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
            .map_err(StoreError::io("changing the mode of", path))?;
    }
    for name in names {
        xattr::remove(path, &name).map_err(StoreError::io("taking the attributes off", path))?;
    }
    Ok(())
}

/// Those of the attributes that can be taken off; none on a file system without attributes.
fn removable(listed: io::Result<impl Iterator<Item = OsString>>) -> io::Result<Vec<OsString>> {
    match listed {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(Vec::new()),
        names => Ok(names?.filter(|name| !SYSTEM_ATTRIBUTES.iter().any(|system| name == system)).collect()),
    }
}

/// The path of something below `top`, which is `top` itself when `path` is empty (joining an empty path would add a
/// slash, and a file with a slash behind it is not found).
pub(crate) fn below(top: &Path, path: &str) -> PathBuf {
    if path.is_empty() { top.to_path_buf() } else { top.join(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_puts_on_every_file_stays_there() {
        let all = ["security.selinux", "user.mine", "system.nfs4_acl", "security.csm", "security.capability"];
        let kept = removable(Ok(all.map(OsString::from).into_iter())).unwrap();
        assert_eq!(kept, ["user.mine", "security.capability"]);
        let failed = |kind: io::ErrorKind| removable(Err::<std::iter::Empty<OsString>, _>(kind.into()));
        assert_eq!(failed(io::ErrorKind::Unsupported).unwrap(), [""; 0]);
        assert_eq!(failed(io::ErrorKind::PermissionDenied).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}
