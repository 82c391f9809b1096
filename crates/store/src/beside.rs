//! Looking at the entries of a tree one after the other. Most lie beside the one before, so the folder is kept open and only a name
//! is looked up; and each folder is opened from the one above it, so no link is followed on the way to anything.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, fstatat};

/// The folders from the top to the one that was looked into last.
#[derive(Debug)]
pub(crate) struct Beside<'a> {
    top: &'a Path,
    /// Each with its path below the top.
    open: Vec<(String, OwnedFd)>,
}

impl<'a> Beside<'a> {
    /// Of the tree at `top`.
    pub(crate) fn new(top: &'a Path) -> Beside<'a> {
        Beside { top, open: Vec::new() }
    }

    /// What `lstat` says of an entry, `""` for the top; the system's error also where a folder on the way is none.
    pub(crate) fn look(&mut self, path: &str) -> nix::Result<FileStat> {
        if path.is_empty() {
            return fstatat(AT_FDCWD, self.top, AtFlags::AT_SYMLINK_NOFOLLOW);
        }
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.enter(folder)?;
        match self.open.last() {
            Some((_, dir)) => fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW),
            None => Err(nix::errno::Errno::ENOENT),
        }
    }

    /// Makes the last of the open folders this one.
    fn enter(&mut self, folder: &str) -> nix::Result<()> {
        while self.open.pop_if(|(path, _)| !is_in(folder, path)).is_some() {}
        if self.open.is_empty() {
            let top = nix::fcntl::open(self.top, FOLDER, Mode::empty())?;
            self.open.push((String::new(), top));
        }
        while let Some((path, dir)) = self.open.last()
            && path != folder
        {
            let rest = folder[path.len()..].trim_start_matches('/');
            let name = rest.split_once('/').map_or(rest, |(name, _)| name);
            let next = nix::fcntl::openat(dir, name, FOLDER, Mode::empty())?;
            let path = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
            self.open.push((path, next));
        }
        Ok(())
    }
}

const FOLDER: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Whether a folder is this one or one below it.
fn is_in(folder: &str, above: &str) -> bool {
    above.is_empty() || folder.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use nix::errno::Errno;

    use super::*;

    #[test]
    fn it_says_what_lstat_says_in_any_order() {
        let dir = tempfile::tempdir().unwrap();
        let paths =
            ["", "a", "a/b", "a/b/c", "a/b/c/f", "a/bc", "a/bc/f", "a/f", "a-b", "a-b/f", "ab", "ab/f", "f", "l"];
        for path in paths.iter().filter(|p| !p.is_empty()) {
            let real = dir.path().join(path);
            match path.rsplit('/').next() {
                Some("f") => fs::write(real, path).unwrap(),
                Some("l") => symlink("nowhere", real).unwrap(),
                _ => fs::create_dir(real).unwrap(),
            }
        }
        let mut beside = Beside::new(dir.path());
        // Each after each other.
        for path in paths.iter().flat_map(|one| paths.iter().flat_map(move |other| [one, other])) {
            let real = if path.is_empty() { dir.path().to_path_buf() } else { dir.path().join(path) };
            assert_eq!(beside.look(path).unwrap().st_ino, fs::symlink_metadata(real).unwrap().ino(), "{path}");
        }
        for path in ["x", "a/x", "a/b/x/f", "x/f"] {
            assert_eq!(beside.look(path), Err(Errno::ENOENT), "{path}");
        }
        assert_eq!(beside.look("a/f/g"), Err(Errno::ENOTDIR));
        assert!(beside.look("a/b/c/f").is_ok());
    }

    #[test]
    fn no_link_is_followed_on_the_way() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir_all(top.join("real/below")).unwrap();
        symlink("real", top.join("link")).unwrap();
        symlink("top", dir.path().join("other")).unwrap();
        let mut beside = Beside::new(&top);
        assert!(beside.look("real/below").is_ok() && beside.look("link").is_ok());
        assert_eq!(beside.look("link/below"), Err(Errno::ENOTDIR));
        let other = dir.path().join("other");
        let mut beside = Beside::new(&other);
        assert!(beside.look("").is_ok());
        assert_eq!(beside.look("real"), Err(Errno::ENOTDIR));
    }
}
