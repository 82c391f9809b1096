//! A folder that is open. What is done in it is done by a single name, which is never followed if it is a link, so that
//! nothing can be read or written anywhere else.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, RenameFlags, ResolveFlag, openat, readlinkat, renameat, renameat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, fsync, symlinkat, unlinkat};

use crate::root::resolve;

/// No text that the helper reads is longer, whatever a file says of itself.
pub const MOST_TEXT: u64 = 16 << 20;
/// No folder that it reads has more in it.
pub const MOST_NAMES: usize = 100_000;
/// What is not whole yet has this name: one for a folder is enough.
const UNFINISHED: &str = ".cairn-new";

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    Link,
    /// A device, a FIFO, a socket.
    Other,
}

impl Kind {
    /// By the mode that the kernel gives.
    pub fn of(mode: u32) -> Kind {
        match SFlag::from_bits_truncate(mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Folder,
            SFlag::S_IFLNK => Kind::Link,
            _ => Kind::Other,
        }
    }
}

/// Permissions and owner.
#[derive(Debug, Clone, Copy)]
pub struct Owned {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Owned {
    /// Gives them to what is open. The order matters: chown takes setuid away.
    pub fn give(self, to: impl AsFd) -> io::Result<()> {
        fchown(&to, Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))?;
        Ok(fchmod(&to, Mode::from_bits_truncate(self.mode))?)
    }
}

