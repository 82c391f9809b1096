//! Writing in a folder of Cairn's own on a machine, in which no link is followed.

use std::ffi::OsString;
use std::fs::{File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, readlinkat, renameat, renameat2};
use nix::sys::stat::{Mode, UtimensatFlags, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat};

use crate::beneath::{self, remove_tree};
use crate::plain::read_all;
use crate::resolve::{self, NO_LINKS, if_any, relative};
use crate::root::{Kind, names, real_path, shown};

/// A folder that is written in, held open. Every path in it is relative to it, and no part of one may be a link. Copies
/// share it.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: Arc<OwnedFd>,
    path: PathBuf,
}

impl Folder {
    pub(crate) fn at(path: PathBuf, dir: OwnedFd) -> Folder {
        Folder { dir: Arc::new(dir), path }
    }

    pub(crate) fn share(path: PathBuf, dir: Arc<OwnedFd>) -> Folder {
        Folder { dir, path }
    }

    /// Where it really is, without links: for messages, for comparing, and for programs and libraries that want a path
    /// (the database, a mount).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a path in it is called in messages.
    #[must_use]
    pub fn shown(&self, path: impl AsRef<Path>) -> PathBuf {
        shown(&self.path, path.as_ref())
    }

    /// A folder in it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is none, [`ErrorKind::InvalidInput`] when it, or something on the way, is a link,
    /// and the operating system's.
    pub fn folder(&self, path: impl AsRef<Path>) -> io::Result<Folder> {
        let dir = self.directory(path.as_ref())?;
        Ok(Folder::at(real_path(&dir)?, dir))
    }

