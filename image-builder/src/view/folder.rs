//! A machine's files below a folder. Links are followed as the machine itself would follow them: an absolute one begins
//! at the folder again.

use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;

use cairn_root::{Kind as Found, Root};

use super::{BootVolume, Files, Kind, PROFILES, ViewError};

impl Files for Root {
    fn kind(&self, path: &str) -> Result<Option<Kind>, ViewError> {
        let found = Root::kind(self, path).map_err(at(self, path))?;
        Ok(found.map(|found| match found {
            Found::Folder => Kind::Folder,
            Found::File => Kind::File,
            Found::Link | Found::Other => Kind::Other,
        }))
    }

    fn link(&self, path: &str) -> Result<Option<String>, ViewError> {
        let target = Root::link(self, path).map_err(at(self, path))?;
        Ok(target.map(|target| target.to_string_lossy().into_owned()))
    }

    fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let file = match self.open_file(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::InvalidInput && Files::kind(self, path)? == Some(Kind::Folder) => {
                return Ok(None);
            }
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(at(self, path)(error)),
        };
        // What is in /proc has no length, so the limit is on what comes.
        let bytes = file.metadata().map_err(at(self, path))?.len();
        let too_large = || ViewError::TooLarge { path: path.to_string(), bytes };
        let read = if bytes > most { return Err(too_large()) } else { Root::read(self, path, most) };
        read.map_err(|error| if error.kind() == ErrorKind::FileTooLarge { too_large() } else { at(self, path)(error) })
    }

    fn list(&self, path: &str) -> Result<Option<Vec<String>>, ViewError> {
        let names = self.names(path).map_err(at(self, path))?;
        Ok(names.map(|names| names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect()))
    }

    fn modified(&self, path: &str) -> Result<Option<i64>, ViewError> {
        Ok(self.link_metadata(path).map_err(at(self, path))?.map(|metadata| metadata.mtime()))
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
pub(super) fn boot_volumes(root: &Root) -> Result<Vec<BootVolume<'static>>, ViewError> {
    let fstab = Files::read(root, &format!("{PROFILES}/system/etc/fstab"), 1 << 20)?.unwrap_or_default();
    let mut places = mount_points(&String::from_utf8_lossy(&fstab));
    if places.is_empty() {
        places = vec!["/boot".into(), "/efi".into()];
    }
    let mut volumes = Vec::new();
    for name in places {
        // A boot partition is root's; whoever may not look into it knows nothing about the menu.
        if let Ok(Some(files)) = root.inside(&name)
            && matches!(files.list("/"), Ok(Some(names)) if !names.is_empty())
        {
            volumes.push(BootVolume { name, xbootldr: false, files: Box::new(files) });
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
        let root = Root::open(root).unwrap();
        let view: &dyn Files = &root;
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
