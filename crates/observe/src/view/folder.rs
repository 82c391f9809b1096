//! A machine's files below a folder. Links are followed as the machine itself would follow them: an absolute one begins
//! at the folder again.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use cairn_disk::Budget;
use cairn_root::{Kind as Found, Root};

use super::{BootVolume, Files, Kind, PROFILES, ViewError};

/// A folder that is open, with the account of all that is read of its machine. The kernel's own limits guard what is a file
/// system's; how much of a stranger's files is kept is the account's matter here too.
#[derive(Debug)]
pub struct Folder {
    root: Root,
    budget: Arc<Budget>,
}

impl Folder {
    /// Of this root, on this account.
    pub fn new(root: Root, budget: Arc<Budget>) -> Folder {
        Folder { root, budget }
    }
}

impl Files for Folder {
    fn kind(&self, path: &str) -> Result<Option<Kind>, ViewError> {
        let found = self.root.kind(path).map_err(at(&self.root, path))?;
        Ok(found.map(|found| match found {
            Found::Folder => Kind::Folder,
            Found::File => Kind::File,
            Found::Link | Found::Other => Kind::Other,
        }))
    }

    fn link(&self, path: &str) -> Result<Option<String>, ViewError> {
        let target = self.root.link(path).map_err(at(&self.root, path))?;
        Ok(target.map(|target| target.to_string_lossy().into_owned()))
    }

    fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let file = match self.root.open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::InvalidInput && self.kind(path)? == Some(Kind::Folder) => {
                return Ok(None);
            }
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(at(&self.root, path)(error)),
        };
        // What is in /proc has no length, so the limit is on what comes.
        let bytes = file.metadata().map_err(at(&self.root, path))?.len();
        let too_large = || ViewError::TooLarge { path: path.to_string(), bytes };
        let read = if bytes > most { return Err(too_large()) } else { self.root.read(path, most) };
        read.map_err(
            |error| if error.kind() == ErrorKind::FileTooLarge { too_large() } else { at(&self.root, path)(error) },
        )
    }

    fn list(&self, path: &str) -> Result<Option<Vec<String>>, ViewError> {
        let names = self.root.names(path).map_err(at(&self.root, path))?;
        Ok(names.map(|names| names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()))
    }

    /// As the kernel resolves it, for what is there may change meanwhile.
    fn read_inside(&self, folder: &str, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let shown = format!("{}/{path}", folder.trim_end_matches('/'));
        let inside = self.root.inside(folder).map_err(at(&self.root, folder))?;
        let Some(inside) = inside else { return Ok(None) };
        match inside.read(path, most) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                let bytes = inside.metadata(path).ok().flatten().map_or(most, |metadata| metadata.len());
                Err(ViewError::TooLarge { path: shown, bytes })
            }
            other => other.map_err(at(&self.root, &shown)),
        }
    }

    /// A kernel is not to be in memory.
    fn copy(&self, path: &str, most: u64, to: &mut dyn Write) -> Result<Option<()>, ViewError> {
        let file = match self.root.open_file(path) {
            Ok(file) => file,
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(at(&self.root, path)(error)),
        };
        let bytes = file.metadata().map_err(at(&self.root, path))?.len();
        if bytes > most {
            return Err(ViewError::TooLarge { path: path.to_string(), bytes });
        }
        let copied = io::copy(&mut file.take(most.saturating_add(1)), to).map_err(at(&self.root, path))?;
        if copied > most {
            return Err(ViewError::TooLarge { path: path.to_string(), bytes: copied });
        }
        Ok(Some(()))
    }

    fn shown(&self, path: &str) -> PathBuf {
        self.root.shown(path)
    }

    /// What lies on this computer was put here by somebody who may fill its memory anyway.
    fn most_text(&self) -> u64 {
        16 << 20
    }

    fn modified(&self, path: &str) -> Result<Option<i64>, ViewError> {
        Ok(self.root.link_metadata(path).map_err(at(&self.root, path))?.map(|metadata| metadata.mtime()))
    }

    fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }
}