/// The folder.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Folder {
    /// Of a handle.
    pub fn of(handle: OwnedFd) -> Folder {
        Folder(handle)
    }

    /// Opens one of this process's own, such as in /run.
    pub fn open(path: &Path) -> io::Result<Folder> {
        let folder = OpenOptions::new().read(true).custom_flags(OFlag::O_DIRECTORY.bits()).open(path)?;
        Ok(Folder(folder.into()))
    }

    /// A folder below this one. A link on the way is an error.
    pub fn below(&self, path: &Path) -> io::Result<Folder> {
        let rule = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
        resolve(self, path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, rule).map(Folder)
    }

    fn meta(&self, name: &OsStr) -> io::Result<Option<FileStat>> {
        match fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(meta) => Ok(Some(meta)),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// What is there of this name, if anything is.
    pub fn kind(&self, name: impl AsRef<OsStr>) -> io::Result<Option<Kind>> {
        Ok(self.meta(name.as_ref())?.map(|meta| Kind::of(meta.st_mode)))
    }

    /// Whether an overlay's upper layer says by this name that the lower one's file is deleted.
    pub fn is_deletion(&self, name: impl AsRef<OsStr>) -> bool {
        let device = SFlag::S_IFCHR.bits();
        matches!(self.meta(name.as_ref()), Ok(Some(m)) if m.st_mode & SFlag::S_IFMT.bits() == device && m.st_rdev == 0)
    }

    /// All names, sorted.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(by_number(&self.0))? {
            if names.len() == MOST_NAMES {
                return Err(io::Error::other(format!("there are more than {MOST_NAMES} names in it")));
            }
            names.push(entry?.file_name());
        }
        names.sort();
        Ok(names)
    }

    /// A plain file, open for reading.
    pub fn file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        plain(openat(&self.0, name.as_ref(), flags, Mode::empty())?)
    }

    /// The text of a plain file, if it is not longer than `most`.
    pub fn text(&self, name: impl AsRef<OsStr>, most: u64) -> io::Result<String> {
        text_of(self.file(name)?, most)
    }

    /// What a link says.
    pub fn link(&self, name: impl AsRef<OsStr>) -> io::Result<PathBuf> {
        Ok(readlinkat(&self.0, name.as_ref()).map(PathBuf::from)?)
    }

    /// Makes a folder. Whatever is there of that name is left alone.
    pub fn make(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<()> {
        let (name, mode) = (name.as_ref(), Mode::from_bits_truncate(mode));
        match mkdirat(&self.0, name, mode) {
            Err(Errno::EEXIST) => Ok(()),
            Err(e) => Err(e.into()),
            // mkdir(2) does not set all bits.
            Ok(()) => Ok(fchmod(self.below(Path::new(name))?, mode)?),
        }
    }

    /// Makes a link, or one that leads elsewhere anew; in one step, so that it is there at every moment. What is no link
    /// is left alone.
    pub fn put_link(&self, name: impl AsRef<OsStr>, target: &Path) -> io::Result<()> {
        let name = name.as_ref();
        match self.kind(name)? {
            None => Ok(symlinkat(target, &self.0, name)?),
            Some(Kind::Link) if self.link(name)? == target => Ok(()),
            Some(Kind::Link) => {
                let unfinished = self.unfinished()?;
                symlinkat(target, &self.0, &*unfinished)?;
                Ok(renameat(&self.0, &*unfinished, &self.0, name)?)
            }
            Some(_) => Ok(()),
        }
    }

    /// Replaces a file as a whole: a power cut leaves the old one or the new one. A folder in its place is set aside.
    pub fn replace(&self, name: impl AsRef<OsStr>, text: &str, owned: Owned) -> io::Result<()> {
        let (name, unfinished) = (name.as_ref(), self.unfinished()?);
        let mut file = self.create(&unfinished)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| owned.give(&file)).and_then(|()| file.sync_all());
        let renamed = written.and_then(|()| {
            if self.kind(name)? == Some(Kind::Folder) {
                self.set_aside(name)?;
            }
            Ok(renameat(&self.0, &*unfinished, &self.0, name)?)
        });
        if renamed.is_err() {
            // It may be what fills the disk.
            let _ = self.remove(&unfinished);
        }
        renamed?;
        self.sync()
    }

    /// Writes over a file's bytes where they are: a full disk has room for that.
    pub fn overwrite(&self, name: impl AsRef<OsStr>, text: &str) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.0, name.as_ref(), flags, Mode::empty())?);
        file.write_all_at(text.as_bytes(), 0)?;
        file.sync_all()
    }

    /// A new file, which only root may read until it is given to somebody.
    pub fn create(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(&self.0, name.as_ref(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    /// Moves something into another folder, where nothing may have that name.
    pub fn hand_over(&self, name: impl AsRef<OsStr>, to: &Folder, new: &OsStr) -> io::Result<()> {
        Ok(renameat2(&self.0, name.as_ref(), &to.0, new, RenameFlags::RENAME_NOREPLACE)?)
    }

    /// Gives something within the folder another name, in the place of what has that now.
    pub fn rename(&self, name: &str, new: &str) -> io::Result<()> {
        renameat(&self.0, name, &self.0, new)?;
        self.sync()
    }

    /// Gives what is in the way another name, and says which.
    pub fn set_aside(&self, name: impl AsRef<OsStr>) -> io::Result<OsString> {
        let name = name.as_ref();
        for number in 1..100 {
            let mut aside = name.to_os_string();
            aside.push(format!(".aside-{number}"));
            match self.hand_over(name, self, &aside) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                other => return other.map(|()| aside),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes a file, or an empty folder; one that is not there is no error.
    pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        let name = name.as_ref();
        match unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => Ok(unlinkat(&self.0, name, UnlinkatFlags::RemoveDir)?),
            Err(Errno::ENOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    /// Removes whatever has this name, with all that is in it. Links are not followed.
    pub fn remove_all(&self, name: &str) -> io::Result<()> {
        if self.kind(name)? != Some(Kind::Folder) {
            return self.remove(name);
        }
        std::fs::remove_dir_all(by_number(&self.0).join(name))
    }

    /// Waits until the disk has the names in this folder.
    pub fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.0)?)
    }

    /// A name that nothing has, for what is not whole yet.
    fn unfinished(&self) -> io::Result<String> {
        let mut last = Ok(());
        for number in 0..10 {
            let name = if number == 0 { UNFINISHED.into() } else { format!("{UNFINISHED}-{number}") };
            last = self.remove(&name);
            if last.is_ok() {
                return Ok(name);
            }
        }
        last.map(|()| UNFINISHED.into())
    }
}

/// The name of an open file by its number. What is behind it is what is open, whatever has become of its name.
pub fn by_number(handle: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()))
}

/// Opens what a handle leads to, if it is a plain file: nothing else is opened, not even to look at it.
pub fn plain(handle: OwnedFd) -> io::Result<File> {
    match Kind::of(fstat(&handle)?.st_mode) {
        Kind::File => File::open(by_number(&handle)),
        _ => Err(io::Error::other("it is no plain file")),
    }
}

/// The text of a file, if it is not longer than `most`. Names in other encodings must not stop a machine.
pub fn text_of(file: File, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Makes a folder of this process's own, such as in /run.
pub fn make_own(path: &Path, mode: u32) -> io::Result<Folder> {
    std::fs::create_dir_all(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    Folder::open(path)
}
