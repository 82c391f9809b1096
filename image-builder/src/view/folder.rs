//! A machine's files below a folder. Links are followed as the machine itself would follow them: an absolute one begins
//! at the folder again.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{BootVolume, Files, Kind, PROFILES, ViewError};

/// As the kernel has it.
const MOST_LINKS: u32 = 40;

/// A folder that is somebody's root.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The folder, which must be there.
    ///
    /// # Errors
    /// The system's answer.
    pub fn new(root: &Path) -> Result<Folder, ViewError> {
        let io = |source| ViewError::Io { path: root.to_path_buf(), source };
        let root = std::path::absolute(root).map_err(io)?;
        if !root.metadata().map_err(io)?.is_dir() {
            return Err(io(ErrorKind::NotADirectory.into()));
        }
        Ok(Folder { root })
    }

    /// Where a path of the machine is on this one. `None` when something on the way is missing.
    pub fn real(&self, path: &str, follow_last: bool) -> Result<Option<PathBuf>, ViewError> {
        // The kernel's own root needs no help.
        if self.root == Path::new("/") && follow_last {
            return Ok(Some(PathBuf::from("/").join(path.trim_start_matches('/'))));
        }
        let mut left: Vec<String> = parts(path).rev().collect();
        let mut at = self.root.clone();
        let mut depth = 0_usize;
        let mut followed = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                if depth > 0 {
                    at.pop();
                    depth -= 1;
                }
                continue;
            }
            let next = at.join(&part);
            if left.is_empty() && !follow_last {
                at = next;
                continue;
            }
            match std::fs::read_link(&next) {
                Ok(target) => {
                    followed += 1;
                    if followed > MOST_LINKS {
                        return Ok(None);
                    }
                    let target = target.to_string_lossy().into_owned();
                    if target.starts_with('/') {
                        at.clone_from(&self.root);
                        depth = 0;
                    }
                    left.extend(parts(&target).rev());
                }
                // It is no link.
                Err(e) if e.kind() == ErrorKind::InvalidInput => {
                    at = next;
                    depth += 1;
                }
                Err(e) if gone(&e) => return Ok(None),
                Err(source) => return Err(ViewError::Io { path: next, source }),
            }
        }
        Ok(Some(at))
    }

    fn ask<T>(
        &self,
        path: &str,
        follow_last: bool,
        question: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<Option<T>, ViewError> {
        let Some(real) = self.real(path, follow_last)? else { return Ok(None) };
        match question(&real) {
            Ok(answer) => Ok(Some(answer)),
            Err(e) if gone(&e) => Ok(None),
            Err(source) => Err(ViewError::Io { path: real, source }),
        }
    }
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|p| !p.is_empty() && *p != ".").map(str::to_string)
}

fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

impl Files for Folder {
    fn kind(&self, path: &str) -> Result<Option<Kind>, ViewError> {
        self.ask(path, true, |real| {
            let metadata = real.metadata()?;
            Ok(match () {
                () if metadata.is_dir() => Kind::Folder,
                () if metadata.is_file() => Kind::File,
                () => Kind::Other,
            })
        })
    }

    fn link(&self, path: &str) -> Result<Option<String>, ViewError> {
        let answer = self.ask(path, false, |real| match std::fs::read_link(real) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(e) if e.kind() == ErrorKind::InvalidInput => Ok(None),
            Err(e) => Err(e),
        })?;
        Ok(answer.flatten())
    }

    fn read(&self, path: &str, most: u64) -> Result<Option<Vec<u8>>, ViewError> {
        let answer = self.ask(path, true, |real| {
            let file = File::open(real)?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                return Ok(Err(0));
            }
            // What is in /proc has no length, so the limit is on what comes.
            let mut bytes = Vec::new();
            file.take(most + 1).read_to_end(&mut bytes)?;
            Ok(if bytes.len() as u64 > most { Err(metadata.len()) } else { Ok(bytes) })
        })?;
        match answer {
            None | Some(Err(0)) => Ok(None),
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(bytes)) => Err(ViewError::TooLarge { path: path.to_string(), bytes }),
        }
    }

    fn list(&self, path: &str) -> Result<Option<Vec<String>>, ViewError> {
        self.ask(path, true, |real| {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(real)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            names.sort_unstable();
            Ok(names)
        })
    }

    fn modified(&self, path: &str) -> Result<Option<i64>, ViewError> {
        self.ask(path, false, |real| real.symlink_metadata().map(|m| m.mtime()))
    }
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
        // A boot partition is root's; whoever may not look into it knows nothing about the menu.
        if let Ok(Some(real)) = folder.real(&name, true)
            && let Ok(files) = Folder::new(&real)
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
        let view = Folder::new(root).unwrap();
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
    }

    #[test]
    fn fstab_tells_where_fat_is_mounted() {
        let text = "# <device> <mount point>\nUUID=1 /home ext4 defaults 0 2\nPARTUUID=2 /boot\\040x vfat umask=0077 0 0\nP none swap x 0 0\n";
        assert_eq!(mount_points(text), ["/boot x"]);
    }
}
