//! Reading what lies below a root.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, ResolveFlag, openat, readlinkat};
use nix::sys::stat::Mode;

use crate::folder::Folder;
use crate::mounts;
use crate::plain::read_all;
use crate::resolve::{self, IN_ROOT, if_any, relative};

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link; only where links are not followed.
    Link,
    /// A device, a socket, a pipe.
    Other,
}

impl Kind {
    /// Of what was found.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Kind {
        match () {
            () if metadata.is_dir() => Kind::Folder,
            () if metadata.is_file() => Kind::File,
            () if metadata.is_symlink() => Kind::Link,
            () => Kind::Other,
        }
    }
}

/// More names than this in one folder is an attack, or nothing that Cairn has to look into.
const MOST_NAMES: usize = 1 << 20;

/// A folder that is somebody's root, held open. Copies share it.
#[derive(Debug, Clone)]
pub struct Root {
    dir: Arc<OwnedFd>,
    path: PathBuf,
    host: bool,
    /// Whether what is mounted below it is its own, whatever it is: a running machine's, and a view from inside of one.
    all_mounts: bool,
}

impl Root {
    /// Opens the folder, which is the user's own word: links in `path` itself are followed.
    ///
    /// # Errors
    /// The operating system's; [`ErrorKind::InvalidInput`] when its name without links is another folder's: the root of a
    /// process that sees other things than this one is called `/` too, and something may be mounted over the folder.
    pub fn open(path: &Path) -> io::Result<Root> {
        let folder = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = openat(AT_FDCWD, path, folder, Mode::empty())?;
        let real = std::fs::canonicalize(path)?;
        if !is_at(&dir, &real)? {
            let (path, real) = (path.display(), real.display());
            let what = format!("{path} is not the folder that its full name, {real}, leads to from here");
            return Err(io::Error::new(ErrorKind::InvalidInput, what));
        }
        let host = real == Path::new("/");
        Ok(Root { dir: Arc::new(dir), path: real, host, all_mounts: host })
    }

    /// The same root for who looks himself at what is mounted below it, and knows whose it is: the boot partition's device is
    /// compared with the machine's. For everybody else, see [`Root::own`].
    #[must_use]
    pub fn with_mounts(&self) -> Root {
        Root { all_mounts: true, ..self.clone() }
    }

    /// Where it is on the host, without links: for messages, and for comparing.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is the running machine's own root: the very folder that is this process's `/`.
    #[must_use]
    pub fn is_host(&self) -> bool {
        self.host
    }

    /// What a path below it is called in messages. Nothing may be opened by this name.
    #[must_use]
    pub fn shown(&self, path: impl AsRef<Path>) -> PathBuf {
        shown(&self.path, path.as_ref())
    }

    /// The same machine's files, seen from one of its folders: nothing above it can be reached. `None` when there is no such
    /// folder.
    ///
    /// # Errors
    /// The operating system's.
    pub fn inside(&self, path: impl AsRef<Path>) -> io::Result<Option<Root>> {
        let Some(dir) = self.directory(path.as_ref())? else { return Ok(None) };
        let path = real_path(&dir)?;
        let host = self.host && path == self.path;
        Ok(Some(Root { path, dir: Arc::new(dir), host, all_mounts: self.all_mounts }))
    }

    /// The root itself, to be written in: for a folder that is Cairn's own as a whole.
    #[must_use]
    pub fn top(&self) -> Folder {
        Folder::share(self.path.clone(), Arc::clone(&self.dir))
    }

    /// A folder of Cairn's own, to be written in. The folder that it lies in is found as the machine would find it; it itself
    /// is no link.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::InvalidInput`] when it is something else, or is, on a machine
    /// that is not the running one, on a file system that is not the machine's (as for all that is opened below a root), and the
    /// operating system's.
    pub fn own(&self, path: impl AsRef<Path>) -> io::Result<Folder> {
        let (parent, name) = parent_and_name(path.as_ref())?;
        let parent = self.directory(parent)?.ok_or(ErrorKind::NotFound)?;
        let folder = Folder::at(real_path(&parent)?, parent).folder(name)?;
        self.ours(&folder)?;
        Ok(folder)
    }