/// Nothing has this name, as the machine would see it.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32)
}

fn at(root: &Root, path: &str) -> impl FnOnce(io::Error) -> ViewError {
    let path = root.shown(path);
    move |source| ViewError::Io { path, source }
}

/// The boot partitions of a machine below a folder: what the current system's fstab mounts as FAT, where this user can
/// look into it. Nothing says whether it *is* mounted; one that is not has no entries.
pub(super) fn boot_volumes(folder: &Folder) -> Result<Vec<BootVolume<'static>>, ViewError> {
    let fstab = folder.read(&format!("{PROFILES}/system/etc/fstab"), 1 << 20)?.unwrap_or_default();
    let mut places = mount_points(&String::from_utf8_lossy(&fstab));
    if places.is_empty() {
        places = vec!["/boot".into(), "/efi".into()];
    }
    let mut volumes = Vec::new();
    for name in places {
        // What is mounted there is another file system, so the place itself must be no link, which could lead to any mount.
        if folder.root.link(&name).is_ok_and(|link| link.is_some()) {
            continue;
        }
        // A boot partition is root's; whoever may not look into it knows nothing about the menu.
        if let Ok(Some(files)) = folder.root.with_mounts().inside(&name)
            && let files = Folder::new(files, folder.budget())
            && matches!(files.list("/"), Ok(Some(names)) if !names.is_empty())
        {
            volumes.push(BootVolume { name, xbootldr: false, files: Rc::new(files), volume: None });
        }
    }
    Ok(volumes)
}

/// Where fstab(5) mounts FAT, in the order of its lines.
fn mount_points(fstab: &str) -> Vec<String> {
    let fields = fstab.lines().filter(|l| !l.starts_with('#')).map(|l| l.split_ascii_whitespace().collect::<Vec<_>>());
    fields
        .filter(|f| f.get(2) == Some(&"vfat"))
        .map(|f| f[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\"))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_where_they_lead_on_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("nix/store/a-etc")).unwrap();
        std::fs::write(root.join("nix/store/a-etc/hostname"), "hello\n").unwrap();
        symlink("/nix/store/a-etc", root.join("etc")).unwrap();
        symlink("../../../../nix/./store/a-etc/hostname", root.join("nix/store/out")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let view: &dyn Files = &Folder::new(Root::open(root).unwrap(), Budget::shared());
        assert_eq!(view.read("/etc/hostname", 100).unwrap().unwrap(), b"hello\n");
        assert_eq!(view.read("/nix/store/out", 100).unwrap().unwrap(), b"hello\n");
        assert_eq!(view.read("/loop/x", 100).unwrap(), None);
        assert_eq!(view.link("/etc").unwrap().as_deref(), Some("/nix/store/a-etc"));
        assert_eq!(view.link("/etc/hostname").unwrap(), None);
        assert_eq!((view.kind("/etc").unwrap(), view.kind("/etc/no").unwrap()), (Some(Kind::Folder), None));
        assert_eq!(view.list("/etc").unwrap().unwrap(), ["hostname"]);
        assert_eq!(view.list("/etc/hostname").unwrap(), None);
        assert_eq!(view.read("/etc", 100).unwrap(), None);
        assert!(matches!(view.read("/etc/hostname", 3), Err(ViewError::TooLarge { bytes: 6, .. })));
        assert_eq!(view.kind("/pipe").unwrap(), Some(Kind::Other));
        assert!(matches!(view.read("/pipe", 100), Err(ViewError::Io { .. })));
    }

    #[test]
    fn fstab_tells_where_fat_is_mounted() {
        let text = "# <device> <mount point>\nUUID=1 /home ext4 defaults 0 2\nPARTUUID=2 /boot\\040x vfat umask=0077 0 0\nP none swap x 0 0\n";
        assert_eq!(mount_points(text), ["/boot x"]);
    }
}