    /// The same; made when it is missing, with this mode whatever the umask. What it lies in must be there.
    ///
    /// # Errors
    /// As [`Folder::folder`].
    pub fn folder_or_new(&self, path: impl AsRef<Path>, mode: u32) -> io::Result<Folder> {
        let path = path.as_ref();
        match self.folder(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_folder(path, mode)?;
                self.folder(path)
            }
            other => other,
        }
    }

    /// Makes a folder, with this mode whatever the umask; one that is there is left as it is.
    ///
    /// # Errors
    /// The operating system's; [`ErrorKind::AlreadyExists`] when something else has the name.
    pub fn make_folder(&self, path: impl AsRef<Path>, mode: u32) -> io::Result<()> {
        let (parent, name) = self.parent(path.as_ref())?;
        match mkdirat(&parent, name.as_path(), Mode::from_bits_truncate(mode)) {
            Ok(()) => File::from(beneath::directory(&parent, &name)?).set_permissions(Permissions::from_mode(mode)),
            Err(Errno::EEXIST) if self.kind(path)? == Some(Kind::Folder) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// What stands at a path; `None` when there is nothing.
    ///
    /// # Errors
    /// The operating system's.
    pub fn metadata(&self, path: impl AsRef<Path>) -> io::Result<Option<Metadata>> {
        if_any(self.place(path.as_ref()).and_then(|fd| File::from(fd).metadata()))
    }

    /// What kind of thing stands at a path.
    ///
    /// # Errors
    /// The operating system's.
    pub fn kind(&self, path: impl AsRef<Path>) -> io::Result<Option<Kind>> {
        Ok(self.metadata(path)?.map(|metadata| Kind::of(&metadata)))
    }

    /// What a symbolic link says; `None` when there is no link of this name.
    ///
    /// # Errors
    /// The operating system's.
    pub fn link(&self, path: impl AsRef<Path>) -> io::Result<Option<PathBuf>> {
        let Some(place) = if_any(self.place(path.as_ref()))? else { return Ok(None) };
        match readlinkat(&place, "") {
            Ok(target) => Ok(Some(target.into())),
            Err(Errno::ENOENT | Errno::EINVAL) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when it is none; the operating system's.
    pub fn open_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        resolve::reopen(self.place(path.as_ref())?, OFlag::O_RDONLY)
    }

    /// Opens a regular file that is there for reading and writing.
    ///
    /// # Errors
    /// As [`Folder::open_file`].
    pub fn open_to_change(&self, path: impl AsRef<Path>) -> io::Result<File> {
        resolve::reopen(self.place(path.as_ref())?, OFlag::O_RDWR)
    }

    /// A regular file's contents; `None` when nothing has this name.
    ///
    /// # Errors
    /// As [`Folder::open_file`]; [`ErrorKind::FileTooLarge`] when it has more than `most` bytes.
    pub fn read(&self, path: impl AsRef<Path>, most: u64) -> io::Result<Option<Vec<u8>>> {
        match self.open_file(path) {
            Ok(file) => read_all(file, most).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names in a folder, sorted; `None` when there is no such folder.
    ///
    /// # Errors
    /// The operating system's.
    pub fn names(&self, path: impl AsRef<Path>) -> io::Result<Option<Vec<OsString>>> {
        match self.directory(path.as_ref()) {
            Ok(dir) => names(dir).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a file that must not be there, for writing.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when anything has the name, a link to nowhere too; the operating system's.
    pub fn create_new(&self, path: impl AsRef<Path>, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let file = File::from(self.opened(path.as_ref(), flags, mode)?);
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Makes a file that must not be there, for writing, with whatever mode its file system gives: for those that keep none
    /// and refuse to be told one (FAT, the firmware's variables).
    ///
    /// # Errors
    /// As [`Folder::create_new`].
    pub fn create_bare(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        Ok(File::from(self.opened(path.as_ref(), flags, 0o666)?))
    }

    /// Makes a folder that must not be there, with whatever mode its file system gives.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when anything has the name; the operating system's.
    pub fn make_bare_folder(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let (parent, name) = self.parent(path.as_ref())?;
        Ok(mkdirat(&parent, name.as_path(), Mode::from_bits_truncate(0o777))?)
    }

    /// A file to be locked: opened, or made empty. What is in it stays.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] when something has the name that is no regular file; the operating system's.
    pub fn lock_file(&self, path: impl AsRef<Path>, mode: u32) -> io::Result<File> {
        let path = path.as_ref();
        match self.create_new(path, mode) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.open_to_change(path),
            other => other,
        }
    }

    /// Writes a small file: whatever happens, it is there completely or as it was before, and it is on the disk when this
    /// returns. It is written beside its name, as `NAME.new`; what stands there is a left-over of such a moment.
    ///
    /// # Errors
    /// The operating system's.
    pub fn write_durably(&self, path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> io::Result<()> {
        let path = path.as_ref();
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = Path::new(&new);
        self.remove_file(new)?;
        let mut file = self.create_new(new, mode)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        self.rename(new, path)?;
        self.sync_parent(path)
    }

    /// Makes a symbolic link of a name that is not taken.
    ///
    /// # Errors
    /// The operating system's.
    pub fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>) -> io::Result<()> {
        let (parent, name) = self.parent(path.as_ref())?;
        Ok(symlinkat(target.as_ref(), &parent, name.as_path())?)
    }

    /// Gives a new name, which may be another file's: that one is replaced at once.
    ///
    /// # Errors
    /// The operating system's.
    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from_parent, from) = self.parent(from.as_ref())?;
        let (to_parent, to) = self.parent(to.as_ref())?;
        Ok(renameat(&from_parent, from.as_path(), &to_parent, to.as_path())?)
    }

    /// Lets two things change places; at each moment both are there. Not every file system can.
    ///
    /// # Errors
    /// The operating system's.
    pub fn exchange(&self, one: impl AsRef<Path>, other: impl AsRef<Path>) -> io::Result<()> {
        let (one_parent, one) = self.parent(one.as_ref())?;
        let (other_parent, other) = self.parent(other.as_ref())?;
        let flags = RenameFlags::RENAME_EXCHANGE;
        Ok(renameat2(&one_parent, one.as_path(), &other_parent, other.as_path(), flags)?)
    }

    /// Gives a file a second name, which nothing must have.
    ///
    /// # Errors
    /// The operating system's.
    pub fn hard_link(&self, of: impl AsRef<Path>, path: impl AsRef<Path>) -> io::Result<()> {
        let (of_parent, of) = self.parent(of.as_ref())?;
        let (parent, name) = self.parent(path.as_ref())?;
        Ok(linkat(&of_parent, of.as_path(), &parent, name.as_path(), AtFlags::empty())?)
    }

    /// Sets when something was changed, in seconds since 1970; a link's own time, too.
    ///
    /// # Errors
    /// The operating system's.
    pub fn set_time(&self, path: impl AsRef<Path>, seconds: i64) -> io::Result<()> {
        let (parent, name) = self.parent(path.as_ref())?;
        let time = TimeSpec::new(seconds, 0);
        Ok(utimensat(&parent, name.as_path(), &time, &time, UtimensatFlags::NoFollowSymlink)?)
    }

    /// Removes what has this name and is no folder; nothing when nothing has it.
    ///
    /// # Errors
    /// The operating system's; a folder is not removed.
    pub fn remove_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let (parent, name) = match self.parent(path.as_ref()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        match unlinkat(&parent, name.as_path(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes a folder in which nothing is; whether there was one, and it is gone.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove_empty_folder(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        let (parent, name) = match self.parent(path.as_ref()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match unlinkat(&parent, name.as_path(), UnlinkatFlags::RemoveDir) {
            Ok(()) => Ok(true),
            Err(Errno::ENOENT | Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Removes what has this name with all that is in it, following no link and leaving what is mounted there alone; nothing
    /// when nothing has the name.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove_tree(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let (parent, name) = match self.parent(path.as_ref()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        remove_tree(&parent, &name)
    }

    /// Waits until the names in it are on the disk.
    ///
    /// # Errors
    /// The operating system's.
    pub fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::fsync(&*self.dir)?)
    }

    /// Waits until the names in a folder in it are on the disk.
    ///
    /// # Errors
    /// The operating system's.
    pub fn sync_folder(&self, path: impl AsRef<Path>) -> io::Result<()> {
        Ok(nix::unistd::fsync(self.directory(path.as_ref())?)?)
    }

    /// Waits until everything on its file system is on the disk.
    ///
    /// # Errors
    /// The operating system's.
    pub fn sync_file_system(&self) -> io::Result<()> {
        Ok(nix::unistd::syncfs(&*self.dir)?)
    }

    /// Waits until the name of a path is on the disk.
    fn sync_parent(&self, path: &Path) -> io::Result<()> {
        Ok(nix::unistd::fsync(self.parent(path)?.0)?)
    }

    fn place(&self, path: &Path) -> io::Result<OwnedFd> {
        self.opened(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, 0)
    }

    fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        // A link is refused whether or not it may be followed; without the flag that says so, the answer is that it is a link.
        self.opened(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)
    }

    /// The folder that a path lies in, and its last name.
    fn parent(&self, path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
        let path = relative(path);
        let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path has no name"))?;
        Ok((self.directory(path.parent().unwrap_or(Path::new("")))?, name.into()))
    }

    fn opened(&self, path: &Path, flags: OFlag, mode: u32) -> io::Result<OwnedFd> {
        let wrong = |what: &str| io::Error::new(ErrorKind::InvalidInput, what);
        resolve::open(&self.dir, path, flags, mode, NO_LINKS).map_err(|error| {
            match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ELOOP) => {
                    wrong("it, or a folder on the way to it, is a link, which none of Cairn's own is")
                }
                Some(Errno::ENOTDIR) => wrong("it, or something on the way to it, is not a folder"),
                Some(Errno::EXDEV) => wrong("the path leads out of its folder"),
                _ => error,
            }
        })
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::Root;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("victim")).unwrap();
        std::fs::write(dir.path().join("victim/file"), "as it was").unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let folder = Root::open(&dir.path().join("root")).unwrap().own_or_new("own").unwrap();
        (dir, folder)
    }

    #[test]
    fn a_small_file_is_replaced_and_a_link_beside_it_is_not_followed() {
        let (dir, folder) = folder();
        symlink(dir.path().join("victim/file"), folder.path().join("record.new")).unwrap();
        symlink(dir.path().join("victim/file"), folder.path().join("record")).unwrap();
        folder.write_durably("record", b"new", 0o640).unwrap();
        assert_eq!(folder.read("record", 10).unwrap().unwrap(), b"new");
        assert_eq!(folder.metadata("record").unwrap().unwrap().permissions().mode() & 0o7777, 0o640);
        assert_eq!(folder.names("").unwrap().unwrap(), ["record"]);
        assert_eq!(std::fs::read(dir.path().join("victim/file")).unwrap(), b"as it was");
    }

    #[test]
    fn no_link_is_followed_anywhere() {
        let (dir, folder) = folder();
        symlink(dir.path().join("victim"), folder.path().join("away")).unwrap();
        symlink("../../victim", folder.path().join("up")).unwrap();
        symlink("inside", folder.path().join("near")).unwrap();
        folder.make_folder("inside", 0o755).unwrap();
        for link in ["away", "up", "near"] {
            let file = format!("{link}/file");
            assert_eq!(folder.create_new(&file, 0o644).unwrap_err().kind(), ErrorKind::InvalidInput, "{link}");
            assert_eq!(folder.lock_file(&file, 0o644).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(folder.read(&file, 10).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(folder.names(link).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(folder.remove_file(&file).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(folder.folder_or_new(link, 0o755).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert_eq!(folder.lock_file(link, 0o644).unwrap_err().kind(), ErrorKind::InvalidInput);
            assert!(folder.make_folder(link, 0o755).is_err());
        }
        for out in ["../victim/file", "/../../victim/file"] {
            assert!(folder.read(out, 10).is_err(), "{out}");
            assert!(folder.remove_file(out).is_err(), "{out}");
            assert!(folder.write_durably(out, b"x", 0o644).is_err(), "{out}");
        }
        assert_eq!(std::fs::read(dir.path().join("victim/file")).unwrap(), b"as it was");
    }

    #[test]
    fn a_tree_goes_and_what_its_links_name_stays() {
        let (dir, folder) = folder();
        folder.make_folder("tree", 0o755).unwrap();
        folder.make_folder("tree/inner", 0o755).unwrap();
        symlink(dir.path().join("victim"), folder.path().join("tree/inner/away")).unwrap();
        folder.create_new("tree/inner/file", 0o444).unwrap();
        std::fs::set_permissions(folder.path().join("tree/inner"), Permissions::from_mode(0o555)).unwrap();
        symlink(dir.path().join("victim"), folder.path().join("link")).unwrap();
        assert!(!folder.remove_empty_folder("tree").unwrap() && !folder.remove_empty_folder("link").unwrap());
        assert!(!folder.remove_empty_folder("nothing/at/all").unwrap());
        folder.make_folder("empty", 0o755).unwrap();
        assert!(folder.remove_empty_folder("empty").unwrap() && !folder.remove_empty_folder("empty").unwrap());
        folder.remove_tree("tree").unwrap();
        folder.remove_tree("link").unwrap();
        folder.remove_tree("nothing").unwrap();
        assert_eq!(folder.names("").unwrap().unwrap(), Vec::<OsString>::new());
        assert_eq!(std::fs::read(dir.path().join("victim/file")).unwrap(), b"as it was");
    }

    #[test]
    fn a_second_name_and_times_are_those_of_the_thing_itself() {
        use std::os::unix::fs::MetadataExt;
        let (dir, folder) = folder();
        folder.write_durably("file", b"x", 0o644).unwrap();
        folder.hard_link("file", "other").unwrap();
        assert!(folder.hard_link("file", "other").is_err());
        folder.make_folder("folder", 0o755).unwrap();
        folder.exchange("folder", "other").unwrap();
        assert_eq!(
            (folder.kind("folder").unwrap(), folder.kind("other").unwrap()),
            (Some(Kind::File), Some(Kind::Folder))
        );
        folder.exchange("folder", "other").unwrap();
        assert!(folder.exchange("folder", "nothing").is_err());
        symlink(dir.path().join("victim/file"), folder.path().join("link")).unwrap();
        let victim = || std::fs::metadata(dir.path().join("victim/file")).unwrap().mtime();
        let before = victim();
        for name in ["file", "link", ""] {
            let done = folder.set_time(name, 1);
            assert_eq!(done.is_ok(), !name.is_empty(), "{name}");
        }
        assert_eq!(victim(), before);
        assert_eq!(folder.metadata("other").unwrap().unwrap().mtime(), 1);
        assert_eq!(folder.metadata("other").unwrap().unwrap().nlink(), 2);
        assert_eq!(folder.path().join("link").symlink_metadata().unwrap().mtime(), 1);
    }

    #[test]
    fn what_is_made_has_the_mode_that_was_asked_for() {
        let (_dir, folder) = folder();
        folder.make_folder("private", 0o700).unwrap();
        folder.make_folder("private", 0o755).unwrap();
        let mode = |path| folder.metadata(path).unwrap().unwrap().permissions().mode() & 0o7777;
        folder.create_new("private/secret", 0o600).unwrap();
        folder.symlink("anywhere", "private/link").unwrap();
        assert_eq!((mode("private"), mode("private/secret")), (0o700, 0o600));
        assert_eq!(folder.link("private/link").unwrap().as_deref(), Some(Path::new("anywhere")));
        assert_eq!(folder.create_new("private/link", 0o600).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert!(folder.make_folder("private/secret", 0o700).is_err());
    }
}