    /// The same; what is missing is made, with mode 0755.
    ///
    /// # Errors
    /// As [`Root::own`].
    pub fn own_or_new(&self, path: impl AsRef<Path>) -> io::Result<Folder> {
        let (parent, name) = parent_and_name(path.as_ref())?;
        let mut left: Vec<&std::ffi::OsStr> = vec![name];
        let mut at = parent;
        let found = loop {
            if let Some(dir) = self.directory(at)? {
                break dir;
            }
            let (above, name) = parent_and_name(at)?;
            left.push(name);
            at = above;
        };
        let mut folder = Folder::at(real_path(&found)?, found);
        for name in left.into_iter().rev() {
            folder = folder.folder_or_new(name, 0o755)?;
            self.ours(&folder)?;
        }
        Ok(folder)
    }

    /// The folder that the machine itself would find at a path, links followed, to work in; `None` when there is none. For
    /// folders that are somebody else's too and may have been moved.
    ///
    /// # Errors
    /// The operating system's.
    pub fn folder(&self, path: impl AsRef<Path>) -> io::Result<Option<Folder>> {
        let Some(dir) = self.directory(path.as_ref())? else { return Ok(None) };
        Ok(Some(Folder::at(real_path(&dir)?, dir)))
    }

    /// What stands at a path, links followed; `None` when there is nothing.
    ///
    /// # Errors
    /// The operating system's.
    pub fn metadata(&self, path: impl AsRef<Path>) -> io::Result<Option<Metadata>> {
        if_any(self.place(path.as_ref(), OFlag::empty()).and_then(|fd| File::from(fd).metadata()))
    }

    /// What stands at a path, the last link not followed; `None` when there is nothing.
    ///
    /// # Errors
    /// The operating system's.
    pub fn link_metadata(&self, path: impl AsRef<Path>) -> io::Result<Option<Metadata>> {
        if_any(self.place(path.as_ref(), OFlag::O_NOFOLLOW).and_then(|fd| File::from(fd).metadata()))
    }

    /// What kind of thing stands at a path, links followed.
    ///
    /// # Errors
    /// The operating system's.
    pub fn kind(&self, path: impl AsRef<Path>) -> io::Result<Option<Kind>> {
        Ok(self.metadata(path)?.map(|metadata| Kind::of(&metadata)))
    }

