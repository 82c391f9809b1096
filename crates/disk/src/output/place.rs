//! Where outputs may go: into a folder of files. A disk, a device, a place that only the kernel fills, and a name that is meant for a
//! file are refused, before anything is made.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{
    CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, DEVPTS_SUPER_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC,
    TRACEFS_MAGIC, statfs,
};

use super::{OutputError, kind};

/// How files with disks in them are called. Somebody who gives such a name to a folder takes it for the image's.
const IMAGES: [&str; 9] = ["raw", "img", "qcow2", "qcow", "iso", "vmdk", "vdi", "vhd", "vhdx"];

/// Refuses what is no folder for outputs; one that is not there yet may be.
///
/// # Errors
/// See [`OutputError`].
pub fn check_folder(path: &Path) -> Result<(), OutputError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let there = existing(path)?;
    is_for_files(there, path)?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default().to_ascii_lowercase();
    if there != path && IMAGES.contains(&extension.as_str()) {
        return Err(OutputError::NameOfAFile { path: path.into() });
    }
    Ok(())
}

/// Makes the folder for outputs, if it is not there, and refuses what is none.
///
/// # Errors
/// See [`check_folder`].
pub fn prepare_folder(path: &Path) -> Result<(), OutputError> {
    check_folder(path)?;
    let io = |source| OutputError::Io { doing: "making the folder", path: path.into(), source };
    if path.as_os_str().is_empty() { Ok(()) } else { std::fs::create_dir_all(path).map_err(io) }
}

/// The part of a path that is there, which must be a folder.
fn existing(path: &Path) -> Result<&Path, OutputError> {
    let not = |what| Err(OutputError::NotAFolder { path: path.into(), what });
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(metadata) => not(kind(metadata.file_type())),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            if path.symlink_metadata().is_ok_and(|m| m.is_symlink()) {
                return not("a symbolic link that leads nowhere");
            }
            match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => existing(parent),
                _ => existing(Path::new(".")),
            }
        }
        Err(source) => Err(OutputError::Io { doing: "looking at", path: path.into(), source }),
    }
}

/// Refuses folders whose files are the kernel's: devices, processes, settings. Messages call it by the name that somebody gave.
pub(crate) fn is_for_files(folder: &Path, named: &Path) -> Result<(), OutputError> {
    let io = |source| OutputError::Io { doing: "looking at", path: folder.into(), source };
    let real = folder.canonicalize().map_err(io)?;
    if is_the_kernel_s(&real).map_err(io)? {
        return Err(OutputError::TheKernel { path: named.into(), real });
    }
    Ok(())
}

fn is_the_kernel_s(real: &PathBuf) -> std::io::Result<bool> {
    let below = |place: &str| real.starts_with(place);
    if (below("/dev") && !below("/dev/shm")) || below("/proc") || below("/sys") {
        return Ok(true);
    }
    // The same file systems, mounted somewhere else.
    let kind = statfs(real).map_err(std::io::Error::from)?.filesystem_type();
    let kernel = [
        PROC_SUPER_MAGIC,
        SYSFS_MAGIC,
        CGROUP_SUPER_MAGIC,
        CGROUP2_SUPER_MAGIC,
        DEBUGFS_MAGIC,
        TRACEFS_MAGIC,
        DEVPTS_SUPER_MAGIC,
    ];
    // All mounts of the devices are one file system, which looks like any other in memory.
    let device = |path: &str| Path::new(path).metadata().map(|m| m.dev()).ok();
    let devices = device("/dev").filter(|dev| Some(*dev) != device("/"));
    Ok(kernel.contains(&kind) || devices == Some(real.metadata()?.dev()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(path: &Path, words: &str) {
        for result in [check_folder(path), prepare_folder(path)] {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(words) && error.contains(&*path.to_string_lossy()), "{error}");
        }
    }

    #[test]
    fn folders_are_made_and_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["new", "new/and/deeper", "new", "other.d", "v1.2"] {
            prepare_folder(&folder.path().join(name)).unwrap();
            assert!(folder.path().join(name).is_dir());
        }
        check_folder(Path::new("")).unwrap();
        check_folder(Path::new("not-there")).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("new", &link).unwrap();
        prepare_folder(&link).unwrap();
        // One that somebody has made and called like this is meant.
        std::fs::create_dir(folder.path().join("x.raw")).unwrap();
        prepare_folder(&folder.path().join("x.raw")).unwrap();
    }

    #[test]
    fn no_place_of_the_kernel_s_gets_a_folder_or_a_file() {
        for place in ["/dev/sdzz", "/dev", "/dev/disk/by-id/usb", "/proc/x", "/sys/kernel/x", "/dev/../dev/mapper/x"] {
            refused(Path::new(place), "is a place of the kernel's");
            assert!(!Path::new("/dev/sdzz").exists());
        }
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev", &link).unwrap();
        refused(&link.join("sdzz"), "is a place of the kernel's");
        refused(Path::new("/dev/null"), "is a device");
        let error = check_folder(Path::new("/dev/null/x")).unwrap_err().to_string();
        assert!(error.contains("/dev/null is a device"), "{error}");
        check_folder(Path::new("/dev/shm/new")).unwrap();
    }

    #[test]
    fn what_is_no_folder_is_named_and_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), "mine").unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
        refused(&at("file"), "is a file, and");
        refused(&at("pipe"), "is a pipe, and");
        refused(&at("socket"), "is a socket, and");
        refused(&at("dangling"), "is a symbolic link that leads nowhere, and");
        for (below, words) in [("file/x", "is a file"), ("dangling/x", "leads nowhere")] {
            let error = check_folder(&at(below)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        for name in ["lab.raw", "new/lab.QCOW2", "lab.img", "lab.iso"] {
            refused(&at(name), "is the name of a file");
        }
        assert!(!at("new").exists() && !at("nowhere").exists());
    }
}
