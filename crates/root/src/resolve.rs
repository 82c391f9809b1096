//! `openat2(2)`, and what its answers mean.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;

/// How often a path is resolved anew when somebody renames folders meanwhile (`EAGAIN`).
const TRIES: u32 = 64;

/// As the machine itself would go.
pub(crate) const IN_ROOT: ResolveFlag = ResolveFlag::RESOLVE_IN_ROOT.union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

/// No link, no way out.
pub(crate) const NO_LINKS: ResolveFlag =
    ResolveFlag::RESOLVE_BENEATH.union(ResolveFlag::RESOLVE_NO_SYMLINKS).union(ResolveFlag::RESOLVE_NO_MAGICLINKS);

/// Opens a path below a folder.
pub(crate) fn open(dir: impl AsFd, path: &Path, flags: OFlag, mode: u32, resolve: ResolveFlag) -> io::Result<OwnedFd> {
    let path = relative(path);
    let mut how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    if flags.contains(OFlag::O_CREAT) {
        how = how.mode(Mode::from_bits_truncate(mode));
    }
    for _ in 0..TRIES {
        match openat2(dir.as_fd(), path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(fd) => return Ok(fd),
        }
    }
    Err(Errno::EAGAIN.into())
}

/// A path without the `/` in front; the folder itself for an empty one.
pub(crate) fn relative(path: &Path) -> &Path {
    let path = path.strip_prefix("/").unwrap_or(path);
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Whether there is nothing of this name: a part is missing, is no folder, or the links on the way lead in a circle.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::ELOOP as i32)
}

/// `None` where there is nothing.
pub(crate) fn if_any<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Opens again, for reading or writing, what was opened as a place only, if it is a regular file. Opening anything else could
/// wait for ever (a pipe) or do something (a device).
pub(crate) fn reopen(place: OwnedFd, flags: OFlag) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    let place = File::from(place);
    let metadata = place.metadata()?;
    if !metadata.is_file() {
        return Err(not_regular(&metadata));
    }
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let fd = nix::fcntl::open(path.as_str(), flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK, Mode::empty());
    Ok(File::from(fd.map_err(|errno| crate::mounts::without_proc(errno.into()))?))
}

/// Says what something is that should be a file.
pub(crate) fn not_regular(metadata: &std::fs::Metadata) -> io::Error {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_dir() => "it is a folder, not a file",
        () if kind.is_symlink() => "it is a link, not a file",
        () if kind.is_fifo() => "it is a pipe, not a file",
        () if kind.is_socket() => "it is a socket, not a file",
        () => "it is a device, not a file",
    };
    io::Error::new(ErrorKind::InvalidInput, what)
}