    /// Where a symbolic link points, in its own words; `None` when there is no link of this name.
    ///
    /// # Errors
    /// The operating system's.
    pub fn link(&self, path: impl AsRef<Path>) -> io::Result<Option<PathBuf>> {
        let Some(place) = if_any(self.place(path.as_ref(), OFlag::O_NOFOLLOW))? else { return Ok(None) };
        match readlinkat(&place, "") {
            Ok(target) => Ok(Some(target.into())),
            // It is no link.
            Err(Errno::ENOENT | Errno::EINVAL) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The same for who must not take a riddle for a no: `None` only when a name is missing on the way, or there is no link.
    ///
    /// # Errors
    /// The operating system's, also when the links on the way lead in a circle.
    pub fn sure_link(&self, path: impl AsRef<Path>) -> io::Result<Option<PathBuf>> {
        match self.place(path.as_ref(), OFlag::O_NOFOLLOW) {
            Ok(_) => self.link(path),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is none; the operating system's.
    pub fn open_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        resolve::reopen(self.place(path.as_ref(), OFlag::empty())?, OFlag::O_RDONLY)
    }

    /// A regular file's contents; `None` when nothing has this name.
    ///
    /// # Errors
    /// As [`Root::open_file`]; [`ErrorKind::FileTooLarge`] when it has more than `most` bytes.
    pub fn read(&self, path: impl AsRef<Path>, most: u64) -> io::Result<Option<Vec<u8>>> {
        if_any(self.open_file(path))?.map(|file| read_all(file, most)).transpose()
    }

    /// The same, for a text.
    ///
    /// # Errors
    /// As [`Root::read`]; [`ErrorKind::InvalidData`] when it is not UTF-8.
    pub fn read_text(&self, path: impl AsRef<Path>, most: u64) -> io::Result<Option<String>> {
        let text = |bytes| String::from_utf8(bytes).map_err(|e| io::Error::new(ErrorKind::InvalidData, e));
        self.read(path, most)?.map(text).transpose()
    }

    /// The names in a folder, sorted; `None` when there is no such folder.
    ///
    /// # Errors
    /// [`ErrorKind::FileTooLarge`] when there are more than anybody makes; the operating system's.
    pub fn names(&self, path: impl AsRef<Path>) -> io::Result<Option<Vec<OsString>>> {
        self.directory(path.as_ref())?.map(names).transpose()
    }

    fn place(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        self.opened(path, OFlag::O_PATH | flags)
    }

    fn directory(&self, path: &Path) -> io::Result<Option<OwnedFd>> {
        if_any(self.opened(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY))
    }

    /// Opens what is the machine's own. Only where the way goes over a mount does somebody have to look whose that is.
    fn opened(&self, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        if self.all_mounts {
            return resolve::open(&self.dir, path, flags, 0, IN_ROOT);
        }
        match resolve::open(&self.dir, path, flags, 0, IN_ROOT | ResolveFlag::RESOLVE_NO_XDEV) {
            Err(error) if error.raw_os_error() == Some(Errno::EXDEV as i32) => {
                // As a place only: opening is doing something already where it is a file of the kernel's.
                let place = resolve::open(&self.dir, path, OFlag::O_PATH | flags, 0, IN_ROOT)?;
                self.ours(&place)?;
                if flags.contains(OFlag::O_PATH) {
                    return Ok(place);
                }
                resolve::open(place, Path::new("."), flags, 0, IN_ROOT | ResolveFlag::RESOLVE_NO_XDEV)
            }
            other => other,
        }
    }

    fn ours(&self, found: &impl AsFd) -> io::Result<()> {
        if self.all_mounts { Ok(()) } else { mounts::ours(self.dir.as_fd(), &self.path, found.as_fd()) }
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// The names in an open folder, sorted.
pub(crate) fn names(dir: OwnedFd) -> io::Result<Vec<OsString>> {
    use std::os::unix::ffi::OsStrExt;
    let mut names = Vec::new();
    for entry in Dir::from_fd(dir)?.iter() {
        let entry = entry?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_os_string());
        }
        if names.len() > MOST_NAMES {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "the folder has more names than anybody makes"));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Where an open folder really is, without links.
pub(crate) fn real_path(dir: &OwnedFd) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", dir.as_raw_fd())).map_err(mounts::without_proc)
}

/// Whether an open folder is the one that a path leads to, on the same mount.
fn is_at(dir: &OwnedFd, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let there = openat(AT_FDCWD, path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let one = |fd: &OwnedFd| -> io::Result<_> {
        let meta = File::from(fd.try_clone()?).metadata()?;
        Ok((meta.dev(), meta.ino(), mounts::mount_id(fd)?))
    };
    Ok(one(dir)? == one(&there)?)
}

pub(crate) fn shown(top: &Path, path: &Path) -> PathBuf {
    match relative(path) {
        path if path == Path::new(".") => top.to_path_buf(),
        path => top.join(path),
    }
}

fn parent_and_name(path: &Path) -> io::Result<(&Path, &std::ffi::OsStr)> {
    let no_name = || io::Error::new(ErrorKind::InvalidInput, "the path has no name at its end");
    Ok((path.parent().unwrap_or(Path::new("")), path.file_name().ok_or_else(no_name)?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn machine() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("machine");
        std::fs::create_dir_all(root.join("nix/store/a-etc")).unwrap();
        std::fs::write(root.join("nix/store/a-etc/hostname"), "hello\n").unwrap();
        std::fs::write(dir.path().join("secret"), "the host's").unwrap();
        symlink("/nix/store/a-etc", root.join("etc")).unwrap();
        symlink("../../../../secret", root.join("nix/out")).unwrap();
        symlink(dir.path().join("secret"), root.join("absolute")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let opened = Root::open(&root).unwrap();
        (dir, opened)
    }

    #[test]
    fn links_lead_where_they_lead_on_the_machine() {
        let (_dir, root) = machine();
        assert_eq!(root.read("/etc/hostname", 100).unwrap().unwrap(), b"hello\n");
        assert_eq!(root.read_text("etc/../../store/../../etc/hostname", 100).unwrap().unwrap(), "hello\n");
        for out in ["/nix/out", "absolute", "loop/x", "/etc/hostname/x", "../secret", "/../../secret"] {
            assert_eq!(root.read(out, 100).unwrap(), None, "{out}");
            assert_eq!(root.kind(out).unwrap(), None, "{out}");
        }
        assert_eq!(root.link("/etc").unwrap().as_deref(), Some(Path::new("/nix/store/a-etc")));
        assert_eq!(root.link("/etc/hostname").unwrap(), None);
        assert_eq!(root.sure_link("/etc").unwrap().as_deref(), Some(Path::new("/nix/store/a-etc")));
        for none in ["/etc/hostname", "/etc/hostname/x", "/nowhere/x"] {
            assert_eq!(root.sure_link(none).unwrap(), None, "{none}");
        }
        assert_eq!(root.link("/loop/x").unwrap(), None);
        assert!(root.sure_link("/loop/x").is_err(), "a circle is no answer");
        assert_eq!(root.names("/etc").unwrap().unwrap(), ["hostname"]);
        assert_eq!(root.names("/etc/hostname").unwrap(), None);
        assert_eq!(root.kind("/").unwrap(), Some(Kind::Folder));
        assert_eq!(root.link_metadata("/etc").unwrap().map(|m| Kind::of(&m)), Some(Kind::Link));
        assert_eq!(root.read("/etc/hostname", 5).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(root.read("/etc", 5).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_view_from_inside_ends_there() {
        let (_dir, root) = machine();
        let etc = root.inside("/etc").unwrap().unwrap();
        assert_eq!(etc.read("../../../etc/hostname", 100).unwrap(), None);
        assert_eq!(etc.read("../../hostname", 100).unwrap().unwrap(), b"hello\n");
        assert!(etc.path().ends_with("machine/nix/store/a-etc"));
        assert!(root.inside("/nowhere").unwrap().is_none());
        assert!(root.folder("/etc").unwrap().unwrap().path().ends_with("machine/nix/store/a-etc"));
        assert!(root.folder("absolute").unwrap().is_none());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let (dir, root) = machine();
        nix::unistd::mkfifo(&dir.path().join("machine/pipe"), Mode::S_IRWXU).unwrap();
        assert_eq!(root.read("pipe", 100).unwrap_err().to_string(), "it is a pipe, not a file");
        symlink("/dev/zero", dir.path().join("machine/zero")).unwrap();
        assert_eq!(root.read("zero", 100).unwrap(), None);
        assert_eq!(crate::read_plain(Path::new("/dev/zero"), 100).unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(crate::read_plain(&dir.path().join("machine/absolute"), 100).unwrap(), b"the host's");
    }

    #[test]
    fn folders_to_write_in_are_found_as_the_machine_would_and_are_no_links() {
        let (dir, root) = machine();
        let own = root.own_or_new("/var/lib/cairn").unwrap();
        assert!(own.path().ends_with("machine/var/lib/cairn"));
        // An administrator has moved /var.
        std::fs::rename(dir.path().join("machine/var"), dir.path().join("machine/moved")).unwrap();
        symlink("/moved", dir.path().join("machine/var")).unwrap();
        let own = root.own("/var/lib/cairn").unwrap();
        assert!(own.path().ends_with("machine/moved/lib/cairn"));
        // It itself leads elsewhere.
        symlink("/nix", dir.path().join("machine/moved/lib/other")).unwrap();
        assert_eq!(root.own("/var/lib/other").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(root.own_or_new("/var/lib/other").unwrap_err().kind(), ErrorKind::InvalidInput);
        assert_eq!(root.own("/var/lib/missing").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
